/** Findings as text for people. */
import { fold } from "../terminal/fold.ts";
import { bold, dim, red, yellow } from "../terminal/style.ts";
import type { Finding } from "./finding.ts";

/** Of the word that a finding begins with. */
const MARGIN = 9;

/** What is wrong with what, what shows it, and the command: in one line, to be copied. */
export function formatFinding(
  { fault, title, severity, subject, evidence, remedy }: Finding,
  width?: number,
): string {
  const paint = severity === "error" ? red : yellow;
  const margin = " ".repeat(MARGIN);
  const id = `(${fault})`;
  const headings = fold(`${title} ${id}`, { indent: MARGIN, width }).map((line) => {
    const text = line.slice(MARGIN);
    return text.endsWith(id) ? `${bold(text.slice(0, -id.length))}${dim(id)}` : bold(text);
  });
  return [
    `${paint(severity.padEnd(MARGIN))}${headings.join(`\n${margin}`)}`,
    ...fold(`${subject}: ${evidence}`, { indent: MARGIN, width }),
    `${margin}${dim("mend:")} ${remedy}`,
  ].join("\n");
}

/** "2 errors, 1 warning" */
export function countOf(findings: readonly Finding[]): string {
  const { error = [], warning = [] } = Object.groupBy(findings, ({ severity }) => severity);
  return [several(error.length, "error"), several(warning.length, "warning")].filter(Boolean).join(", ");
}

function several(count: number, what: string): string {
  if (count === 0) return "";
  return count === 1 ? `1 ${what}` : `${count} ${what}s`;
}
