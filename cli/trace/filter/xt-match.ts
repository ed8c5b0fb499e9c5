/**
 * The matches of iptables' that are kept as its own structs, in the kernel's tables of either variant
 * (linux/netfilter/xt_*.h).
 */
import { type Address, addressBytes } from "../../../lib/netaddr/address.ts";
import type { Tracking } from "./connection.ts";
import { STATE } from "./connection.ts";
import type { Device, HookContext } from "./hook-context.ts";
import { type Answer, compareBytes } from "./known-bytes.ts";
import { isSentHere, stateOf } from "./load.ts";
import { familyOf, hasPorts, IPPROTO, icmpType, isIcmp, type Packet } from "./packet.ts";

export interface XtMatch {
  readonly name: string;
  readonly revision: number;
  /** The kernel's struct for it. */
  readonly info: Uint8Array;
}

type Test = (info: DataView, context: HookContext, revision: number) => Answer;

/** Whether the packet is meant; undefined where this match, or what it looks at, is not known here. */
export function matches({ name, revision, info }: XtMatch, context: HookContext): Answer {
  const test = Object.hasOwn(TESTS, name) ? TESTS[name] : undefined;
  if (!test) return undefined;
  // A struct of another length than the one that is known is another revision of the match.
  if (info.length < (BYTES[name] ?? 0)) return undefined;
  return test(new DataView(info.buffer, info.byteOffset, info.byteLength), context, revision);
}

/** Bytes that are looked at, at least. */
const BYTES: Readonly<Record<string, number>> = {
  tcp: 12,
  udp: 9,
  sctp: 32,
  multiport: 32,
  icmp: 4,
  icmp6: 4,
  mark: 9,
  connmark: 9,
  conntrack: 146,
  state: 4,
  addrtype: 8,
  iprange: 65,
  physdev: 66,
  pkttype: 8,
  mac: 12,
  length: 5,
  owner: 18,
  limit: 0,
  hashlimit: 0,
  comment: 0,
  rpfilter: 1,
};

const TESTS: Readonly<Record<string, Test>> = {
  comment: () => true,
  tcp: tcpMatches,
  udp: (info, { packet }) => {
    if (packet.protocol !== IPPROTO.udp) return false;
    return portsMatch(info, packet, info.getUint8(8));
  },
  sctp: (info, { packet }) => sctpMatches(info, packet),
  multiport: multiportMatches,
  icmp: icmpMatches,
  icmp6: icmpMatches,
  mark: (info, { mark }) => isMarked(info, mark),
  connmark: (info, { tracked }) => {
    const tracking = trackingOf(tracked);
    return tracking !== undefined && isMarked(info, tracking.connection.mark);
  },
  state: (info, context) => (info.getUint32(0, true) & xtStateBit(context)) !== 0,
  conntrack: conntrackMatches,
  addrtype: addrtypeMatches,
  iprange: iprangeMatches,
  physdev: physdevMatches,
  pkttype: (info, { frame, hook }) => {
    const PACKET_HOST = 0;
    const PACKET_MULTICAST = 2;
    const wanted = info.getInt32(0, true);
    const isWanted = frame || hook !== "output" ? wanted === PACKET_HOST : undefined;
    if (wanted !== PACKET_HOST && wanted > PACKET_MULTICAST) return undefined;
    return isWanted === undefined ? undefined : isWanted !== (info.getInt32(4, true) !== 0);
  },
  mac: (info, { frame }) => {
    if (!frame) return false;
    const mac = new Uint8Array(info.buffer, info.byteOffset, 6);
    return (compareBytes(frame.source, mac) === 0) !== (info.getInt32(8, true) !== 0);
  },
  length: (info, { packet }) => {
    const isWithin = packet.length >= info.getUint16(0, true) && packet.length <= info.getUint16(2, true);
    return isWithin !== (info.getUint8(4) !== 0);
  },
  // Who sent it is not known before it is sent; of what comes in there is nobody.
  owner: (info, context) => {
    const [wanted, inverted] = [info.getUint8(16), info.getUint8(17)];
    return isSentHere(context) ? undefined : (wanted ^ inverted) === 0;
  },
  // a bucket that is not full yet lets one packet more through
  limit: () => true,
  rpfilter: (info, { packet, iif, mark, routes }) => {
    const [LOOSE, VALID_MARK, INVERT] = [1, 2, 8];
    const flags = info.getUint8(0);
    const options = flags & VALID_MARK ? { mark } : {};
    const device = routes.outDevice(packet.source, flags & LOOSE ? options : { ...options, only: iif });
    return (iif?.isLoopback || device !== undefined) !== ((flags & INVERT) !== 0);
  },
};

/** struct xt_tcp: u16 source[2], destination[2], u8 option, mask, flags, inverted */
function tcpMatches(info: DataView, { packet }: HookContext): Answer {
  if (packet.protocol !== IPPROTO.tcp) return false;
  const [SYN, SYN_ACK, INV_FLAGS] = [0x02, 0x12, 4];
  const inverted = info.getUint8(11);
  const areFlags = ((packet.isAnswer ? SYN_ACK : SYN) & info.getUint8(9)) === info.getUint8(10);
  if (areFlags === ((inverted & INV_FLAGS) !== 0)) return false;
  if (!portsMatch(info, packet, inverted)) return false;
  return info.getUint8(8) === 0 ? true : undefined; // an option
}

/** struct xt_udp, and what struct xt_tcp begins with; the least two bits of `inverted` turn them around. */
function portsMatch(info: DataView, { sourcePort, destinationPort }: Packet, inverted: number): boolean {
  const isIn = (at: number, port: number) =>
    port >= info.getUint16(at, true) && port <= info.getUint16(at + 2, true);
  return (
    isIn(0, sourcePort) !== ((inverted & 1) !== 0) && isIn(4, destinationPort) !== ((inverted & 2) !== 0)
  );
}

/** struct xt_sctp_info: u16 destination[2], source[2], chunks …; u32 flags, inverted at its end */
function sctpMatches(info: DataView, { protocol, sourcePort, destinationPort }: Packet): Answer {
  if (protocol !== IPPROTO.sctp) return false;
  const [SOURCE, DESTINATION, CHUNKS] = [1, 2, 4];
  const end = info.byteLength & ~7;
  const flags = info.getUint32(end - 8, true);
  const inverted = info.getUint32(end - 4, true);
  const isIn = (at: number, port: number) =>
    port >= info.getUint16(at, true) && port <= info.getUint16(at + 2, true);
  if (flags & SOURCE && isIn(4, sourcePort) === ((inverted & SOURCE) !== 0)) return false;
  if (flags & DESTINATION && isIn(0, destinationPort) === ((inverted & DESTINATION) !== 0)) return false;
  return flags & CHUNKS ? undefined : true;
}

/** struct xt_multiport, xt_multiport_v1: u8 which, count; u16 ports[15]; u8 isRangeStart[15], inverted */
function multiportMatches(info: DataView, { packet }: HookContext, revision: number): Answer {
  if (!hasPorts(packet)) return false;
  const [SOURCE, DESTINATION] = [0, 1];
  const which = info.getUint8(0);
  const count = info.getUint8(1);
  const isAmong = (port: number) => {
    for (let index = 0; index < count; index++) {
      const first = info.getUint16(2 + 2 * index, true);
      const isRange = revision > 0 && info.getUint8(32 + index) !== 0;
      const last = isRange ? info.getUint16(2 + 2 * ++index, true) : first;
      if (port >= first && port <= last) return true;
    }
    return false;
  };
  const isFound =
    (which !== DESTINATION && isAmong(packet.sourcePort)) ||
    (which !== SOURCE && isAmong(packet.destinationPort));
  return isFound !== (revision > 0 && info.getUint8(47) !== 0);
}

/** struct ipt_icmp, ip6t_icmp: u8 type, code[2], inverted; type 255 of IPv4 is any */
function icmpMatches(info: DataView, { packet }: HookContext): Answer {
  if (!isIcmp(packet)) return false;
  const type = info.getUint8(0);
  const isType =
    (type === 0xff && familyOf(packet) === 4) || (type === icmpType(packet) && info.getUint8(1) === 0);
  return isType !== ((info.getUint8(3) & 1) !== 0);
}

/** u32 mark, mask; u8 inverted */
function isMarked(info: DataView, mark: number): boolean {
  const isSame = (mark & info.getUint32(4, true)) >>> 0 === info.getUint32(0, true);
  return isSame !== (info.getUint8(8) !== 0);
}

function trackingOf(tracked: HookContext["tracked"]): Tracking | undefined {
  return typeof tracked === "object" ? tracked : undefined;
}

/** XT_STATE_*: as STATE, but untracked, and two for what was translated. */
function xtStateBit(context: HookContext): number {
  const state = stateOf(context);
  return state === STATE.untracked ? 1 << 6 : state;
}

/**
 * struct xt_conntrack_mtinfo3: 8 addresses, u32 expires[2], u16 protocol, ports[4], flags, inverted, state,
 * status
 */
function conntrackMatches(info: DataView, context: HookContext, revision: number): Answer {
  const FLAG = {
    state: 1,
    proto: 2,
    addresses: 0x3c,
    status: 0x40,
    expires: 0x80,
    ports: 0xf00,
    direction: 0x1000,
  };
  const at = 136;
  const flags = info.getUint16(at + 10, true);
  const inverted = info.getUint16(at + 12, true);
  const isNarrow = revision < 2;
  const stateMask = isNarrow ? info.getUint8(at + 14) : info.getUint16(at + 14, true);
  const statusMask = isNarrow ? info.getUint8(at + 15) : info.getUint16(at + 16, true);
  const tracking = trackingOf(context.tracked);
  if (flags & FLAG.state) {
    if (((stateMask & conntrackState(context)) !== 0) === ((inverted & FLAG.state) !== 0)) return false;
  }
  if (!tracking) return (flags & ~FLAG.state) === 0;
  const { connection, direction } = tracking;
  if (flags & FLAG.direction && (direction === 0) === ((inverted & FLAG.direction) !== 0)) return false;
  if (flags & FLAG.proto) {
    const isProtocol = connection.original.protocol === info.getUint16(at, true);
    if (isProtocol === ((inverted & FLAG.proto) !== 0)) return false;
  }
  if (flags & FLAG.status) {
    const isStatus = (statusMask & connection.status) !== 0;
    if (isStatus === ((inverted & FLAG.status) !== 0)) return false;
  }
  const tuple = tupleMatches(info, { flags, inverted, isRange: revision > 2 }, tracking);
  return tuple && flags & FLAG.expires ? undefined : tuple;
}

/** XT_CONNTRACK_STATE_*: with SNAT and DNAT, which are states here. */
function conntrackState(context: HookContext): number {
  const [SNAT, DNAT] = [1 << 6, 1 << 7];
  const UNTRACKED = 1 << 8;
  const state = stateOf(context);
  if (state === STATE.untracked) return UNTRACKED;
  const status = trackingOf(context.tracked)?.connection.status ?? 0;
  return state | (status & 16 ? SNAT : 0) | (status & 32 ? DNAT : 0);
}

function tupleMatches(
  info: DataView,
  { flags, inverted, isRange }: { flags: number; inverted: number; isRange: boolean },
  { connection: { original, reply } }: Tracking,
): boolean {
  const addresses = [original.source, original.destination, reply.source, reply.destination];
  const ports = [original.sourcePort, original.destinationPort, reply.sourcePort, reply.destinationPort];
  return addresses.every((address, index) => {
    const addressFlag = 4 << index;
    const portFlag = 0x100 << index;
    if (flags & addressFlag) {
      const isSame = isMasked(info, 32 * index, address);
      if (isSame === ((inverted & addressFlag) !== 0)) return false;
    }
    if (!(flags & portFlag)) return true;
    const first = info.getUint16(138 + 2 * index, isRange) /* be16 before revision 3 */;
    const last = isRange ? info.getUint16(154 + 2 * index, true) : first;
    const port = ports[index] ?? 0;
    return (port >= first && port <= last) !== ((inverted & portFlag) !== 0);
  });
}

/** union nf_inet_addr address, mask */
function isMasked(info: DataView, at: number, address: Address): boolean {
  return addressBytes(address).every(
    (byte, index) => (byte & info.getUint8(at + 16 + index)) === info.getUint8(at + index),
  );
}

/** struct xt_addrtype_info_v1: u16 source, destination (bits 1 << RTN_*), u32 flags */
function addrtypeMatches(
  info: DataView,
  { packet, iif, oif, routes }: HookContext,
  revision: number,
): Answer {
  const [INVERT_SOURCE, INVERT_DEST, IFACE_IN, IFACE_OUT] = [1, 2, 4, 8];
  const flags =
    revision > 0
      ? info.getUint32(4, true)
      : (info.getUint32(4, true) ? INVERT_SOURCE : 0) | (info.getUint32(8, true) ? INVERT_DEST : 0);
  const device = flags & IFACE_IN ? iif : flags & IFACE_OUT ? oif : undefined;
  const isOf = (mask: number, address: Address) => (mask & (1 << routes.addressType(address, device))) !== 0;
  const [source, destination] = [info.getUint16(0, true), info.getUint16(2, true)];
  if (source !== 0 && isOf(source, packet.source) === ((flags & INVERT_SOURCE) !== 0)) return false;
  return destination === 0 || isOf(destination, packet.destination) !== ((flags & INVERT_DEST) !== 0);
}

/** struct xt_iprange_mtinfo: 4 addresses, u8 flags */
function iprangeMatches(info: DataView, { packet }: HookContext): Answer {
  const flags = info.getUint8(64);
  const isIn = (at: number, address: Address) => {
    const value = addressBytes(address);
    const bound = (from: number) => new Uint8Array(info.buffer, info.byteOffset + from, value.length);
    return compareBytes(value, bound(at)) >= 0 && compareBytes(value, bound(at + 16)) <= 0;
  };
  if (flags & 1 && isIn(0, packet.source) === ((flags & 16) !== 0)) return false;
  return !(flags & 2) || isIn(32, packet.destination) !== ((flags & 32) !== 0);
}

/** struct xt_physdev_info: names and masks of in and out, u8 inverted, asked */
function physdevMatches(info: DataView, { bridgeIn, bridgeOut, iif }: HookContext): Answer {
  const [IN, OUT, BRIDGED, IS_IN, IS_OUT] = [1, 2, 4, 8, 16];
  const inverted = info.getUint8(64);
  const asked = info.getUint8(65);
  const isThere = (bit: number, holds: unknown) => !(asked & bit) || holds === ((inverted & bit) === 0);
  const isBridged = bridgeIn !== undefined && bridgeOut !== undefined;
  if (!isThere(BRIDGED, isBridged)) return false;
  if (!isThere(IS_IN, bridgeIn !== undefined)) return false;
  if (!isThere(IS_OUT, bridgeOut !== undefined)) return false;
  const port = bridgeIn ?? (iif?.kind === "bridge" ? undefined : bridgeIn);
  return isThere(IN, isNamed(info, 0, port)) && isThere(OUT, isNamed(info, 32, bridgeOut));
}

/** A name of 16 bytes, then which of them count. */
export function isNamed(info: DataView, at: number, device: Device | undefined): boolean {
  const name = new TextEncoder().encode(device?.name ?? "");
  for (let index = 0; index < 16; index++) {
    if (info.getUint8(at + 16 + index) !== 0 && info.getUint8(at + index) !== (name[index] ?? 0))
      return false;
  }
  return true;
}
