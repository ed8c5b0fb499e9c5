/** NETMAP: a network of addresses for another, host bits kept (nf_nat_core.c, netmap of a range). */
import type { Address } from "../../../lib/netaddr/address.ts";

/** @param range the first and the last of the other network */
export function mappedAddress(now: Address, [first, last]: readonly [Address, Address]): Address {
  const host = first.value ^ last.value;
  return { family: first.family, value: (first.value & ~host) | (now.value & host) };
}
