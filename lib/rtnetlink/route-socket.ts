/** The rtnetlink socket: NETLINK_ROUTE in one namespace (rtnetlink(7)). */
import { NetlinkEvents } from "../netlink/events.ts";
import { NetlinkSocket } from "../netlink/socket.ts";
import type { Netns } from "../netns/netns.ts";

const NETLINK_ROUTE = 0;

/** linux/rtnetlink.h RTNLGRP_*: what a socket can subscribe to. */
export const RTNLGRP_LINK = 1;
export const RTNLGRP_NEIGH = 3;
export const RTNLGRP_IPV4_IFADDR = 5;
export const RTNLGRP_IPV4_ROUTE = 7;
export const RTNLGRP_IPV6_IFADDR = 9;
export const RTNLGRP_IPV6_ROUTE = 11;

// linux/socket.h
export const AF_UNSPEC = 0;
export const AF_INET = 2;
export const AF_BRIDGE = 7;
export const AF_INET6 = 10;

/** A socket that speaks of the links, addresses and routes of the namespace it was opened in. */
export type RouteSocket = NetlinkSocket;

/** Opens a socket in `netns`, or in the namespace the process runs in. */
export function openRouteSocket(netns?: Netns): RouteSocket {
  return new NetlinkSocket(NETLINK_ROUTE, netns);
}

/** Opens a socket that hears of what happens in some groups (RTNLGRP_*). Equivalent to `ip monitor`. */
export function openRouteEvents(groups: readonly number[], netns?: Netns): NetlinkEvents {
  return new NetlinkEvents(NETLINK_ROUTE, groups, { netns });
}

export function addressFamily(family: 4 | 6): number {
  return family === 4 ? AF_INET : AF_INET6;
}
