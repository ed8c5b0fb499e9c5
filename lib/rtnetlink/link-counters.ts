/** What a link has counted: struct rtnl_link_stats64 (linux/if_link.h). */
import { linkMessage } from "./link-attributes.ts";
import { AF_UNSPEC, type RouteSocket } from "./route-socket.ts";

const RTM_GETLINK = 18;

/** Since the link was made. */
export interface LinkCounters {
  readonly rxPackets: number;
  readonly txPackets: number;
  readonly rxBytes: number;
  readonly txBytes: number;
  readonly rxErrors: number;
  readonly txErrors: number;
  readonly rxDropped: number;
  readonly txDropped: number;
}

/** Its members in their order, from the first. */
const MEMBERS = [
  ...["rxPackets", "txPackets", "rxBytes", "txBytes"],
  ...["rxErrors", "txErrors", "rxDropped", "txDropped"],
] as (keyof LinkCounters)[]; // so they are named above

/** Equivalent to `ip -s link show`. @throws NetlinkError ENODEV when there is no such link */
export function linkCounters(socket: RouteSocket, link: { index: number; name: string }): LinkCounters {
  const { stats64 } = socket.get({
    doing: `read the counters of "${link.name}"`,
    name: "RTM_GETLINK",
    type: RTM_GETLINK,
    codec: linkMessage,
    header: { family: AF_UNSPEC, index: link.index },
    attributes: {},
  });
  return readLinkCounters(stats64 ?? new Uint8Array(0));
}

/** What a kernel does not count is 0. Above 2^53 the last digits are lost. */
export function readLinkCounters(stats: Uint8Array): LinkCounters {
  const view = new DataView(stats.buffer, stats.byteOffset, stats.byteLength);
  const counted = MEMBERS.map((member, i) => {
    const at = 8 * i;
    return [member, at + 8 <= stats.length ? Number(view.getBigUint64(at, true)) : 0] as const;
  });
  return Object.fromEntries(counted) as Record<keyof LinkCounters, number>; // one for each member
}
