/** Tables for the terminal: columns as wide as they need, and as narrow as it takes to fit. */
import { fold } from "./fold.ts";
import { bold } from "./style.ts";
import { terminalColumns } from "./width.ts";

export interface Column {
  readonly title: string;
  /** Which column gives way first where the terminal is too narrow: the largest does; 0 or none never. */
  readonly shrink?: number;
  /** Columns that it keeps until every other one has given way as far as this. */
  readonly least?: number;
  /** Which is left out first where not all can keep as much as that: the largest; 0 or none never. */
  readonly dispensable?: number;
  readonly align?: "left" | "right";
  /** What there is no room for goes on below, in place of being cut. */
  readonly folds?: boolean;
}

const GAP = "  ";
const ELLIPSIS = "…";
/** A column that gives way keeps this much, or its title's length. */
const SHRUNK_MIN = 6;

/**
 * A header and a line a row, or as many as take what folds, none longer than `width` as far as the columns
 * that may give way allow it. No newline at the end.
 */
export function formatTable(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width = terminalColumns(),
): string {
  const shown = shownColumns(columns, rows, width);
  const line = (cells: readonly (string | undefined)[]) =>
    shown
      .map(({ column: { align }, width: own, i }) => pad(cells[i] ?? "", own, align ?? "left"))
      .join(GAP)
      .trimEnd();
  const lines = (cells: readonly string[]) => {
    const parts = new Map(shown.map((each) => [each.i, partsOf(each, cells[each.i] ?? "")]));
    const height = Math.max(...[...parts.values()].map(({ length }) => length));
    return Array.from({ length: height }, (_, at) => line(columns.map((_, i) => parts.get(i)?.[at])));
  };
  return [...lines(columns.map(({ title }) => title)).map(bold), ...rows.flatMap(lines)].join("\n");
}

interface ShownColumn {
  readonly column: Column;
  /** Which of the table's. */
  readonly i: number;
  readonly width: number;
}

function partsOf({ column, width }: ShownColumn, text: string): string[] {
  return column.folds ? fold(text, { width }) : [cut(text, width)];
}

/** Those that fit, as wide as there is room. */
function shownColumns(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width: number,
): ShownColumn[] {
  let shown = columns.map((column, i) => {
    const texts = [column.title, ...rows.map((row) => row[i] ?? "")];
    return { column, i, width: Math.max(...texts.map(textWidth)) };
  });
  for (;;) {
    const fitting = narrowed(shown, width, softLimit);
    if (totalWidth(fitting) <= width) return fitting;
    const rank = ({ column }: ShownColumn) => column.dispensable ?? 0;
    const next = shown.reduce((a, b) => (rank(b) > rank(a) ? b : a));
    if (rank(next) === 0) return narrowed(fitting, width, hardLimit);
    shown = shown.filter((each) => each !== next);
  }
}

function totalWidth(columns: readonly ShownColumn[]): number {
  return columns.reduce((sum, each) => sum + each.width, 0) + GAP.length * (columns.length - 1);
}

/** Takes what is too much from one column after the other, as far as the limit. */
function narrowed(
  columns: readonly ShownColumn[],
  width: number,
  limit: (column: Column) => number,
): ShownColumn[] {
  let surplus = totalWidth(columns) - width;
  const widths = new Map<ShownColumn, number>();
  const order = [...columns].sort((a, b) => (b.column.shrink ?? 0) - (a.column.shrink ?? 0));
  for (const each of order) {
    const mayGive = each.column.shrink ? each.width - limit(each.column) : 0;
    const taken = Math.max(0, Math.min(surplus, mayGive));
    widths.set(each, each.width - taken);
    surplus -= taken;
  }
  return columns.map((each) => ({ ...each, width: widths.get(each) ?? each.width }));
}

function softLimit(column: Column): number {
  return Math.max(hardLimit(column), column.least ?? 0);
}

function hardLimit({ title }: Column): number {
  return Math.max(SHRUNK_MIN, textWidth(title));
}

/** The text, or as many of its words as there is room for and "…"; what is cut loses its colours. */
export function cut(text: string, width: number): string {
  if (textWidth(text) <= width) return text;
  const start = [...unpainted(text)].slice(0, Math.max(0, width - 1)).join("");
  const words = start.slice(0, start.lastIndexOf(" ") + 1);
  return (words.trim() === "" ? start : words) + ELLIPSIS;
}

function pad(text: string, width: number, align: "left" | "right"): string {
  const blanks = " ".repeat(Math.max(0, width - textWidth(text)));
  return align === "left" ? text + blanks : blanks + text;
}

/** Columns that a text takes; what is shown is Latin, so one a character. */
function textWidth(text: string): number {
  return [...unpainted(text)].length;
}

function unpainted(text: string): string {
  return text.replace(/\x1b\[\d*m/g, "");
}
