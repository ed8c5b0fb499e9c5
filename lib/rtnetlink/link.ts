/** Links: create, look up, change, delete. rtnetlink(7), net/core/rtnetlink.c. */
import { encode } from "../netlink/attributes.ts";
import { NetlinkError, unlessMissing } from "../netlink/error.ts";
import { NLM_F_CREATE, NLM_F_EXCL } from "../netlink/message.ts";
import type { Request } from "../netlink/request.ts";
import type { Netns } from "../netns/netns.ts";
import { afSpec, bridgePort, linkMessage, veth } from "./link-attributes.ts";
import { AF_UNSPEC, openRouteSocket, type RouteSocket, RTNLGRP_LINK } from "./route-socket.ts";

const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_GETLINK = 18;
const RTM_DELLINKPROP = 109;
/** linux/rtnetlink.h RTEXT_FILTER_SKIP_STATS: an answer without the counters is a third of the size. */
const RTEXT_FILTER_SKIP_STATS = 8;

// linux/if.h
export const IFF_UP = 0x1;
const IFF_NOARP = 0x80;
const IFF_PROMISC = 0x100;
/** IF_OPER_UP (linux/if.h): the link is up and has carrier. */
const IF_OPER_UP = 6;
// linux/if_bridge.h: a port with carrier forwards, or listens first where the bridge has a spanning tree
const BR_STATE_LISTENING = 1;
const BR_STATE_LEARNING = 2;
const BR_STATE_FORWARDING = 3;
/** IN6_ADDR_GEN_MODE_NONE (linux/if_link.h): no link-local address of its own. */
const IN6_ADDR_GEN_MODE_NONE = 1;
/** Longest interface name and alias, in bytes without the NUL (linux/if.h IFNAMSIZ, IFALIASZ). */
export const IFNAME_MAX = 15;
export const IFALIAS_MAX = 255;

export interface Link {
  readonly index: number;
  readonly name: string;
  /** "bridge", "veth" …; "" for a physical device. */
  readonly kind: string;
  /** Six bytes on Ethernet; empty where the link has none. */
  readonly mac: Uint8Array;
  /** Bytes. */
  readonly mtu: number;
  readonly up: boolean;
  /** Up, and with carrier. */
  readonly running: boolean;
  readonly promiscuous: boolean;
  /** ifindex of the bridge, VRF or bond it is a port of. */
  readonly master: number | undefined;
  /**
   * ifindex of a veth's other end or of the device below; in another namespace when `linkNetnsid` is given.
   */
  readonly link: number | undefined;
  readonly linkNetnsid: number | undefined;
  readonly alias: string;
  /** Its alternative names; none before Linux 5.5. */
  readonly altnames: readonly string[];
  /**
   * The MAC a physical device was made with; undefined where its driver does not say, or before Linux 5.6.
   */
  readonly permanentMac: Uint8Array | undefined;
  /** The bus and the device on it: "pci/0000:00:04.0"; undefined for a virtual one, or before Linux 5.14. */
  readonly parent: string | undefined;
  /** IFLA_INFO_DATA, in the terms of `kind`. */
  readonly data: Uint8Array;
  /** What the link is to its bridge; undefined where it is not a bridge's port. */
  readonly port: BridgePort | undefined;
}

/** IFLA_BRPORT_* of a bridge's port. */
export type BridgePort = ReturnType<typeof bridgePort.read>;

type LinkHeader = Parameters<typeof linkMessage.write>[1];
type LinkAttributes = Parameters<typeof linkMessage.write>[2];

type LinkRequest = Request<LinkHeader, LinkAttributes, LinkHeader & LinkAttributes>;

/** A link by its index, or by its name where that is not known. */
type LinkReference = { readonly index?: number; readonly name: string };

/** What createLink() and setLink() can say of a link. */
export interface LinkSettings {
  name?: string | undefined;
  mac?: Uint8Array | undefined;
  /** Bytes. */
  mtu?: number | undefined;
  up?: boolean | undefined;
  promiscuous?: boolean | undefined;
  /** Whether it asks for neighbours and answers (ARP alone; of IPv6 it says nothing without an address). */
  arp?: boolean | undefined;
  /** ifindex. */
  master?: number | undefined;
  alias?: string | undefined;
  /** The namespace to be in. */
  netns?: Netns | undefined;
  /** Whether the kernel gives the link an IPv6 link-local address (setLink() only). */
  linkLocal?: boolean | undefined;
  /** What it is to its bridge (setLink() only). */
  port?: BridgePort | undefined;
  /** IFLA_INFO_DATA, in the terms of `kind`. */
  kind?: string | undefined;
  data?: Uint8Array | undefined;
}

function linkHeader(settings: LinkSettings, index = 0): LinkHeader {
  const { up, promiscuous, arp } = settings;
  const of = (flag: number, on: boolean | undefined) => (on ? flag : 0);
  const given = (flag: number, value: boolean | undefined) => of(flag, value !== undefined);
  return {
    family: AF_UNSPEC,
    index,
    flags: of(IFF_UP, up) | of(IFF_PROMISC, promiscuous) | of(IFF_NOARP, arp === false),
    change: given(IFF_UP, up) | given(IFF_PROMISC, promiscuous) | given(IFF_NOARP, arp),
  };
}

function linkSettings(settings: LinkSettings): LinkAttributes {
  return {
    ifname: settings.name,
    mtu: settings.mtu,
    address: settings.mac,
    master: settings.master,
    netNsFd: settings.netns?.fd,
    ifalias: settings.alias,
  };
}

function request(
  [name, type]: readonly [string, number],
  doing: string,
  parts: { header: LinkHeader; attributes: LinkAttributes; flags?: number },
): LinkRequest {
  return { doing, type, name, codec: linkMessage, ...parts };
}

/**
 * Equivalent to `ip link add NAME type KIND …`. `data` is the kind's IFLA_INFO_DATA; `link` the device below.
 *
 * The kernel takes an alias only of a link that is there (rtnl_create_link()), so it goes in a second
 * message. In the same datagram: a kill between two would leave a link that nobody knows for ours
 * (conformance/kill.test.ts). The price: when somebody makes a link of that name between the caller's look
 * and this, that one gets the alias.
 */
export function createLink(
  socket: RouteSocket,
  { alias, ...settings }: LinkSettings & { name: string; kind: string; link?: number },
): void {
  const { name, kind, data, link } = settings;
  const creation = request(["RTM_NEWLINK", RTM_NEWLINK], `create ${kind} "${name}"`, {
    flags: NLM_F_CREATE | NLM_F_EXCL,
    header: linkHeader(settings),
    attributes: { ...linkSettings(settings), link, linkinfo: { kind, data } },
  });
  socket.change(creation, ...(alias ? [changeRequest({ name }, { alias })] : []));
}

/**
 * Equivalent to `ip link add NAME … type veth peer name PEER … netns NETNS`, in one message.
 * The peer cannot be set up in it: a veth has no carrier before both ends exist, and refuses (ENOTCONN).
 */
export function createVeth(
  socket: RouteSocket,
  settings: LinkSettings & { name: string; peer: LinkSettings & { name: string } },
): void {
  const { peer } = settings;
  const data = encode(veth, { peer: { header: linkHeader(peer), attributes: linkSettings(peer) } });
  createLink(socket, { ...settings, kind: "veth", data });
}

/**
 * Equivalent to `ip link set dev …`: changes what is given, in one message, and leaves the rest.
 * A link without an index is found by its name, which then cannot be changed.
 */
export function setLink(socket: RouteSocket, link: LinkReference, settings: LinkSettings): void {
  try {
    socket.change(changeRequest(link, settings));
  } catch (error) {
    const { linkLocal, ...others } = settings;
    if (linkLocal !== false || !isWithoutIpv6(error)) throw error;
    socket.change(changeRequest(link, others)); // nothing was changed: the kernel looks at all of it first
  }
}

/** A link below IPv6's least MTU of 1,280 has no IPv6, nor has any of a kernel booted with ipv6.disable=1. */
function isWithoutIpv6(error: unknown): boolean {
  return error instanceof NetlinkError && error.code === "EAFNOSUPPORT";
}

function changeRequest(link: LinkReference, settings: LinkSettings): LinkRequest {
  const { linkLocal, port, kind, data } = settings;
  const attributes = linkSettings(settings);
  if (link.index === undefined) attributes.ifname = link.name;
  if (linkLocal !== undefined) {
    attributes.afSpec = encode(afSpec, { inet6: { addrGenMode: linkLocal ? 0 : IN6_ADDR_GEN_MODE_NONE } });
  }
  if (kind) attributes.linkinfo = { kind, data };
  if (port) attributes.linkinfo = { slaveKind: "bridge", slaveData: encode(bridgePort, port) };
  const header = linkHeader(settings, link.index);
  return request(["RTM_NEWLINK", RTM_NEWLINK], `change link "${link.name}"`, { header, attributes });
}

/**
 * Equivalent to `ip link delete NAME`. Waits for the kernel's grace period, some 15 ms. @throws NetlinkError
 */
export function deleteLink(socket: RouteSocket, link: { index: number; name: string }): void {
  socket.change(
    request(["RTM_DELLINK", RTM_DELLINK], `delete link "${link.name}"`, {
      header: { family: AF_UNSPEC, index: link.index },
      attributes: {},
    }),
  );
}

/** As deleteLink(), by name; when there is none, all is well. */
export function deleteLinkIfThere(socket: RouteSocket, name: string): void {
  unlessMissing(() => deleteLink(socket, linkByName(socket, name)));
}

/** Equivalent to `ip link property del dev NAME altname ALTNAME …`. @throws NetlinkError */
export function deleteAltnames(
  socket: RouteSocket,
  { index, name }: { index: number; name: string },
  altnames: readonly string[],
): void {
  const doing = `delete the alternative names of "${name}"`;
  const header = { family: AF_UNSPEC, index };
  const attributes = { propList: { altIfname: [...altnames] } };
  socket.change(request(["RTM_DELLINKPROP", RTM_DELLINKPROP], doing, { header, attributes }));
}

/**
 * Equivalent to `ip -d link show dev NAME`; the name may be an alternative one.
 * @throws NetlinkError ENODEV when there is none
 */
export function linkByName(socket: RouteSocket, name: string): Link {
  return oneLink(socket, `find link "${name}"`, {
    header: { family: AF_UNSPEC },
    attributes: name.length > IFNAME_MAX ? { altIfname: name } : { ifname: name },
  });
}

/** @throws NetlinkError ENODEV when there is none */
export function linkByIndex(socket: RouteSocket, index: number): Link {
  return oneLink(socket, `find link ${index}`, { header: { family: AF_UNSPEC, index }, attributes: {} });
}

/** As linkByName(), or undefined when there is none. */
export function findLink(socket: RouteSocket, name: string): Link | undefined {
  return unlessMissing(() => linkByName(socket, name));
}

/**
 * Waits until a link that is up has carrier and its bridge knows, by event. A spanning tree's 30 seconds of
 * listening and learning are not waited for.
 * @returns the link, or undefined when `timeoutMs` passed without
 */
export function awaitRunning(socket: RouteSocket, name: string, timeoutMs: number): Link | undefined {
  const now = linkByName(socket, name);
  if (isRunning(now)) return now;
  using events = openRouteSocket();
  events.subscribe(RTNLGRP_LINK);
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const link = linkByName(socket, name); // after subscribing, so that no change is missed
    if (isRunning(link)) return link;
    const remainingMs = deadline - performance.now();
    if (remainingMs <= 0) return undefined;
    events.awaitEvent(remainingMs);
  }
}

function isRunning({ running, port }: Link): boolean {
  const started = [BR_STATE_LISTENING, BR_STATE_LEARNING, BR_STATE_FORWARDING];
  return running && (port?.state === undefined || started.includes(port.state));
}

function oneLink(
  socket: RouteSocket,
  doing: string,
  { header, attributes }: { header: LinkHeader; attributes: LinkAttributes },
): Link {
  const extMask = RTEXT_FILTER_SKIP_STATS;
  return readLink(
    socket.get(
      request(["RTM_GETLINK", RTM_GETLINK], doing, { header, attributes: { ...attributes, extMask } }),
    ),
  );
}

/** Equivalent to `ip -d link show [master NAME] [type KIND]`, filtered by the kernel. */
export function listLinks(socket: RouteSocket, filter: { master?: number; kind?: string } = {}): Link[] {
  const { master, kind } = filter;
  return socket
    .dump(
      request(["RTM_GETLINK", RTM_GETLINK], "list links", {
        header: { family: AF_UNSPEC },
        attributes: { extMask: RTEXT_FILTER_SKIP_STATS, master, ...(kind ? { linkinfo: { kind } } : {}) },
      }),
    )
    .map(readLink)
    .filter((link) => kind === undefined || link.kind === kind); // the kernel ignores one it has not loaded
}

function readLink(message: LinkHeader & LinkAttributes): Link {
  const { index = 0, flags = 0, linkinfo } = message;
  return {
    index,
    name: message.ifname ?? "",
    kind: linkinfo?.kind ?? "",
    mac: message.address ?? new Uint8Array(0),
    mtu: message.mtu ?? 0,
    up: (flags & IFF_UP) !== 0,
    running: message.operstate === IF_OPER_UP,
    promiscuous: (flags & IFF_PROMISC) !== 0,
    master: message.master,
    link: message.link,
    linkNetnsid: message.linkNetnsid,
    alias: message.ifalias ?? "",
    altnames: message.propList?.altIfname ?? [],
    permanentMac: message.permAddress,
    parent: message.parentDevName && `${message.parentDevBusName}/${message.parentDevName}`,
    data: linkinfo?.data ?? new Uint8Array(0),
    port:
      linkinfo?.slaveKind === "bridge" ? bridgePort.read(linkinfo.slaveData ?? new Uint8Array(0)) : undefined,
  };
}
