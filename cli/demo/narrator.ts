/** The voice of the demonstration: what is said, what is run and what is proven, in 80 columns. */
import { isatty } from "node:tty";

export const COLUMNS = 80;

const isColoured = isatty(1) && !process.env["NO_COLOR"];
const paint = (code: number) => (text: string) => (isColoured ? `\x1b[${code}m${text}\x1b[0m` : text);
const bold = paint(1);
const dim = paint(2);
const red = paint(31);
const green = paint(32);
const cyan = paint(36);

export class Narrator {
  #failures = 0;

  /** Proofs that failed. */
  get failures(): number {
    return this.#failures;
  }

  title(name: string, text: string): void {
    console.log(`\n${bold(`${name}  ${text}`)}\n${"═".repeat(COLUMNS)}`);
  }

  /** What comes now. */
  step(text: string): void {
    console.log(`\n${bold(text)}`);
  }

  say(text: string): void {
    for (const line of fold(text, 0)) console.log(line);
  }

  /** Lines after the first are the rest of the same command; `at` is the host, where there are several. */
  command(text: string, at = ""): void {
    const width = COLUMNS - 4 - at.length;
    const lines = text.split("\n").flatMap((line) => (line.length > width ? continued(line, width) : line));
    for (const line of `${at}$ ${lines.join("\n")}`.split("\n")) console.log(cyan(`  ${line}`));
  }

  /** What a command printed, with its columns drawn together. */
  output(text: string): void {
    for (const line of text.trimEnd().split("\n")) {
      for (const part of fold(line.trim().replace(/ {2,}/g, "  "), 4)) console.log(dim(part));
    }
  }

  /** Lines that keep their shape. */
  listing(lines: readonly string[]): void {
    for (const line of lines) console.log(`    ${line}`);
  }

  /** The commands that do the same as the one before. */
  byHand(commands: readonly string[]): void {
    const lines = commands.flatMap((command) => continued(command, COLUMNS - 4));
    this.listing(["# the same by hand:", ...lines].map(dim));
  }

  proof(text: string, { holds }: { holds: boolean }): void {
    if (!holds) this.#failures++;
    const [first = "", ...others] = fold(text, 4);
    console.log([`  ${holds ? green("✓") : red("✗")} ${first.trimStart()}`, ...others].join("\n"));
  }
}

/** A command on as many lines as it takes, as a shell reads it; a word that is longer stays whole. */
export function continued(command: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of command.split(" ")) {
    if (line.trim() !== "" && line.length + 1 + word.length + " \\".length > width) {
      lines.push(`${line} \\`);
      line = `  ${word}`;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

/** Lines of at most 80 columns, broken at spaces and indented; the broken ones by two more. */
export function fold(text: string, indent: number): string[] {
  const lines: string[] = [];
  let line = " ".repeat(indent);
  for (const word of text.split(/(?<= )(?! )/)) {
    if (line.trimStart() !== "" && line.length + word.trimEnd().length > COLUMNS) {
      lines.push(line.trimEnd());
      line = " ".repeat(indent === 0 ? 0 : indent + 2);
    }
    line += word;
  }
  return [...lines, line.trimEnd()];
}
