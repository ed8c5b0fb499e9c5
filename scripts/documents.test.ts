import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Ajv } from "ajv";
import { loadProgram } from "../cli/main.ts";

const ROOT = dirname(import.meta.dir);
const DOCUMENTS = ["README.md", ...new Bun.Glob("docs/*.md").scanSync({ cwd: ROOT })];

interface List {
  readonly name: string;
  readonly cniVersion: string;
  readonly plugins: readonly { readonly type: string }[];
}

function listsOf(document: string): List[] {
  const text = readFileSync(join(ROOT, document), "utf8");
  const blocks = [...text.matchAll(/^```json\n([\s\S]*?)^```$/gm)].map(([, json = ""]) => JSON.parse(json));
  return blocks.filter((value) => Array.isArray(value.plugins));
}

for (const document of DOCUMENTS) {
  for (const { name, cniVersion, plugins } of listsOf(document)) {
    for (const plugin of plugins) {
      test(`${document}: network ${name} has what the schema of ${plugin.type} wants`, () => {
        const schema = JSON.parse(readFileSync(join(ROOT, `schemas/${plugin.type}.json`), "utf8"));
        const validate = new Ajv({ strict: false }).compile(schema);
        validate({ ...plugin, name, cniVersion });
        expect(validate.errors).toBeNull();
      });
    }
  }
}

test("README.md has a line for each of the tool's verbs", async () => {
  const text = readFileSync(join(ROOT, "README.md"), "utf8");
  const rows = text.split("\n").filter((line) => /^\| `.*\| `weft /.test(line));
  const told = new Set(
    rows.flatMap((row) => [...(row.split("|")[1] ?? "").matchAll(/`(\w+)/g)].map(([, verb]) => verb)),
  );
  const program = await loadProgram();
  expect(program.commands.map((verb) => verb.name()).filter((verb) => !told.has(verb))).toEqual([]);
});
