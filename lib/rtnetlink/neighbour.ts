/** Neighbours (ARP, NDP) and the forwarding table of bridges. linux/neighbour.h, net/core/neighbour.c. */
import { type Address, formatAddress } from "../netaddr/address.ts";
import { formatMac } from "../netaddr/mac.ts";
import { attributes } from "../netlink/attributes.ts";
import { messageCodec, NLM_F_APPEND, NLM_F_CREATE, NLM_F_REPLACE } from "../netlink/message.ts";
import type { Request } from "../netlink/request.ts";
import { address, be16, bytes, s32, struct, u8, u16, u32 } from "../netlink/wire.ts";
import { AF_BRIDGE, addressFamily, type RouteSocket } from "./route-socket.ts";

export const RTM_NEWNEIGH = 28;
export const RTM_DELNEIGH = 29;
export const RTM_GETNEIGH = 30;

// linux/neighbour.h
export const NUD_NOARP = 0x40;
export const NUD_PERMANENT = 0x80;
export const NTF_SELF = 0x02;
export const NTF_MASTER = 0x04;
export const NTF_EXT_LEARNED = 0x10;
/** Of the times that the kernel tells to programs. */
const USER_HZ = 100;

/** struct ndmsg. `index` is ndm_ifindex: NDA_IFINDEX is another thing, the device below a tunnel. */
export const ndmsg = struct({ family: u8, pad1: u8, pad2: u16, index: s32, state: u16, flags: u8, type: u8 });

/** struct nda_cacheinfo: times are in USER_HZ, hundredths of a second, since. */
export const ndaCacheinfo = struct({ confirmed: u32, used: u32, updated: u32, refcnt: u32 });

/** NDA_* */
export const neighbourAttributes = attributes("NDA", {
  dst: [1, address],
  lladdr: [2, bytes],
  cacheinfo: [3, ndaCacheinfo],
  vlan: [5, u16],
  port: [6, be16],
  vni: [7, u32],
  ifindex: [8, u32],
  master: [9, u32],
  protocol: [12, u8],
});

export const neighbourMessage = messageCodec(ndmsg, neighbourAttributes);

/** Who has an address on a link. */
export interface Neighbour {
  readonly ifindex: number;
  readonly address: Address;
  readonly mac: Uint8Array;
  /** NUD_* */
  readonly state: number;
  /** NTF_* */
  readonly flags?: number | undefined;
  /** Who made the entry, shown as `proto`. */
  readonly protocol?: number | undefined;
}

/** Behind which port of a bridge, or which remote address of a tunnel, a MAC is. */
export interface FdbEntry {
  readonly ifindex: number;
  readonly mac: Uint8Array;
  /** NTF_SELF: the device's own table; NTF_MASTER: its bridge's. */
  readonly flags: number;
  /** NUD_* */
  readonly state: number;
  /** A tunnel's remote address. */
  readonly dst?: Address | undefined;
  readonly vlan?: number | undefined;
  /** Since a frame of that MAC came in; of listFdb() alone. Seconds. */
  readonly usedS?: number | undefined;
}

/** Equivalent to `ip neigh replace ADDRESS lladdr MAC dev …`. */
export function replaceNeighbour(socket: RouteSocket, entry: Neighbour): void {
  changeNeighbour(socket, "replace", entry);
}

/** Equivalent to `ip neigh del ADDRESS dev …`. */
export function deleteNeighbour(socket: RouteSocket, entry: Pick<Neighbour, "ifindex" | "address">): void {
  changeNeighbour(socket, "delete", { ...entry, mac: new Uint8Array(0), state: 0 });
}

function changeNeighbour(socket: RouteSocket, verb: EntryVerb, entry: Neighbour): void {
  socket.change(neighbourRequest(verb, entry));
}

/** The request, for who sends many at a time. Of a deletion ifindex and address count. */
export function neighbourRequest(verb: EntryVerb, entry: Neighbour): EntryRequest {
  const { ifindex, address: dst, mac, state, flags = 0, protocol } = entry;
  const isDeleted = verb === "delete";
  return {
    ...VERBS[verb],
    doing: `${verb} neighbour ${formatAddress(dst)}`,
    codec: neighbourMessage,
    header: { family: addressFamily(dst.family), index: ifindex, ...(!isDeleted && { state, flags }) },
    attributes: isDeleted ? { dst } : { dst, lladdr: mac.length > 0 ? mac : undefined, protocol },
  };
}

/** Equivalent to `bridge fdb replace MAC dev … [self] [master] [dst ADDRESS]`. */
export function replaceFdbEntry(socket: RouteSocket, entry: FdbEntry): void {
  changeFdbEntry(socket, "replace", entry);
}

/**
 * Equivalent to `bridge fdb append MAC dev … self dst ADDRESS`: a tunnel sends to this address as well. Again
 * is nothing.
 */
export function appendFdbEntry(socket: RouteSocket, entry: FdbEntry): void {
  changeFdbEntry(socket, "append", entry);
}

/** Equivalent to `bridge fdb del MAC dev … [self] [master] [dst ADDRESS]`. */
export function deleteFdbEntry(socket: RouteSocket, entry: Omit<FdbEntry, "state">): void {
  changeFdbEntry(socket, "delete", { ...entry, state: 0 });
}

function changeFdbEntry(socket: RouteSocket, verb: EntryVerb, entry: FdbEntry): void {
  socket.change(fdbRequest(verb, entry));
}

/** The request, for who sends many at a time. */
export function fdbRequest(verb: EntryVerb, entry: FdbEntry): EntryRequest {
  const { ifindex, mac, flags, state, dst, vlan } = entry;
  return {
    ...VERBS[verb],
    doing: `${verb} forwarding entry ${formatMac(mac)}`,
    codec: neighbourMessage,
    header: { family: AF_BRIDGE, index: ifindex, state, flags },
    attributes: { lladdr: mac, dst, vlan },
  };
}

type EntryVerb = keyof typeof VERBS;
type EntryRequest = Request<
  Parameters<typeof neighbourMessage.write>[1],
  Parameters<typeof neighbourMessage.write>[2]
>;

const VERBS = {
  replace: { name: "RTM_NEWNEIGH", type: RTM_NEWNEIGH, flags: NLM_F_CREATE | NLM_F_REPLACE },
  append: { name: "RTM_NEWNEIGH", type: RTM_NEWNEIGH, flags: NLM_F_CREATE | NLM_F_APPEND },
  delete: { name: "RTM_DELNEIGH", type: RTM_DELNEIGH, flags: 0 },
} as const;

/** Equivalent to `ip neigh show dev …`. */
export function listNeighbours(
  socket: RouteSocket,
  filter: { family: 4 | 6; ifindex?: number },
): Neighbour[] {
  return list(socket, { family: addressFamily(filter.family), ifindex: filter.ifindex }).flatMap((message) =>
    message.dst
      ? {
          ifindex: message.index ?? 0,
          address: message.dst,
          mac: message.lladdr ?? new Uint8Array(0),
          state: message.state ?? 0,
          flags: message.flags ?? 0,
          protocol: message.protocol,
        }
      : [],
  );
}

/** Equivalent to `bridge fdb show [br BRIDGE] [brport PORT]`. `master` and `ifindex` are theirs. */
export function listFdb(socket: RouteSocket, filter: { master?: number; ifindex?: number } = {}): FdbEntry[] {
  return list(socket, { family: AF_BRIDGE, ...filter }).map((message) => ({
    ifindex: message.index ?? 0,
    mac: message.lladdr ?? new Uint8Array(0),
    flags: message.flags ?? 0,
    state: message.state ?? 0,
    dst: message.dst,
    vlan: message.vlan,
    usedS: message.cacheinfo && (message.cacheinfo.used ?? 0) / USER_HZ,
  }));
}

function list(
  socket: RouteSocket,
  filter: { family: number; ifindex?: number | undefined; master?: number | undefined },
) {
  const { family, ifindex, master } = filter;
  return socket.dump({
    doing: family === AF_BRIDGE ? "list the forwarding table" : "list neighbours",
    name: "RTM_GETNEIGH",
    type: RTM_GETNEIGH,
    codec: neighbourMessage,
    header: { family },
    attributes: { ifindex, master },
  });
}
