/** Published ports that follow one another, so that one sentence tells of them all. */
import type { Element } from "../../lib/weft-table/element.ts";

/** Sets that have one port an element. */
const SETS = /^(port|hostport|condition)[46]$/;

/** Elements, and what they are as one: `port4 { tcp . 8000-8001 : 10.9.0.2 . 80-81 }`. */
export interface ElementRun<T extends Element> {
  readonly whole: Element;
  readonly elements: readonly T[];
}

/** Every element in one run, in the order in which they come; most are alone. */
export function elementRuns<T extends Element>(elements: readonly T[]): ElementRun<T>[] {
  const runs: T[][] = [];
  const awaiting = new Map<string, T[]>();
  for (const element of elements) {
    const run = awaiting.get(nameOf(element)) ?? [];
    if (run.length === 0) runs.push(run);
    run.push(element);
    if (SETS.test(element.set)) awaiting.set(nameOf(element, { ahead: 1 }), run);
  }
  return runs.map((run) => ({ whole: spanOf(run), elements: run }));
}

/** What an element that many ports ahead would be. */
function nameOf({ set, key, data = [] }: Element, { ahead = 0 } = {}): string {
  const moved = [...key, ...data].map((word) => (typeof word === "number" ? word + ahead : word));
  return [set, ...moved].join(" ");
}

function spanOf(run: readonly Element[]): Element {
  const [first, last] = [run[0] as Element, run.at(-1) as Element]; // none is empty
  if (first === last) return first;
  const span = (words: Element["key"], end: Element["key"]) =>
    words.map((word, i) => (typeof word === "number" ? `${word}-${end[i]}` : word));
  return {
    set: first.set,
    key: span(first.key, last.key),
    data: first.data && last.data && span(first.data, last.data),
  };
}
