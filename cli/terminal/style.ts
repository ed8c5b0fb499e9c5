/** How text looks on this terminal: with colours where there is one that wants them (no-color.org). */
import { isatty } from "node:tty";

/** A text as the terminal shows it. */
export type Paint = (text: string) => string;

let isColoured: boolean | undefined;

/** Whether colours are used: decided once, by standard output, NO_COLOR and TERM. */
export function hasColours(): boolean {
  isColoured ??= isatty(1) && !process.env["NO_COLOR"] && process.env["TERM"] !== "dumb";
  return isColoured;
}

// SGR, "Select Graphic Rendition" (ECMA-48 §8.3.117)
export const bold: Paint = paint(1);
export const dim: Paint = paint(2);
export const red: Paint = paint(31);
export const green: Paint = paint(32);
export const yellow: Paint = paint(33);
export const cyan: Paint = paint(36);

function paint(code: number): Paint {
  return (text) => (hasColours() && text !== "" ? `\x1b[${code}m${text}\x1b[0m` : text);
}
