/**
 * Makes one executable of an entry file: what Bun's compiler does, and the closing of what it leaves open.
 *
 * Reference: https://bun.com/docs/bundler/executables
 * Each hole is shown open and closed in conformance/hardening.test.ts.
 */
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";

/** Without splitting, every call would load every plugin; without bytecode, parse it. Splitting needs esm. */
const SHAPE = [
  "--compile",
  "--production",
  "--minify",
  "--bytecode",
  "--splitting",
  "--format=esm",
  // Code is compiled to machine code a hundred times later: a plugin is done before that pays, and without it
  // starts no thread for it (VERSION -8 %, bridge ADD -10 %). What runs on takes Bun.unsafe.setJITPolicy(1).
  "--compile-jit-policy=100",
];

const BUN = fileURLToPath(new URL("../node_modules/.bin/bun", import.meta.url));

/** Nothing of the directory that a call is made in is read, and no text becomes code. */
const CLOSED = [
  "--no-compile-autoload-dotenv",
  "--no-compile-autoload-bunfig",
  "--no-compile-autoload-tsconfig",
  "--no-compile-autoload-package-json",
  "--compile-exec-argv=--disallow-code-generation-from-strings=strict --no-ffi-cc --no-addons --no-install",
];

/** The opposite. Two of these four are what Bun does unless told otherwise. */
const OPEN = [
  "--compile-autoload-dotenv",
  "--compile-autoload-bunfig",
  "--compile-autoload-tsconfig",
  "--compile-autoload-package-json",
];

/** Environment variables of Bun's for which there is no such flag, and what each would do to a plugin. */
const VARIABLES = [
  "BUN_BE_BUN", // turn it into the bun command
  "BUN_OPTIONS", // give it bun's options: --preload FILE, --version
  "BUN_INSPECT", // make it listen for a debugger; with the flags above, refuse to start
  "BUN_INSPECT_CONNECT_TO", // connect to one
  "BUN_INSPECT_PRELOAD", // run a file; with the flags above, refuse to start
  "BUN_BYTECODE_ORDER_OUT", // write a file
  "BUN_BYTECODE_DIGEST_OUT", // write a file
  "BUN_ENABLE_CRASH_REPORTING", // send a report when it crashes
];

/**
 * Compiles `entry` to `outfile`. The bytes depend on the sources and on the last part of `outfile`, nothing
 * else: the compiler writes down the way from its directory to the sources, so it runs in theirs.
 * `open` leaves every hole that Bun has, for the tests to show that they are there.
 */
export function compileExecutable(entry: string, outfile: string, options: { open?: boolean } = {}): void {
  const flags = options.open ? OPEN : CLOSED;
  const args = ["build", `./${basename(entry)}`, ...SHAPE, ...flags, "--outfile", resolve(outfile)];
  const { status, stdout, stderr, error } = spawnSync(BUN, args, { cwd: dirname(entry), encoding: "utf8" });
  if (status !== 0) throw new Error(`Cannot compile ${entry}: ${error?.message ?? stderr + stdout}`);
  if (!options.open) writeFileSync(outfile, neutralise(readFileSync(outfile)));
}

/**
 * Overwrites the names of those variables with "=", in place: no environment can hold such a name.
 * (`strip` must not be run on the result: of any compiled executable it leaves the bun command alone.)
 * @throws Error when a name is not there exactly once, alone between NULs: a new version of Bun to look at
 */
export function neutralise<T extends Buffer>(bytes: T): T {
  for (const name of VARIABLES) {
    const found = positionsOf(bytes, `\0${name}\0`);
    const [position] = found;
    if (position === undefined || found.length > 1) {
      throw new Error(`Cannot neutralise ${name}: found ${found.length} times, want once`);
    }
    bytes.fill("=", position + 1, position + 1 + name.length);
  }
  return bytes;
}

function positionsOf(bytes: Buffer, text: string): number[] {
  const positions: number[] = [];
  for (let at = bytes.indexOf(text); at >= 0; at = bytes.indexOf(text, at + 1)) positions.push(at);
  return positions;
}
