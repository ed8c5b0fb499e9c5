/** Lines of text that fit the terminal, broken between words. */
import { terminalColumns } from "./width.ts";

interface FoldOptions {
  /** Blanks before the first line. */
  readonly indent?: number;
  /** Blanks before the others. */
  readonly hanging?: number;
  readonly width?: number | undefined;
}

/** A word that is longer than a line stays whole. Colours take no room. */
export function fold(
  text: string,
  { indent = 0, hanging = indent, width = terminalColumns() }: FoldOptions = {},
): string[] {
  const lines: string[] = [];
  let line = " ".repeat(indent);
  for (const word of text.split(/(?<= )(?! )/)) {
    if (line.trimStart() !== "" && Bun.stringWidth(line + word.trimEnd()) > width) {
      lines.push(line.trimEnd());
      line = " ".repeat(hanging);
    }
    line += word;
  }
  return [...lines, line.trimEnd()];
}
