import { expect, test } from "bun:test";
import { faultOfIfname, parseCommand, parseEnvironment, type Variables } from "./environment.ts";
import { CniError } from "./error.ts";

const COMPLETE: Variables = {
  CNI_COMMAND: "ADD",
  CNI_CONTAINERID: "c1",
  CNI_NETNS: "/run/netns/a",
  CNI_IFNAME: "eth0",
  CNI_ARGS: "IgnoreUnknown=1",
  CNI_PATH: "/opt/cni/bin::/usr/lib/cni",
};

function refusal(variables: Variables): CniError {
  try {
    parseEnvironment(variables);
  } catch (error) {
    if (error instanceof CniError) return error;
  }
  throw new Error("not refused");
}

test("parseEnvironment() reads every variable", () => {
  expect(parseEnvironment(COMPLETE)).toEqual({
    command: "ADD",
    containerId: "c1",
    netnsPath: "/run/netns/a",
    ifname: "eth0",
    args: "IgnoreUnknown=1",
    path: ["/opt/cni/bin", "/usr/lib/cni"],
  });
});

test.each<[command: string, missing: string]>([
  ["ADD", "CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME"],
  ["CHECK", "CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME"],
  ["DEL", "CNI_CONTAINERID,CNI_IFNAME"],
  ["GC", "CNI_PATH"],
])("parseEnvironment() names all that %s lacks at once, empty or unset", (command, missing) => {
  const msg = `required env variables [${missing}] missing`;
  expect(refusal({ CNI_COMMAND: command })).toMatchObject({ code: 4, msg });
  expect(refusal({ CNI_COMMAND: command, CNI_CONTAINERID: "", CNI_IFNAME: "" })).toMatchObject({
    code: 4,
    msg,
  });
});

test.each(["STATUS", "VERSION", "FOO"])("parseEnvironment() lets %s do without any variable", (command) => {
  expect(parseEnvironment({ CNI_COMMAND: command })).toMatchObject({ command, containerId: "", path: [] });
});

test("parseEnvironment() lets DEL do without CNI_NETNS, and all but GC without CNI_PATH", () => {
  const { CNI_NETNS, CNI_PATH, ...rest } = COMPLETE;
  expect(parseEnvironment({ ...rest, CNI_COMMAND: "DEL" })).toMatchObject({ netnsPath: "", path: [] });
  expect(parseEnvironment({ ...rest, CNI_NETNS })).toMatchObject({ netnsPath: "/run/netns/a", path: [] });
});

test.each<[name: string, value: string, msg: string, details: string]>([
  ["CNI_CONTAINERID", "-c1", "invalid characters in containerID", "-c1"],
  ["CNI_CONTAINERID", "c/1", "invalid characters in containerID", "c/1"],
  ["CNI_CONTAINERID", "c1\n", "invalid characters in containerID", "c1\n"],
  [
    "CNI_IFNAME",
    "sixteen-bytes-ab",
    "interface name is too long",
    "interface name should be less than 16 characters",
  ],
  [
    "CNI_IFNAME",
    "ééééééé€",
    "interface name is too long",
    "interface name should be less than 16 characters",
  ],
  ["CNI_IFNAME", ".", "interface name is . or ..", ""],
  ["CNI_IFNAME", "..", "interface name is . or ..", ""],
  ["CNI_IFNAME", "a/b", "interface name contains / or : or whitespace characters", ""],
  ["CNI_IFNAME", "a:b", "interface name contains / or : or whitespace characters", ""],
  ["CNI_IFNAME", "a b", "interface name contains / or : or whitespace characters", ""],
  ["CNI_IFNAME", "a\u0085b", "interface name contains / or : or whitespace characters", ""],
])("parseEnvironment() refuses %s=%p", (name, value, msg, details) => {
  expect(refusal({ ...COMPLETE, [name]: value })).toMatchObject({ code: 4, msg, details });
});

test("parseEnvironment() takes fifteen bytes and every character of an identifier", () => {
  expect(parseEnvironment({ ...COMPLETE, CNI_IFNAME: "fifteen-bytes-a" }).ifname).toBe("fifteen-bytes-a");
  expect(parseEnvironment({ ...COMPLETE, CNI_CONTAINERID: "0A_b.c-d" }).containerId).toBe("0A_b.c-d");
});

test("parseEnvironment() speaks of an invalid variable before it speaks of missing ones", () => {
  expect(refusal({ CNI_COMMAND: "ADD", CNI_IFNAME: ".." }).msg).toBe("interface name is . or ..");
});

test("parseEnvironment() does not look at variables the command does not need", () => {
  expect(parseEnvironment({ ...COMPLETE, CNI_COMMAND: "STATUS", CNI_IFNAME: "a/b" }).ifname).toBe("a/b");
});

test("parseCommand() refuses an unknown command by its name", () => {
  expect(parseCommand("GC")).toBe("GC");
  for (const text of ["FOO", "add", "toString"]) {
    expect(() => parseCommand(text)).toThrow(new CniError(4, `unknown CNI_COMMAND: ${text}`));
  }
});

test("faultOfIfname() says why a name can be no interface's", () => {
  expect(faultOfIfname("eth0")).toBeUndefined();
  expect(faultOfIfname("")).toEqual({ msg: "is empty" });
  expect(faultOfIfname("..")).toEqual({ msg: "is . or .." });
});
