/** Bounds of an interface's MTU, in bytes. */
import { invalidConfig } from "./cni/error.ts";
import type { Link } from "./rtnetlink/link.ts";

/** Of anything that carries Ethernet frames (linux/if_ether.h ETH_MIN_MTU). */
const MTU_MIN = 68;
/** Of what carries IPv6 (RFC 8200 §5). */
export const IPV6_MTU_MIN = 1_280;

/** @throws CniError 7 for an `mtu` that no interface can have; 0 leaves it to the kernel */
export function verifyMtu(mtu: number): void {
  if (mtu === 0 || mtu >= MTU_MIN) return;
  throw invalidConfig(`invalid "mtu": ${mtu}`, `it must be at least ${MTU_MIN}, or 0 for the kernel's`);
}

/** @throws CniError 7 for an interface that is too small to have IPv6 addresses */
export function requireIpv6Mtu({ name, mtu }: Link): void {
  if (mtu >= IPV6_MTU_MIN) return;
  const details = `IPv6 needs an "mtu" of at least ${IPV6_MTU_MIN}`;
  throw invalidConfig(`"${name}" cannot have IPv6 addresses at an MTU of ${mtu}`, details);
}
