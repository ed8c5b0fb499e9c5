/** Facts about a thing, a line or more each: what it is called, then what it is. */
import { fold } from "./fold.ts";
import { dim } from "./style.ts";
import { terminalColumns } from "./width.ts";

/** Several values take a line each; a fact without any is left out. */
export type Fact = readonly [name: string, value: string | readonly string[] | undefined];

const INDENT = 2;
const GAP = 2;

/** Under one another, with the values in one column. */
export function formatFacts(facts: readonly Fact[], width = terminalColumns()): string[] {
  const given = facts.flatMap(([name, value]) => {
    const values = value === undefined ? [] : [value].flat();
    return values.length > 0 ? [{ name, values }] : [];
  });
  const column = INDENT + GAP + Math.max(0, ...given.map(({ name }) => name.length));
  return given.flatMap(({ name, values }) =>
    values
      .flatMap((value) => fold(value, { indent: 0, hanging: 2, width: width - column }))
      .map((line, i) => {
        const label = " ".repeat(INDENT) + (i === 0 ? name : "").padEnd(column - INDENT);
        return `${dim(label)}${line}`.trimEnd();
      }),
  );
}
