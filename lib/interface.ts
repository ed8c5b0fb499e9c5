/**
 * A container's interface: given the addresses and routes of an IPAM result, and checked against a result.
 * The interface's kind does not matter here.
 */
import { CniError } from "./cni/error.ts";
import type { Interface, IpConfig, Result, Route as ResultRoute } from "./cni/result.ts";
import { type Address, sameAddress } from "./netaddr/address.ts";
import { formatMac } from "./netaddr/mac.ts";
import { formatPrefix, networkOf, samePrefix } from "./netaddr/prefix.ts";
import { unlessMissing } from "./netlink/error.ts";
import { inNetns } from "./netns/netns.ts";
import { addAddress, listAddresses } from "./rtnetlink/address.ts";
import { type Link, linkByName, setLink } from "./rtnetlink/link.ts";
import { appendRoute, formatRoute, listRoutes, type Route } from "./rtnetlink/route.ts";
import { openRouteSocket, type RouteSocket, RTNLGRP_IPV6_IFADDR } from "./rtnetlink/route-socket.ts";
import type { Sandbox } from "./sandbox.ts";
import { writeSysctlIfPresent } from "./sysctl.ts";

/** Duplicate detection takes up to two seconds (net.ipv6.conf.*.dad_transmits, RFC 4862 §5.4). */
const DAD_TIMEOUT_MS = 5_000;

/**
 * How an interface's IPv6 addresses start: at once, or after the kernel asked whether somebody else has them.
 */
export interface AddressOptions {
  readonly duplicateDetection: boolean;
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
  const { container, netns } = sandbox;
  const { ips = [], routes = [] } = result;
  const hasIpv6 = ips.some(({ address }) => address.address.family === 6);
  inNetns(netns, () => {
    // tell neighbours that the address moved
    writeSysctlIfPresent(`net/ipv4/conf/${link.name}/arp_notify`, "1");
    writeSysctlIfPresent(`net/ipv6/conf/${link.name}/accept_dad`, options.duplicateDetection ? "1" : "0");
    if (options.duplicateDetection) writeSysctlIfPresent(`net/ipv6/conf/${link.name}/enhanced_dad`, "1");
    if (!hasIpv6) return;
    writeSysctlIfPresent(`net/ipv6/conf/${link.name}/ndisc_notify`, "1");
    for (const name of ["lo", link.name]) writeSysctlIfPresent(`net/ipv6/conf/${name}/disable_ipv6`, "0");
    writeSysctlIfPresent(`net/ipv6/conf/${link.name}/keep_addr_on_down`, "1");
  });
  for (const { address } of ips) addAddress(container, link, address, { nodad: !options.duplicateDetection });
  setLink(container, link, { up: true });
  if (hasIpv6 && options.duplicateDetection) awaitDuplicateDetection(sandbox, link);
  for (const route of routes) {
    appendRoute(container, afterOthers(container, toKernelRoute(route, link, ips)));
  }
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
 * by the family's first gateway unless it names one.
 */
function toKernelRoute({ gw, ...route }: ResultRoute, link: Link, ips: readonly IpConfig[]): Route {
  const { family } = route.dst.address;
  return {
    ...route,
    oif: link.index,
    gateway: gw ?? ips.find((ip) => ip.gateway?.family === family)?.gateway,
  };
}

/** Waits for the kernel's verdict on every address. @throws CniError when somebody else has one */
function awaitDuplicateDetection({ container, netns }: Sandbox, link: Link): void {
  using events = openRouteSocket(netns);
  events.subscribe(RTNLGRP_IPV6_IFADDR);
  const deadline = performance.now() + DAD_TIMEOUT_MS;
  for (;;) {
    const addresses = listAddresses(container, link);
    const taken = addresses.find(({ dadFailed }) => dadFailed);
    if (taken) {
      throw new CniError(
        CniError.INTERNAL,
        `address ${formatPrefix(taken.prefix)} is in use by another host`,
      );
    }
    if (!addresses.some(({ tentative }) => tentative)) return;
    const remainingMs = deadline - performance.now();
    if (remainingMs <= 0)
      throw new CniError(CniError.TRY_AGAIN_LATER, `duplicate detection on "${link.name}" took too long`);
    events.awaitEvent(remainingMs);
  }
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
  expected: { kind: string; up: boolean },
): Link {
  const { ifname, netnsPath, prevResult } = call;
  const index =
    prevResult.interfaces?.findIndex(({ name, sandbox }) => name === ifname && sandbox === netnsPath) ?? -1;
  const given = prevResult.interfaces?.[index];
  if (!given) throw failed(`prevResult has no interface "${ifname}" in sandbox "${netnsPath}"`);
  const link = checkLink(container, given);
  if (link.kind !== expected.kind) throw failed(`Container interface ${ifname} not of type ${expected.kind}`);
  if (link.up !== expected.up) throw failed(`Container interface ${ifname} is ${link.up ? "up" : "down"}`);
  checkAddresses(
    container,
    link,
    prevResult.ips?.filter((ip) => ip.interface === undefined || ip.interface === index) ?? [],
  );
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
    if (!held.some(({ prefix }) => samePrefix(prefix, address))) {
      throw failed(`Failed to match addr ${formatPrefix(address)} on interface ${link.name}`);
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
