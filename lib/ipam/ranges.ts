/**
 * Ranges of addresses to lease: read from a configuration, checked, and walked.
 *
 * A container gets one address of each set. A set is one or more ranges of one family.
 *
 * Reference: containernetworking/plugins, plugins/ipam/host-local/backend/allocator, whose texts these are.
 */
import { type CniError, invalidConfig } from "../cni/error.ts";
import { atLeast } from "../cni/version.ts";
import {
  type Address,
  compareAddresses,
  formatAddress,
  offsetAddress,
  parseAddress,
  sameAddress,
} from "../netaddr/address.ts";
import {
  containsAddress,
  firstAddress,
  formatPrefix,
  lastAddress,
  type Prefix,
  parsePrefix,
} from "../netaddr/prefix.ts";
import { addressesAfter, formatRange, type Range, rangeContains, rangesOverlap } from "../netaddr/range.ts";

/** A range as it is configured. */
export interface RangeKeys {
  readonly subnet: string;
  readonly rangeStart?: string;
  readonly rangeEnd?: string;
  readonly gateway?: string;
}

/** Where ranges are configured. */
export interface RangeConfig {
  readonly cniVersion: string;
  readonly ipam?: Partial<RangeKeys> & { readonly ranges: readonly (readonly RangeKeys[])[] };
  readonly runtimeConfig: { readonly ipRanges: readonly (readonly RangeKeys[])[] };
}

/** Addresses of one subnet. Those that isReserved() names are among them and are never leased. */
export interface SubnetRange extends Range {
  readonly subnet: Prefix;
  readonly gateway: Address;
}

export type RangeSet = readonly SubnetRange[];

/** An address that may be leased, and the range it is of. */
export interface Candidate {
  readonly address: Address;
  readonly range: SubnetRange;
}

/** A range as configured, and the key it stands under. */
interface KeyedRange {
  readonly key: string;
  readonly keys: RangeKeys;
}

/** The sets in their order: the runtime's, the one in `ipam` itself, `ipam.ranges`. @throws CniError 7 */
export function parseRangeSets({ cniVersion, ipam, runtimeConfig }: RangeConfig): readonly RangeSet[] {
  if (!ipam) throw invalidConfig("IPAM config missing 'ipam' key", 'set "ipam" with its "type" and "ranges"');
  const { subnet, ranges, ...others } = ipam;
  const given = [
    ...keyedSets("runtimeConfig.ipRanges", runtimeConfig.ipRanges),
    ...(subnet ? [[{ key: "ipam", keys: { ...others, subnet } }]] : []),
    ...keyedSets("ipam.ranges", ranges),
  ];
  if (given.length === 0) throw invalidConfig("no IP ranges specified", 'set "ipam.ranges" or "ipam.subnet"');
  const sets = given.map(parseRangeSet);

  const families = new Set(sets.map(([range]) => range?.subnet.address.family));
  if (families.size < sets.length && !atLeast(cniVersion, "0.3.0")) {
    const text = `CNI version ${cniVersion} does not support more than 1 address per family`;
    throw invalidConfig(text, 'set "cniVersion" to 0.3.0 or later, or leave one set of ranges per family');
  }
  for (const [index, set] of sets.entries()) {
    const other = sets.findIndex((each, at) => at > index && each.some((range) => overlapsAny(range, set)));
    if (other < 0) continue;
    throw invalidConfig(
      `range set ${index} overlaps with ${other}`,
      `${formatRangeSet(set)} has addresses of both`,
    );
  }
  return sets;
}

/** What parseRangeSets() makes the set of. */
export function rangeKeysOf(set: RangeSet): RangeKeys[] {
  return set.map(({ first, last, subnet, gateway }) => ({
    subnet: formatPrefix(subnet),
    rangeStart: formatAddress(first),
    rangeEnd: formatAddress(last),
    gateway: formatAddress(gateway),
  }));
}

/** The range of the set that has the address. */
export function findRange(set: RangeSet, address: Address): SubnetRange | undefined {
  return set.find((range) => rangeContains(range, address));
}

/** Whether the address is the network's own, its broadcast address or its gateway. */
export function isReserved(range: SubnetRange, address: Address): boolean {
  return reservedOf(range).some((reserved) => sameAddress(reserved, address));
}

/** Every address that may be leased, in a round that ends with `after`, or else begins with the first. */
export function* candidatesAfter(set: RangeSet, after: Address | undefined): Generator<Candidate> {
  const ranges = set.map((range) => ({ range, reserved: reservedOf(range).map(({ value }) => value) }));
  for (const { address, rangeIndex } of addressesAfter(set, after)) {
    const { range, reserved } = ranges[rangeIndex] ?? {};
    if (range && !reserved?.includes(address.value)) yield { address, range };
  }
}

/** "10.0.0.1-10.0.0.9,10.0.1.1-10.0.1.9" */
export function formatRangeSet(set: RangeSet): string {
  return set.map(formatRange).join(",");
}

function reservedOf({ subnet, gateway }: SubnetRange): Address[] {
  const network = firstAddress(subnet);
  return network.family === 4 ? [gateway, network, lastAddress(subnet)] : [gateway, network];
}

function keyedSets(key: string, sets: readonly (readonly RangeKeys[])[]): KeyedRange[][] {
  return sets.map((ranges, i) => ranges.map((keys, j) => ({ key: `${key}[${i}][${j}]`, keys })));
}

function parseRangeSet(ranges: readonly KeyedRange[], index: number): RangeSet {
  const refuse = (text: string, details: string) =>
    invalidConfig(`invalid range set ${index}: ${text}`, details);
  const set = ranges.map((range) => parseRange(range, refuse));
  const [first, ...others] = set;
  if (!first) throw refuse("empty range set", "give it a range, or remove it");
  if (others.some(({ subnet }) => subnet.address.family !== first.subnet.address.family)) {
    throw refuse("mixed address families", "give each family a set of its own");
  }
  for (const [at, range] of set.entries()) {
    const other = set.slice(at + 1).find((each) => rangesOverlap(each, range));
    if (!other) continue;
    const keys = `"${ranges[at]?.key}" and "${ranges[set.indexOf(other)]?.key}"`;
    throw refuse(`subnets ${formatRange(range)} and ${formatRange(other)} overlap`, keys);
  }
  return set;
}

function parseRange(
  { key, keys }: KeyedRange,
  refuse: (text: string, details: string) => CniError,
): SubnetRange {
  const at = (name: keyof RangeKeys) => `"${key}.${name}"`;
  const addressAt = (name: Exclude<keyof RangeKeys, "subnet">) => {
    const text = keys[name];
    return text ? parseKey(parseAddress, text, { what: "IP address", key: at(name) }) : undefined;
  };
  const subnet = parseKey(parsePrefix, keys.subnet, { what: "CIDR address", key: at("subnet") });
  const { address, length } = subnet;
  const network = firstAddress(subnet);
  const broadcast = lastAddress(subnet);
  if (broadcast.value - network.value < 3n) {
    throw refuse(
      `Network ${formatPrefix(subnet)} too small to allocate from`,
      `shorten the prefix of ${at("subnet")}`,
    );
  }
  if (!sameAddress(address, network)) {
    const text = `For a subnet mask of length ${length} the network address is ${formatAddress(network)}`;
    throw refuse(
      `Network has host bits set. ${text}`,
      `set ${at("subnet")} to "${formatAddress(network)}/${length}"`,
    );
  }
  const gateway = addressAt("gateway") ?? offsetAddress(network, 1);
  if (gateway.family !== address.family) {
    const text = `gateway ${formatAddress(gateway)} is not of the family of network ${formatPrefix(subnet)}`;
    throw refuse(text, `change ${at("gateway")} or ${at("subnet")}`);
  }
  const last = addressAt("rangeEnd") ?? (address.family === 4 ? offsetAddress(broadcast, -1) : broadcast);
  if (!containsAddress(subnet, last)) {
    const text = `RangeEnd ${formatAddress(last)} not in network ${formatPrefix(subnet)}`;
    throw refuse(text, `change ${at("rangeEnd")} or ${at("subnet")}`);
  }
  const first = addressAt("rangeStart") ?? offsetAddress(network, 1);
  if (!containsAddress(subnet, first) || compareAddresses(last, first) < 0) {
    const text = `RangeStart ${formatAddress(first)} not in network ${formatPrefix(subnet)}`;
    throw refuse(text, `${at("rangeStart")} must be in ${at("subnet")} and not after ${at("rangeEnd")}`);
  }
  return { first, last, subnet, gateway };
}

function overlapsAny(range: Range, set: RangeSet): boolean {
  return set.some((other) => rangesOverlap(range, other));
}

function parseKey<T>(
  parse: (text: string) => T,
  text: string,
  { what, key }: { what: string; key: string },
): T {
  try {
    return parse(text);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw invalidConfig(`invalid ${what}: ${text}`, `${key}: ${reason}`);
  }
}
