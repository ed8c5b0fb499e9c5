/** The voice of the demonstration: what is said, what is run and what is proven, in 80 columns. */
import { fold as foldTo } from "../terminal/fold.ts";
import { bold, cyan, dim, green, red } from "../terminal/style.ts";

export const COLUMNS = 80;

export class Narrator {
  #failures = 0;

  /** Proofs that failed. */
  get failures(): number {
    return this.#failures;
  }

  /** @param position in a row of topologies, that one sees how much is still to come: "3 of 16" */
  title(name: string, text: string, position = ""): void {
    const line = `${name}  ${text}`;
    const gap = COLUMNS - line.length - position.length;
    const end = position === "" ? "" : gap > 1 ? " ".repeat(gap) + position : `\n${position}`;
    console.log(`\n${bold(line)}${dim(end)}\n${"═".repeat(COLUMNS)}`);
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

  /** What one of weft's listings printed, in the shape it has. */
  report(text: string): void {
    for (const line of text.trimEnd().split("\n")) {
      const indent = line.length - line.trimStart().length + 4;
      const isTooLong = line.length + 4 > COLUMNS;
      for (const part of isTooLong ? fold(line.trim(), indent) : [`    ${line}`])
        console.log(dim(part.trimEnd()));
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
  return foldTo(text, { indent, hanging: indent === 0 ? 0 : indent + 2, width: COLUMNS });
}
