import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { FAULTS } from "./faults.ts";

const ROOT = join(import.meta.dir, "../..");

for (const document of ["cli/doctor/README.md", "docs/troubleshooting.md"]) {
  test(`FAULTS are all in ${document}, and no others`, () => {
    const text = readFileSync(join(ROOT, document), "utf8");
    const rows = text.split("\n").filter((line) => line.startsWith("| `"));
    const told = rows.flatMap((row) => [...(row.split("|")[1] ?? "").matchAll(/`([a-z\d-]+)`/g)]);
    const names = new Set(told.map(([, name]) => name));
    expect([...names].sort()).toEqual(Object.keys(FAULTS).sort());
  });
}
