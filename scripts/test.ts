/**
 * Every test there is, in the order in which a failure is cheapest to find. Closes with one line, the sum of
 * all: "N passed, N failed, N skipped". A suite that dies without a count is a failure.
 *
 * `bun scripts/test.ts build units conformance/bridge.test.ts` runs the suites and files named.
 */
import { existsSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import {
  type Counts,
  countJunit,
  countTap,
  failedFilesInTap,
  failedInTap,
  skippedInJunit,
  skippedInTap,
} from "./count.ts";

const ROOT = dirname(import.meta.dir);
const JUNIT = join(ROOT, "dist/units.xml");
const TAP = join(ROOT, "dist/conformance.tap");
/** Runs others, in an emulated machine, and takes longest. */
const SECOND_KERNEL = "conformance/a-second-kernel.test.ts";
/** More files than this do not fail by chance. */
const AGAIN_MAX = 6;
const UNIT_FOLDERS = ["agent", "bench", "cli", "lib", "plugins", "scripts"];

/** Root's tests write to /run/weft: to one that ends with them, as does a machine-id where there is none. */
const OWN_RUN =
  process.getuid?.() === 0
    ? [
        ...["unshare", "-m", "sh", "-c"],
        `mount -t tmpfs tmpfs /run && { grep -qsxE '[0-9a-f]{32}' /etc/machine-id ||
          { cp -a /etc /run && mount --bind /run/etc /etc && printf %032x 1 >/etc/machine-id; }
        } && WEFT_OWN_RUN=1 exec "$@"`,
        "sh",
      ]
    : [];

/** What passes or fails as a whole: it counts only when it fails. */
const CHECKS: Readonly<Record<string, readonly string[]>> = {
  build: ["bun", "scripts/build.ts"],
  types: ["tsc"],
  lint: ["biome", "check", "--error-on-warnings", "."],
};

/** Test files, the runner that takes them, and where and how it leaves its count. */
interface Suite {
  readonly patterns: readonly string[];
  readonly command: readonly string[];
  readonly output: string;
  readonly count: (...outputs: string[]) => Counts;
  readonly skipped: (...outputs: string[]) => string[];
  /** What failed, where the runner has not said so itself. */
  readonly failed: (...outputs: string[]) => string[];
  /** The files that are worth another try. */
  readonly failedFiles: (output: string) => string[];
}

const SUITES: Readonly<Record<string, Suite>> = {
  units: {
    patterns: ["*.test.ts", ...UNIT_FOLDERS.map((folder) => `${folder}/**/*.test.ts`)],
    command: [
      ...OWN_RUN,
      "bun",
      "test",
      "--only-failures",
      "--reporter=junit",
      `--reporter-outfile=${JUNIT}`,
    ],
    output: JUNIT,
    count: countJunit,
    skipped: skippedInJunit,
    failed: () => [],
    failedFiles: () => [],
  },
  conformance: {
    patterns: ["conformance/**/*.test.ts"],
    command: ["tap", "run", "--reporter=min", `--output-file=${TAP}`],
    output: TAP,
    count: countTap,
    skipped: skippedInTap,
    failed: failedInTap,
    failedFiles: failedFilesInTap,
  },
};

/** The files of a suite that the words ask for: all of them when there are no words, or when it is named. */
function filesOf(name: string, suite: Suite, words: readonly string[]): string[] {
  const globs = suite.patterns.map((pattern) => new Bun.Glob(pattern));
  const all = words.length === 0 || words.includes(name);
  const files = all
    ? globs.flatMap((glob) => [...glob.scanSync(ROOT)].sort())
    : words.filter((word) => globs.some((glob) => glob.match(word)));
  return files.map((file) => `./${file}`); // without "./", bun takes a path for a pattern
}

function isKnown(word: string): boolean {
  return (
    word in CHECKS || Object.entries(SUITES).some(([name, suite]) => filesOf(name, suite, [word]).length > 0)
  );
}

/** Runs it as it would run in a terminal. Returns the exit code. */
function run(name: string, command: readonly string[]): number {
  console.log(`\n== ${name}`);
  const stdio: ["ignore", "inherit", "inherit"] = ["ignore", "inherit", "inherit"];
  // as it is now: without it the program sees what was there when this one began
  return Bun.spawnSync([...command], { cwd: ROOT, stdio, env: process.env }).exitCode;
}

/**
 * Runs the files, and those that failed once more, one at a time: they are about real processes and packets,
 * and the machine that was too busy for them with the others may be fast enough. What fails twice has failed.
 */
function runSuite(name: string, suite: Suite, files: readonly string[]): Counts {
  const outputs: string[] = [];
  let exitCode = runFiles(name, suite, files, outputs);
  const failed = suite.failedFiles(outputs[0] ?? "");
  const mayBeChance = failed.length <= AGAIN_MAX && failed.length < files.length;
  if (failed.length > 0 && mayBeChance && !failed.includes(SECOND_KERNEL)) {
    for (const each of suite.failed(...outputs)) console.log(`failed at first: ${each}`);
    const runners = failed.map((each) => each.split(" > ")[0] ?? "");
    const inside = failed.flatMap((each) => each.split(" > ")[1] ?? []);
    process.env["WEFT_SECOND_KERNEL_FILES"] = inside.join(" ");
    exitCode = runFiles(`${name}, again`, suite, ["--jobs=1", ...new Set(runners)], outputs);
  }
  for (const skipped of suite.skipped(...outputs)) console.log(`skipped: ${skipped}`);
  for (const failed of suite.failed(...outputs)) console.log(`failed: ${failed}`);
  try {
    const counts = suite.count(...outputs);
    return exitCode !== 0 && counts.failed === 0 ? { ...counts, failed: 1 } : counts;
  } catch (error) {
    console.error(`${name}: ${error instanceof Error ? error.message : error}`);
    return { passed: 0, failed: 1, skipped: 0 };
  }
}

/** Appends what the runner writes to the outputs. Returns its exit code. */
function runFiles(title: string, suite: Suite, args: readonly string[], outputs: string[]): number {
  rmSync(suite.output, { force: true });
  const exitCode = run(title, [...suite.command, ...args]);
  if (existsSync(suite.output)) outputs.push(readFileSync(suite.output, "utf8"));
  return exitCode;
}

const words = process.argv.slice(2).map((word) => word.replace(/^\.\//, ""));
const sum: Counts = { passed: 0, failed: 0, skipped: 0 };

for (const word of words.filter((word) => !isKnown(word))) {
  console.error(`error: ${word} is no suite and no test file`);
  sum.failed++;
}
for (const [name, command] of Object.entries(CHECKS)) {
  if (words.length > 0 && !words.includes(name)) continue;
  if (run(name, command) === 0) continue;
  console.log(`${name}: failed`);
  sum.failed++;
}
for (const [name, suite] of Object.entries(SUITES)) {
  const files = filesOf(name, suite, words);
  if (files.length === 0) continue;
  const counts = runSuite(name, suite, files);
  console.log(`${name}: passed ${counts.passed}, failed ${counts.failed}, skipped ${counts.skipped}`);
  for (const key of ["passed", "failed", "skipped"] as const) sum[key] += counts[key];
}
console.log(`\n${sum.passed} passed, ${sum.failed} failed, ${sum.skipped} skipped`);
process.exitCode = sum.failed > 0 ? 1 : 0;
