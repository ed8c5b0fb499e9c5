/**
 * Standard output, noticing what could not be written: a script may fill a file on a full disk; and what is
 * said on standard error, which may name what others have named as well.
 */
import { writeSync } from "node:fs";
import { printableText } from "./printable.ts";

const STDOUT = 1;
const RETRY_MS = 10;

let failure: string | undefined;

/**
 * From here on console.log() notices, and lets no name steer the terminal. It writes at once, as it always
 * does, and never throws.
 */
export function watchOutput(): void {
  console.log = (text = "") => writeAll(Buffer.from(`${printableText(text)}\n`));
  const say = console.error;
  console.error = (text = "") => say(printableText(String(text)));
}

/** The same for a help, after which the command ends the process itself. */
export function writeHelp(text: string): void {
  writeAll(Buffer.from(text));
  if (failure === undefined) return;
  reportOutput();
  process.exit(1);
}

/** Says what could not be written, and has the tool fail. */
export function reportOutput(): void {
  if (failure === undefined) return;
  console.error(`weft: cannot write to standard output: ${failure}`);
  process.exitCode = 1;
}

function writeAll(bytes: Uint8Array): void {
  let written = 0;
  while (written < bytes.length) {
    try {
      written += writeSync(STDOUT, bytes, written);
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException; // what node:fs throws
      if (code === "EPIPE") return;
      if (code !== "EAGAIN") {
        failure ??= message;
        return;
      }
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS); // a full pipe
    }
  }
}
