/** How large a container's packet may be, so that it fits the underlay with all that VXLAN puts around it. */
import { invalidConfig } from "../cni/error.ts";
import type { Address, Family } from "../netaddr/address.ts";
import { routeTo } from "../rtnetlink/route.ts";
import type { RouteSocket } from "../rtnetlink/route-socket.ts";
import { mtuOfWay, type Underlay } from "./underlay.ts";

/** Bytes of Ethernet, IP, UDP and VXLAN headers (RFC 7348 §5). */
const OVERHEAD = { 4: 50, 6: 70 } as const;
/** Of anything that carries Ethernet frames (linux/if_ether.h ETH_MIN_MTU). */
const MTU_MIN = 68;

/** Bytes that VXLAN puts around a packet. */
export function overheadOf(family: Family): number {
  return OVERHEAD[family];
}

/**
 * The largest MTU that fits: of the ways to the others, or of the way out where none of them is known.
 * @throws CniError 7 where none does
 */
export function largestMtu(host: RouteSocket, underlay: Underlay, remotes: readonly Address[]): number {
  const { link, local } = underlay;
  const routes = remotes.flatMap((remote) => routeTo(host, remote, { isMatch: true }) ?? []);
  const ways = routes.map((route) => mtuOfWay(host, route)).filter(Number.isFinite);
  const least = ways.length > 0 ? Math.min(...ways) : underlay.mtu;
  const mtu = least - overheadOf(local.family);
  if (mtu >= MTU_MIN) return mtu;
  throw invalidConfig(
    `"${link.name}" is too small for VXLAN: the MTU of the way out is ${least}`,
    "raise it, or use another",
  );
}

/** What is configured, or the largest. @throws CniError 7 for one that cannot fit */
export function chooseMtu(configured: number, largest: number): number {
  if (configured <= largest) return configured || largest;
  const details = `the underlay carries packets of at most ${largest} bytes; 0 takes that over`;
  throw invalidConfig(`invalid "mtu": ${configured} cannot fit`, details);
}
