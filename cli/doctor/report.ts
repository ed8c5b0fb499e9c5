/** Findings as text for people. */
import { bold, dim, red, yellow } from "../terminal/style.ts";
import { terminalColumns } from "../terminal/width.ts";
import type { Finding } from "./finding.ts";

/** Of the word that a finding begins with. */
const MARGIN = 9;

/** What is wrong with what, what shows it, and the command: in one line, to be copied. */
export function formatFinding({ fault, title, severity, subject, evidence, remedy }: Finding): string {
  const paint = severity === "error" ? red : yellow;
  const margin = " ".repeat(MARGIN);
  const [first = "", ...more] = wrap(`${subject}: ${evidence}`, terminalColumns() - MARGIN);
  return [
    `${paint(severity.padEnd(MARGIN))}${bold(title)} ${dim(`(${fault})`)}`,
    ...[first, ...more].map((line) => margin + line),
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

/** Lines of at most `width`, broken between words; a word that is longer is a line of its own. */
function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
