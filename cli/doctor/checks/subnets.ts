/** The subnets of networks: that each is one network's, and has an address left. */
import { isObject } from "../../../lib/cni/json.ts";
import { hasFreeAddress } from "../../../lib/ipam/lease-store.ts";
import { formatRangeSet } from "../../../lib/ipam/ranges.ts";
import { addressBits } from "../../../lib/netaddr/address.ts";
import {
  formatPrefix,
  networkOf,
  type Prefix,
  parsePrefix,
  prefixesOverlap,
} from "../../../lib/netaddr/prefix.ts";
import { formatRange, rangesOverlap } from "../../../lib/netaddr/range.ts";
import type { Link } from "../../../lib/rtnetlink/link.ts";
import { leaseDirectories } from "../../networks/leases.ts";
import { isOfSubnet, rangeSetsOf } from "../../networks/occupied.ts";
import type { NetworkFile } from "../../runtime/network-list.ts";
import type { ShellCommand } from "../../terminal/shell.ts";
import { editing, type Finding, finding } from "../finding.ts";
import { DEFAULT_BRIDGE, type Host, hostSideOf } from "../host.ts";

/** Their containers are on a network of the host's making; of the others the subnet is the wire's. */
const OWN_SEGMENT: readonly string[] = ["bridge", "ptp", "vxlan"];

export function checkSubnets(host: Host): Finding[] {
  const { networks } = host.view;
  return [
    ...networks.flatMap((network, at) => networks.slice(at + 1).flatMap((other) => overlap(network, other))),
    ...networks.flatMap((network) => usedByHost(host, network)),
    ...networks.flatMap(poolFull),
  ];
}

/** Networks on one bridge, or on one wire, may share their subnet, but not the addresses that they lease. */
function overlap(network: NetworkFile, other: NetworkFile): Finding[] {
  if (network.name === other.name) return [];
  const told = (its: string, ours: string) => {
    const evidence = `its ${its} overlaps ${ours} of network ${network.name} (${network.file})`;
    return [finding("subnets-overlap", { subject: other.name, evidence, remedy: changing(other) })];
  };
  if (segmentOf(network) === segmentOf(other)) {
    for (const range of rangesOf(network)) {
      const its = rangesOf(other).find((each) => rangesOverlap(each, range));
      if (its) return told(formatRange(its), formatRange(range));
    }
    return [];
  }
  for (const subnet of subnetsOf(network)) {
    const its = subnetsOf(other).find((each) => prefixesOverlap(each, subnet));
    if (its) return told(formatPrefix(its), formatPrefix(subnet));
  }
  return [];
}

/** What gives the network another subnet: its containers get one with their next ADD. */
function changing({ file }: NetworkFile): ShellCommand {
  return editing(file);
}

/** What tells one layer 2 network from another. */
function segmentOf({ name, plugins: [main] }: NetworkFile): string {
  const of = (key: string, otherwise: string) => String(main?.[key] || otherwise);
  if (main?.type === "bridge") return `bridge ${of("bridge", DEFAULT_BRIDGE)} ${of("vlan", "0")}`;
  if (main?.type === "macvlan" || main?.type === "ipvlan") return `master ${of("master", "")}`;
  return `network ${name}`;
}

/**
 * Addresses and routes of the host that are not the network's own: what lies within its subnet is not
 * reached by containers, and a connected subnet around it loses those machines. Any other route around it is
 * the way to whatever has no better one, such as to a VPN.
 */
function usedByHost(host: Host, network: NetworkFile): Finding[] {
  const { stack } = host;
  if (!OWN_SEGMENT.includes(network.plugins[0]?.type ?? "")) return [];
  const own = new Set(ownLinks(host, network).map(({ index }) => index));
  const connected = new Set(
    stack.addresses.map(({ ifindex, prefix }) => `${ifindex} ${formatPrefix(networkOf(prefix))}`),
  );
  for (const subnet of subnetsOf(network)) {
    const route = stack.routes.find(
      ({ dst, oif }) =>
        dst.length > 0 &&
        // of one address it is "route-elsewhere" that tells
        dst.length < addressBits(dst.address.family) &&
        oif !== undefined &&
        !own.has(oif) &&
        prefixesOverlap(subnet, dst) &&
        (dst.length >= subnet.length ? isOfSubnet(dst) : connected.has(`${oif} ${formatPrefix(dst)}`)),
    );
    if (!route) continue;
    const name = route.oif === undefined ? undefined : stack.link(route.oif)?.name;
    const evidence = `this host has a route to ${formatPrefix(route.dst)} by ${name}, and its subnet is ${formatPrefix(subnet)}`;
    return [finding("subnets-overlap", { subject: network.name, evidence, remedy: changing(network) })];
  }
  return [];
}

/** The bridge of the network, and the interfaces that lead to its containers. */
function ownLinks(host: Host, { name, plugins: [main] }: NetworkFile): Link[] {
  const bridge =
    main?.type === "bridge" ? host.stack.link(String(main["bridge"] || DEFAULT_BRIDGE)) : undefined;
  const sides = host.attachments
    .filter(({ network }) => network === name)
    .map((each) => hostSideOf(host, each));
  const labelled = host.stack.links.filter(({ alias }) => alias === `weft:${name}`);
  const vlan = host.stack.links.filter((link) => bridge && link.name.startsWith(`${bridge.name}.`));
  return [bridge, ...sides, ...labelled, ...vlan].filter((link) => link !== undefined);
}

function rangesOf({ plugins }: NetworkFile) {
  return plugins.flatMap(rangeSetsOf).flat();
}

/** Those that a network gives addresses of; none where that cannot be read. */
export function subnetsOf(network: NetworkFile): Prefix[] {
  const [main] = network.plugins;
  const pools = main?.type === "vxlan" && Array.isArray(main["subnets"]) ? main["subnets"] : [];
  return [
    ...rangesOf(network).map(({ subnet }) => subnet),
    ...pools.filter(isObject).flatMap(({ subnet }) => prefixOf(String(subnet))),
  ];
}

function prefixOf(text: string): Prefix[] {
  try {
    return [parsePrefix(text)];
  } catch {
    return []; // "network-refused" says it
  }
}

function poolFull(network: NetworkFile): Finding[] {
  const [directory] = leaseDirectories(network);
  if (directory === undefined) return [];
  return network.plugins.flatMap(rangeSetsOf).flatMap((set, index) => {
    if (hasFreeAddress(directory, set, index)) return [];
    const evidence = `every address of ${formatRangeSet(set)} is leased, see ${directory}`;
    return finding("pool-full", { subject: network.name, evidence, remedy: changing(network) });
  });
}
