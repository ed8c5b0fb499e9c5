/** What the emulated machine is asked, and how it answers: a line of text among what else it prints. */
import type { Suite } from "./cases.ts";
import type { Row } from "./report.ts";

/** What the line begins with. */
const START = "ROWS ";

export interface EmulatedOrder {
  readonly suites: readonly Suite[];
  /** Only cases with this in their name. */
  readonly only: string;
  readonly rounds?: number | undefined;
}

type Contestants = Row["contest"] extends ReadonlyMap<string, infer Series> ? [string, Series][] : never;

/** A row, as JSON can hold it. */
export type RowText = Omit<Row, "contest"> & { readonly contest: Contestants };

export function formatRows(rows: readonly Row[]): string {
  return START + JSON.stringify(rows.map((row): RowText => ({ ...row, contest: [...row.contest] })));
}

/** @returns undefined when the line is another */
export function parseRows(line: string): RowText[] | undefined {
  return line.startsWith(START) ? JSON.parse(line.slice(START.length)) : undefined;
}

export function rowOf({ contest, ...others }: RowText): Row {
  return { ...others, contest: new Map(contest) };
}
