/** Addresses of a set of ranges at random: who looks for a free one with others is seldom where they are. */
import { formatAddress, offsetAddress } from "../netaddr/address.ts";
import { rangeSize } from "../netaddr/range.ts";
import { type Candidate, candidatesAfter, isReserved, type RangeSet } from "./ranges.ts";

/** Free addresses that are gathered to choose among. */
const CHOICE = 64;

/** Any address of the set; undefined when it hits one that is never leased. */
export function randomCandidate(set: RangeSet): Candidate | undefined {
  let at = randomBelow(set.reduce((sum, range) => sum + rangeSize(range), 0n));
  for (const range of set) {
    const size = rangeSize(range);
    if (at < size) {
      const address = offsetAddress(range.first, at);
      return isReserved(range, address) ? undefined : { address, range };
    }
    at -= size;
  }
  return undefined;
}

/** Some of the addresses that are not taken, in no order; none when all are. */
export function freeCandidates(set: RangeSet, taken: ReadonlySet<string>): Candidate[] {
  const start = randomCandidate(set)?.address;
  const free = candidatesAfter(set, start)
    .filter(({ address }) => !taken.has(formatAddress(address)))
    .take(CHOICE)
    .toArray();
  for (let at = free.length - 1; at > 0; at--) swap(free, at, Number(randomBelow(BigInt(at + 1))));
  return free;
}

function swap<T>(list: T[], a: number, b: number): void {
  [list[a], list[b]] = [list[b] as T, list[a] as T]; // both are places of the list
}

/** Of 192 bits: no address of 128 is noticeably likelier than another. */
export function randomBelow(end: bigint): bigint {
  return BigInt(`0x${crypto.getRandomValues(new Uint8Array(24)).toHex()}`) % end;
}
