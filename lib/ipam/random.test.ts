import { expect, test } from "bun:test";
import { formatAddress } from "../netaddr/address.ts";
import { freeCandidates, randomCandidate } from "./random.ts";
import { parseRangeSets, type RangeKeys, type RangeSet, rangeKeysOf } from "./ranges.ts";

function setOf(...ranges: RangeKeys[]): RangeSet {
  const [set] = parseRangeSets({
    cniVersion: "1.1.0",
    ipam: { ranges: [ranges] },
    runtimeConfig: { ipRanges: [] },
  });
  if (!set) throw new Error("no set");
  return set;
}

const TWO = setOf(
  { subnet: "10.0.0.0/29", rangeStart: "10.0.0.0", rangeEnd: "10.0.0.7", gateway: "10.0.0.4" },
  { subnet: "10.0.1.0/24", rangeStart: "10.0.1.7", rangeEnd: "10.0.1.8" },
);
const LEASABLE = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.5", "10.0.0.6", "10.0.1.7", "10.0.1.8"];

test("randomCandidate() hits every address that may be leased, of every range, and no other", () => {
  const hits = Array.from({ length: 2_000 }, () => randomCandidate(TWO)).filter((hit) => hit !== undefined);
  expect([...new Set(hits.map(({ address }) => formatAddress(address)))].sort()).toEqual(LEASABLE);
  for (const { address, range } of hits) {
    expect(formatAddress(range.first).slice(0, 6)).toBe(formatAddress(address).slice(0, 6));
  }
});

test("randomCandidate() is everywhere in a /64", () => {
  const set = setOf({ subnet: "fd00::/64" });
  const hits = Array.from({ length: 100 }, () => randomCandidate(set)?.address.value ?? 0n);
  expect(new Set(hits).size).toBe(100);
  expect(new Set(hits.map((hit) => (hit >> 62n) & 3n)).size).toBe(4);
});

test("freeCandidates() has every address that is not taken, and none when all are", () => {
  const taken = new Set(["10.0.0.2", "10.0.1.7", "10.9.9.9"]);
  const free = freeCandidates(TWO, taken).map(({ address }) => formatAddress(address));
  expect(free.sort()).toEqual(LEASABLE.filter((address) => !taken.has(address)));
  expect(freeCandidates(TWO, new Set(LEASABLE))).toEqual([]);
});

test("freeCandidates() begins somewhere, in no order", () => {
  const set = setOf({ subnet: "10.0.0.0/16" });
  const firsts = Array.from({ length: 20 }, () => freeCandidates(set, new Set())[0]?.address.value);
  expect(new Set(firsts).size).toBeGreaterThan(15);
});

test("rangeKeysOf() is what the same set is made of", () => {
  expect(setOf(...rangeKeysOf(TWO))).toEqual(TWO);
});
