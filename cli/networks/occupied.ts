/** Which subnets are taken on this host, and by what: other networks, addresses of interfaces, routes. */
import { readFileSync } from "node:fs";
import { isObject, type JsonObject } from "../../lib/cni/json.ts";
import { parseRangeSets, type RangeKeys, type RangeSet } from "../../lib/ipam/ranges.ts";
import {
  formatAddress,
  isLinkLocal,
  isLoopback,
  isMulticast,
  parseAddress,
} from "../../lib/netaddr/address.ts";
import {
  formatPrefix,
  hostPrefix,
  networkOf,
  type Prefix,
  parsePrefix,
  prefixesOverlap,
} from "../../lib/netaddr/prefix.ts";
import { type Range, rangesOverlap } from "../../lib/netaddr/range.ts";
import { listAddresses } from "../../lib/rtnetlink/address.ts";
import { listLinks } from "../../lib/rtnetlink/link.ts";
import { formatRoute, listReservedRoutes } from "../../lib/rtnetlink/route.ts";
import type { RouteSocket } from "../../lib/rtnetlink/route-socket.ts";
import type { NetworkFile, PluginConfig } from "../runtime/network-list.ts";

export interface Occupied {
  readonly prefix: Prefix;
  /** For people: `network "blue", 10.9.0.0/24 (FILE)`, "route 10.0.0.0/8 via 192.0.2.1 dev eth0". */
  readonly by: string;
  readonly kind: "network" | "address" | "route" | "nameserver";
  /** The interface of the host that it is on. */
  readonly ifname?: string;
  /** Of a network: the wire that its containers are on, and the addresses that they get there. */
  readonly wire?: string;
  readonly leased?: readonly Range[];
}

/** What is asked for: where a network is on a wire, others may have subnets there as well. */
export interface Wanted {
  readonly prefix: Prefix;
  /** The network's own interface of the host, such as its bridge or its parent. */
  readonly ifname?: string | undefined;
  readonly wire?: string | undefined;
  readonly leased?: readonly Range[];
}

const ROUTE_LENGTH_MIN = { 4: 8, 6: 16 } as const;

/** Whether a route stands for a subnet: a wider one is a default route in parts (0.0.0.0/1, 2000::/3). */
export function isOfSubnet({ address, length }: Prefix): boolean {
  return length >= ROUTE_LENGTH_MIN[address.family];
}

/** What overlaps, the most telling first. */
export function findOverlap(wanted: Wanted, occupied: readonly Occupied[]): Occupied | undefined {
  return occupied.find((each) => {
    if (!prefixesOverlap(each.prefix, wanted.prefix)) return false;
    if (each.kind === "network" && each.wire !== undefined && each.wire === wanted.wire) {
      return each.leased?.some((range) => wanted.leased?.some((own) => rangesOverlap(range, own)));
    }
    return each.ifname === undefined || each.ifname !== wanted.ifname;
  });
}

/** Networks first, then the kernel's addresses and routes, then the name servers that the host asks. */
export function occupiedSubnets(host: RouteSocket, networks: readonly NetworkFile[]): Occupied[] {
  return [...networks.flatMap(ofNetwork), ...ofKernel(host), ...ofResolver()];
}

function ofNetwork({ name, file, plugins }: NetworkFile): Occupied[] {
  return plugins.flatMap((plugin) => {
    const wire = wireOf(plugin);
    const sets = rangeSetsOf(plugin);
    const pools = subnetPools(plugin).map((prefix) => ({ prefix, leased: [] }));
    const ranges = sets.flatMap((set) => set.map(({ subnet, first, last }) => ({ subnet, first, last })));
    const subnets = ranges.map(({ subnet, first, last }) => ({ prefix: subnet, leased: [{ first, last }] }));
    return [...subnets, ...pools].map(({ prefix, leased }) => ({
      prefix,
      leased,
      kind: "network" as const,
      by: `network "${name}", ${formatPrefix(prefix)} (${file})`,
      ...(wire !== undefined && { wire }),
    }));
  });
}

/** The wire of a macvlan's or an ipvlan's master, on which its containers have the subnet of others. */
export function wireOf({ type, master, vlan }: JsonObject): string | undefined {
  if ((type !== "macvlan" && type !== "ipvlan") || typeof master !== "string" || master === "")
    return undefined;
  return vlan ? `${master}.${vlan}` : master;
}

/** Those of a plugin's IPAM, as far as they can be read: not every IPAM plugin has such. */
export function rangeSetsOf({ ipam }: JsonObject): readonly RangeSet[] {
  if (!isObject(ipam)) return [];
  const given = ipam["ranges"];
  const ranges = Array.isArray(given) ? (given as RangeKeys[][]) : []; // or it does not parse
  if (ranges.length === 0 && typeof ipam["subnet"] !== "string") return [];
  try {
    return parseRangeSets({
      cniVersion: "1.0.0",
      ipam: { ...ipam, ranges },
      runtimeConfig: { ipRanges: [] },
    });
  } catch {
    return [];
  }
}

/** Of vxlan in mode routed, out of which each host has a subnet. */
function subnetPools({ type, subnets }: PluginConfig): Prefix[] {
  if (type !== "vxlan" || !Array.isArray(subnets)) return [];
  return subnets.flatMap((pool) => {
    try {
      return isObject(pool) ? [parsePrefix(String(pool["subnet"]))] : [];
    } catch {
      return [];
    }
  });
}

function ofKernel(host: RouteSocket): Occupied[] {
  const names = new Map(listLinks(host).map(({ index, name }) => [index, name]));
  const addresses = listAddresses(host)
    .filter(({ prefix: { address } }) => !isLinkLocal(address) && !isLoopback(address))
    .map(({ prefix, ifindex }): Occupied => {
      const ifname = names.get(ifindex) ?? "";
      const by = `address ${formatPrefix(prefix)} of ${ifname}`;
      return { prefix: networkOf(prefix), kind: "address", ifname, by };
    });
  const routes = ([4, 6] as const)
    .flatMap((family) => listReservedRoutes(host, family))
    .filter(({ dst }) => {
      const { address } = dst;
      return isOfSubnet(dst) && !isLinkLocal(address) && !isLoopback(address) && !isMulticast(address);
    })
    .map((route): Occupied => {
      const ifname = route.oif === undefined ? undefined : names.get(route.oif);
      const by = `route ${formatRoute(route)}${ifname === undefined ? "" : ` dev ${ifname}`}`;
      return { prefix: route.dst, kind: "route", by, ...(ifname !== undefined && { ifname }) };
    });
  return [...addresses, ...routes];
}

/** A container's subnet over a name server's address would hide it from the containers. */
function ofResolver(): Occupied[] {
  let text: string;
  try {
    text = readFileSync("/etc/resolv.conf", "utf8");
  } catch {
    return [];
  }
  return text.split("\n").flatMap((line) => {
    const [, server] = /^\s*nameserver\s+([^\s%]+)\s*$/.exec(line) ?? [];
    if (server === undefined) return [];
    try {
      const address = parseAddress(server);
      if (isLoopback(address)) return [];
      const by = `name server ${formatAddress(address)} of /etc/resolv.conf`;
      return [{ prefix: hostPrefix(address), kind: "nameserver" as const, by }];
    } catch {
      return [];
    }
  });
}
