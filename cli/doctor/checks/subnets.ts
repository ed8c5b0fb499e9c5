/** The subnets of networks: that each is one network's, and has an address left. */
import type { JsonObject } from "../../../lib/cni/json.ts";
import { isObject } from "../../../lib/cni/json.ts";
import { hasFreeAddress } from "../../../lib/ipam/lease-store.ts";
import { formatRangeSet, parseRangeSets, type RangeConfig, type RangeSet } from "../../../lib/ipam/ranges.ts";
import { formatPrefix, type Prefix, parsePrefix, prefixesOverlap } from "../../../lib/netaddr/prefix.ts";
import type { Link } from "../../../lib/rtnetlink/link.ts";
import { RT_SCOPE_LINK } from "../../../lib/rtnetlink/route.ts";
import type { NetworkList, PluginConfig } from "../../runtime/network-list.ts";
import { type Finding, finding } from "../finding.ts";
import { type Host, hostSideOf, ipamOf } from "../host.ts";

/** Their containers are on a network of the host's making; of the others the subnet is the wire's. */
const OWN_SEGMENT: readonly string[] = ["bridge", "ptp", "vxlan"];
const LEASES_DIR = "/var/lib/cni/networks";

export function checkSubnets(host: Host): Finding[] {
  const { networks } = host.view;
  return [
    ...networks.flatMap((network, at) => networks.slice(at + 1).flatMap((other) => overlap(network, other))),
    ...networks.flatMap((network) => usedByHost(host, network)),
    ...networks.flatMap(poolFull),
  ];
}

/** Networks on one bridge, or on one wire, may share their subnet. */
function overlap(network: NetworkList, other: NetworkList): Finding[] {
  if (network.name === other.name || segmentOf(network) === segmentOf(other)) return [];
  for (const subnet of subnetsOf(network)) {
    for (const its of subnetsOf(other)) {
      if (!prefixesOverlap(subnet, its)) continue;
      const evidence = `its subnet ${formatPrefix(its)} overlaps ${formatPrefix(subnet)} of network ${network.name}`;
      const remedy = `weft network rm ${other.name} && weft network create ${other.name}`;
      return [finding("subnets-overlap", { subject: other.name, evidence, remedy })];
    }
  }
  return [];
}

/** What tells one layer 2 network from another. */
function segmentOf({ name, plugins: [main] }: NetworkList): string {
  const of = (key: string, otherwise: string) => String(main?.[key] || otherwise);
  if (main?.type === "bridge") return `bridge ${of("bridge", "cni0")} ${of("vlan", "0")}`;
  if (main?.type === "macvlan" || main?.type === "ipvlan") return `master ${of("master", "")}`;
  return `network ${name}`;
}

/**
 * Addresses and routes of the host that are not the network's own: what lies within its subnet is not
 * reached by containers, and a connected subnet around it loses those machines.
 */
function usedByHost(host: Host, network: NetworkList): Finding[] {
  const { stack } = host;
  if (!OWN_SEGMENT.includes(network.plugins[0]?.type ?? "")) return [];
  const own = new Set(ownLinks(host, network).map(({ index }) => index));
  const subnets = subnetsOf(network);
  const others = stack.routes.filter(
    ({ dst, oif, gateway, scope }) =>
      dst.length > 0 &&
      oif !== undefined &&
      !own.has(oif) &&
      subnets.some(
        (subnet) =>
          prefixesOverlap(subnet, dst) &&
          (dst.length >= subnet.length || (!gateway && scope === RT_SCOPE_LINK)),
      ),
  );
  const [route] = others;
  if (!route) return [];
  const name = route.oif === undefined ? undefined : stack.link(route.oif)?.name;
  const evidence = `this host has a route to ${formatPrefix(route.dst)} by ${name}, which overlaps ${subnets.map(formatPrefix).join(", ")}`;
  const remedy = `weft network rm ${network.name} && weft network create ${network.name}`;
  return [finding("subnets-overlap", { subject: network.name, evidence, remedy })];
}

/** The bridge of the network, and the interfaces that lead to its containers. */
function ownLinks(host: Host, { name, plugins: [main] }: NetworkList): Link[] {
  const bridge = main?.type === "bridge" ? host.stack.link(String(main["bridge"] || "cni0")) : undefined;
  const sides = host.attachments
    .filter(({ network }) => network === name)
    .map((each) => hostSideOf(host, each));
  const labelled = host.stack.links.filter(({ alias }) => alias === `weft:${name}`);
  const vlan = host.stack.links.filter((link) => bridge && link.name.startsWith(`${bridge.name}.`));
  return [bridge, ...sides, ...labelled, ...vlan].filter((link) => link !== undefined);
}

/** Those that it gives addresses of; none where that cannot be read. */
export function subnetsOf({ plugins: [main] }: NetworkList): Prefix[] {
  if (!main) return [];
  const ipam = ipamOf(main);
  const ranges = Array.isArray(ipam["ranges"]) ? ipam["ranges"].flat() : [];
  const overlays = Array.isArray(main["subnets"]) ? main["subnets"] : [];
  const texts = [ipam, ...ranges, ...overlays].filter(isObject).map(({ subnet }) => subnet);
  return texts.filter((text) => typeof text === "string").flatMap(prefixOf);
}

function prefixOf(text: string): Prefix[] {
  try {
    return [parsePrefix(text)];
  } catch {
    return []; // "network-refused" says it
  }
}

function poolFull(network: NetworkList): Finding[] {
  const [main] = network.plugins;
  if (!main || ipamOf(main)["type"] !== "host-local") return [];
  const ipam = ipamOf(main);
  const directory = `${typeof ipam["dataDir"] === "string" ? ipam["dataDir"] : LEASES_DIR}/${network.name}`;
  return rangeSetsOf(main, ipam).flatMap((set, index) => {
    if (hasFreeAddress(directory, set, index)) return [];
    const evidence = `every address of ${formatRangeSet(set)} is leased, see ${directory}`;
    return finding("pool-full", { subject: network.name, evidence, remedy: `weft gc ${network.name}` });
  });
}

function rangeSetsOf({ cniVersion }: PluginConfig, ipam: JsonObject): readonly RangeSet[] {
  const config = {
    cniVersion: String(cniVersion ?? "1.0.0"),
    ipam: { ranges: [], ...ipam },
    runtimeConfig: { ipRanges: [] },
  } as RangeConfig; // parseRangeSets() refuses what is not of that shape
  try {
    return parseRangeSets(config);
  } catch {
    return [];
  }
}
