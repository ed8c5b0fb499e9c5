/** Looks a key up in a set: exact, in intervals, in ranges of several parts (net/netfilter/nft_set_*.c). */
import type { RulesetElement, RulesetSet } from "../../../lib/nftables/listed-ruleset.ts";
import { type Answer, compareBytes, equals, isKnown, type KnownBytes, sliceOf } from "./known-bytes.ts";

export interface Found {
  /** undefined: it depends on what is not known. */
  readonly isFound: Answer;
  readonly element?: RulesetElement;
}

export function lookUp(set: RulesetSet, key: KnownBytes): Found {
  const value = sliceOf(key, 0, set.keyBytes);
  const catchAll = set.elements.find(({ isCatchAll }) => isCatchAll);
  const elements = set.elements.filter(({ isCatchAll }) => !isCatchAll);
  let isUnsure = false;
  for (const { holds, element } of candidates(set, elements, value)) {
    if (holds === true) return isUnsure ? { isFound: undefined } : { isFound: true, element };
    isUnsure ||= holds === undefined;
  }
  if (isUnsure) return { isFound: undefined };
  return catchAll ? { isFound: true, element: catchAll } : { isFound: false };
}

interface Candidate {
  readonly holds: Answer;
  readonly element: RulesetElement;
}

function* candidates(
  set: RulesetSet,
  elements: readonly RulesetElement[],
  value: KnownBytes,
): Generator<Candidate> {
  if (!set.isInterval) {
    for (const element of elements) yield { holds: equals(value, element.key), element };
  } else if (set.parts.length > 0) {
    for (const element of elements) yield { holds: isInParts(set.parts, element, value), element };
  } else {
    const [element] = elements;
    if (element && !isKnown(value)) yield { holds: undefined, element };
    else yield* intervalOf(elements, value.bytes);
  }
}

/** The kernel says where each interval begins and, as an element of its own, where it is over. */
function* intervalOf(elements: readonly RulesetElement[], value: Uint8Array): Generator<Candidate> {
  let last: RulesetElement | undefined;
  for (const element of elements) {
    if (compareBytes(value, element.key) < 0) continue;
    // of an end and a beginning in the same place, the beginning counts
    const order = last ? compareBytes(element.key, last.key) : 1;
    if (order > 0 || (order === 0 && !element.isEnd)) last = element;
  }
  if (last && !last.isEnd) {
    const isPast = last.keyEnd !== undefined && compareBytes(value, last.keyEnd) > 0;
    yield { holds: !isPast, element: last };
  }
}

/** Each part of the key is within its own bounds; a part begins at a multiple of four bytes. */
function isInParts(
  parts: readonly number[],
  { key, keyEnd = key }: RulesetElement,
  value: KnownBytes,
): Answer {
  let isSure = true;
  let at = 0;
  for (const length of parts) {
    const part = sliceOf(value, at, length);
    const [first, last] = [key.subarray(at, at + length), keyEnd.subarray(at, at + length)];
    if (!isKnown(part)) isSure = false;
    else if (compareBytes(part.bytes, first) < 0 || compareBytes(part.bytes, last) > 0) return false;
    at += (length + 3) & ~3;
  }
  return isSure || undefined;
}
