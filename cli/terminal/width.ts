/** How wide the terminal is. */
import { isatty, WriteStream } from "node:tty";

/** Where there is no terminal, as in a file. */
const DEFAULT_COLUMNS = 80;
const COLUMNS_MIN = 40;

let columns: number | undefined;

/** COLUMNS, else the terminal's own width, else 80. */
export function terminalColumns(): number {
  columns ??= Math.max(COLUMNS_MIN, told() ?? ownWidth() ?? DEFAULT_COLUMNS);
  return columns;
}

function told(): number | undefined {
  const number = Number(process.env["COLUMNS"]);
  return Number.isInteger(number) && number > 0 ? number : undefined;
}

function ownWidth(): number | undefined {
  return isatty(1) ? new WriteStream(1).columns || undefined : undefined;
}
