/** Runs of addresses of one family, both ends included, never held in memory. */
import { type Address, compareAddresses, formatAddress } from "./address.ts";

export interface Range {
  readonly first: Address;
  readonly last: Address;
}

/** False for an address of the other family. */
export function rangeContains({ first, last }: Range, address: Address): boolean {
  return compareAddresses(first, address) <= 0 && compareAddresses(address, last) <= 0;
}

/** Whether some address is in both. */
export function rangesOverlap(a: Range, b: Range): boolean {
  return compareAddresses(a.first, b.last) <= 0 && compareAddresses(b.first, a.last) <= 0;
}

/** The number of addresses. */
export function rangeSize({ first, last }: Range): bigint {
  return last.value - first.value + 1n;
}

/** "10.0.0.1-10.0.0.9" */
export function formatRange({ first, last }: Range): string {
  return `${formatAddress(first)}-${formatAddress(last)}`;
}

/**
 * Every address of the ranges once, in a round that begins behind `after` and so ends with it. Without
 * `after`, or when it is in none of the ranges, the round begins with the first. Ranges must not overlap.
 */
export function* addressesAfter(
  ranges: readonly Range[],
  after: Address | undefined,
): Generator<{ address: Address; rangeIndex: number }> {
  let spans = ranges.map(({ first, last }, rangeIndex) => ({ first, end: last.value, rangeIndex }));
  const at = ranges.findIndex((range) => after !== undefined && rangeContains(range, after));
  const split = spans[at];
  if (after !== undefined && split !== undefined) {
    const rest = { ...split, first: { family: after.family, value: after.value + 1n } };
    spans = [rest, ...spans.slice(at + 1), ...spans.slice(0, at), { ...split, end: after.value }];
  }
  for (const { first, end, rangeIndex } of spans) {
    for (let value = first.value; value <= end; value++) {
      yield { address: { family: first.family, value }, rangeIndex };
    }
  }
}
