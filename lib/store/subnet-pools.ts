/** Mode routed: the subnets that hosts can lease, and which of them is free. Nothing of the store is here. */
import { invalidConfig } from "../cni/error.ts";
import { randomBelow } from "../ipam/random.ts";
import { type Address, addressBits, offsetAddress } from "../netaddr/address.ts";
import {
  containsAddress,
  firstAddress,
  formatPrefix,
  lastAddress,
  networkOf,
  type Prefix,
  parsePrefix,
  prefixesOverlap,
} from "../netaddr/prefix.ts";
import type { SubnetPool } from "./layout.ts";

/** The smallest subnet that host-local leases of: a network, a gateway, a container, a broadcast address. */
const HOST_BITS_MIN = 2;

/** What no container can have: of the host itself, of one link, of groups. RFC 6890, RFC 1112 */
const RESERVED = [
  ...["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3"],
  ...["::/128", "::1/128", "fe80::/10", "ff00::/8"],
];

/** A pool that was read. */
export interface Pool {
  readonly network: Prefix;
  /** Length of a host's subnet in it. */
  readonly hostLength: number;
}

/** A host's subnet, and the host's own address in it. */
export interface HostSubnet {
  readonly subnet: Prefix;
  readonly gateway: Address;
}

/** `subnets` of a configuration of mode routed. @throws CniError 7 that names the key */
export function parsePools(subnets: readonly SubnetPool[]): Pool[] {
  if (subnets.length === 0) {
    throw invalidConfig(
      '"mode": "routed" needs "subnets"',
      'as [{ "subnet": "10.5.0.0/16", "hostLength": 24 }]',
    );
  }
  const pools = subnets.map(parsePool);
  for (const [index, { network }] of pools.entries()) {
    const other = pools.findIndex((each, at) => at > index && prefixesOverlap(each.network, network));
    if (other < 0) continue;
    throw invalidConfig(
      `"subnets[${index}]" and "subnets[${other}]" overlap`,
      "each leases a subnet of its own",
    );
  }
  return pools;
}

function parsePool({ subnet, hostLength }: SubnetPool, index: number): Pool {
  const key = `subnets[${index}]`;
  let network: Prefix;
  try {
    network = parsePrefix(subnet);
  } catch (error) {
    throw invalidConfig(`invalid "${key}.subnet": ${subnet}`, error instanceof Error ? error.message : "");
  }
  if (formatPrefix(networkOf(network)) !== formatPrefix(network)) {
    const cure = `set "${key}.subnet" to "${formatPrefix(networkOf(network))}"`;
    throw invalidConfig(`invalid "${key}.subnet": ${subnet} has host bits set`, cure);
  }
  const reserved = RESERVED.find((each) => prefixesOverlap(parsePrefix(each), network));
  if (reserved) throw invalidConfig(`invalid "${key}.subnet": ${subnet}`, `${reserved} is nobody's in it`);
  const longest = addressBits(network.address.family) - HOST_BITS_MIN;
  if (hostLength < network.length || hostLength > longest) {
    const msg = `invalid "${key}.hostLength": ${hostLength}`;
    throw invalidConfig(msg, `subnets of ${subnet} can have lengths from ${network.length} to ${longest}`);
  }
  return { network, hostLength };
}

/** Whether the pool has a subnet like this. */
export function isOfPool({ network, hostLength }: Pool, subnet: Prefix): boolean {
  return subnet.length === hostLength && containsAddress(network, subnet.address);
}

/**
 * A subnet of the pool that overlaps none of `taken`; undefined where there is none left. The search begins
 * at a random place, so that hosts that come at once seldom want the same.
 */
export function freeSubnet(
  pool: Pool,
  taken: readonly Prefix[],
  random: (below: bigint) => bigint = randomBelow,
): Prefix | undefined {
  const { network, hostLength } = pool;
  const { family } = network.address;
  const size = 1n << BigInt(addressBits(family) - hostLength);
  const first = firstAddress(network).value;
  const count = 1n << BigInt(hostLength - network.length);
  // The places that others take, in order, each from its first to its last.
  const occupied = taken
    .filter((each) => prefixesOverlap(each, network))
    .map((each) => ({ from: firstAddress(each).value, to: lastAddress(each).value }))
    .map(({ from, to }) => ({
      from: from < first ? 0n : (from - first) / size,
      to: (to - first) / size,
    }))
    .sort((a, b) => (a.from < b.from ? -1 : 1));
  const start = random(count);
  const place =
    freePlace(occupied, { from: start, below: count }) ?? freePlace(occupied, { from: 0n, below: start });
  return place === undefined
    ? undefined
    : { address: offsetAddress({ family, value: first }, place * size), length: hostLength };
}

function freePlace(
  occupied: readonly { readonly from: bigint; readonly to: bigint }[],
  { from, below }: { from: bigint; below: bigint },
): bigint | undefined {
  let place = from;
  for (const each of occupied) if (each.from <= place && each.to >= place) place = each.to + 1n;
  return place < below ? place : undefined;
}

/** The host's own address is the first, as with host-local. */
export function withGateway(subnet: Prefix): HostSubnet {
  return { subnet, gateway: offsetAddress(firstAddress(subnet), 1) };
}
