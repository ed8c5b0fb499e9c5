import { expect, test } from "bun:test";
import type { DesiredNetwork } from "../../agent/desired-entries.ts";
import type { BridgeTable } from "./fdb.ts";
import { formatBridgeTable, formatOverlayTable, isFault } from "./fdb-text.ts";
import { compareEntries, type KernelView } from "./overlay-entries.ts";

const BRIDGE: BridgeTable = {
  bridge: "docker0",
  networks: ["blue"],
  entries: [
    {
      mac: "02:42:ac:11:00:02",
      port: "veth1a2b3c4d",
      vlan: undefined,
      owner: "kube-system/coredns-5d78c9869d-x2k4p eth0",
      origin: "learned",
      usedS: 12.3,
    },
    {
      mac: "02:42:ac:11:00:03",
      port: "vethdeadbeef",
      vlan: 10,
      owner: "",
      origin: "static",
      usedS: undefined,
    },
    { mac: "02:42:0a:08:00:05", port: "vx42", vlan: undefined, owner: "", origin: "store", usedS: undefined },
  ],
};

test("formatBridgeTable() in 80 columns", () => {
  expect(formatBridgeTable(BRIDGE, 80).join("\n").split("\n")).toEqual([
    "bridge docker0  network blue",
    "MAC                PORT                  WHOSE                        HOW",
    "02:42:ac:11:00:02  veth1a2b3c4d          kube-system/coredns-5d78c9…  learned, …",
    "02:42:ac:11:00:03  vethdeadbeef VLAN 10  -                            static",
    "02:42:0a:08:00:05  vx42                  -                            by agent",
  ]);
});

test("formatBridgeTable() in 160 columns", () => {
  expect(formatBridgeTable(BRIDGE, 160).join("\n").split("\n")).toEqual([
    "bridge docker0  network blue",
    "MAC                PORT                  WHOSE                                      HOW",
    "02:42:ac:11:00:02  veth1a2b3c4d          kube-system/coredns-5d78c9869d-x2k4p eth0  learned, used 12 s ago",
    "02:42:ac:11:00:03  vethdeadbeef VLAN 10  -                                          static",
    "02:42:0a:08:00:05  vx42                  -                                          by agent",
  ]);
});

test("formatBridgeTable() says when nothing is there", () => {
  expect(formatBridgeTable({ bridge: "b0", networks: [], entries: [] }, 80)).toEqual([
    "bridge b0",
    "no container has been heard of yet",
  ]);
});

const DESIRED: DesiredNetwork = {
  name: "over",
  device: "vx42",
  bridge: "vxbr42",
  mode: "bridged",
  isKnown: true,
  hosts: [
    { host: "host1", address: "192.0.2.1" },
    { host: "host2", address: "192.0.2.2" },
    { host: "host3", address: "192.0.2.3" },
  ],
  fdb: [
    { mac: "02:42:0a:08:00:02", vtep: "192.0.2.2" },
    { mac: "02:42:0a:08:00:03", vtep: "192.0.2.3" },
    { mac: "02:42:0a:08:00:04", vtep: "192.0.2.3" },
    { mac: "02:42:0a:08:00:05", vtep: "192.0.2.3" },
  ],
  neighbours: [
    { address: "10.8.0.2", mac: "02:42:0a:08:00:02" },
    { address: "fd00:8::2", mac: "02:42:0a:08:00:02" },
    { address: "10.8.0.3", mac: "02:42:0a:08:00:03" },
    { address: "10.8.0.4", mac: "02:42:0a:08:00:04" },
    { address: "10.8.0.5", mac: "02:42:0a:08:00:05" },
  ],
  routes: [],
};

const KERNEL: KernelView = {
  fdb: [
    { mac: "02:42:0a:08:00:02", vtep: "192.0.2.2", isStatic: true },
    { mac: "02:42:0a:08:00:03", vtep: "192.0.2.2", isStatic: true },
    { mac: "02:42:0a:08:00:05", vtep: "192.0.2.3", isStatic: true },
    { mac: "02:42:0a:08:00:09", vtep: "192.0.2.9", isStatic: true },
  ],
  neighbours: new Map([
    ["10.8.0.2", "02:42:0a:08:00:02"],
    ["fd00:8::2", "02:42:0a:08:00:02"],
    ["10.8.0.3", "02:42:0a:08:00:03"],
    ["10.8.0.5", "02:42:0a:08:00:99"],
  ]),
  routes: new Map(),
};

test("compareEntries() tells what leads elsewhere, is missing, or is too many", () => {
  const entries = compareEntries(DESIRED, KERNEL);
  expect(entries.map(({ mac, state, differences }) => [mac.slice(-1), state, ...differences])).toEqual([
    ["2", "in step"],
    ["3", "differs", "it leads to 192.0.2.2"],
    ["4", "missing", "10.8.0.4 is at no MAC"],
    ["5", "differs", "10.8.0.5 is at 02:42:0a:08:00:99"],
    ["9", "surplus"],
  ]);
  expect(entries.map(isFault)).toEqual([false, true, true, true, true]);
});

test("compareEntries() of mode routed has a host's subnets, and the routes to them", () => {
  const desired: DesiredNetwork = {
    ...DESIRED,
    mode: "routed",
    fdb: [{ mac: "02:00:00:00:00:02", vtep: "192.0.2.2" }],
    neighbours: [{ address: "10.8.2.1", mac: "02:00:00:00:00:02" }],
    routes: [{ subnet: "10.8.2.0/24", gateway: "10.8.2.1" }],
  };
  const kernel: KernelView = {
    fdb: [{ mac: "02:00:00:00:00:02", vtep: "192.0.2.2", isStatic: true }],
    neighbours: new Map([["10.8.2.1", "02:00:00:00:00:02"]]),
    routes: new Map([["10.8.2.0/24", "10.8.2.1"]]),
  };
  expect(compareEntries(desired, kernel)).toMatchObject([
    { addresses: ["10.8.2.1", "10.8.2.0/24"], host: "host2", state: "in step" },
  ]);
  expect(compareEntries(desired, { ...kernel, routes: new Map() })).toMatchObject([
    { state: "differs", differences: ["route 10.8.2.0/24"] },
  ]);
});

const OVERLAY = {
  network: "over",
  device: "vx42",
  vni: 42,
  source: "agent",
  entries: compareEntries(DESIRED, KERNEL),
} as const;

test("formatOverlayTable() in 80 columns", () => {
  expect(formatOverlayTable(OVERLAY, 80).join("\n").split("\n")).toEqual([
    "overlay over  VNI 42, vx42: 4 entries not as the store says",
    "MAC                ADDRESSES        HOST   VTEP       STATE",
    "02:42:0a:08:00:02  10.8.0.2 …       host2  192.0.2.2  in step",
    "02:42:0a:08:00:03  10.8.0.3         host3  192.0.2.3  differs: it leads to …",
    "02:42:0a:08:00:04  10.8.0.4         host3  192.0.2.3  missing: 10.8.0.4 is at …",
    "02:42:0a:08:00:05  10.8.0.5         host3  192.0.2.3  differs: 10.8.0.5 is at …",
    "02:42:0a:08:00:09  -                -      192.0.2.9  surplus",
  ]);
});

test("formatOverlayTable() in 160 columns", () => {
  expect(formatOverlayTable(OVERLAY, 160).join("\n").split("\n")).toEqual([
    "overlay over  VNI 42, vx42: 4 entries not as the store says",
    "MAC                ADDRESSES           HOST   VTEP       STATE",
    "02:42:0a:08:00:02  10.8.0.2 fd00:8::2  host2  192.0.2.2  in step",
    "02:42:0a:08:00:03  10.8.0.3            host3  192.0.2.3  differs: it leads to 192.0.2.2",
    "02:42:0a:08:00:04  10.8.0.4            host3  192.0.2.3  missing: 10.8.0.4 is at no MAC",
    "02:42:0a:08:00:05  10.8.0.5            host3  192.0.2.3  differs: 10.8.0.5 is at 02:42:0a:08:00:99",
    "02:42:0a:08:00:09  -                   -      192.0.2.9  surplus",
  ]);
});

test("formatOverlayTable() says where nobody knows what has to be there", () => {
  const entry = { mac: "00:00:00:00:00:00", addresses: [], host: "", vtep: "192.0.2.2", differences: [] };
  const table = { ...OVERLAY, source: "kernel", entries: [{ ...entry, state: "flood" }] } as const;
  expect(formatOverlayTable(table, 80).join("\n").split("\n")).toEqual([
    "overlay over  VNI 42, vx42: as the kernel has it: no agent says what has to be",
    "  there",
    "MAC                ADDRESSES  HOST  VTEP       STATE",
    "00:00:00:00:00:00  -          -     192.0.2.2  flood",
  ]);
  expect(formatOverlayTable({ ...table, entries: [] }, 80).at(-1)).toBe("nothing is known of another host");
});
