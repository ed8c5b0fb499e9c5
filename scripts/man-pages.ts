/** Writes packaging/man/*.1, the pages of the tool; `--check` tells which are not what it would write. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { manPages } from "./man-page.ts";

const DIRECTORY = join(dirname(import.meta.dir), "packaging/man");

/** Names of pages that differ from what the commands say, are missing, or nobody's. */
export async function staleManPages(): Promise<string[]> {
  const pages = await manPages();
  const there = readdirSync(DIRECTORY);
  const wrong = [...pages].filter(([name, text]) => !there.includes(name) || text !== textOf(name));
  return [...wrong.map(([name]) => name), ...there.filter((name) => !pages.has(name))];
}

function textOf(name: string): string {
  return readFileSync(join(DIRECTORY, name), "utf8");
}

if (import.meta.main) {
  if (process.argv.includes("--check")) {
    const stale = await staleManPages();
    for (const name of stale) console.error(`packaging/man/${name}:1: error: stale, run "npm run generate"`);
    process.exitCode = stale.length > 0 ? 1 : 0;
  } else {
    rmSync(DIRECTORY, { recursive: true, force: true });
    mkdirSync(DIRECTORY, { recursive: true });
    for (const [name, text] of await manPages()) writeFileSync(join(DIRECTORY, name), text);
  }
}
