/** Medians of repeated measurements, and how sure a ratio of two of them is. */

const RESAMPLES = 2_000;

/** The value below which the share `p` of the others lies. */
export function percentile(values: readonly number[], p: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (sorted.length - 1) * p;
  const [low = Number.NaN, high = low] = [sorted[Math.floor(at)], sorted[Math.ceil(at)]];
  return low + (high - low) * (at - Math.floor(at));
}

export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

/** A ratio of medians and the bounds within which 95 of 100 repetitions would find it. */
export interface Ratio {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

/**
 * The ratio of the medians of two series that were measured in turns: the n-th of one belongs to the n-th of
 * the other. The bounds are the percentile bootstrap's, which draws whole rounds.
 */
export function ratioOfMedians(ours: readonly number[], theirs: readonly number[]): Ratio {
  if (ours.length !== theirs.length) throw new RangeError("Cannot compare series of different lengths");
  const random = generator(ours.length);
  const ratios = Array.from({ length: RESAMPLES }, () => {
    const rounds = ours.map(() => Math.floor(random() * ours.length));
    return medianAt(ours, rounds) / medianAt(theirs, rounds);
  });
  return {
    value: median(ours) / median(theirs),
    low: percentile(ratios, 0.025),
    high: percentile(ratios, 0.975),
  };
}

function medianAt(values: readonly number[], rounds: readonly number[]): number {
  return median(rounds.map((round) => values[round] ?? Number.NaN));
}

/** Numbers in [0, 1), the same ones for the same seed (mulberry32). */
export function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The elements in an order of chance. */
export function shuffled<T>(elements: readonly T[], random: () => number): T[] {
  return elements
    .map((element) => ({ element, key: random() }))
    .sort((a, b) => a.key - b.key)
    .map(({ element }) => element);
}
