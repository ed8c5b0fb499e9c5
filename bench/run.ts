/**
 * Measures ADD and DEL against the reference plugins and against the kernel's own floor; writes RESULTS.md.
 *
 *     bun bench/run.ts [--only TEXT] [--rounds N] [--ours DIR]
 *
 * --only takes the cases whose name has the text, --rounds does fewer rounds; neither writes the file.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { installExecutable } from "../cli/executables/install-executable.ts";
import { referencePlugins } from "../conformance/reference.ts";
import { plugins } from "../plugins.ts";
import { compileExecutable } from "../scripts/executable.ts";
import { measureEmulated } from "./emulated.ts";
import { load, runInNamespaces } from "./host.ts";
import type { Order } from "./measure.ts";
import { measureOverlay } from "./overlay/measure-overlay.ts";
import { emulatedCases } from "./underlay-cases.ts";

const ROOT = dirname(import.meta.dir);

const { values } = parseArgs({
  options: { only: { type: "string" }, rounds: { type: "string" }, ours: { type: "string" } },
});
const loadBefore = load();
const references = await referencePlugins();
for (const { missing } of references) if (missing !== undefined) console.error(`without ${missing}`);

mkdirSync(join(ROOT, "dist"), { recursive: true });
const folder = mkdtempSync(join(ROOT, "dist/bench-"));
try {
  writeFileSync(join(folder, "empty.ts"), "export {};\n");
  compileExecutable(join(folder, "empty.ts"), join(folder, "empty"));
  compileExecutable(join(ROOT, "bench/phases/main.ts"), join(folder, "weft"));
  installExecutable(join(folder, "weft"), join(folder, "phased"), [...plugins.keys()]);

  const suites = references.filter(({ missing }) => missing === undefined);
  const ours = values.ours ?? join(ROOT, "dist/bin");
  const selection = {
    suites: [
      { name: "weft", dir: ours, index: 0 },
      ...suites.map(({ version, dir }, index) => ({ name: version, dir, index: index + 1 })),
    ],
    only: values.only ?? "",
    rounds: values.rounds === undefined ? undefined : Number(values.rounds),
  };
  const isEmulatedWanted = emulatedCases().some(({ name }) => name.includes(selection.only));
  const { only, rounds } = selection;
  const order: Order = {
    ...selection,
    folder,
    load: loadBefore,
    emulated: isEmulatedWanted ? await measureEmulated(folder, selection) : [],
    overlay: await measureOverlay(folder, { dir: ours, only, rounds }),
    report: values.only || values.rounds || values.ours ? undefined : join(ROOT, "bench/RESULTS.md"),
  };
  process.exitCode = runInNamespaces(join(import.meta.dir, "measure.ts"), [JSON.stringify(order)]);
} finally {
  rmSync(folder, { recursive: true });
}
