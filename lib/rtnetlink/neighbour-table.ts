/**
 * The tables of neighbours as a whole: how many entries, and how many at most. They are the kernel's, one for
 * all namespaces. linux/neighbour.h, net/core/neighbour.c. Equivalent to `ip -s ntable show`.
 */
import { attributes } from "../netlink/attributes.ts";
import { messageCodec } from "../netlink/message.ts";
import { bytes, cstring, struct, u8, u16, u32 } from "../netlink/wire.ts";
import { addressFamily, type RouteSocket } from "./route-socket.ts";

const RTM_GETNEIGHTBL = 66;

/** struct ndtmsg */
export const ndtmsg = struct({ family: u8, pad1: u8, pad2: u16 });

/** NDTA_* */
export const neighbourTableAttributes = attributes("NDTA", {
  name: [1, cstring],
  thresh1: [2, u32],
  thresh2: [3, u32],
  thresh3: [4, u32],
  config: [5, bytes],
  parms: [6, bytes],
  stats: [7, bytes],
});

export const neighbourTableMessage = messageCodec(ndtmsg, neighbourTableAttributes);

export interface NeighbourTable {
  /** "arp_cache", "ndisc_cache" */
  readonly name: string;
  readonly entries: number;
  /** gc_thresh3: a further entry is refused, unless an old one can go. */
  readonly limit: number;
  /** How often an entry was refused since the boot. */
  readonly refusals: number;
}

/** struct ndt_config: u16 key_len, u16 entry_size, u32 entries, … */
const ENTRIES_OFFSET = 4;
/** struct ndt_stats: u64 each, table_fulls the eleventh. */
const TABLE_FULLS_OFFSET = 80;

export function readNeighbourTable(socket: RouteSocket, family: 4 | 6): NeighbourTable | undefined {
  const tables = socket.dump({
    doing: "read the table of neighbours",
    name: "RTM_GETNEIGHTBL",
    type: RTM_GETNEIGHTBL,
    codec: neighbourTableMessage,
    header: { family: addressFamily(family) },
    attributes: {},
  });
  // Each interface's own settings follow, under the same name and without the table's.
  const whole = tables.find(
    ({ family: of, thresh3 }) => of === addressFamily(family) && thresh3 !== undefined,
  );
  if (!whole) return undefined;
  return {
    name: whole.name ?? "",
    entries: u32At(whole.config, ENTRIES_OFFSET),
    limit: whole.thresh3 ?? 0,
    refusals: u32At(whole.stats, TABLE_FULLS_OFFSET),
  };
}

/** Of a counter of 64 bits the lower half. */
function u32At(struct: Uint8Array | undefined, offset: number): number {
  if (!struct || struct.length < offset + 4) return 0;
  const view = new DataView(struct.buffer, struct.byteOffset, struct.byteLength);
  return view.getUint32(offset, true);
}
