/** How large a container's packet may be, so that it fits the underlay with all that VXLAN puts around it. */
import { invalidConfig } from "../cni/error.ts";
import type { Address, Family } from "../netaddr/address.ts";
import { unlessMissing } from "../netlink/error.ts";
import { linkByIndex } from "../rtnetlink/link.ts";
import { routeTo } from "../rtnetlink/route.ts";
import type { RouteSocket } from "../rtnetlink/route-socket.ts";
import type { Underlay } from "./underlay.ts";

/** Bytes of Ethernet, IP, UDP and VXLAN headers (RFC 7348 §5). */
const OVERHEAD = { 4: 50, 6: 70 } as const;
/** Of anything that carries Ethernet frames (linux/if_ether.h ETH_MIN_MTU). */
const MTU_MIN = 68;

/** Bytes that VXLAN puts around a packet. */
export function overheadOf(family: Family): number {
  return OVERHEAD[family];
}

/**
 * The largest MTU that fits: of the way out to each of the others, or of the interface where none is known.
 * @throws CniError 7 where none does
 */
export function largestMtu(host: RouteSocket, underlay: Underlay, remotes: readonly Address[]): number {
  const { link, local } = underlay;
  const ways = remotes.map((remote) => wayTo(host, remote)).filter((mtu) => mtu !== undefined);
  const mtu = (ways.length > 0 ? Math.min(...ways) : link.mtu) - overheadOf(local.family);
  if (mtu >= MTU_MIN) return mtu;
  throw invalidConfig(
    `"${link.name}" is too small for VXLAN: its MTU is ${link.mtu}`,
    "raise it, or use another",
  );
}

/** What is configured, or the largest. @throws CniError 7 for one that cannot fit */
export function chooseMtu(configured: number, largest: number): number {
  if (configured <= largest) return configured || largest;
  const details = `the underlay carries packets of at most ${largest} bytes; 0 takes that over`;
  throw invalidConfig(`invalid "mtu": ${configured} cannot fit`, details);
}

/** MTU of the route, else of the interface that it leaves by; undefined where no route leads there. */
function wayTo(host: RouteSocket, remote: Address): number | undefined {
  const route = routeTo(host, remote, { isMatch: true });
  const { oif, mtu } = route ?? {};
  if (oif === undefined) return undefined;
  const link = unlessMissing(() => linkByIndex(host, oif));
  return link && Math.min(link.mtu, mtu || link.mtu);
}
