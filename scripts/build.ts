/** Builds dist/bin/weft, the one executable, and a link for each plugin; says how big it is and how fast. */
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { installExecutable } from "../cli/executables/install-executable.ts";
import { plugins } from "../plugins.ts";
import { compileExecutable } from "./executable.ts";
import { write } from "./generate.ts";

const ROOT = dirname(import.meta.dir);
const BIN = join(ROOT, "dist/bin");
const START_RUNS = 41;

/** Wall time of a call, from spawn to exit. Milliseconds, the median. */
function medianStartMs(command: string): number {
  const stdin = Buffer.from('{"cniVersion":"1.1.0"}');
  const times = Array.from({ length: START_RUNS }, () => {
    const start = performance.now();
    Bun.spawnSync([command], { env: { CNI_COMMAND: "VERSION" }, stdin, stdout: "ignore", stderr: "ignore" });
    return performance.now() - start;
  });
  return times.sort((a, b) => a - b)[START_RUNS >> 1] ?? Number.NaN;
}

const problems = await write(ROOT);
if (problems.length > 0) {
  for (const line of problems) console.error(line);
  process.exit(1);
}

// Compiled beside its place, and under its final name, which is part of its bytes.
const workshop = mkdtempSync(join(ROOT, "dist-"));
try {
  compileExecutable(join(ROOT, "main.ts"), join(workshop, "weft"));
  installExecutable(join(workshop, "weft"), BIN, [...plugins.keys()]);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
} finally {
  rmSync(workshop, { recursive: true });
}

const megabytes = (statSync(join(BIN, "weft")).size / 1e6).toFixed(1);
const start = medianStartMs(join(BIN, "loopback")).toFixed(1);
const floor = medianStartMs("/bin/true").toFixed(1);
console.log(`dist/bin: weft and ${plugins.size} plugins, ${[...plugins.keys()].join(", ")}`);
console.log(
  `${megabytes} MB; VERSION in ${start} ms, median of ${START_RUNS} calls (/bin/true: ${floor} ms)`,
);
