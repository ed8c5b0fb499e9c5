/** What there is to say of a network in short, whoever wrote its file. */
import { isObject, type JsonObject } from "../../lib/cni/json.ts";
import type { RangeSet } from "../../lib/ipam/ranges.ts";
import { formatAddress } from "../../lib/netaddr/address.ts";
import { formatPrefix } from "../../lib/netaddr/prefix.ts";
import { formatRange } from "../../lib/netaddr/range.ts";
import type { NetworkFile } from "../runtime/network-list.ts";
import { makingOf } from "./network-file.ts";
import { rangeSetsOf, wireOf } from "./occupied.ts";

export interface NetworkSummary {
  readonly name: string;
  /** The type of the first plugin. */
  readonly driver: string;
  readonly file: string;
  /** Made by `weft network create`. */
  readonly isOurs: boolean;
  /** ISO 8601; of ours. */
  readonly created: string | undefined;
  readonly labels: Readonly<Record<string, string>>;
  readonly subnets: readonly SubnetSummary[];
  /** Of the host; undefined where the driver has none. */
  readonly bridge: string | undefined;
  /** The interface below a macvlan or ipvlan, with its VLAN. */
  readonly parent: string | undefined;
  readonly isInternal: boolean;
  readonly plugins: readonly string[];
  /** Of the containers; empty where the network says nothing of it. */
  readonly nameservers: readonly string[];
}

export interface SubnetSummary {
  readonly subnet: string;
  readonly gateway: string;
  /** "10.9.0.10-10.9.0.99", several where there are; empty where it is the whole subnet. */
  readonly ranges: readonly string[];
}

export function summaryOf(network: NetworkFile): NetworkSummary {
  const { name, file, plugins } = network;
  const [main] = plugins;
  const making = makingOf(network);
  return {
    name,
    driver: main?.type ?? "",
    file,
    isOurs: making !== undefined,
    created: making?.created,
    labels: making?.labels ?? {},
    subnets: plugins.flatMap((plugin) => rangeSetsOf(plugin).flatMap(subnetsOf)),
    bridge: bridgeOf(main),
    parent: main && wireOf(main),
    isInternal: plugins.some((plugin) => plugin["internal"] === true),
    plugins: plugins.map(({ type }) => type),
    nameservers: nameserversOf(main),
  };
}

/** The ranges of one subnet are told together. */
function subnetsOf(set: RangeSet): SubnetSummary[] {
  const bySubnet = Map.groupBy(set, ({ subnet }) => formatPrefix(subnet));
  return [...bySubnet].map(([subnet, ranges]) => ({
    subnet,
    gateway: ranges[0] ? formatAddress(ranges[0].gateway) : "",
    ranges: ranges.every(isWhole) ? [] : ranges.map(formatRange),
  }));
}

/** From the first address that can be leased to the last. */
function isWhole({ subnet, first, last }: RangeSet[number]): boolean {
  const bits = subnet.address.family === 4 ? 32 : 128;
  const size = 1n << BigInt(bits - subnet.length);
  return last.value - first.value + 3n >= size;
}

/** Named, or what the plugin takes where none is. */
export function bridgeOf(main: JsonObject | undefined): string | undefined {
  const { type, bridge, vni } = main ?? {};
  if (typeof bridge === "string" && bridge !== "") return bridge;
  if (type === "bridge") return "cni0";
  return type === "vxlan" ? `vxbr${vni}` : undefined;
}

function nameserversOf(main: JsonObject | undefined): string[] {
  const dns = main?.["dns"];
  const servers = isObject(dns) ? dns["nameservers"] : undefined;
  return Array.isArray(servers) ? servers.map(String) : [];
}
