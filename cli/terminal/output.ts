/** Standard output, noticing what could not be written: a script may fill a file on a full disk. */
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
}

/** "ENOSPC: no space left on device, write"; undefined where all is written, or nobody reads any more. */
export function outputFailure(): string | undefined {
  return failure;
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
