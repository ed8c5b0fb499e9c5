/**
 * A container's interface: given the addresses and routes of an IPAM result, and checked against a result.
 * The interface's kind does not matter here.
 */
import { CniError, invalidConfig } from "./cni/error.ts";
import type { Interface, IpConfig, Result, Route as ResultRoute } from "./cni/result.ts";
import { awaitDuplicateDetection, type DuplicateDetection, ownLinkLocal } from "./duplicate-detection.ts";
import { requireIpv6Mtu } from "./mtu.ts";
import { type Address, addressBits, sameAddress } from "./netaddr/address.ts";
import { formatMac } from "./netaddr/mac.ts";
import { formatPrefix, hostPrefix, networkOf, type Prefix, samePrefix } from "./netaddr/prefix.ts";
import { NetlinkError, unlessExisting, unlessMissing } from "./netlink/error.ts";
import { inNetns } from "./netns/netns.ts";
import { addAddress, listAddresses } from "./rtnetlink/address.ts";
import { type Link, linkByName, setLink } from "./rtnetlink/link.ts";
import {
  appendRoute,
  formatRoute,
  listRoutes,
  type Route,
  RT_SCOPE_HOST,
  RT_SCOPE_LINK,
} from "./rtnetlink/route.ts";
import type { RouteSocket } from "./rtnetlink/route-socket.ts";
import type { Sandbox } from "./sandbox.ts";
import { writeSysctlIfPresent } from "./sysctl.ts";

/** How an interface's addresses start, and what leads to its own subnets. */
export interface AddressOptions {
  /** How IPv6 addresses do. */
  readonly duplicateDetection: DuplicateDetection;
  /** All goes by the gateway, what is for the own subnet too: on a link to one other host. */
  readonly viaGateway?: boolean;
}

/**
 * Gives the interface its addresses, sets it up and adds the routes. Equivalent to `ip addr add …; ip
 * link set … up; ip route append …` for each. A route without a gateway takes the first of its family.
 */
export function configureInterface(
  sandbox: Sandbox,
  link: Link,
  result: Result,
  options: AddressOptions,
): void {
  const { container } = sandbox;
  const { ips = [], routes = [] } = result;
  const { duplicateDetection, viaGateway = false } = options;
  const prefixes = ips.map(({ address }) => address);
  const isOptimistic = duplicateDetection === "optimistic";
  const hasIpv6 = prefixes.some(({ address }) => address.family === 6);
  if (hasIpv6) requireIpv6Mtu(link);
  const isLate = ({ address }: Prefix) => isOptimistic && address.family === 6;
  prepareInterface(sandbox, link, { ...options, hasIpv6 });
  const flags = { nodad: duplicateDetection === "none", noprefixroute: viaGateway, optimistic: isOptimistic };
  const addAll = (chosen: readonly Prefix[]) => {
    for (const prefix of chosen) addAddress(container, link, prefix, flags);
  };
  addAll(prefixes.filter((prefix) => !isLate(prefix)));
  if (hasIpv6 && isOptimistic) {
    unlessExisting(() => addAddress(container, link, ownLinkLocal(link), { nodad: true }));
  }
  setUp(container, link);
  addAll(prefixes.filter(isLate)); // while it is down, the kernel gives an optimistic address no local route
  const since = performance.now();
  const wanted = routes.map((route) => toKernelRoute(route, link, ips));
  for (const route of [...(viaGateway ? gatewayRoutes(ips, link) : []), ...wanted]) {
    appendRoute(container, afterOthers(container, route));
  }
  if (hasIpv6 && duplicateDetection !== "none") {
    awaitDuplicateDetection(sandbox, link, duplicateDetection, { since });
  }
}

/** Equivalent to `ip link set NAME up`. @throws CniError 7 when another of its master has its MAC */
export function setUp(container: RouteSocket, link: Link): void {
  try {
    setLink(container, link, { up: true });
  } catch (error) {
    if (!(error instanceof NetlinkError) || error.code !== "EADDRINUSE") throw error;
    const msg = `invalid "mac": another interface of the same master, or that itself, has ${formatMac(link.mac)}`;
    throw invalidConfig(msg, 'choose another "mac", or none');
  }
}

/** What the kernel is told of an interface before it has addresses. */
function prepareInterface(
  { netns }: Sandbox,
  { name }: Link,
  { duplicateDetection, hasIpv6 }: AddressOptions & { hasIpv6: boolean },
): void {
  const set = (key: string, value: string) => writeSysctlIfPresent(`net/ipv6/conf/${name}/${key}`, value);
  inNetns(netns, () => {
    writeSysctlIfPresent(`net/ipv4/conf/${name}/arp_notify`, "1"); // tell neighbours that the address moved
    set("accept_dad", duplicateDetection === "none" ? "0" : "1");
    if (duplicateDetection !== "none") set("enhanced_dad", "1");
    if (!hasIpv6) return;
    set("ndisc_notify", "1");
    if (duplicateDetection === "optimistic") {
      set("optimistic_dad", "1");
      set("use_optimistic", "1");
    }
    writeSysctlIfPresent("net/ipv6/conf/lo/disable_ipv6", "0");
    set("disable_ipv6", "0");
    set("keep_addr_on_down", "1");
  });
}

/**
 * Equivalent to `ip route add GATEWAY dev NAME scope link src ADDRESS; … SUBNET via GATEWAY src ADDRESS` for
 * each address; those that share a gateway or a subnet have one route to it.
 */
function gatewayRoutes(ips: readonly IpConfig[], { index: oif }: Link): Route[] {
  const routes = ips.flatMap(({ address: prefix, gateway }): Route[] => {
    if (!gateway) return [];
    const prefsrc = prefix.address;
    const toGateway = { dst: hostPrefix(gateway), oif, scope: RT_SCOPE_LINK, prefsrc };
    if (prefix.length === addressBits(gateway.family)) return [toGateway];
    return [toGateway, { dst: networkOf(prefix), gateway, oif, prefsrc }];
  });
  const isFirst = ({ dst }: Route, index: number) =>
    routes.findIndex((route) => samePrefix(route.dst, dst)) === index;
  return routes.filter(isFirst);
}

/**
 * The route after those of the container's other interfaces to the same
 * destination, as IPv4 has it by itself. In IPv6 those of one priority
 * are one route, each way of which some connections take (RTA_MULTIPATH).
 */
function afterOthers(container: RouteSocket, route: Route): Route {
  const { dst, oif, priority, table } = route;
  const { family } = dst.address;
  if (family === 4 || priority !== undefined) return route;
  const filter = { family, ...(table !== undefined && { table }) };
  const others = (unlessMissing(() => listRoutes(container, filter)) ?? []).filter(
    (other) => other.oif !== oif && samePrefix(networkOf(other.dst), networkOf(dst)),
  );
  if (others.length === 0) return route;
  return { ...route, priority: 1 + Math.max(...others.map((other) => other.priority ?? 0)) };
}

/**
 * Tells the neighbours by gratuitous ARP and unsolicited NA who has the addresses now: an entry of theirs
 * from the container that had one before would lead them astray for some seconds. What the kernel sent when
 * the interface came up (arp_notify, ndisc_notify) is lost where the way out of the host was not yet ready;
 * it sends it again when told the MAC. Equivalent to `ip link set NAME address` with the MAC that NAME has.
 */
export function announceAddresses({ container }: Sandbox, link: Link): void {
  setLink(container, link, { mac: link.mac });
}

/**
 * The kernel's form of a result's route: out of `link`, and
 * by the family's first gateway, unless it names one or has a scope that needs none.
 */
function toKernelRoute({ gw, ...route }: ResultRoute, link: Link, ips: readonly IpConfig[]): Route {
  const { family } = route.dst.address;
  const isDirect = route.scope === RT_SCOPE_LINK || route.scope === RT_SCOPE_HOST;
  return {
    ...route,
    oif: link.index,
    gateway: gw ?? (isDirect ? undefined : ips.find((ip) => ip.gateway?.family === family)?.gateway),
  };
}

/** What a result says of a link; `sandbox` is CNI_NETNS for one in a container. */
export function describeLink({ name, mac, mtu }: Link, sandbox?: string): Interface {
  return { name, mac: formatMac(mac), mtu, sandbox };
}

/**
 * Checks that the interface is there, is of the kind, is up, and holds what `prevResult` says it was given.
 * More addresses and routes than that are left to whoever added them.
 * @throws CniError that says what is not as it was
 */
export function checkInterface(
  { container }: Pick<Sandbox, "container">,
  call: { ifname: string; netnsPath: string; prevResult: Result },
  expected: { kind?: string | undefined; up: boolean; viaGateway?: boolean },
): Link {
  const { ifname, netnsPath, prevResult } = call;
  const index =
    prevResult.interfaces?.findIndex(({ name, sandbox }) => name === ifname && sandbox === netnsPath) ?? -1;
  const given = prevResult.interfaces?.[index];
  if (!given) throw failed(`prevResult has no interface "${ifname}" in sandbox "${netnsPath}"`);
  const link = checkLink(container, given);
  if (expected.kind !== undefined && link.kind !== expected.kind) {
    throw failed(`Container interface ${ifname} not of type ${expected.kind}`);
  }
  if (link.up !== expected.up) throw failed(`Container interface ${ifname} is ${link.up ? "up" : "down"}`);
  const { ips = [] } = prevResult;
  const own = ips.filter((ip) => ip.interface === undefined || ip.interface === index);
  checkAddresses(container, link, own);
  if (expected.viaGateway) checkGatewayRoutes(container, link, own);
  checkRoutes(container, link, prevResult);
  return link;
}

/** Checks that an interface of a result is there, with the MAC and MTU it had. */
export function checkLink(
  socket: RouteSocket,
  given: { name: string; mac?: string | undefined; mtu?: number | undefined },
): Link {
  const { name, mac, mtu } = given;
  const link = linkOrFailure(socket, name);
  if (mac && mac !== formatMac(link.mac)) {
    throw failed(`Interface ${name} Mac doesn't match: ${mac} expected, ${formatMac(link.mac)} found`);
  }
  if (mtu && mtu !== link.mtu)
    throw failed(`Interface ${name} MTU doesn't match: ${mtu} expected, ${link.mtu} found`);
  return link;
}

function linkOrFailure(socket: RouteSocket, name: string): Link {
  try {
    return linkByName(socket, name);
  } catch (cause) {
    throw failed(`Interface name ${name} not found`, cause);
  }
}

function checkAddresses(container: RouteSocket, link: Link, ips: readonly IpConfig[]): void {
  const held = listAddresses(container, link);
  for (const { address } of ips) {
    const found = held.find(({ prefix }) => samePrefix(prefix, address));
    if (!found) throw failed(`Failed to match addr ${formatPrefix(address)} on interface ${link.name}`);
    if (found.dadFailed) throw failed(`address ${formatPrefix(address)} is in use by another host`);
  }
}

function checkGatewayRoutes(container: RouteSocket, link: Link, ips: readonly IpConfig[]): void {
  for (const wanted of gatewayRoutes(ips, link)) {
    const { family } = wanted.dst.address;
    const held = listRoutes(container, { family, oif: link.index });
    if (!held.some((candidate) => agrees(candidate, wanted))) {
      throw failed(`Expected Route ${formatRoute(wanted)} not found on interface ${link.name}`);
    }
  }
}

function checkRoutes(container: RouteSocket, link: Link, { ips = [], routes = [] }: Result): void {
  for (const route of routes) {
    const wanted = toKernelRoute(route, link, ips);
    const { family } = wanted.dst.address;
    const filter = { family, ...(route.table !== undefined && { table: route.table }) };
    // a table without a route is no table
    const held = unlessMissing(() => listRoutes(container, filter)) ?? [];
    if (!held.some((candidate) => agrees(candidate, wanted))) {
      throw failed(`Expected Route ${formatRoute(wanted)} not found on interface ${link.name}`);
    }
  }
}

/** The way out may have changed (a VRF), what the configuration said must not. */
function agrees(held: Route, wanted: Route): boolean {
  return (
    samePrefix(networkOf(held.dst), networkOf(wanted.dst)) &&
    agreesAddress(held.gateway, wanted.gateway) &&
    (wanted.priority === undefined || held.priority === wanted.priority) &&
    (wanted.mtu === undefined || held.mtu === wanted.mtu) &&
    (wanted.advmss === undefined || held.advmss === wanted.advmss)
  );
}

function agreesAddress(held: Address | undefined, wanted: Address | undefined): boolean {
  return wanted === undefined || (held !== undefined && sameAddress(held, wanted));
}

/** What CHECK answers with when something is not as ADD made it. */
export function failed(message: string, cause?: unknown): CniError {
  return new CniError(CniError.CHECK_FAILED, message, cause === undefined ? {} : { cause });
}
