/**
 * hostAccess: lets a host and its macvlan containers reach each other, which a master and its macvlans do not
 * (drivers/net/macvlan.c hands what a macvlan sends to other macvlans and to the wire, never to the master).
 *
 * The host gets a macvlan of its own on that master, the shim, which its containers share. Nobody else is to
 * learn of it: were it to ask or to answer for the host's addresses, others on the wire would look for the
 * host there, and lose it with the last container. So neither side asks: each is told the other's MAC.
 *
 *     host       ip route add ADDRESS/32 dev mvh-eth0 src HOST; ip neigh add ADDRESS lladdr … nud permanent
 *     container  ip neigh add HOST lladdr … dev eth0 nud permanent
 */
import type { NetConf } from "./cni/config.ts";
import { CniError, invalidConfig } from "./cni/error.ts";
import type { Call, GcCall } from "./cni/plugin.ts";
import type { IpConfig } from "./cni/result.ts";
import { failed } from "./interface.ts";
import type { Master } from "./master.ts";
import { type Address, formatAddress, parseAddress, sameAddress } from "./netaddr/address.ts";
import { formatMac } from "./netaddr/mac.ts";
import { containsAddress, formatPrefix, hostPrefix, networkOf, samePrefix } from "./netaddr/prefix.ts";
import { unlessMissing } from "./netlink/error.ts";
import { ownRecords } from "./own-records.ts";
import { addAddress, listAddresses } from "./rtnetlink/address.ts";
import { findLink, type Link } from "./rtnetlink/link.ts";
import { macvlanData } from "./rtnetlink/link-kinds.ts";
import { deleteNeighbour, listNeighbours, NUD_PERMANENT, replaceNeighbour } from "./rtnetlink/neighbour.ts";
import { deleteRoute, listRoutes, RT_SCOPE_LINK, replaceRoute } from "./rtnetlink/route.ts";
import { openRouteSocket, type RouteSocket } from "./rtnetlink/route-socket.ts";
import type { Sandbox } from "./sandbox.ts";
import { sharedLinkName, shareLink } from "./shared-link.ts";
import { type AttachmentRecord, removeRecord } from "./state/record.ts";
import { writeSysctl } from "./sysctl.ts";

/** Of /proc/sys/net/ipv4/conf/NAME/arp_ignore (ip-sysctl.rst): answer for no address of this host. */
const ANSWER_FOR_NONE = "8";

/** What a configuration asks for. */
export interface HostAccessConfig {
  readonly hostAccess: boolean;
  readonly hostAccessAddresses: readonly string[];
}

type HostAccessCall = Call<NetConf & HostAccessConfig>;

interface Details {
  readonly shim: string;
  /** Addresses of the container, each with the host's that it is reached from. */
  readonly ways: readonly { readonly to: string; readonly from: string }[];
  /** Of the host: what the container reaches. */
  readonly hostAddresses: readonly string[];
}

const RECORDS = ownRecords<Details>("host-access");

/** @throws CniError 7 for what no host can do */
export function verifyHostAccess({
  hostAccess,
  hostAccessAddresses,
  ...others
}: HostAccessConfig & { mode: string; linkInContainer: boolean }): void {
  for (const text of hostAccessAddresses) parseHostAddress(text);
  if (!hostAccess) return;
  if (others.mode !== "bridge" && others.mode !== "") {
    throw invalidConfig(
      `"hostAccess" is not for mode ${others.mode}`,
      'in mode "bridge" macvlans reach each other',
    );
  }
  if (others.linkInContainer)
    throw invalidConfig('"hostAccess" needs a master on the host: not with "linkInContainer"');
}

/** Lets host and container reach each other at `ips`. Undone when ADD fails. */
export function addHostAccess(
  call: HostAccessCall,
  { host, container }: Sandbox,
  { link: master }: Master,
  inside: Link,
  ips: readonly IpConfig[] = [],
): void {
  if (!call.config.hostAccess || ips.length === 0) return;
  const hostAddresses = chooseHostAddresses(call, host, master, ips);
  const ways = ips.flatMap(({ address: prefix }) => {
    const from = hostAddresses.find((address) => containsAddress(networkOf(prefix), address));
    return from ? { to: prefix.address, from } : [];
  });
  const name = sharedLinkName("mvh-", master.name);
  RECORDS.write(call, detailsOf(name, ways, hostAddresses), deleteRecorded);
  const settings = { name, kind: "macvlan", link: master.index, data: macvlanData("bridge", undefined) };
  const shim = shareLink(call, host, settings, (link) => keepToItself(host, link, hostAddresses));
  for (const { to, from } of ways) {
    replaceNeighbour(host, { ifindex: shim.index, address: to, mac: inside.mac, state: NUD_PERMANENT });
    replaceRoute(host, { dst: hostPrefix(to), oif: shim.index, scope: RT_SCOPE_LINK, prefsrc: from });
  }
  for (const address of hostAddresses) {
    replaceNeighbour(container, { ifindex: inside.index, address, mac: shim.mac, state: NUD_PERMANENT });
  }
}

/** DEL. The shim itself goes with the last that shares it: releaseSharedLinks(). */
export function deleteHostAccess(call: Call): void {
  const record = RECORDS.find(call);
  if (record) deleteRecorded(record);
}

/** GC: a step for each attachment that the network no longer owns. */
export function staleHostAccessSteps(call: GcCall): (() => void)[] {
  return RECORDS.staleSteps(call, deleteRecorded);
}

/** @throws CniError 100 that says what is missing */
export function checkHostAccess(call: HostAccessCall, { host, container }: Sandbox, inside: Link): void {
  const record = call.config.hostAccess ? RECORDS.find(call) : undefined;
  if (!record) return;
  const { shim: name, ways, hostAddresses } = record.details;
  const shim = findLink(host, name);
  if (!shim?.up)
    throw failed(`"${name}", by which the host reaches the container, is ${shim ? "down" : "gone"}`);
  for (const to of ways.map((way) => parseAddress(way.to))) {
    const routes = listRoutes(host, { family: to.family, oif: shim.index });
    if (!routes.some(({ dst }) => samePrefix(dst, hostPrefix(to)))) {
      throw failed(`the host's route to ${formatAddress(to)} by "${name}" is missing`);
    }
    checkNeighbour(host, shim, to, inside.mac);
  }
  for (const address of hostAddresses) checkNeighbour(container, inside, parseAddress(address), shim.mac);
}

function checkNeighbour(socket: RouteSocket, link: Link, address: Address, mac: Uint8Array): void {
  const neighbours = listNeighbours(socket, { family: address.family, ifindex: link.index });
  const found = neighbours.find((neighbour) => sameAddress(neighbour.address, address));
  if (found && formatMac(found.mac) === formatMac(mac)) return;
  throw failed(`${formatAddress(address)} is not ${formatMac(mac)} among the neighbours of ${link.name}`);
}

/**
 * The host's addresses that the container is to reach: what the configuration says; else those of the master
 * that are in one of the container's subnets.
 */
function chooseHostAddresses(
  { config }: HostAccessCall,
  host: RouteSocket,
  master: Link,
  ips: readonly IpConfig[],
): Address[] {
  const subnets = ips.map(({ address }) => networkOf(address));
  const given = config.hostAccessAddresses.map(parseHostAddress);
  const held = () => listAddresses(host, master).map(({ prefix }) => prefix.address);
  const isNear = (address: Address) => subnets.some((subnet) => containsAddress(subnet, address));
  const far = given.find((address) => !isNear(address));
  if (far) {
    const details = `it is in none of the container's subnets, ${subnets.map(formatPrefix).join(", ")}`;
    throw invalidConfig(`invalid "hostAccessAddresses": ${formatAddress(far)}`, details);
  }
  const near = given.length > 0 ? given : held().filter(isNear);
  if (near.length > 0) return near;
  throw invalidConfig(
    `"hostAccess" needs an address of the host in ${subnets.map(formatPrefix).join(" or ")}`,
    `give "${master.name}" one, or say in "hostAccessAddresses" which the host is to have`,
  );
}

/** Has the shim answer nobody, and hold those of the host's addresses that no other link of it does. */
function keepToItself(host: RouteSocket, shim: Link, hostAddresses: readonly Address[]): void {
  writeSysctl(`net/ipv4/conf/${shim.name}/arp_ignore`, ANSWER_FOR_NONE);
  const held = listAddresses(host);
  for (const address of hostAddresses) {
    if (held.some(({ prefix }) => sameAddress(prefix.address, address))) continue;
    addAddress(host, shim, hostPrefix(address), { nodad: true, noprefixroute: true });
  }
}

function deleteRecorded(record: AttachmentRecord<Details>): void {
  const { shim: name, ways } = record.details;
  using host = openRouteSocket();
  const shim = findLink(host, name);
  if (shim) for (const { to } of ways) forget(host, shim, parseAddress(to));
  removeRecord(record);
}

function forget(host: RouteSocket, { index }: Link, address: Address): void {
  unlessMissing(() => deleteRoute(host, { dst: hostPrefix(address), oif: index }));
  unlessMissing(() => deleteNeighbour(host, { ifindex: index, address }));
}

function detailsOf(
  shim: string,
  ways: readonly { to: Address; from: Address }[],
  hostAddresses: readonly Address[],
): Details {
  return {
    shim,
    ways: ways.map(({ to, from }) => ({ to: formatAddress(to), from: formatAddress(from) })),
    hostAddresses: hostAddresses.map(formatAddress),
  };
}

function parseHostAddress(text: string): Address {
  try {
    return parseAddress(text);
  } catch (cause) {
    const details = 'use an address without a prefix length, as "192.168.1.250"';
    throw new CniError(
      CniError.INVALID_NETWORK_CONFIG,
      `invalid "hostAccessAddresses": ${JSON.stringify(text)}`,
      { details, cause },
    );
  }
}
