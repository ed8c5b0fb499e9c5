/** Whether what comes to an address of the host comes to this host. */
import { type Address, isLoopback, isUnspecified, sameAddress } from "../../lib/netaddr/address.ts";

/**
 * All of 127.0.0.0/8 is this host's, and 0.0.0.0 and :: stand for any address.
 * @param own of the host's interfaces
 */
export function isOwnAddress(address: Address, own: readonly Address[]): boolean {
  return isUnspecified(address) || isLoopback(address) || own.some((each) => sameAddress(each, address));
}
