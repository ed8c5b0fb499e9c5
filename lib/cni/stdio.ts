/**
 * A plugin's stdin and stdout.
 *
 * process.stdout is not used: it takes 9 ms to load, and process.exit() cuts off what it has not written yet.
 */
import { readFd, writeFd } from "../sys/file.ts";
import { POLLIN, ppoll } from "../sys/libc.ts";
import { CniError, formatError } from "./error.ts";

/** How long VERSION waits for a configuration that it can do without. */
const OPTIONAL_STDIN_TIMEOUT_MS = 100;

/** @param options.optional whether to do without when nothing comes @throws CniError 5 */
export function readStdin(options: { optional: boolean }): string {
  if (options.optional && !ppoll(0, POLLIN, OPTIONAL_STDIN_TIMEOUT_MS)) return "";
  try {
    // a byte-order mark is no JSON: one that we took, a delegate in Go would refuse
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(readFd(0));
  } catch (error) {
    throw new CniError(CniError.IO_FAILURE, "error reading from stdin", { cause: error });
  }
}

export function print(fd: number, text: string): void {
  writeFd(fd, new TextEncoder().encode(text));
}

/** Answers with the error and exits. On stderr where stdout takes nothing, so that somebody learns of it. */
export function exitWith(error: unknown, cniVersion: string): never {
  const text = formatError(error, cniVersion);
  try {
    print(1, text);
  } catch {
    print(2, `${text}\n`);
  }
  process.exit(1);
}
