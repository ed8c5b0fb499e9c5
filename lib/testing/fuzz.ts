/**
 * Hostile input for decoders: random bytes, and samples that were cut, overwritten, spliced. The same seed
 * makes the same bytes.
 *
 * FUZZ_CASES and FUZZ_SEED in the environment ask for more cases, or for a run again (`./build.sh fuzz`).
 */
import { expect, test } from "bun:test";

const CASE_LIMIT_MS = 1_000;
const TEST_LIMIT_MS = 86_400_000;
const POISON_BYTES = 64;

/** Something that takes bytes from outside. */
export interface Target {
  /** The function, as it is named in the test: "linkMessage.read()". */
  readonly name: string;
  readonly decode: (bytes: Uint8Array) => unknown;
  /** Good input, to start from. */
  readonly samples: readonly Uint8Array[];
  /** The errors that it may throw. */
  readonly refusals: readonly (new (
    ...args: never[]
  ) => Error)[];
}

/** A test that the target returns or refuses, in time, and reads nothing but what it was given. */
export function fuzzTest(target: Target, cases: number): void {
  const count = Number(process.env["FUZZ_CASES"] ?? cases);
  // A long run goes where none has been; the short one is the same every time.
  const firstSeed = Number(
    process.env["FUZZ_SEED"] ?? (process.env["FUZZ_CASES"] ? Date.now() % 2 ** 31 : 1),
  );
  test(
    `${target.name} takes or refuses ${count} hostile inputs`,
    () => {
      let taken = 0;
      for (let seed = firstSeed; seed < firstSeed + count; seed++) {
        const bytes = hostileBytes(seed, target.samples);
        const complaint = complaintAbout(target, bytes);
        if (complaint) {
          throw new Error(`${complaint}; FUZZ_SEED=${seed} FUZZ_CASES=1 makes it again: ${bytes.toHex()}`);
        }
        if (outcomeOf(target, bytes).value !== undefined) taken++;
      }
      if (count >= 100) expect(taken).toBeGreaterThan(0); // else the samples are none
    },
    TEST_LIMIT_MS,
  );
}

interface Outcome {
  readonly value?: unknown;
  readonly refusal?: unknown;
}

function complaintAbout(target: Target, bytes: Uint8Array): string | undefined {
  const start = performance.now();
  const [one, other] = [outcomeOf(target, amid(0x00, bytes)), outcomeOf(target, amid(0xff, bytes))];
  const tookMs = performance.now() - start;
  const { refusal } = one;
  if (refusal !== undefined && !target.refusals.some((kind) => refusal instanceof kind)) {
    return `${target.name} threw ${Bun.inspect(refusal)}`;
  }
  if (String(refusal) !== String(other.refusal) || !Bun.deepEquals(one.value, other.value)) {
    return `${target.name} read outside of what it was given`;
  }
  return tookMs > CASE_LIMIT_MS ? `${target.name} took ${tookMs} ms` : undefined;
}

function outcomeOf({ decode }: Target, bytes: Uint8Array): Outcome {
  try {
    return { value: decode(bytes) ?? null };
  } catch (error) {
    return { refusal: error };
  }
}

/** The bytes as a view of a larger buffer, which is filled with something else. */
function amid(poison: number, bytes: Uint8Array): Uint8Array {
  const buffer = new Uint8Array(bytes.length + 2 * POISON_BYTES).fill(poison);
  buffer.set(bytes, POISON_BYTES);
  return buffer.subarray(POISON_BYTES, POISON_BYTES + bytes.length);
}

/** Values that lengths and types are interesting with. */
const EDGES = [0, 1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 19, 20, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xfffc, 0xffff];

export function hostileBytes(seed: number, samples: readonly Uint8Array[]): Uint8Array {
  const random = randomNumbers(seed);
  const below = (limit: number) => Math.floor(random() * limit);
  const sample = () => samples[below(samples.length)] ?? new Uint8Array(0);
  const randomBytes = (count: number) => Uint8Array.from({ length: count }, () => below(256));

  if (samples.length === 0 || below(8) === 0) return randomBytes(below(200));
  let bytes = sample().slice();
  // Mostly one change: after several, all but the first bytes are seldom looked at.
  for (let change = Math.max(0, below(8) - 4); change >= 0; change--) {
    const at = below(bytes.length + 1);
    const count = below(16);
    switch (below(7)) {
      case 0:
        bytes = bytes.slice(0, at);
        break;
      case 1:
        bytes.set(randomBytes(Math.min(count, bytes.length - at)), at);
        break;
      case 2:
        writeU16(bytes, at & ~3, EDGES[below(EDGES.length)] ?? 0);
        break;
      case 3:
        writeU16(bytes, (at & ~3) + 2, EDGES[below(EDGES.length)] ?? 0);
        break;
      case 5:
        writeU16(bytes, (at & ~3) + 2, below(64)); // another type
        break;
      case 4:
        bytes = joined(bytes.subarray(0, at), sample().subarray(below(64)));
        break;
      default:
        bytes = joined(bytes.subarray(0, at), randomBytes(count), bytes.subarray(at));
    }
  }
  return bytes;
}

function writeU16(bytes: Uint8Array, at: number, value: number): void {
  if (at + 2 <= bytes.length) bytes.set([value & 0xff, value >> 8], at);
}

function joined(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Numbers from 0 to 1, of which the seed decides (mulberry32). */
function randomNumbers(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
