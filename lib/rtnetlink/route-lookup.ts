/** What the kernel would do with one packet: `ip route get`, with all that its rules may look at. */
import type { Address } from "../netaddr/address.ts";
import { addressBits, addressFromBytes, formatAddress } from "../netaddr/address.ts";
import { NetlinkError } from "../netlink/error.ts";
import { routeMessage } from "./route.ts";
import { AF_INET6, addressFamily, type RouteSocket } from "./route-socket.ts";

const RTM_GETROUTE = 26;
const RTM_F_FIB_MATCH = 0x2000;

/** linux/rtnetlink.h RTN_* */
export const ROUTE_TYPES = {
  unicast: 1,
  local: 2,
  broadcast: 3,
  anycast: 4,
  multicast: 5,
  blackhole: 6,
  unreachable: 7,
  prohibit: 8,
} as const;

/** What is asked. With `iif` the packet comes in there, else this host sends it. */
export interface RouteQuestion {
  readonly destination: Address;
  readonly source?: Address | undefined;
  /** ifindex */
  readonly iif?: number | undefined;
  readonly oif?: number | undefined;
  readonly mark?: number | undefined;
  readonly protocol?: number | undefined;
  readonly sourcePort?: number | undefined;
  readonly destinationPort?: number | undefined;
}

export interface RouteFound {
  /** RTN_* */
  readonly type: number;
  readonly oif: number | undefined;
  /** Of the other family where an IPv4 route leads over an IPv6 neighbour. */
  readonly gateway: Address | undefined;
  /** The source of packets that have none yet. */
  readonly prefsrc: Address | undefined;
  /** Of the route that matched: its destination's prefix length, and its table. */
  readonly prefixLength: number;
  readonly table: number | undefined;
  /** Bytes, where the route says so. */
  readonly mtu: number | undefined;
}

/** Equivalent to `ip route get …`. @returns the errno's name where the kernel refuses the packet */
export function lookUpRoute(socket: RouteSocket, question: RouteQuestion): RouteFound | string {
  try {
    const found = ask(socket, question, 0);
    const matched = matchOf(socket, question);
    const { type = 0, oif, prefsrc, metrics } = found;
    return {
      type,
      oif,
      gateway: found.gateway ?? viaOf(found.via),
      prefsrc,
      prefixLength: matched?.dstLen ?? found.dstLen ?? 0,
      table: matched?.table ?? found.table,
      mtu: metrics?.mtu,
    };
  } catch (error) {
    if (error instanceof NetlinkError) return error.code;
    throw error;
  }
}

function ask(socket: RouteSocket, question: RouteQuestion, flags: number) {
  const { destination, source, iif, oif, mark, protocol, sourcePort, destinationPort } = question;
  const bits = addressBits(destination.family);
  return socket.get({
    doing: `find the route to ${formatAddress(destination)}`,
    name: "RTM_GETROUTE",
    type: RTM_GETROUTE,
    codec: routeMessage,
    header: {
      family: addressFamily(destination.family),
      dstLen: bits,
      srcLen: source ? bits : 0,
      flags,
    },
    attributes: {
      dst: destination,
      src: source,
      iif,
      oif,
      mark: mark || undefined,
      ipProto: protocol,
      sport: sourcePort || undefined,
      dport: destinationPort || undefined,
    },
  });
}

/** The entry of the table itself. Of routes that lead nowhere, and by some kernels, it is not told. */
function matchOf(socket: RouteSocket, question: RouteQuestion) {
  try {
    return ask(socket, question, RTM_F_FIB_MATCH);
  } catch (error) {
    if (error instanceof NetlinkError) return undefined;
    throw error;
  }
}

/** struct rtvia: u16 family, then the address. */
function viaOf(via: Uint8Array | undefined): Address | undefined {
  if (!via || via.length < 6) return undefined;
  const family = (via[0] ?? 0) + 256 * (via[1] ?? 0);
  return addressFromBytes(via.subarray(2, family === AF_INET6 ? 18 : 6));
}
