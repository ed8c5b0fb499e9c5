import { expect, test } from "bun:test";
import type { Call } from "../cni/plugin.ts";
import { parseAddress } from "../netaddr/address.ts";
import { formatMac, isUnicastMac } from "../netaddr/mac.ts";
import { formatPrefix, parsePrefix } from "../netaddr/prefix.ts";
import { routedMac, verifyMode, verifyPoolsBeside, withPoolRoutes, withSubnets } from "./routed.ts";

const POOLS = [
  { subnet: "10.5.0.0/16", hostLength: 24 },
  { subnet: "fd00:5::/48", hostLength: 64 },
];
const ROUTED = {
  mode: "routed" as const,
  subnets: POOLS,
  etcd: {},
  ipam: { type: "host-local" },
  runtimeConfig: {},
};
const SUBNETS = [{ subnet: parsePrefix("10.5.7.0/24"), gateway: parseAddress("10.5.7.1") }];

test("verifyMode() takes a routed network, and a bridged one without subnets", () => {
  verifyMode(ROUTED);
  verifyMode({ mode: "bridged", subnets: [], ipam: { type: "static" }, runtimeConfig: {} });
});

test.each<[changed: Partial<Parameters<typeof verifyMode>[0]>, words: string]>([
  [{ mode: "bridged" }, '"subnets" is for "mode": "routed"'],
  [{ etcd: undefined }, '"mode": "routed" needs "etcd"'],
  [{ subnets: [] }, '"mode": "routed" needs "subnets"'],
  [{ ipam: { type: "etcd-ipam" } }, 'needs "ipam" of type "host-local", not "etcd-ipam"'],
  [{ ipam: {} }, 'not ""'],
  [{ ipam: { type: "host-local", subnet: "10.5.0.0/24" } as never }, '"ipam.subnet" is not for'],
  [{ portIsolation: true }, '"portIsolation" is not for "mode": "routed"'],
  [{ runtimeConfig: { ipRanges: [] } }, '"runtimeConfig.ipRanges" is not for'],
])("verifyMode() refuses %j", (changed, words) => {
  expect(() => verifyMode({ ...ROUTED, ...changed })).toThrow(words);
});

test("verifyPoolsBeside() refuses a pool that holds the host's own address", () => {
  verifyPoolsBeside(parseAddress("10.6.0.1"), POOLS);
  verifyPoolsBeside(parseAddress("10.5.0.1"), []);
  const beside = () => verifyPoolsBeside(parseAddress("fd00:5::1"), POOLS);
  expect(beside).toThrow('invalid "subnets[1].subnet": it holds fd00:5::1');
});

test("routedMac() is a host's own in each network, locally administered", () => {
  const macs = ["a", "b"].flatMap((host) => [7, 8].map((vni) => routedMac(host, vni)));
  expect(new Set(macs.map(formatMac)).size).toBe(4);
  expect(macs.every((mac) => isUnicastMac(mac) && ((mac[0] ?? 0) & 2) === 2)).toBe(true);
  expect(formatMac(routedMac("a", 7))).toBe(formatMac(macs[0] ?? new Uint8Array()));
});

test("withSubnets() gives the IPAM plugin the host's subnets for ranges, and its other keys", () => {
  const config = { name: "net", cniVersion: "1.1.0", ipam: { type: "host-local", dataDir: "/d" } };
  const stdin = JSON.stringify({ name: "net", cniVersion: "1.1.0", IPAM: config.ipam, mtu: 1 });
  const ipam = {
    type: "host-local",
    dataDir: "/d",
    ranges: [[{ subnet: "10.5.7.0/24", gateway: "10.5.7.1" }]],
  };
  const call = withSubnets({ config, stdin } as Partial<Call> as Call, SUBNETS);
  expect(call.config).toEqual({ ...config, ipam } as never);
  expect(JSON.parse(call.stdin)).toEqual({ name: "net", cniVersion: "1.1.0", mtu: 1, ipam });
});

test("withPoolRoutes() leads to the pools of the families that there are addresses of", () => {
  const gateway = parseAddress("10.5.7.1");
  const ips = [{ address: parsePrefix("10.5.7.2/24"), gateway }];
  const result = withPoolRoutes({ ips, routes: [{ dst: parsePrefix("0.0.0.0/0"), gw: gateway }] }, POOLS);
  expect(result.routes.map(({ dst }) => formatPrefix(dst))).toEqual(["0.0.0.0/0", "10.5.0.0/16"]);
  expect(withPoolRoutes(result, POOLS).routes.length).toBe(2);
});
