/** Tables for the terminal: columns as wide as they need, and as narrow as it takes to fit. */
import { bold } from "./style.ts";
import { terminalColumns } from "./width.ts";

export interface Column {
  readonly title: string;
  /** Which column gives way first where the terminal is too narrow: the largest does; 0 or none never. */
  readonly shrink?: number;
  /** Columns that it keeps until every other one has given way as far as this. */
  readonly least?: number;
  readonly align?: "left" | "right";
}

const GAP = "  ";
const ELLIPSIS = "…";
/** A column that gives way keeps this much, or its title's length. */
const SHRUNK_MIN = 6;

/**
 * A header and a line a row, none longer than `width` as far as the columns that may give way allow it. No
 * newline at the end.
 */
export function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width = terminalColumns(),
): string {
  const natural = columns.map(({ title }, i) =>
    Math.max(textWidth(title), ...rows.map((row) => textWidth(row[i] ?? ""))),
  );
  const widths = fittedWidths(columns, natural, width - GAP.length * (columns.length - 1));
  const line = (cells: readonly string[]) =>
    columns
      .map(({ align }, i) => pad(cut(cells[i] ?? "", widths[i] ?? 0), widths[i] ?? 0, align ?? "left"))
      .join(GAP)
      .trimEnd();
  return [bold(line(columns.map(({ title }) => title))), ...rows.map(line)].join("\n");
}

function fittedWidths(columns: readonly Column[], natural: readonly number[], room: number): number[] {
  const widths = [...natural];
  let surplus = widths.reduce((sum, each) => sum + each, 0) - room;
  const order = columns
    .map(({ shrink = 0, title, least = 0 }, i) => {
      const hard = Math.max(SHRUNK_MIN, textWidth(title));
      return { shrink, i, soft: Math.max(hard, least), hard };
    })
    .filter(({ shrink }) => shrink > 0)
    .sort((a, b) => b.shrink - a.shrink);
  for (const limit of ["soft", "hard"] as const) {
    for (const column of order) {
      const now = widths[column.i] ?? 0;
      const taken = Math.max(0, Math.min(surplus, now - column[limit]));
      widths[column.i] = now - taken;
      surplus -= taken;
    }
  }
  return widths;
}

/** The text, or as many of its words as there is room for and "…"; what is cut loses its colours. */
export function cut(text: string, width: number): string {
  if (textWidth(text) <= width) return text;
  const start = [...unpainted(text)].slice(0, Math.max(0, width - 1)).join("");
  const words = start.slice(0, start.lastIndexOf(" ") + 1);
  return (words === "" ? start : words) + ELLIPSIS;
}

function pad(text: string, width: number, align: "left" | "right"): string {
  const blanks = " ".repeat(Math.max(0, width - textWidth(text)));
  return align === "left" ? text + blanks : blanks + text;
}

/** Columns that a text takes; what is shown is Latin, so one a character. */
export function textWidth(text: string): number {
  return [...unpainted(text)].length;
}

function unpainted(text: string): string {
  return text.replace(/\x1b\[\d*m/g, "");
}
