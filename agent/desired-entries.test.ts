import { expect, test } from "bun:test";
import { parseAddress } from "../lib/netaddr/address.ts";
import { parseMac } from "../lib/netaddr/mac.ts";
import { parsePrefix } from "../lib/netaddr/prefix.ts";
import type { PeerEntries } from "../lib/overlay/peers.ts";
import { desiredNetwork } from "./desired-entries.ts";

const LOCAL = {
  name: "over",
  vni: 42,
  mode: "routed",
  device: "vx42",
  bridge: "vxbr42",
  underlay: {},
  subnets: [],
  endpoints: new Map(),
} as const;

const VIEW = { vteps: new Map([["host2", { address: "192.0.2.2", lease: "7" }]]) };

test("desiredNetwork() is JSON of what a kernel has to have, and who the hosts are", () => {
  const mac = parseMac("02:00:00:00:00:02");
  const gateway = parseAddress("10.8.2.1");
  const dst = parsePrefix("10.8.2.0/24");
  const desired: PeerEntries = {
    fdb: new Map([
      ["02:00:00:00:00:02", { ifindex: 7, mac, flags: 2, state: 128, dst: parseAddress("192.0.2.2") }],
    ]),
    neighbours: new Map([["10.8.2.1", { ifindex: 7, address: gateway, mac, state: 128 }]]),
    routes: new Map([["10.8.2.0/24", { dst, gateway, oif: 7 }]]),
    faults: [],
  };
  const told = desiredNetwork(LOCAL, VIEW, { desired, isKnown: true });
  expect(JSON.parse(JSON.stringify(told))).toEqual({
    name: "over",
    device: "vx42",
    bridge: "vxbr42",
    mode: "routed",
    isKnown: true,
    hosts: [{ host: "host2", address: "192.0.2.2" }],
    fdb: [{ mac: "02:00:00:00:00:02", vtep: "192.0.2.2" }],
    neighbours: [{ address: "10.8.2.1", mac: "02:00:00:00:00:02" }],
    routes: [{ subnet: "10.8.2.0/24", gateway: "10.8.2.1" }],
  });
});

test("desiredNetwork() without a keeper knows nothing", () => {
  expect(desiredNetwork(LOCAL, VIEW, undefined)).toMatchObject({ isKnown: false, fdb: [], routes: [] });
});
