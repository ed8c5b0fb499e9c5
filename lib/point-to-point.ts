/**
 * The host's end of a routed pair: the container's gateway and its only neighbour. It has the gateway's
 * address alone, without a subnet, so that any number of pairs may share a subnet and a gateway.
 */

import { awaitCarrier, awaitContainer } from "./carrier.ts";
import { CniError, invalidConfig } from "./cni/error.ts";
import type { IpConfig, Result } from "./cni/result.ts";
import { ownLinkLocal } from "./duplicate-detection.ts";
import { enableForwarding, isForwarding } from "./forwarding.ts";
import { settleIpv6 } from "./gateway.ts";
import { failed } from "./interface.ts";
import { requireIpv6Mtu } from "./mtu.ts";
import { awaitFindable } from "./neighbour-discovery.ts";
import {
  type Address,
  addressBits,
  formatAddress,
  offsetAddress,
  parseAddress,
  sameAddress,
} from "./netaddr/address.ts";
import { formatPrefix, hostPrefix, networkOf, type Prefix, samePrefix } from "./netaddr/prefix.ts";
import { NetlinkError, unlessMissing } from "./netlink/error.ts";
import { addAddress, listAddresses } from "./rtnetlink/address.ts";
import { type Link, linkByIndex, linkByName, setLink } from "./rtnetlink/link.ts";
import { addRoute, listRoutes, RT_SCOPE_LINK, routeTo } from "./rtnetlink/route.ts";
import type { RouteSocket } from "./rtnetlink/route-socket.ts";
import type { Sandbox } from "./sandbox.ts";
import { writeSysctlIfPresent } from "./sysctl.ts";

/** Of an address that has no subnet to take a gateway from. They mean the same on each link, as in Calico. */
const LINK_LOCAL_GATEWAYS = { 4: "169.254.1.1", 6: "fe80::1" } as const;

/**
 * An IPAM result in which each address has a gateway: where IPAM gave none, the first
 * of its subnet, or a link-local one where there is no subnet.
 * @throws CniError 7 when that would be the container's own address
 */
export function withHostGateways(result: Result): Result & { readonly ips: readonly IpConfig[] } {
  const ips = (result.ips ?? []).map((ip) => ({ ...ip, gateway: ip.gateway ?? gatewayOf(ip.address) }));
  for (const { address, gateway } of ips) {
    if (!ips.some((ip) => sameAddress(ip.address.address, gateway))) continue;
    throw new CniError(
      CniError.INVALID_NETWORK_CONFIG,
      `the gateway of ${formatPrefix(address)} is the container's own address ${formatAddress(gateway)}`,
      { details: 'have IPAM give another "gateway": it is the host\'s address on the link' },
    );
  }
  return { ...result, ips };
}

function gatewayOf(prefix: Prefix): Address {
  const { family } = prefix.address;
  if (prefix.length === addressBits(family)) return parseAddress(LINK_LOCAL_GATEWAYS[family]);
  const { address: network } = networkOf(prefix);
  const first = offsetAddress(network, 1);
  // of two addresses the other (RFC 3021, RFC 6164)
  const isOfTwo = prefix.length === addressBits(family) - 1;
  return isOfTwo && sameAddress(first, prefix.address) ? network : first;
}

/**
 * Makes the host the gateway and next hop of the addresses. Equivalent, for each of
 * them, to `ip addr add GATEWAY/32 dev NAME; ip link set NAME up; ip route add ADDRESS/32 dev NAME`.
 *
 * Of scope link, as everything that is reached without a gateway: of scope host, which the reference says,
 * are the host's own addresses, and a routing daemon tells nobody of those.
 * @throws CniError 7 when one of the addresses is somebody else's already
 */
export function setUpHostEnd(host: RouteSocket, name: string, ips: readonly IpConfig[]): void {
  for (const ip of ips) refuseTaken(host, ip);
  const link = linkByName(host, name);
  settleIpv6(name);
  if (familiesOf(ips).includes(6)) {
    requireIpv6Mtu(link);
    writeSysctlIfPresent(`net/ipv6/conf/${name}/disable_ipv6`, "0");
    addAddress(host, link, ownLinkLocal(link), { nodad: true }); // the kernel's own is late: settleIpv6()
  }
  for (const gateway of hostPrefixes(ips)) addAddress(host, link, gateway, { nodad: true });
  setLink(host, link, { up: true });
  for (const { address } of ips) routeHere(host, link, hostPrefix(address.address));
  for (const family of familiesOf(ips)) {
    enableForwarding(host, family);
    writeSysctlIfPresent(`net/ipv${family}/conf/${name}/forwarding`, "1"); // its default may be otherwise
  }
}

/** The host answers itself for its own addresses, and reaches nobody else under them. @throws CniError 7 */
function refuseTaken(host: RouteSocket, { address, gateway }: IpConfig): void {
  if (routeTo(host, address.address)?.isLocal) {
    const msg = `${formatAddress(address.address)} is an address of this host`;
    throw invalidConfig(msg, "keep it out of the range that IPAM gives out");
  }
  const taken = gateway && routeTo(host, gateway, { isMatch: true });
  if (!gateway || !taken || taken.isLocal || taken.prefixLength < addressBits(gateway.family)) return;
  // a host's own address that waits for duplicate detection is routed like another's
  if (listAddresses(host).some(({ prefix }) => sameAddress(prefix.address, gateway))) return;
  const msg = `the gateway ${formatAddress(gateway)} is another container's address, or routed elsewhere`;
  throw invalidConfig(msg, `\`ip route get ${formatAddress(gateway)}\` says where; have IPAM give another`);
}

function routeHere(host: RouteSocket, link: Link, dst: Prefix): void {
  try {
    addRoute(host, { dst, oif: link.index, scope: RT_SCOPE_LINK });
  } catch (cause) {
    if (!(cause instanceof NetlinkError) || cause.code !== "EEXIST") throw cause;
    const { family } = dst.address;
    const other = listRoutes(host, { family }).find((route) => samePrefix(route.dst, dst));
    const { oif } = other ?? {};
    const where = oif === undefined ? undefined : unlessMissing(() => linkByIndex(host, oif));
    const msg = `this host already has a route to ${formatAddress(dst.address)}`;
    const details = `it leads to "${where?.name ?? "another place"}"; two networks may give out the same addresses`;
    throw new CniError(CniError.INVALID_NETWORK_CONFIG, msg, { details, cause });
  }
}

/**
 * Waits until both ends send, and find each other. The worker takes note of the carrier of each by itself:
 * until then the host's end, which was up first, sends nothing.
 * @returns the host's end
 * @throws CniError 999 when there is no carrier
 */
export function awaitPair(
  sandbox: Sandbox,
  { hostName, inside, ips }: { hostName: string; inside: Link; ips: readonly IpConfig[] },
): Link {
  const { host } = sandbox;
  const outside = awaitCarrier(host, hostName);
  const gateways = hostPrefixes(ips).map(({ address }) => address);
  awaitFindable(host, outside, gateways);
  awaitContainer(sandbox, inside, ips);
  return outside;
}

/** @throws CniError 100 that says what is not as setUpHostEnd() left it */
export function checkHostEnd(host: RouteSocket, link: Link, ips: readonly IpConfig[]): void {
  const { name, index, up } = link;
  if (!up) throw failed(`Interface ${name} is down`);
  const held = listAddresses(host, link);
  for (const gateway of hostPrefixes(ips)) {
    if (held.some(({ prefix }) => samePrefix(prefix, gateway))) continue;
    throw failed(`Gateway address ${formatPrefix(gateway)} not found on ${name}`);
  }
  for (const family of familiesOf(ips)) {
    if (!isForwarding(family)) throw failed(`IPv${family} forwarding is off`);
    const routes = unlessMissing(() => listRoutes(host, { family, oif: index })) ?? [];
    for (const { address } of ips.map((ip) => ip.address)) {
      if (address.family !== family || routes.some(({ dst }) => samePrefix(dst, hostPrefix(address))))
        continue;
      throw failed(`Route to ${formatAddress(address)} by ${name} not found`);
    }
  }
}

/** The gateways, each once. */
function hostPrefixes(ips: readonly IpConfig[]): Prefix[] {
  const prefixes: Prefix[] = [];
  for (const { gateway } of ips) {
    if (!gateway) continue;
    const prefix = hostPrefix(gateway);
    if (!prefixes.some((other) => samePrefix(prefix, other))) prefixes.push(prefix);
  }
  return prefixes;
}

function familiesOf(ips: readonly IpConfig[]): (4 | 6)[] {
  return ([4, 6] as const).filter((family) => ips.some(({ address }) => address.address.family === family));
}
