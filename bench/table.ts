/** Cells of the report's tables. */
import { median, percentile } from "./statistics.ts";

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (columns: readonly string[]) => `| ${columns.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

export function distribution(values: readonly number[]): string {
  return `**${round(median(values))}** (${round(Math.min(...values))}, ${round(percentile(values, 0.95))})`;
}

export function verdict(value: number, bar: number, unit = ""): string {
  const missed = `missed by ${Math.round(100 * (value / bar - 1))} %`;
  return `≤ ${bar}${unit}: ${value <= bar ? "held" : missed}`;
}

export function round(value: number): string {
  return value.toFixed(2);
}

export function mib(kib: number): string {
  return `${(kib / 1_024).toFixed(1)} MiB`;
}
