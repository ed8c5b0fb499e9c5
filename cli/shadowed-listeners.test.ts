import { expect, test } from "bun:test";
import { parseAddress } from "../lib/netaddr/address.ts";
import type { Listener } from "./host-listeners.ts";
import { parseNetworkList } from "./runtime/network-list.ts";
import { findShadowed, type HostPort, publishedPorts } from "./shadowed-listeners.ts";

const network = (capabilities: object) =>
  parseNetworkList(
    JSON.stringify({
      cniVersion: "1.0.0",
      name: "net",
      plugins: [{ type: "bridge" }, { type: "portmap", capabilities }],
    }),
  );

test("publishedPorts() reads the port mappings that a plugin takes", () => {
  const portMappings = [
    { hostPort: 8080, containerPort: 80, protocol: "TCP" },
    { hostPort: 53, containerPort: 53, protocol: "udp", hostIP: "192.0.2.1" },
    { hostPort: 54, containerPort: 53, protocol: "udp", hostIP: "" },
    "nonsense",
  ];
  expect(publishedPorts(network({ portMappings: true }), { portMappings })).toEqual([
    { protocol: "tcp", port: 8080, hostIp: undefined },
    { protocol: "udp", port: 53, hostIp: parseAddress("192.0.2.1") },
    { protocol: "udp", port: 54, hostIp: undefined },
  ]);
  expect(publishedPorts(network({ portMappings: false }), { portMappings })).toEqual([]);
  expect(publishedPorts(network({ portMappings: true }), {})).toEqual([]);
});

test.each([
  // published on, the container's families, listened on, whether the listener loses
  ["any", [4], "0.0.0.0", true],
  ["any", [4], "127.0.0.1", true],
  ["any", [4], "::", true],
  ["any", [4], "2001:db8::1", false],
  ["any", [6], "0.0.0.0", false],
  ["any", [6], "2001:db8::1", true],
  ["any", [4, 6], "::1", false],
  ["0.0.0.0", [4, 6], "2001:db8::1", false],
  ["::", [4, 6], "2001:db8::1", true],
  ["192.0.2.1", [4, 6], "192.0.2.1", true],
  ["192.0.2.1", [4, 6], "192.0.2.2", false],
  ["192.0.2.1", [4, 6], "0.0.0.0", true],
  ["192.0.2.1", [6], "0.0.0.0", false],
] as const)("findShadowed() of %s, a container of IPv%j, a listener on %s: %p", (on, families, at, loses) => {
  const hostIp = on === "any" ? undefined : parseAddress(on);
  const port: HostPort = { protocol: "tcp", port: 80, hostIp };
  const listener: Listener = { protocol: "tcp", address: parseAddress(at), port: 80, inode: "1" };
  expect(findShadowed([port], families, [listener])).toEqual(loses ? [listener] : []);
  expect(findShadowed([{ ...port, protocol: "udp" }], families, [listener])).toEqual([]);
  expect(findShadowed([{ ...port, port: 81 }], families, [listener])).toEqual([]);
});
