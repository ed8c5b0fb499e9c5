/** The netfilter socket: NETLINK_NETFILTER in one namespace, for nf_tables and conntrack alike. */
import { NetlinkEvents } from "../netlink/events.ts";
import { NetlinkSocket } from "../netlink/socket.ts";
import { be16, struct, u8 } from "../netlink/wire.ts";
import type { Netns } from "../netns/netns.ts";

const NETLINK_NETFILTER = 12;

/** struct nfgenmsg (linux/netfilter/nfnetlink.h): what every message of netfilter starts with. */
export const nfgenmsg = struct({ family: u8, version: u8, resId: be16 });

// linux/netfilter.h: families of tables and of conntrack entries
export const NFPROTO_UNSPEC = 0;
export const NFPROTO_INET = 1;
export const NFPROTO_IPV4 = 2;
export const NFPROTO_BRIDGE = 7;
export const NFPROTO_IPV6 = 10;

export type NetfilterSocket = NetlinkSocket;

let hostSocket: NetfilterSocket | undefined;

/**
 * The one socket of this process in the namespace it runs in, closed with the process: closing one waits for
 * what nf_tables still has to free, 5 to 14 ms after something was deleted, by whomever.
 */
export function netfilterSocket(): NetfilterSocket {
  hostSocket ??= openNetfilterSocket();
  return hostSocket;
}

/** Closes it, for a process that goes on in another namespace, as tests do. */
export function closeNetfilterSocket(): void {
  hostSocket?.[Symbol.dispose]();
  hostSocket = undefined;
}

/** linux/netfilter/nfnetlink.h NFNLGRP_NFTRACE: what rules do with packets of `meta nftrace set 1`. */
export const NFNLGRP_NFTRACE = 9;

/** Opens a socket that hears of what happens in some groups (NFNLGRP_*). As `nft monitor` does. */
export function openNetfilterEvents(groups: readonly number[], netns?: Netns): NetlinkEvents {
  return new NetlinkEvents(NETLINK_NETFILTER, groups, { netns });
}

/** Opens another, in `netns` or in the namespace the process runs in. */
export function openNetfilterSocket(netns?: Netns): NetfilterSocket {
  return new NetlinkSocket(NETLINK_NETFILTER, netns);
}
