/**
 * The subnets that a user asks for, as `docker network create` has them: --subnet, --gateway, --ip-range and
 * --aux-address, each matched to the subnet that it is in.
 */
import type { RangeKeys } from "../../lib/ipam/ranges.ts";
import {
  type Address,
  addressBits,
  compareAddresses,
  type Family,
  formatAddress,
  isLinkLocal,
  isLoopback,
  isMulticast,
  isUnspecified,
  offsetAddress,
  parseAddress,
  sameAddress,
} from "../../lib/netaddr/address.ts";
import {
  containsAddress,
  firstAddress,
  formatPrefix,
  lastAddress,
  networkOf,
  type Prefix,
  parsePrefix,
  samePrefix,
} from "../../lib/netaddr/prefix.ts";
import type { Range } from "../../lib/netaddr/range.ts";

/** As they were written. */
export interface SubnetWords {
  readonly subnets: readonly string[];
  readonly gateways: readonly string[];
  readonly ranges: readonly string[];
  /** Addresses, or "name=address". */
  readonly reserved: readonly string[];
}

export interface SubnetRequest {
  readonly subnet: Prefix;
  readonly gateway: Address | undefined;
  /** What containers get addresses of; the whole subnet unless given. */
  readonly range: Prefix | undefined;
  /** Never leased. */
  readonly reserved: readonly Address[];
}

/** Network, broadcast, gateway, and one to lease. */
const HOST_BITS_MIN = 2;

/**
 * One for each --subnet, in their order. 0.0.0.0/26 asks for any free subnet of that size.
 * @throws SyntaxError that names the option and the value
 */
export function readSubnetRequests(words: SubnetWords): SubnetRequest[] {
  const subnets = words.subnets.map(readSubnet);
  const gateways = words.gateways.map((text) => readOption("--gateway", text, parseAddress));
  const ranges = words.ranges.map((text) => readOption("--ip-range", text, parsePrefix));
  const reserved = words.reserved.map((text) =>
    readOption("--aux-address", text, (each) => parseAddress(each.slice(each.indexOf("=") + 1))),
  );
  refuseHomeless("--gateway", gateways, subnets);
  refuseHomeless("--aux-address", reserved, subnets);
  refuseHomeless(
    "--ip-range",
    ranges.map(({ address }) => address),
    subnets,
  );
  return subnets.map((subnet) => {
    const inside = (addresses: readonly Address[]) =>
      addresses.filter((address) => containsAddress(subnet, address));
    const [gateway, ...moreGateways] = inside(gateways);
    const [range, ...moreRanges] = ranges.filter(({ address }) => containsAddress(subnet, address));
    if (moreGateways.length > 0) throw new SyntaxError(`${formatPrefix(subnet)} has two gateways`);
    if (gateway && !isHostOf(subnet, gateway)) {
      throw new SyntaxError(
        `--gateway ${formatAddress(gateway)} is the network's own or its broadcast address: no host can have it`,
      );
    }
    if (moreRanges.length > 0) throw new SyntaxError(`${formatPrefix(subnet)} has two --ip-range`);
    if (range && range.length < subnet.length) {
      throw new SyntaxError(`--ip-range ${formatPrefix(range)} is larger than ${formatPrefix(subnet)}`);
    }
    return { subnet, gateway, range, reserved: inside(reserved) };
  });
}

/** Whether any subnet of that size will do. */
export function isAnySubnet({ address }: Prefix): boolean {
  return isUnspecified(address);
}

/** The sets of host-local's `ranges`: one for each family, so that a container gets an address of each. */
export function rangeSets(requests: readonly SubnetRequest[]): RangeKeys[][] {
  return ([4, 6] as const)
    .map((family) =>
      requests.filter(({ subnet }) => subnet.address.family === family).flatMap((each) => rangeKeys(each)),
    )
    .filter((set) => set.length > 0);
}

/** The gateway, or the first address, which Docker and host-local take for it. */
export function gatewayOf({ subnet, gateway }: Pick<SubnetRequest, "subnet" | "gateway">): Address {
  return gateway ?? offsetAddress(firstAddress(subnet), 1);
}

/**
 * The addresses that are leased: what is reserved splits them. The network's own address and IPv4's broadcast
 * address are in none, which the reference's host-local would lease; nor is the gateway left alone in one.
 */
export function leasedRanges(request: SubnetRequest): Range[] {
  const { subnet, range, reserved } = request;
  const within = range ?? subnet;
  const ends = subnet.address.family === 4 ? [lastAddress(subnet)] : [];
  let rest: Range[] = [{ first: firstAddress(within), last: lastAddress(within) }];
  for (const address of [firstAddress(subnet), ...ends, ...reserved]) {
    rest = rest.flatMap((each) => without(each, address));
  }
  const gateway = gatewayOf(request);
  return rest.filter(({ first, last }) => !(sameAddress(first, gateway) && sameAddress(last, gateway)));
}

function rangeKeys(request: SubnetRequest): RangeKeys[] {
  const { subnet, range, reserved } = request;
  const keys = { subnet: formatPrefix(subnet), gateway: formatAddress(gatewayOf(request)) };
  if (!range && reserved.length === 0) return [keys];
  const ranges = leasedRanges(request);
  if (ranges.length === 0) throw new SyntaxError(`${keys.subnet} has no address left to lease`);
  return ranges.map(({ first, last }) => ({
    ...keys,
    rangeStart: formatAddress(first),
    rangeEnd: formatAddress(last),
  }));
}

function without({ first, last }: Range, address: Address): Range[] {
  if (compareAddresses(address, first) < 0 || compareAddresses(address, last) > 0) return [{ first, last }];
  const before = compareAddresses(first, address) < 0 ? [{ first, last: offsetAddress(address, -1) }] : [];
  const behind = compareAddresses(address, last) < 0 ? [{ first: offsetAddress(address, 1), last }] : [];
  return [...before, ...behind];
}

function readSubnet(text: string): Prefix {
  const subnet = readOption("--subnet", text, parsePrefix);
  const network = networkOf(subnet);
  const { family } = subnet.address;
  const ends = isAnySubnet(subnet) ? [] : [firstAddress(subnet), lastAddress(subnet)];
  const special = ends.map(specialUse).find((use) => use !== undefined);
  if (special !== undefined) throw new SyntaxError(`--subnet ${text} is for ${special}, not for containers`);
  if (!samePrefix(subnet, network)) {
    throw new SyntaxError(`--subnet ${text} has host bits set: ${formatPrefix(network)} is the network`);
  }
  if (addressBits(family) - subnet.length < HOST_BITS_MIN) {
    throw new SyntaxError(`--subnet ${text} is too small: a ${smallest(family)} has one address to lease`);
  }
  return subnet;
}

function specialUse(address: Address): string | undefined {
  if (isMulticast(address)) return "multicast";
  if (isLoopback(address)) return "loopback";
  if (isThisNetwork(address)) return "a host that has no address yet";
  return address.family === 6 && isLinkLocal(address) ? "one link alone" : undefined;
}

/** 0.0.0.0/8 but for its first address, which stands for any (RFC 6890). */
function isThisNetwork(address: Address): boolean {
  return address.family === 4 && address.value >> 24n === 0n && !isUnspecified(address);
}

/** IPv6 has no broadcast, and the subnet's own address is that of any router of it. */
function isHostOf(subnet: Prefix, address: Address): boolean {
  if (address.family === 6) return true;
  const ends = [firstAddress(subnet), lastAddress(subnet)];
  return !ends.some((end) => compareAddresses(end, address) === 0);
}

function smallest(family: Family): string {
  return `/${addressBits(family) - HOST_BITS_MIN}`;
}

function refuseHomeless(option: string, addresses: readonly Address[], subnets: readonly Prefix[]): void {
  const homeless = addresses.find((address) => !subnets.some((subnet) => containsAddress(subnet, address)));
  if (!homeless) return;
  const name = formatAddress(homeless);
  if (subnets.length === 0) throw new SyntaxError(`${option} ${name} needs the --subnet that it is in`);
  throw new SyntaxError(`${option} ${name} is in none of ${subnets.map(formatPrefix).join(", ")}`);
}

/** What `parse` makes of the option's value; its error names the option. @throws SyntaxError */
export function readOption<T>(option: string, text: string, parse: (text: string) => T): T {
  try {
    return parse(text);
  } catch (error) {
    throw new SyntaxError(`${option}: ${error instanceof Error ? error.message : error}`);
  }
}
