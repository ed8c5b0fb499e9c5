/**
 * What a plugin that leases addresses out of ranges answers when it cannot.
 *
 * Reference: containernetworking/plugins, plugins/ipam/host-local, whose texts these are.
 */
import { CniError } from "../cni/error.ts";
import { formatRangeSet, type RangeSet } from "./ranges.ts";

const FULL_REMEDY = "every address is leased: add a range, or run GC to release what is no longer used";

/** ADD: no address of the set of ranges can be had. */
export function cannotLease(
  setIndex: number,
  text: string,
  { code = CniError.INVALID_NETWORK_CONFIG, details }: { code?: number; details: string },
): CniError {
  return new CniError(code, `failed to allocate for range ${setIndex}: ${text}`, { details });
}

/** ADD: every address of the set is leased. */
export function noneLeft(set: RangeSet, setIndex: number): CniError {
  return cannotLease(setIndex, fullText(set), { code: CniError.TRY_AGAIN_LATER, details: FULL_REMEDY });
}

/** STATUS: the same. */
export function isFull(set: RangeSet): CniError {
  return new CniError(CniError.NOT_AVAILABLE, fullText(set), { details: FULL_REMEDY });
}

/** ADD: the attachment has one already. @param where what says so */
export function leasedBefore(
  setIndex: number,
  { address, containerId, where }: { address: string; containerId: string; where: string },
): CniError {
  const text = `${address} has been allocated to ${containerId}, duplicate allocation is not allowed`;
  const details = `"${where}" says so; run DEL first`;
  return cannotLease(setIndex, text, { code: CniError.INVALID_ENVIRONMENT, details });
}

/** CHECK: the address is not the container's. @param details whose it is */
export function notLeased(plugin: string, containerId: string, details = ""): CniError {
  const text = `${plugin}: Failed to find address added by container ${containerId}`;
  return new CniError(CniError.CHECK_FAILED, text, { details });
}

/** An address that was asked for and is not free, or can never be. */
export function notAvailableText(address: string, set: RangeSet): string {
  return `requested IP address ${address} is not available in range set ${formatRangeSet(set)}`;
}

function fullText(set: RangeSet): string {
  return `no IP addresses available in range set: ${formatRangeSet(set)}`;
}
