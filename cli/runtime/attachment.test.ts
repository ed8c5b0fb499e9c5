import { expect, test } from "bun:test";
import { readAttachment } from "./attachment.ts";

test("readAttachment() has cnitool's id for the namespace", () => {
  // printf %s /var/run/netns/testing | sha512sum | cut -c -20
  expect(readAttachment("/var/run/netns/testing", undefined, {}).containerId).toBe(
    "cnitool-77383ca0a0715733ca6f",
  );
});

test("readAttachment() takes a word for a namespace of ip netns, and makes a path absolute", () => {
  expect(readAttachment("blue", undefined, {})).toEqual(readAttachment("/var/run/netns/blue", undefined, {}));
  expect(readAttachment("./blue", undefined, {}).netns).toBe(`${process.cwd()}/blue`);
});

test("readAttachment() takes the interface's name from the option, then CNI_IFNAME, then eth0", () => {
  expect(readAttachment("blue", "net1", { CNI_IFNAME: "net2" }).ifname).toBe("net1");
  expect(readAttachment("blue", undefined, { CNI_IFNAME: "net2" }).ifname).toBe("net2");
  expect(readAttachment("blue", undefined, { CNI_IFNAME: "" }).ifname).toBe("eth0");
});

test("readAttachment() reads CNI_ARGS and CAP_ARGS", () => {
  const variables = { CNI_ARGS: "IgnoreUnknown=1;IP=10.0.0.7", CAP_ARGS: '{"ips": ["10.0.0.7"]}' };
  expect(readAttachment("blue", undefined, variables)).toMatchObject({
    args: [
      ["IgnoreUnknown", "1"],
      ["IP", "10.0.0.7"],
    ],
    capabilityArgs: { ips: ["10.0.0.7"] },
  });
});

test.each([
  ["", undefined, {}, "empty string"],
  ["blue", "a/b", {}, "contains /"],
  ["blue", "sixteen-letters!", {}, "too long"],
  ["blue", undefined, { CNI_ARGS: "IP" }, 'CNI_ARGS: "IP" is not KEY=value'],
  ["blue", undefined, { CNI_ARGS: "IP=1;" }, 'CNI_ARGS: "" is not KEY=value'],
  ["blue", undefined, { CAP_ARGS: "{" }, "CAP_ARGS: JSON Parse error"],
  ["blue", undefined, { CAP_ARGS: "[]" }, "CAP_ARGS is a JSON object"],
])("readAttachment() refuses %j %j %j", (netns, ifname, variables, message) => {
  expect(() => readAttachment(netns, ifname, variables)).toThrow(message);
});
