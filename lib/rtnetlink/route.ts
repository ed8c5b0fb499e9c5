/** Routes. rtnetlink(7), linux/rtnetlink.h. */
import { type Address, addressBits, formatAddress } from "../netaddr/address.ts";
import { formatPrefix, type Prefix } from "../netaddr/prefix.ts";
import { attributes } from "../netlink/attributes.ts";
import { NetlinkError, unlessMissing } from "../netlink/error.ts";
import { messageCodec, NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from "../netlink/message.ts";
import type { Request } from "../netlink/request.ts";
import { address, be16, bytes, s32, struct, u8, u32 } from "../netlink/wire.ts";
import { addressFamily, type RouteSocket } from "./route-socket.ts";

const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const RTM_GETROUTE = 26;

// linux/rtnetlink.h
export const RT_TABLE_MAIN = 254;
export const RT_SCOPE_UNIVERSE = 0;
export const RT_SCOPE_LINK = 253;
export const RT_SCOPE_HOST = 254;
const RTPROT_BOOT = 3;
const RTN_UNSPEC = 0;
const RTN_UNICAST = 1;
const RTN_LOCAL = 2;
const RTN_BLACKHOLE = 6;
const RTN_UNREACHABLE = 7;
const RTN_PROHIBIT = 8;
/** All tables at once. */
const RT_TABLE_UNSPEC = 0;
const RTNH_F_DEAD = 1;
const RTNH_F_ONLINK = 4;
/** struct rtnexthop: u16 length with its attributes, u8 flags, u8 weight, s32 ifindex. */
const RTNEXTHOP_BYTES = 8;
const RTM_F_FIB_MATCH = 0x2000;

/** struct rtmsg */
export const rtmsg = struct({
  family: u8,
  dstLen: u8,
  srcLen: u8,
  tos: u8,
  table: u8,
  protocol: u8,
  scope: u8,
  type: u8,
  flags: u32,
});

/** RTAX_* */
export const metricAttributes = attributes("RTAX", {
  mtu: [2, u32],
  advmss: [8, u32],
});

/** RTA_*: of routes, and of what is asked about one packet. */
export const routeAttributes = attributes("RTA", {
  dst: [1, address],
  src: [2, address],
  iif: [3, s32],
  oif: [4, u32],
  gateway: [5, address],
  priority: [6, u32],
  prefsrc: [7, address],
  metrics: [8, metricAttributes],
  multipath: [9, bytes],
  table: [15, u32],
  mark: [16, u32],
  via: [18, bytes],
  ipProto: [27, u8],
  sport: [28, be16],
  dport: [29, be16],
});

export const routeMessage = messageCodec(rtmsg, routeAttributes);

export interface Route {
  /** 0.0.0.0/0 or ::/0 is the default route. */
  readonly dst: Prefix;
  readonly gateway?: Address | undefined;
  /** ifindex of the way out. */
  readonly oif?: number | undefined;
  /** Of a multipath route, in place of `oif` (listRoutes() only): the interfaces of its ways out. */
  readonly oifs?: readonly number[] | undefined;
  /** The source address that the host prefers on it. */
  readonly prefsrc?: Address | undefined;
  /** Bytes: of packets, and of the TCP segments that are announced. */
  readonly mtu?: number | undefined;
  readonly advmss?: number | undefined;
  readonly priority?: number | undefined;
  readonly table?: number | undefined;
  /** RT_SCOPE_* */
  readonly scope?: number | undefined;
  /** The gateway is on the link although no address says so. */
  readonly onlink?: boolean | undefined;
  /** RTPROT_*: who made it; a new one says RTPROT_BOOT unless told. */
  readonly protocol?: number | undefined;
}

type Header = Parameters<typeof routeMessage.write>[1];
type Attributes = Parameters<typeof routeMessage.write>[2];
type RouteRequest = Request<Header, Attributes>;

/** Equivalent to `ip route add …`. @throws NetlinkError EEXIST where such a route is */
export function addRoute(socket: RouteSocket, route: Route): void {
  newRoute(socket, route, { doing: "add", flags: NLM_F_CREATE | NLM_F_EXCL });
}

/**
 * Equivalent to `ip route append …`: beside one that exists, as another way for IPv6, as a further one for
 * IPv4.
 */
export function appendRoute(socket: RouteSocket, route: Route): void {
  newRoute(socket, route, { doing: "append", flags: NLM_F_CREATE | NLM_F_APPEND });
}

/** Equivalent to `ip route replace …`. */
export function replaceRoute(socket: RouteSocket, route: Route): void {
  socket.change(replaceRouteRequest(route));
}

function newRoute(socket: RouteSocket, route: Route, how: { doing: string; flags: number }): void {
  socket.change(newRouteRequest(route, how));
}

/** The request of replaceRoute(), for who sends many at a time. */
export function replaceRouteRequest(route: Route): RouteRequest {
  return newRouteRequest(route, { doing: "replace", flags: NLM_F_CREATE | NLM_F_REPLACE });
}

function newRouteRequest(route: Route, how: { doing: string; flags: number }): RouteRequest {
  return {
    doing: `${how.doing} route ${formatRoute(route)}`,
    name: "RTM_NEWROUTE",
    type: RTM_NEWROUTE,
    flags: how.flags,
    codec: routeMessage,
    header: {
      ...routeHeader(route),
      protocol: route.protocol ?? RTPROT_BOOT,
      type: RTN_UNICAST,
      scope: route.scope ?? 0,
    },
    attributes: routeSettings(route),
  };
}

/** Equivalent to `ip route del …`: the first route that agrees in all that is given. */
export function deleteRoute(socket: RouteSocket, route: Route): void {
  socket.change(deleteRouteRequest(route));
}

/** The request of deleteRoute(), for who sends many at a time. */
export function deleteRouteRequest(route: Route): RouteRequest {
  const RT_SCOPE_NOWHERE = 255;
  return {
    doing: `delete route ${formatRoute(route)}`,
    name: "RTM_DELROUTE",
    type: RTM_DELROUTE,
    codec: routeMessage,
    header: { ...routeHeader(route), scope: route.scope ?? RT_SCOPE_NOWHERE, type: RTN_UNSPEC },
    attributes: routeSettings(route),
  };
}

function routeHeader({ dst, table = RT_TABLE_MAIN, onlink }: Route): Header {
  return {
    family: addressFamily(dst.address.family),
    dstLen: dst.length,
    table: table < 256 ? table : 0, // RTA_TABLE says it
    flags: onlink ? RTNH_F_ONLINK : 0,
  };
}

function routeSettings(route: Route): Attributes {
  const { dst, gateway, oif, prefsrc, mtu, advmss, priority, table } = route;
  return {
    dst: dst.length > 0 ? dst.address : undefined,
    oif,
    gateway,
    prefsrc,
    priority,
    metrics: mtu === undefined && advmss === undefined ? undefined : { mtu, advmss },
    table: table === undefined || table < 256 ? undefined : table,
  };
}

/** Equivalent to `ip route show [dev …] table …`, unicast routes only, filtered by the kernel. */
export function listRoutes(
  socket: RouteSocket,
  filter: { family: 4 | 6; oif?: number; table?: number },
): Route[] {
  const { family, oif, table = RT_TABLE_MAIN } = filter;
  const unspecified: Prefix = { address: { family, value: 0n }, length: 0 };
  return socket
    .dump({
      doing: "list routes",
      name: "RTM_GETROUTE",
      type: RTM_GETROUTE,
      codec: routeMessage,
      header: { family: addressFamily(family), table: table < 256 ? table : 0, type: RTN_UNICAST },
      attributes: { oif, table },
    })
    .map((message) => ({
      dst: message.dst ? { address: message.dst, length: message.dstLen ?? 0 } : unspecified,
      gateway: message.gateway,
      oif: message.oif,
      oifs: nextHopsOf(message.multipath),
      prefsrc: message.prefsrc,
      mtu: message.metrics?.mtu,
      advmss: message.metrics?.advmss,
      priority: message.priority,
      table: message.table,
      scope: message.scope,
      onlink: ((message.flags ?? 0) & RTNH_F_ONLINK) !== 0,
      protocol: message.protocol,
    }));
}

/** Those of the main table; none where it has never had a route: the kernel makes it with the first. */
export function listMainRoutes(socket: RouteSocket, family: 4 | 6): Route[] {
  return unlessMissing(() => listRoutes(socket, { family })) ?? [];
}

/**
 * Every destination that somebody has spoken for, in whatever table: also those that lead nowhere, as routing
 * daemons make them for the subnets of this host's containers. Equivalent to `ip route show table all`, but
 * for the local ones.
 */
export function listReservedRoutes(
  socket: RouteSocket,
  family: 4 | 6,
): Pick<Route, "dst" | "gateway" | "oif">[] {
  const types = [RTN_UNICAST, RTN_BLACKHOLE, RTN_UNREACHABLE, RTN_PROHIBIT];
  return socket
    .dump({
      doing: "list the routes of all tables",
      name: "RTM_GETROUTE",
      type: RTM_GETROUTE,
      codec: routeMessage,
      header: { family: addressFamily(family), table: RT_TABLE_UNSPEC, type: RTN_UNSPEC },
      attributes: {},
    })
    .filter(({ type = RTN_UNSPEC }) => types.includes(type))
    .flatMap(({ dst, dstLen = 0, gateway, oif }) =>
      dst ? [{ dst: { address: dst, length: dstLen }, gateway, oif }] : [],
    );
}

/** How a packet to an address would leave. */
export interface RouteTo {
  /** ifindex of the way out. */
  readonly oif: number | undefined;
  /** In place of `oif` where the route that matched was asked for, and is a multipath route. */
  readonly oifs?: readonly number[] | undefined;
  /** Of the route that matched, where that was asked for; else of the address. */
  readonly prefixLength: number;
  /** The address is of this host. */
  readonly isLocal: boolean;
  /** The source address of packets that have none yet; not told of the route that matched. */
  readonly prefsrc: Address | undefined;
  /** Bytes: the metric `mtu` of that route, if it has one; where the route was asked for. */
  readonly mtu: number | undefined;
}

/** Equivalent to `ip route get [fibmatch] ADDRESS`; undefined where no route leads there. */
export function routeTo(
  socket: RouteSocket,
  dst: Address,
  { isMatch = false }: { isMatch?: boolean } = {},
): RouteTo | undefined {
  const ask = () =>
    socket.get({
      doing: `find the route to ${formatAddress(dst)}`,
      name: "RTM_GETROUTE",
      type: RTM_GETROUTE,
      codec: routeMessage,
      header: {
        family: addressFamily(dst.family),
        dstLen: addressBits(dst.family),
        flags: isMatch ? RTM_F_FIB_MATCH : 0,
      },
      attributes: { dst },
    });
  try {
    const { oif, multipath, type, dstLen = 0, prefsrc, metrics } = ask();
    const isLocal = type === RTN_LOCAL;
    return { oif, oifs: nextHopsOf(multipath), prefixLength: dstLen, isLocal, prefsrc, mtu: metrics?.mtu };
  } catch (error) {
    // EINVAL is the answer of a route of type blackhole, EACCES that of prohibit
    const nowhere = ["ENETUNREACH", "EHOSTUNREACH", "EINVAL", "EACCES"];
    if (error instanceof NetlinkError && nowhere.includes(error.code)) return undefined;
    throw error;
  }
}

/** Interfaces of RTA_MULTIPATH, but for ways that the kernel does not take. @throws RangeError */
function nextHopsOf(multipath: Uint8Array | undefined): number[] | undefined {
  if (!multipath) return undefined;
  const view = new DataView(multipath.buffer, multipath.byteOffset, multipath.byteLength);
  const oifs: number[] = [];
  for (let at = 0; at < multipath.length; ) {
    const rest = multipath.length - at;
    const length = rest < RTNEXTHOP_BYTES ? 0 : view.getUint16(at, true);
    if (length < RTNEXTHOP_BYTES || length > rest) {
      throw new RangeError(`Cannot decode RTA_MULTIPATH: a next hop of ${length} bytes, ${rest} are left`);
    }
    if ((view.getUint8(at + 2) & RTNH_F_DEAD) === 0) oifs.push(view.getInt32(at + 4, true));
    at += (length + 3) & ~3;
  }
  return oifs;
}

/** As `ip route` would say it. */
export function formatRoute({ dst, gateway, table, priority }: Route): string {
  const parts = [dst.length === 0 ? "default" : formatPrefix(dst)];
  if (gateway) parts.push("via", formatAddress(gateway));
  if (table !== undefined) parts.push("table", String(table));
  if (priority !== undefined) parts.push("metric", String(priority));
  return parts.join(" ");
}
