import { afterEach, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { findStale, write } from "./generate.ts";
import { keyTable, publishedSchema, type SchemaNode } from "./key-table.ts";
import { validatorText } from "./validator.ts";

const SCHEMA = {
  type: "object",
  properties: {
    mode: { enum: ["l2", "l3"], default: "l2", description: "How it forwards: a|b." },
    mtu: {
      type: "integer",
      minimum: 0,
      maximum: 65535,
      default: 0,
      description: "Bytes; 0 takes the master's.",
    },
    ranges: {
      type: "array",
      description: "Range sets.",
      items: {
        type: "object",
        required: ["subnet"],
        properties: {
          subnet: { type: "string", minLength: 1, description: "Prefix.", "x-message": "bad ${value}" },
        },
      },
    },
  },
};

const made: string[] = [];
afterEach(() => {
  for (const path of made.splice(0)) rmSync(path, { recursive: true });
});

/** A tree with one plugin of this schema text. */
function treeWith(schemaText: string): string {
  const root = mkdtempSync(join(tmpdir(), "weft-generate-"));
  made.push(root);
  mkdirSync(join(root, "plugins/probe"), { recursive: true });
  writeFileSync(join(root, "plugins/probe/schema.ts"), `export const schema = ${schemaText};\n`);
  return root;
}

test("findStale() finds nothing stale in this tree", async () => {
  expect(await findStale(dirname(import.meta.dir))).toEqual([]);
});

test("findStale() is content with what write() wrote, and names each file changed since", async () => {
  const root = treeWith(JSON.stringify(SCHEMA));
  expect(await write(root)).toEqual([]);
  expect(await findStale(root)).toEqual([]);
  writeFileSync(join(root, "schemas/probe.json"), "{}\n");
  writeFileSync(join(root, "schemas/gone.json"), "{}\n");
  writeFileSync(join(root, "plugins/probe/README.md"), "# probe\n");
  expect(await findStale(root)).toEqual([
    'schemas/probe.json:1: error: stale, run "npm run generate" and commit it',
    'plugins/probe/README.md:1: error: stale, run "npm run generate" and commit it',
    "schemas/gone.json:1: error: no plugin of this name, delete it",
  ]);
});

test("write() keeps the text around the table of a README", async () => {
  const root = treeWith(JSON.stringify(SCHEMA));
  const path = join(root, "plugins/probe/README.md");
  writeFileSync(path, "before\n<!-- keys -->\nold\n<!-- /keys -->\nafter\n");
  await write(root);
  const text = readFileSync(path, "utf8");
  expect(text).toStartWith("before\n<!-- keys -->\n| key |");
  expect(text).toEndWith("|\n<!-- /keys -->\nafter\n");
});

test("write() names the schema that has a key without a description", async () => {
  const root = treeWith('{ type: "object", properties: { mtu: { type: "integer" } } }');
  expect(await write(root)).toEqual(['plugins/probe/schema.ts:1: error: Key "mtu" has no description']);
  expect(existsSync(join(root, "schemas/probe.json"))).toBe(false);
});

test("write() makes a validator that fills in defaults and reports every violation", async () => {
  const root = treeWith(JSON.stringify(SCHEMA));
  await write(root);
  const { default: validate } = await import(join(root, "generated/validate/probe.js"));
  const config = {};
  expect(validate(config)).toBe(true);
  expect(config).toEqual({ mode: "l2", mtu: 0 });
  expect(validate({ mode: "l4", mtu: -1, ranges: [{}, { subnet: "" }] })).toBe(false);
  const found = validate.errors.map(({ instancePath, keyword }: Record<string, string>) => [
    instancePath,
    keyword,
  ]);
  expect(found.sort()).toEqual([
    ["/mode", "enum"],
    ["/mtu", "minimum"],
    ["/ranges/0", "required"],
    ["/ranges/1/subnet", "minLength"],
  ]);
});

test("validatorText() needs no package and no code generation at run time", () => {
  const text = validatorText({
    ...SCHEMA,
    properties: { list: { type: "array", uniqueItems: true } },
  } as SchemaNode);
  expect(text).not.toMatch(/require\(|new Function|\beval\b/);
  expect(text).toContain("function equal(a, b)");
});

test("validatorText() refuses what ajv could only take from another package", () => {
  expect(() => validatorText({ type: "string", format: "ipv4" })).toThrow('unknown format "ipv4"');
});

test("keyTable() has one line a key, dotted, with type, bounds, default and meaning", () => {
  expect(keyTable(SCHEMA).split("\n").slice(2)).toEqual([
    '| `mode` | `"l2"`, `"l3"` | `"l2"` | How it forwards: a\\|b. |',
    "| `mtu` | integer, 0 to 65535 | `0` | Bytes; 0 takes the master's. |",
    "| `ranges` | array of object |  | Range sets. |",
    "| `ranges[].subnet` | string | required | Prefix. |",
  ]);
});

test("publishedSchema() names itself and leaves out our own annotations", () => {
  const published = JSON.parse(publishedSchema("probe", SCHEMA));
  expect(published).toMatchObject({
    $id: "urn:weft:schema:probe",
    title: "Configuration of the CNI plugin probe",
  });
  expect(published.properties.ranges.items.properties.subnet).toEqual({
    type: "string",
    minLength: 1,
    description: "Prefix.",
  });
});
