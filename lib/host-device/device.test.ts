import { expect, test } from "bun:test";
import { parseMac } from "../netaddr/mac.ts";
import type { Link } from "../rtnetlink/link.ts";
import { type HostDevice, isReturned, isSelected, likeness } from "./device.ts";
import { pciAddressIn } from "./sysfs.ts";

const MAC = "02:00:00:00:00:0a";
const PATH = "/sys/devices/pci0000:00/0000:00:03.0/0000:03:10.1/virtio2/net/eth1";

const veth: HostDevice = {
  name: "v0",
  altnames: [],
  alias: "",
  mac: MAC,
  mtu: 1500,
  up: true,
  addresses: [],
  kind: "veth",
};
const card: HostDevice = {
  ...veth,
  name: "eth1",
  altnames: ["a-card"],
  kind: "",
  parent: "virtio/virtio2",
  path: PATH,
};

function link(settings: Partial<Link>): Link {
  return {
    ...{ index: 2, name: "eth0", kind: "", mac: parseMac(MAC), mtu: 1500, up: false, running: false },
    ...{ promiscuous: false, master: undefined, link: undefined, linkNetnsid: undefined, alias: "" },
    altnames: [],
    ...{ permanentMac: undefined, parent: undefined, data: new Uint8Array(0), port: undefined },
    ...settings,
  };
}

test("isReturned() knows hardware by where it is plugged in, whatever it is called", () => {
  expect(isReturned(link({ parent: "virtio/virtio2", mac: parseMac("02:00:00:00:00:99") }), card)).toBeTrue();
  expect(isReturned(link({ parent: "virtio/virtio3", alias: "eth1" }), card)).toBeFalse();
  expect(isReturned(link({ alias: "eth1" }), card)).toBeFalse();
  // a VLAN of it has its MAC
  expect(isReturned(link({ kind: "vlan", alias: "eth1" }), card)).toBeFalse();
});

test("isReturned() tells the ports of one card apart by the MAC they were made with", () => {
  const port = { ...card, permanentMac: MAC };
  const parent = "virtio/virtio2";
  expect(isReturned(link({ parent, permanentMac: parseMac(MAC) }), port)).toBeTrue();
  expect(isReturned(link({ parent, permanentMac: parseMac("02:00:00:00:00:0b") }), port)).toBeFalse();
});

test("isReturned() knows other devices by the alias they have until they are what they were", () => {
  expect(isReturned(link({ kind: "veth", alias: "v0" }), veth)).toBeTrue();
  // of the same name and MAC, but made anew
  expect(isReturned(link({ kind: "veth", name: "v0" }), veth)).toBeFalse();
  expect(isReturned(link({ kind: "macvlan", alias: "v0" }), veth)).toBeFalse();
});

test("likeness() is 0 for another device of the same MAC, and most for the one with name, alias and MAC", () => {
  const taken = { ifname: "eth0", details: veth };
  const like = (settings: Partial<Link>) => likeness(link({ kind: "veth", ...settings }), taken);
  for (const another of [{ name: "eth1", alias: "v1" }, { name: "eth1" }, { kind: "vlan", alias: "v0" }])
    expect(like(another)).toBe(0);
  const order = [{}, { name: "eth7", alias: "v0", mac: parseMac("02:00:00:00:00:99") }, { alias: "v0" }];
  const ranks = order.map(like);
  expect(ranks).toEqual(ranks.toSorted());
  expect(new Set(ranks).size).toBe(order.length);
});

test.each([
  ["device", "eth1", true],
  ["device", "a-card", true],
  ["device", "eth2", false],
  ["hwaddr", "02-00-00-00-00-0A", true],
  ["hwaddr", "02:00:00:00:00:0b", false],
  ["kernelpath", "/sys/devices/pci0000:00/0000:00:03.0/0000:03:10.1", true],
  ["kernelpath", "/sys/devices/pci0000:00/0000:00:03.0/0000:03:10", false],
  ["pciBusID", "0000:03:10.1", true],
  ["pciBusID", "0000:03:10.2", false],
  ["deviceID", "0000:03:10.1", true],
] as const)("isSelected() says whether %s %j names the device that a container has", (key, value, is) => {
  expect(isSelected(card, { key, value })).toBe(is);
});

test("pciAddressIn() finds the address farthest down", () => {
  expect(pciAddressIn(PATH)).toBe("0000:03:10.1");
  expect(pciAddressIn("/sys/devices/virtual/net/eth1")).toBeUndefined();
});
