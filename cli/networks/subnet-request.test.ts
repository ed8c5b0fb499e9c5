import { expect, test } from "bun:test";
import { formatAddress } from "../../lib/netaddr/address.ts";
import { rangeSets, readSubnetRequests, type SubnetWords } from "./subnet-request.ts";

const words = (keys: Partial<SubnetWords>): SubnetWords => ({
  subnets: [],
  gateways: [],
  ranges: [],
  reserved: [],
  ...keys,
});
const sets = (keys: Partial<SubnetWords>) => rangeSets(readSubnetRequests(words(keys)));

test("rangeSets() has a set for each family, and the first address for the gateway", () => {
  expect(sets({ subnets: ["10.1.0.0/24", "fd00:1::/64"] })).toEqual([
    [{ subnet: "10.1.0.0/24", gateway: "10.1.0.1" }],
    [{ subnet: "fd00:1::/64", gateway: "fd00:1::1" }],
  ]);
  expect(sets({})).toEqual([]);
});

test("rangeSets() puts several subnets of one family into one set: a container gets an address of either", () => {
  expect(sets({ subnets: ["10.2.0.0/24", "10.1.0.0/24"], gateways: ["10.1.0.254"] })).toEqual([
    [
      { subnet: "10.2.0.0/24", gateway: "10.2.0.1" },
      { subnet: "10.1.0.0/24", gateway: "10.1.0.254" },
    ],
  ]);
});

test("rangeSets() has the ends of an --ip-range", () => {
  expect(sets({ subnets: ["10.1.0.0/16"], ranges: ["10.1.5.0/24"] })).toEqual([
    [{ subnet: "10.1.0.0/16", gateway: "10.1.0.1", rangeStart: "10.1.5.0", rangeEnd: "10.1.5.255" }],
  ]);
});

test("rangeSets() has neither the network's own address nor IPv4's broadcast address", () => {
  const range = (subnet: string, ranges: string[], keys: Partial<SubnetWords> = {}) =>
    sets({ subnets: [subnet], ranges, ...keys })
      .flat()
      .map(({ rangeStart, rangeEnd }) => [rangeStart, rangeEnd]);
  expect(range("10.1.0.0/24", ["10.1.0.0/25"])).toEqual([["10.1.0.1", "10.1.0.127"]]);
  expect(range("10.1.0.0/24", ["10.1.0.128/25"])).toEqual([["10.1.0.128", "10.1.0.254"]]);
  expect(range("10.1.0.0/29", [], { reserved: ["10.1.0.2", "10.1.0.6"] })).toEqual([
    ["10.1.0.3", "10.1.0.5"],
  ]);
  expect(range("fd00:1::/64", ["fd00:1::/126"])).toEqual([["fd00:1::1", "fd00:1::3"]]);
  expect(range("fd00:1::/126", ["fd00:1::2/127"])).toEqual([["fd00:1::2", "fd00:1::3"]]);
  for (const none of ["10.1.0.0/32", "10.1.0.0/31", "10.1.0.255/32"]) {
    expect(() => range("10.1.0.0/24", [none])).toThrow("10.1.0.0/24 has no address left to lease");
  }
});

test("rangeSets() leaves out what is reserved, at the ends and in the middle", () => {
  const reserved = ["10.1.0.8", "printer=10.1.0.10", "10.1.0.15", "10.1.0.99"];
  const common = { subnet: "10.1.0.0/24", gateway: "10.1.0.1" };
  expect(sets({ subnets: ["10.1.0.0/24"], ranges: ["10.1.0.8/29"], reserved })).toEqual([
    [
      { ...common, rangeStart: "10.1.0.9", rangeEnd: "10.1.0.9" },
      { ...common, rangeStart: "10.1.0.11", rangeEnd: "10.1.0.14" },
    ],
  ]);
  const all = { subnets: ["10.1.0.0/24"], ranges: ["10.1.0.8/32"], reserved: ["10.1.0.8"] };
  expect(() => sets(all)).toThrow("10.1.0.0/24 has no address left to lease");
});

test("readSubnetRequests() takes 0.0.0.0/26 for any subnet of that size", () => {
  const [request] = readSubnetRequests(words({ subnets: ["0.0.0.0/26"] }));
  expect(request && formatAddress(request.subnet.address)).toBe("0.0.0.0");
  expect(request?.subnet.length).toBe(26);
});

test.each<[Partial<SubnetWords>, string]>([
  [{ subnets: ["10.1.0.1/24"] }, "--subnet 10.1.0.1/24 has host bits set: 10.1.0.0/24 is the network"],
  [{ subnets: ["10.1.0.0/31"] }, "--subnet 10.1.0.0/31 is too small"],
  [{ subnets: ["fd00::/127"] }, "a /126 has one address"],
  [{ subnets: ["224.0.0.0/24"] }, "--subnet 224.0.0.0/24 is for multicast, not for containers"],
  [{ subnets: ["127.1.0.0/24"] }, "--subnet 127.1.0.0/24 is for loopback"],
  [{ subnets: ["fe80::/64"] }, "--subnet fe80::/64 is for one link alone"],
  [{ subnets: ["126.0.0.0/7"] }, "--subnet 126.0.0.0/7 is for loopback"],
  [{ subnets: ["0.1.0.0/16"] }, "--subnet 0.1.0.0/16 is for a host that has no address yet"],
  [{ subnets: ["10.1.0.0/24"], gateways: ["10.1.0.0"] }, "--gateway 10.1.0.0 is the network's own"],
  [
    { subnets: ["10.1.0.0/24"], gateways: ["10.1.0.255"] },
    "--gateway 10.1.0.255 is the network's own or its",
  ],
  [{ subnets: ["10.1.0.0"] }, '--subnet: Cannot parse "10.1.0.0" as a prefix: no prefix length'],
  [{ gateways: ["10.1.0.1"] }, "--gateway 10.1.0.1 needs the --subnet that it is in"],
  [
    { subnets: ["10.1.0.0/24", "10.2.0.0/24"], gateways: ["10.3.0.1"] },
    "--gateway 10.3.0.1 is in none of 10.1.0.0/24, 10.2.0.0/24",
  ],
  [{ subnets: ["10.1.0.0/24"], gateways: ["10.1.0.1", "10.1.0.2"] }, "10.1.0.0/24 has two gateways"],
  [{ subnets: ["10.1.0.0/24"], ranges: ["10.1.0.0/25", "10.1.0.128/25"] }, "10.1.0.0/24 has two --ip-range"],
  [{ subnets: ["10.1.0.0/24"], ranges: ["10.1.0.0/16"] }, "--ip-range 10.1.0.0/16 is larger than"],
  [{ subnets: ["10.1.0.0/24"], ranges: ["10.2.0.0/25"] }, "--ip-range 10.2.0.0 is in none of 10.1.0.0/24"],
  [{ subnets: ["10.1.0.0/24"], reserved: ["a=10.2.0.1"] }, "--aux-address 10.2.0.1 is in none of"],
  [{ subnets: ["10.1.0.0/24"], reserved: ["a=b"] }, '--aux-address: Cannot parse "b" as an address'],
])("readSubnetRequests() refuses %j", (keys, message) => {
  expect(() => readSubnetRequests(words(keys))).toThrow(message);
});
