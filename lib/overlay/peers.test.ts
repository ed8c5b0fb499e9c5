import { expect, test } from "bun:test";
import { formatAddress, parseAddress } from "../netaddr/address.ts";
import { NTF_EXT_LEARNED, NTF_MASTER, NTF_SELF } from "../rtnetlink/neighbour.ts";
import type { VtepValue } from "../store/layout.ts";
import { entriesFor, OVERLAY_PROTOCOL, type OverlayDevices, type StoredEndpoint } from "./peers.ts";

const BRIDGED: OverlayDevices = { mode: "bridged", vxlan: 7, bridge: 8, gateways: [] };
const ROUTED: OverlayDevices = {
  mode: "routed",
  vxlan: 7,
  bridge: 8,
  gateways: ["10.5.1.1", "fd00:5:0:1::1"].map(parseAddress),
};

const VTEPS = new Map<string, VtepValue>([
  ["a", { address: "192.0.2.1" }],
  ["b", { address: "192.0.2.2" }],
  ["c", { address: "192.0.2.3" }],
]);

let revision = 0n;
function endpoint(host: string, mac: string, ...addresses: string[]): StoredEndpoint {
  return { host, mac, addresses, modRevision: ++revision };
}

/** Each entry in one line, as `bridge` and `ip` show them. */
function shown({ fdb, neighbours, routes, faults }: ReturnType<typeof entriesFor>): string[] {
  return [
    ...[...fdb].map(([mac, { ifindex, dst }]) => `${mac} dev ${ifindex} dst ${dst && formatAddress(dst)}`),
    ...[...neighbours].map(([address, { ifindex, mac }]) => `${address} dev ${ifindex} ${mac.toHex()}`),
    ...[...routes].map(
      ([prefix, { gateway, oif, prefsrc }]) =>
        `${prefix} via ${gateway && formatAddress(gateway)} dev ${oif} src ${prefsrc && formatAddress(prefsrc)}`,
    ),
    ...faults,
  ];
}

test("entriesFor() gives each remote container its MAC behind the VTEP and its addresses", () => {
  const endpoints = [
    endpoint("a", "02:42:0a:05:00:02", "10.5.0.2"),
    endpoint("b", "02:42:0a:05:00:03", "10.5.0.3", "fd00:5::3"),
  ];
  const entries = entriesFor(BRIDGED, "a", { vteps: VTEPS, endpoints });
  expect(shown(entries)).toEqual([
    "02:42:0a:05:00:03 dev 7 dst 192.0.2.2",
    "10.5.0.3 dev 8 02420a050003",
    "fd00:5::3 dev 8 02420a050003",
  ]);
  expect(entries.fdb.get("02:42:0a:05:00:03")?.flags).toBe(NTF_SELF | NTF_MASTER | NTF_EXT_LEARNED);
  expect(entries.neighbours.get("10.5.0.3")?.protocol).toBe(OVERLAY_PROTOCOL);
});

test("entriesFor() leaves out a host without VTEP: it is forgotten", () => {
  const endpoints = [endpoint("dead", "02:42:0a:05:00:03", "10.5.0.3")];
  expect(shown(entriesFor(BRIDGED, "a", { vteps: VTEPS, endpoints }))).toEqual([]);
});

test("entriesFor() believes the later of two endpoints, and this host's own above all", () => {
  const moved = [
    endpoint("b", "02:42:0a:05:00:03", "10.5.0.3"),
    endpoint("c", "02:42:0a:05:00:03", "10.5.0.3"),
    endpoint("a", "02:42:0a:05:00:04", "10.5.0.4"),
    endpoint("b", "02:42:0a:05:00:04", "10.5.0.4"),
  ];
  for (const endpoints of [moved, moved.toReversed()]) {
    expect(shown(entriesFor(BRIDGED, "a", { vteps: VTEPS, endpoints }))).toEqual([
      "02:42:0a:05:00:03 dev 7 dst 192.0.2.3",
      "10.5.0.3 dev 8 02420a050003",
    ]);
  }
});

test("entriesFor() of mode routed gives each remote host a MAC, a gateway and a route a family", () => {
  const mac = "02:00:00:00:00:0b";
  const subnets = [
    { subnet: "10.5.2.0/24", gateway: "10.5.2.1" },
    { subnet: "fd00:5:0:2::/64", gateway: "fd00:5:0:2::1" },
  ];
  const own = { address: "192.0.2.1", mac: "02:00:00:00:00:0a", subnets: [] };
  const vteps = new Map([
    ["a", own],
    ["b", { address: "192.0.2.2", mac, subnets }],
  ]);
  expect(shown(entriesFor(ROUTED, "a", { vteps, endpoints: [] }))).toEqual([
    "02:00:00:00:00:0b dev 7 dst 192.0.2.2",
    "10.5.2.1 dev 7 02000000000b",
    "fd00:5:0:2::1 dev 7 02000000000b",
    "10.5.2.0/24 via 10.5.2.1 dev 7 src 10.5.1.1",
    "fd00:5:0:2::/64 via fd00:5:0:2::1 dev 7 src fd00:5:0:1::1",
  ]);
});

test("entriesFor() passes over what cannot be read, and says so", () => {
  const endpoints = [
    endpoint("b", "02:42:0a:05:00:03", "10.5.0.300"),
    endpoint("b", "ff:ff:ff:ff:ff:ff", "10.5.0.5"),
    endpoint("b", "02:42:0a:05:00:06", "10.5.0.6"),
  ];
  const entries = entriesFor(BRIDGED, "a", { vteps: VTEPS, endpoints });
  expect([...entries.fdb.keys()]).toEqual(["02:42:0a:05:00:06"]);
  expect([...entries.neighbours.keys()]).toEqual(["10.5.0.6"]);
  expect(entries.faults).toEqual([
    'endpoint 02:42:0a:05:00:03 of host b: Cannot parse "10.5.0.300" as an address: not four numbers from 0 to ' +
      "255 without leading zeros",
    "endpoint ff:ff:ff:ff:ff:ff of host b: Cannot use ff:ff:ff:ff:ff:ff as a MAC address: no interface can have it",
  ]);
});
