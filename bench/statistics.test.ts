import { expect, test } from "bun:test";
import { generator, median, percentile, ratioOfMedians, shuffled } from "./statistics.ts";

test("median() is the middle of any order, or between the two in the middle", () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 3, 2])).toBe(2.5);
});

test("percentile() goes from the least to the most", () => {
  const values = [5, 1, 4, 2, 3];
  expect([0, 0.25, 0.95, 1].map((p) => percentile(values, p))).toEqual([1, 2, 4.8, 5]);
});

test("ratioOfMedians() of a series and its half is 2, and sure of it", () => {
  const half = Array.from({ length: 101 }, (_, i) => 10 + (i % 7));
  const ratio = ratioOfMedians(
    half.map((value) => 2 * value),
    half,
  );
  expect(ratio).toEqual({ value: 2, low: 2, high: 2 });
});

test("ratioOfMedians() is the less sure the more the series scatter", () => {
  const random = generator(1);
  const series = (scatter: number) => Array.from({ length: 101 }, () => 10 + scatter * random());
  const width = ({ low, high }: { low: number; high: number }) => high - low;
  const calm = ratioOfMedians(series(1), series(1));
  const wild = ratioOfMedians(series(20), series(20));
  expect(calm.low).toBeLessThan(calm.value);
  expect(calm.high).toBeGreaterThan(calm.value);
  expect(width(wild)).toBeGreaterThan(3 * width(calm));
});

test("ratioOfMedians() refuses series that do not belong together", () => {
  expect(() => ratioOfMedians([1, 2], [1])).toThrow(RangeError);
});

test("shuffled() keeps every element, in an order that changes", () => {
  const random = generator(7);
  const orders = Array.from({ length: 20 }, () => shuffled(["a", "b", "c"], random).join(""));
  expect(new Set(orders).size).toBeGreaterThan(3);
  for (const order of orders) expect([...order].sort()).toEqual(["a", "b", "c"]);
});
