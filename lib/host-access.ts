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
import { indexBelow, type Master } from "./master.ts";
import { type Address, formatAddress, parseAddress, sameAddress } from "./netaddr/address.ts";
import { formatMac } from "./netaddr/mac.ts";
import { containsAddress, formatPrefix, hostPrefix, networkOf, samePrefix } from "./netaddr/prefix.ts";
import { unlessMissing } from "./netlink/error.ts";
import { ownRecords } from "./own-records.ts";
import { listAddresses } from "./rtnetlink/address.ts";
import { findLink, type Link, setLink } from "./rtnetlink/link.ts";
import { macvlanData } from "./rtnetlink/link-kinds.ts";
import { deleteNeighbour, listNeighbours, NUD_PERMANENT, replaceNeighbour } from "./rtnetlink/neighbour.ts";
import { deleteRoute, listRoutes, RT_SCOPE_LINK, replaceRoute } from "./rtnetlink/route.ts";
import { openRouteSocket, type RouteSocket } from "./rtnetlink/route-socket.ts";
import type { Sandbox } from "./sandbox.ts";
import { sharedLinkName, shareLink } from "./shared-link.ts";
import { type AttachmentRecord, removeRecord } from "./state/record.ts";
import { writeSysctlIfPresent } from "./sysctl.ts";

const HOW_TO_GIVE =
  'or name in "hostAccessAddresses" one that any interface has, as `ip addr add ADDRESS/32 dev lo` gives it';

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
}: HostAccessConfig & { mode: string; linkInContainer: boolean; ipam: { type: string } }): void {
  for (const text of hostAccessAddresses) parseHostAddress(text);
  if (!hostAccess && hostAccessAddresses.length > 0)
    throw invalidConfig('"hostAccessAddresses" needs "hostAccess"');
  if (!hostAccess) return;
  if (!others.ipam.type)
    throw invalidConfig('"hostAccess" needs "ipam": it is for the container\'s addresses');
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
  const settings = {
    name,
    kind: "macvlan",
    link: indexBelow(master),
    data: macvlanData("bridge", undefined),
  };
  const shim = shareLink(call, host, settings, (link) => silence(host, link));
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
  if (!call.config.hostAccess) return;
  const record = RECORDS.find(call);
  if (!record) throw failed(`nothing tells how the host reaches ${inside.name}: its record is lost`);
  const { shim: name, ways, hostAddresses } = record.details;
  const shim = findLink(host, name);
  if (!shim?.up)
    throw failed(`"${name}", by which the host reaches the container, is ${shim ? "down" : "gone"}`);
  if (shim.link !== inside.link) throw failed(`"${name}" has another master than ${inside.name}`);
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
  const isNear = (address: Address) => subnets.some((subnet) => containsAddress(subnet, address));
  const given = config.hostAccessAddresses.map(parseHostAddress);
  const held = listAddresses(host, given.length > 0 ? undefined : master).map(({ prefix }) => prefix.address);
  for (const address of given) {
    const refuse = (why: string) =>
      invalidConfig(`invalid "hostAccessAddresses": ${formatAddress(address)} ${why}`, HOW_TO_GIVE);
    if (!isNear(address)) throw refuse(`is not in ${subnets.map(formatPrefix).join(" or ")}`);
    if (!held.some((other) => sameAddress(other, address))) throw refuse("is no address of this host");
  }
  const near = given.length > 0 ? given : held.filter(isNear);
  const shared = near.find((address) => ips.some((ip) => sameAddress(ip.address.address, address)));
  if (shared) {
    throw invalidConfig(
      `${formatAddress(shared)} is the host's address`,
      "keep it out of the range that IPAM gives out",
    );
  }
  if (near.length > 0) return near;
  throw invalidConfig(
    `"hostAccess" needs an address of the host in ${subnets.map(formatPrefix).join(" or ")}`,
    `give "${master.name}" one; ${HOW_TO_GIVE}`,
  );
}

/** Has the shim ask for nobody and answer nobody. */
function silence(host: RouteSocket, shim: Link): void {
  writeSysctlIfPresent(`net/ipv6/conf/${shim.name}/disable_ipv6`, "0");
  setLink(host, shim, { arp: false, linkLocal: false });
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
