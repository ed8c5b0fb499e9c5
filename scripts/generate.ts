/**
 * What is made from each plugins/<name>/schema.ts:
 *
 *   generated/validate/<name>.js, .d.ts   the validator (git-ignored)
 *   schemas/<name>.json                   the JSON Schema for editors
 *   plugins/<name>/README.md              the table between <!-- keys --> and <!-- /keys -->
 *
 * `generate.ts --check` writes nothing and fails when a committed file is not what it would write.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { keyTable, publishedSchema, type SchemaNode } from "./key-table.ts";
import { VALIDATOR_DECLARATION, validatorText } from "./validator.ts";

/** A file of the tree and what it must contain. */
interface Output {
  readonly path: string;
  readonly text: string;
  readonly committed: boolean;
}

/** What follows from the schemas under `root`, and a line for each schema from which nothing can follow. */
interface Plan {
  readonly outputs: readonly Output[];
  readonly problems: readonly string[];
}

/** Writes what differs. Returns a line for each schema at fault; the others are written all the same. */
export async function write(root: string): Promise<readonly string[]> {
  const { outputs, problems } = await plan(root);
  for (const { path, text } of outputs) {
    if (textOf(root, path) === text) continue;
    mkdirSync(join(root, dirname(path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return problems;
}

/** A line for each committed file that is not what its schema says, and for each schema at fault. */
export async function findStale(root: string): Promise<readonly string[]> {
  const { outputs, problems } = await plan(root);
  const committed = outputs.filter((output) => output.committed);
  const expected = new Set(committed.map(({ path }) => path));
  const stale = committed.filter(({ path, text }) => textOf(root, path) !== text);
  const orphans = listFiles(root, "schemas/*.json").filter((path) => !expected.has(path));
  return [
    ...problems,
    ...stale.map(({ path }) => `${path}:1: error: stale, run "npm run generate" and commit it`),
    ...orphans.map((path) => `${path}:1: error: no plugin of this name, delete it`),
  ];
}

async function plan(root: string): Promise<Plan> {
  const outputs: Output[] = [];
  const problems: string[] = [];
  for (const schemaPath of listFiles(root, "plugins/*/schema.ts")) {
    try {
      outputs.push(...outputsOf(root, dirname(schemaPath), await import(join(root, schemaPath))));
    } catch (error) {
      problems.push(`${schemaPath}:1: error: ${error instanceof Error ? error.message : error}`);
    }
  }
  return { outputs, problems };
}

function outputsOf(root: string, folder: string, { schema }: { schema: SchemaNode }): Output[] {
  const name = basename(folder);
  return [
    { path: `generated/validate/${name}.js`, text: validatorText(schema), committed: false },
    { path: `generated/validate/${name}.d.ts`, text: VALIDATOR_DECLARATION, committed: false },
    { path: `schemas/${name}.json`, text: publishedSchema(name, schema), committed: true },
    { path: `${folder}/README.md`, text: readmeText(root, folder, keyTable(schema)), committed: true },
  ];
}

const BEGIN = "<!-- keys -->";
const END = "<!-- /keys -->";

/** The README with its table renewed; a README without one gets it at its end. */
function readmeText(root: string, folder: string, table: string): string {
  const text = textOf(root, `${folder}/README.md`) ?? `# ${basename(folder)}\n`;
  const begin = text.indexOf(BEGIN);
  const end = text.indexOf(END);
  if (begin < 0 || end < begin) return `${text}\n## Keys\n\n${BEGIN}\n${table}\n${END}\n`;
  return `${text.slice(0, begin)}${BEGIN}\n${table}\n${text.slice(end)}`;
}

function listFiles(root: string, pattern: string): string[] {
  return [...new Bun.Glob(pattern).scanSync({ cwd: root })].sort();
}

function textOf(root: string, path: string): string | undefined {
  const file = join(root, path);
  return existsSync(file) ? readFileSync(file, "utf8") : undefined;
}

if (import.meta.main) {
  const root = dirname(import.meta.dir);
  const lines = await (process.argv.includes("--check") ? findStale(root) : write(root));
  for (const line of lines) console.error(line);
  process.exitCode = lines.length > 0 ? 1 : 0;
}
