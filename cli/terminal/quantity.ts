/** Numbers with what they count, as people read them. */

const BYTE_UNITS = ["B", "kB", "MB", "GB", "TB", "PB"];

/** "1 port", "3 ports", "no ports" */
export function countOf(count: number, one: string, many = `${one}s`): string {
  return `${count === 0 ? "no" : count} ${count === 1 ? one : many}`;
}

/** "0 B", "999 B", "1.2 kB", "37 MB": powers of 1000. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < BYTE_UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  const text = unit === 0 || value >= 9.95 ? String(Math.round(value)) : value.toFixed(1);
  return `${text} ${BYTE_UNITS[unit]}`;
}
