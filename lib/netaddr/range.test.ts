import { expect, test } from "bun:test";
import fc from "fast-check";
import { type Address, formatAddress, parseAddress } from "./address.ts";
import { anyAddress } from "./arbitrary.ts";
import { addressesAfter, formatRange, type Range, rangeContains, rangeSize, rangesOverlap } from "./range.ts";

function range(first: string, last: string): Range {
  return { first: parseAddress(first), last: parseAddress(last) };
}

/** Small ranges close together, so that they often touch and overlap. */
const smallRange = fc
  .record({ family: fc.constantFrom(4 as const, 6 as const), start: fc.nat(40), length: fc.nat(9) })
  .map(({ family, start, length }): Range => {
    const base = family === 4 ? 2n ** 32n - 50n : 2n ** 64n - 20n;
    const first = base + BigInt(start);
    return { first: { family, value: first }, last: { family, value: first + BigInt(length) } };
  });

const smallRanges = fc
  .array(smallRange, { maxLength: 5 })
  .map((ranges) =>
    ranges.filter((each, index) => !ranges.slice(0, index).some((other) => rangesOverlap(each, other))),
  );

test("rangeContains() includes both ends and neither neighbour", () => {
  const pool = range("10.0.0.2", "10.0.0.9");
  const inside = ["10.0.0.1", "10.0.0.2", "10.0.0.9", "10.0.0.10", "::a00:5"].map(parseAddress);
  expect(inside.map((address) => rangeContains(pool, address))).toEqual([false, true, true, false, false]);
  expect(rangeContains(range("::", "ffff::"), parseAddress("10.0.0.5"))).toBe(false);
});

test("rangesOverlap() is true exactly when an address is in both", () => {
  fc.assert(
    fc.property(smallRange, smallRange, (a, b) => {
      const shared = [...addressesAfter([a], undefined)].filter(({ address }) => rangeContains(b, address));
      expect(rangesOverlap(a, b)).toBe(shared.length > 0);
      expect(rangesOverlap(b, a)).toBe(shared.length > 0);
    }),
  );
});

test("rangeSize() counts both ends, up to all of IPv6", () => {
  expect(rangeSize(range("10.0.0.1", "10.0.0.1"))).toBe(1n);
  expect(rangeSize(range("0.0.0.0", "255.255.255.255"))).toBe(2n ** 32n);
  expect(rangeSize(range("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"))).toBe(2n ** 128n);
});

test("formatRange() joins both ends with a dash", () => {
  expect(formatRange(range("10.0.0.1", "10.0.0.9"))).toBe("10.0.0.1-10.0.0.9");
  expect(formatRange(range("fd00::1", "fd00::ff"))).toBe("fd00::1-fd00::ff");
});

test("addressesAfter() goes round from behind the given address, and ends with it", () => {
  const ranges = [range("10.0.0.1", "10.0.0.3"), range("10.0.9.1", "10.0.9.2"), range("fd00::1", "fd00::1")];
  const round = (after?: string) =>
    Array.from(
      addressesAfter(ranges, after === undefined ? undefined : parseAddress(after)),
      ({ address, rangeIndex }) => `${rangeIndex}:${formatAddress(address)}`,
    ).join(" ");
  const fromTheStart = "0:10.0.0.1 0:10.0.0.2 0:10.0.0.3 1:10.0.9.1 1:10.0.9.2 2:fd00::1";
  expect(round()).toBe(fromTheStart);
  expect(round("10.0.0.1")).toBe("0:10.0.0.2 0:10.0.0.3 1:10.0.9.1 1:10.0.9.2 2:fd00::1 0:10.0.0.1");
  expect(round("10.0.0.3")).toBe("1:10.0.9.1 1:10.0.9.2 2:fd00::1 0:10.0.0.1 0:10.0.0.2 0:10.0.0.3");
  expect(round("10.0.9.1")).toBe("1:10.0.9.2 2:fd00::1 0:10.0.0.1 0:10.0.0.2 0:10.0.0.3 1:10.0.9.1");
  expect(round("fd00::1")).toBe(fromTheStart);
  expect(round("192.0.2.1")).toBe(fromTheStart); // of no range: the pool was changed since
});

test("addressesAfter() yields each address of disjoint ranges once, in the order of a rotated list", () => {
  fc.assert(
    fc.property(smallRanges, fc.nat(), (ranges, choice) => {
      const all = ranges.flatMap(({ first, last }, rangeIndex) =>
        Array.from({ length: Number(last.value - first.value) + 1 }, (_, step) => ({
          address: { family: first.family, value: first.value + BigInt(step) },
          rangeIndex,
        })),
      );
      expect([...addressesAfter(ranges, undefined)]).toEqual(all);
      const at = choice % (all.length || 1);
      const rotated = [...all.slice(at + 1), ...all.slice(0, at + 1)];
      expect([...addressesAfter(ranges, all[at]?.address)]).toEqual(rotated);
    }),
  );
});

test("addressesAfter() holds no range in memory: all of IPv6 begins at once", () => {
  const everything = [range("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")];
  const take = (after: Address) => addressesAfter(everything, after).take(2).toArray();
  fc.assert(
    fc.property(anyAddress, (after) => {
      const start = after.family === 6 ? after.value + 1n : 0n;
      const expected = [start, start + 1n].map((value) => BigInt.asUintN(128, value));
      expect(take(after).map(({ address }) => address.value)).toEqual(expected);
    }),
  );
});

test("addressesAfter() yields nothing for no ranges", () => {
  expect([...addressesAfter([], parseAddress("10.0.0.1"))]).toEqual([]);
});
