/** What meta, payload, ct and fib load (net/netfilter/nft_meta.c, nft_payload.c, nft_ct.c, nft_fib*.c). */
import { type Address, addressBytes, addressFromBytes } from "../../../lib/netaddr/address.ts";
import { STATE, type Tracking } from "./connection.ts";
import type { Device, HookContext } from "./hook-context.ts";
import {
  allKnown,
  hostNumber,
  type KnownBytes,
  nameBytes,
  networkNumber,
  noneKnown,
  sliceOf,
} from "./known-bytes.ts";
import { ETH_P_ARP, etherType, familyOf, linkHeader, networkHeader, transportHeader } from "./packet.ts";

/** "break": such a packet has no such thing, and the rule is over. */
export type Loaded = KnownBytes | "break";

// linux/netfilter/nf_tables.h NFT_META_*
const META = {
  len: 0,
  protocol: 1,
  priority: 2,
  mark: 3,
  iif: 4,
  oif: 5,
  iifname: 6,
  oifname: 7,
  iiftype: 8,
  oiftype: 9,
  skuid: 10,
  skgid: 11,
  nftrace: 12,
  nfproto: 15,
  l4proto: 16,
  briIifname: 17,
  briOifname: 18,
  pkttype: 19,
  iifgroup: 21,
  oifgroup: 22,
  iifkind: 26,
  oifkind: 27,
  timeNs: 30,
  timeDay: 31,
  timeHour: 32,
  sdif: 33,
  sdifname: 34,
} as const;
const NFPROTO_IPV4 = 2;
const NFPROTO_IPV6 = 10;
const NFPROTO_NETDEV = 5;
const NFPROTO_BRIDGE = 7;
// linux/if_arp.h
const ARPHRD_ETHER = 1;
const ARPHRD_LOOPBACK = 772;
// linux/netfilter/nf_tables.h NFT_FIB_RESULT_*, NFTA_FIB_F_*
const FIB_OIF = 1;
const FIB_OIFNAME = 2;
const FIB_F_SADDR = 1;
const FIB_F_MARK = 4;
const FIB_F_IIF = 8;
const FIB_F_OIF = 16;
const FIB_F_PRESENT = 32;

export function loadMeta(key: number, context: HookContext): Loaded {
  const { packet, iif, oif } = context;
  switch (key) {
    case META.len:
      return number(packet.length);
    case META.protocol:
      return allKnown(networkNumber(etherType(packet)));
    case META.mark:
      return number(context.mark);
    case META.iif:
      return number(iif?.index ?? 0);
    case META.oif:
      return number(oif?.index ?? 0);
    case META.iifname:
      return allKnown(nameBytes(iif?.name ?? ""));
    case META.oifname:
      return allKnown(nameBytes(oif?.name ?? ""));
    case META.iiftype:
      return typeOf(iif);
    case META.oiftype:
      return typeOf(oif);
    case META.iifgroup:
      return iif ? noneKnown(4) : "break";
    case META.oifgroup:
      return oif ? noneKnown(4) : "break";
    case META.iifkind:
      return kindOf(iif);
    case META.oifkind:
      return kindOf(oif);
    case META.briIifname:
      return bridgeName(context.bridgeOfIif);
    case META.briOifname:
      return bridgeName(context.bridgeOfOif);
    case META.nfproto:
      return allKnown(Uint8Array.of(protocolFamily(context)));
    case META.l4proto:
      if (etherType(packet) === ETH_P_ARP) return "break";
      return allKnown(Uint8Array.of(packet.protocol));
    case META.nftrace:
      return allKnown(Uint8Array.of(0));
    // Only what this host itself sends has an owner.
    case META.skuid:
    case META.skgid:
      return isSentHere(context) ? noneKnown(4) : "break";
    case META.sdif:
      return number(0);
    case META.sdifname:
      return allKnown(nameBytes(""));
    default:
      return loadTime(key, context.now) ?? noneKnown(16);
  }
}

/** In UTC, as the kernel has its clock; the day begins with Sunday. */
function loadTime(key: number, now: Date): Loaded | undefined {
  if (key === META.timeDay) return allKnown(Uint8Array.of(now.getUTCDay()));
  if (key === META.timeHour) return number(Math.floor((now.getTime() / 1000) % 86_400));
  if (key === META.timeNs) {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigInt64(0, BigInt(now.getTime()) * 1_000_000n, true);
    return allKnown(bytes);
  }
  return undefined;
}

function number(value: number): KnownBytes {
  return allKnown(hostNumber(value));
}

function typeOf(device: Device | undefined): Loaded {
  if (!device) return "break";
  if (device.isLoopback) return allKnown(hostNumber(ARPHRD_LOOPBACK, 2));
  const isEthernet = ["veth", "bridge", "macvlan", "ipvlan", "vlan", "vxlan", "dummy", ""];
  return isEthernet.includes(device.kind) ? allKnown(hostNumber(ARPHRD_ETHER, 2)) : noneKnown(2);
}

function kindOf(device: Device | undefined): Loaded {
  return device?.kind ? allKnown(nameBytes(device.kind)) : "break";
}

function bridgeName(device: Device | undefined): Loaded {
  return device ? allKnown(nameBytes(device.name)) : "break";
}

function protocolFamily({ family, packet }: HookContext): number {
  if (family === "netdev") return NFPROTO_NETDEV;
  if (family === "bridge") return NFPROTO_BRIDGE;
  return familyOf(packet) === 4 ? NFPROTO_IPV4 : NFPROTO_IPV6;
}

export function isSentHere({ hook, iif, bridgeIn }: HookContext): boolean {
  return hook === "output" || (hook === "postrouting" && !iif && !bridgeIn);
}

// NFT_PAYLOAD_*_HEADER
const LINK = 0;
const NETWORK = 1;
const TRANSPORT = 2;

export function loadPayload(
  { base, offset, length }: { base: number; offset: number; length: number },
  context: HookContext,
): Loaded {
  const header = headerAt(base, context);
  if (!header || (base === TRANSPORT && etherType(context.packet) === ETH_P_ARP)) return "break";
  const { packet } = context;
  const before = base === TRANSPORT ? (familyOf(packet) === 4 ? 20 : 40) : 0;
  const room = base === LINK ? header.bytes.length : packet.length - before;
  if (offset + length > room) return "break";
  if (offset + length <= header.bytes.length) return sliceOf(header, offset, length);
  return noneKnown(length); // the data that is sent
}

function headerAt(base: number, { packet, frame }: HookContext): KnownBytes | undefined {
  if (base === LINK) return frame && linkHeader(packet, frame);
  if (base === NETWORK) return networkHeader(packet);
  if (base === TRANSPORT) return transportHeader(packet) ?? noneKnown(0);
  return noneKnown(0);
}

// linux/netfilter/nf_tables.h NFT_CT_*
const CT = {
  state: 0,
  direction: 1,
  status: 2,
  mark: 3,
  helper: 6,
  l3protocol: 7,
  src: 8,
  dst: 9,
  protocol: 10,
  protoSrc: 11,
  protoDst: 12,
  labels: 13,
  zone: 17,
  srcIp: 19,
  dstIp: 20,
  srcIp6: 21,
  dstIp6: 22,
} as const;

export function loadCt(
  { key, direction = 0 }: { key: number; direction?: number },
  context: HookContext,
): Loaded {
  const { tracked } = context;
  if (key === CT.state) return number(stateOf(context));
  if (tracked === undefined || typeof tracked === "string") return "break";
  return loadOfConnection(key, direction, tracked);
}

/** One of STATE. */
export function stateOf({ tracked }: Pick<HookContext, "tracked">): number {
  if (tracked === "untracked") return STATE.untracked;
  if (tracked === undefined || tracked === "invalid") return STATE.invalid;
  return tracked.state;
}

function loadOfConnection(key: number, side: number, { connection, direction }: Tracking): Loaded {
  const tuple = side === 1 ? connection.reply : connection.original;
  const { source, destination } = tuple;
  const isV4 = source.family === 4;
  switch (key) {
    case CT.direction:
      return allKnown(Uint8Array.of(direction));
    case CT.status:
      return number(connection.status);
    case CT.mark:
      return number(connection.mark);
    case CT.helper:
      return "break";
    case CT.l3protocol:
      return allKnown(Uint8Array.of(isV4 ? NFPROTO_IPV4 : NFPROTO_IPV6));
    case CT.protocol:
      return allKnown(Uint8Array.of(tuple.protocol));
    case CT.protoSrc:
      return allKnown(networkNumber(tuple.sourcePort));
    case CT.protoDst:
      return allKnown(networkNumber(tuple.destinationPort));
    case CT.labels:
      return allKnown(new Uint8Array(16));
    case CT.zone:
      return allKnown(hostNumber(0, 2));
    case CT.src:
      return allKnown(addressBytes(source));
    case CT.dst:
      return allKnown(addressBytes(destination));
    case CT.srcIp:
    case CT.srcIp6:
      return isV4 === (key === CT.srcIp) ? allKnown(addressBytes(source)) : "break";
    case CT.dstIp:
    case CT.dstIp6:
      return isV4 === (key === CT.dstIp) ? allKnown(addressBytes(destination)) : "break";
    default:
      return noneKnown(16);
  }
}

export function loadFib({ result, flags }: { result: number; flags: number }, context: HookContext): Loaded {
  const { packet, iif, oif, mark, routes } = context;
  const address = flags & FIB_F_SADDR ? packet.source : packet.destination;
  const only = flags & FIB_F_IIF ? iif : flags & FIB_F_OIF ? oif : undefined;
  if (result !== FIB_OIF && result !== FIB_OIFNAME) return number(routes.addressType(address, only));
  const isIn = context.hook === "prerouting" || context.hook === "input";
  const device =
    isIn && iif?.isLoopback
      ? iif
      : routes.outDevice(address, { only, ...(flags & FIB_F_MARK ? { mark } : {}) });
  if (flags & FIB_F_PRESENT) return allKnown(Uint8Array.of(device ? 1 : 0, 0, 0, 0));
  return result === FIB_OIF ? number(device?.index ?? 0) : allKnown(nameBytes(device?.name ?? ""));
}

/** The address in a run of registers, of the packet's own family; undefined where it is not known. */
export function addressIn(registers: KnownBytes, at: number, context: HookContext): Address | undefined {
  const value = sliceOf(registers, at, familyOf(context.packet) === 4 ? 4 : 16);
  return value.known.every((bits) => bits === 0xff) ? addressFromBytes(value.bytes) : undefined;
}
