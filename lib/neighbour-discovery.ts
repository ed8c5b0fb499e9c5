/** Neighbour discovery of IPv6 (RFC 4861): when neighbours find an interface by its addresses. */
import { type Address, sameAddress } from "./netaddr/address.ts";
import { listGroups } from "./rtnetlink/address.ts";
import type { Link } from "./rtnetlink/link.ts";
import { openRouteSocket, type RouteSocket, RTNLGRP_IPV6_IFADDR } from "./rtnetlink/route-socket.ts";

/** The kernel's worker takes milliseconds, more where it has much to do. It is no error when it is late. */
const JOIN_TIMEOUT_MS = 2_000;

/**
 * Waits, by event, until a link is in the solicited-node multicast group of each of its IPv6 addresses.
 * The kernel joins when its worker comes round to an address, also to one without duplicate detection, and
 * until then nobody is answered who asks for it, nor does the host take packets to it
 * (net/ipv6/addrconf.c, addrconf_dad_begin). Who asked asks again after a second.
 *
 * Of the namespace the process runs in, as `socket` has to be.
 */
export function awaitFindable(socket: RouteSocket, link: Link, addresses: readonly Address[]): void {
  const wanted = addresses.filter(({ family }) => family === 6).map(solicitedNode);
  const isIn = () => {
    const joined = listGroups(socket, link);
    return wanted.every((group) => joined.some((other) => sameAddress(other, group)));
  };
  if (wanted.length === 0 || isIn()) return;
  using events = openRouteSocket();
  events.subscribe(RTNLGRP_IPV6_IFADDR);
  const deadline = performance.now() + JOIN_TIMEOUT_MS;
  while (!isIn()) {
    const remainingMs = deadline - performance.now();
    if (remainingMs <= 0) return;
    events.awaitEvent(remainingMs);
  }
}

/** ff02::1:ff00:0/104 with the last 24 bits of the address (RFC 4291 §2.7.1). */
export function solicitedNode({ value }: Address): Address {
  const prefix = 0xff02_0000_0000_0000_0000_0001_ff00_0000n;
  return { family: 6, value: prefix | (value & 0xff_ffffn) };
}
