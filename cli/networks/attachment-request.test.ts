import { expect, test } from "bun:test";
import type { Attachment } from "../runtime/attachment.ts";
import { type NetworkList, parseNetworkList } from "../runtime/network-list.ts";
import { readPublish, unheeded, withRequest } from "./attachment-request.ts";

const attachment: Attachment = {
  containerId: "c1",
  ifname: "eth0",
  netns: "/n",
  args: [],
  capabilityArgs: {},
};
const nothing = {};

function network(...capabilities: string[]): NetworkList {
  const declared = Object.fromEntries(capabilities.map((name) => [name, true]));
  return parseNetworkList(
    JSON.stringify({ cniVersion: "1.0.0", name: "net", plugins: [{ type: "one", capabilities: declared }] }),
  );
}

test("readPublish() takes Docker's forms", () => {
  expect(readPublish("8080:80")).toEqual([{ hostPort: 8080, containerPort: 80, protocol: "tcp" }]);
  expect(readPublish("192.0.2.1:53:53/udp")).toEqual([
    { hostPort: 53, containerPort: 53, protocol: "udp", hostIP: "192.0.2.1" },
  ]);
  expect(readPublish("[2001:DB8::1]:8080:80/sctp")).toEqual([
    { hostPort: 8080, containerPort: 80, protocol: "sctp", hostIP: "2001:db8::1" },
  ]);
  expect(readPublish("8000-8002:80-82").map((each) => [each.hostPort, each.containerPort])).toEqual([
    [8000, 80],
    [8001, 81],
    [8002, 82],
  ]);
});

test.each([
  ["80", "as 8080:80"],
  ["8080:80/icmp", "the protocol is one of tcp, udp, sctp"],
  ["8080:80/tcp/udp", "the protocol is one of"],
  ["0:80", "a port is a number from 1 to 65535"],
  ["8080:65536", "a port is a number"],
  ["8000-8001:80", "2 ports of the host, and 1 of the container"],
  ["81-80:81-80", "81-80 ends before it begins"],
  ["1-2-3:1-3", "a port is a number"],
  ["host:8080:80", 'Cannot parse "host" as an address'],
])("readPublish() refuses %s", (text, message) => {
  expect(() => readPublish(text)).toThrow(`--publish ${text}: `);
  expect(() => readPublish(text)).toThrow(message);
});

test("withRequest() asks by the capabilities that are declared", () => {
  const words = { ip: ["10.0.0.9/24", "fd00::9"], mac: "02-00-00-00-00-09", publish: ["8080:80"] };
  const before = { ...attachment, capabilityArgs: { bandwidth: 1, portMappings: [{ hostPort: 1 }] } };
  expect(withRequest(before, words, network("ips", "mac", "portMappings"))).toEqual({
    ...attachment,
    capabilityArgs: {
      bandwidth: 1,
      ips: ["10.0.0.9", "fd00::9"],
      mac: "02:00:00:00:00:09",
      portMappings: [{ hostPort: 1 }, { hostPort: 8080, containerPort: 80, protocol: "tcp" }],
    },
  });
  expect(withRequest(attachment, nothing, network())).toEqual(attachment);
});

test("withRequest() asks by CNI_ARGS where no plugin declares the capability", () => {
  const words = { ip: ["10.0.0.9"], mac: "02:00:00:00:00:09", publish: [] };
  expect(withRequest(attachment, words, network()).args).toEqual([
    ["IgnoreUnknown", "1"],
    ["IP", "10.0.0.9"],
    ["MAC", "02:00:00:00:00:09"],
  ]);
  const told = { ...attachment, args: [["IgnoreUnknown", "true"]] as const };
  expect(withRequest(told, words, network()).args).toHaveLength(3);
});

test("withRequest() refuses ports that nobody publishes, and addresses that are none", () => {
  const refuse = (words: object) => () => withRequest(attachment, { ...nothing, ...words }, network());
  expect(refuse({ publish: ["8080:80"] })).toThrow('network "net" publishes no ports');
  expect(refuse({ ip: ["10.0.0"] })).toThrow("--ip: Cannot parse");
  expect(refuse({ mac: "foo" })).toThrow("--mac: Cannot parse");
  expect(refuse({ mac: "01:00:00:00:00:00" })).toThrow("no interface can have it");
});

test("unheeded() tells what is not in the result", () => {
  const result = {
    ips: [{ address: "10.0.0.9/24" }],
    interfaces: [
      { name: "eth0", mac: "aa:00:00:00:00:01" },
      { name: "eth0", mac: "02:00:00:00:00:09", sandbox: "/n" },
    ],
  };
  const words = { ip: ["10.0.0.9"], mac: "02:00:00:00:00:09", publish: [] };
  expect(unheeded(words, result, "eth0")).toEqual([]);
  expect(unheeded({ ...words, ip: ["10.0.0.8"], mac: "02:00:00:00:00:08" }, result, "eth0")).toEqual([
    "10.0.0.8",
    "02:00:00:00:00:08",
  ]);
});
