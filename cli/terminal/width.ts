/** How wide the terminal is. */

/** Where there is no terminal, as in a file. */
const DEFAULT_COLUMNS = 80;
const COLUMNS_MIN = 40;

/** COLUMNS, else the terminal's own width, else 80. */
export function terminalColumns(): number {
  const told = Number(process.env["COLUMNS"]);
  const columns = Number.isInteger(told) && told > 0 ? told : (process.stdout.columns ?? DEFAULT_COLUMNS);
  return Math.max(COLUMNS_MIN, columns);
}
