/** The style of this tree, as far as a program can check it. The rules are in scripts/tidy. */
import { afterAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { plugins } from "./plugins.ts";
import { type Exception, tidy } from "./scripts/tidy/tidy.ts";

const EXCEPTIONS: readonly Exception[] = [
  { path: "tidy.test.ts", rule: "word", because: "it shows them" },
  { path: "scripts/validator.ts", rule: "word", because: "it looks for it in what ajv wrote" },
  { path: "scripts/generate.test.ts", rule: "word", because: "it looks for it in what ajv wrote" },
];

/** It parses the whole tree: 2 s where nothing else runs. */
const TREE_TIMEOUT_MS = 60_000;

test(
  "tidy() finds nothing in this tree",
  async () => {
    expect(await tidy(import.meta.dir, EXCEPTIONS)).toEqual([]);
  },
  TREE_TIMEOUT_MS,
);

test("plugins has every folder of plugins/, and nothing else", () => {
  expect([...plugins.keys()].sort()).toEqual(readdirSync(join(import.meta.dir, "plugins")).sort());
});

// A file each, and what is to be said of it, without "error: ".

const HEADER = "/** A header. */\n";

const BAD: Readonly<Record<string, readonly [text: string, ...complaints: string[]]>> = {
  // Storeys.
  "lib/sys/up.ts": [
    `${HEADER}import { parse } from "../netaddr/good.ts";\nparse();\n`,
    "2: import of lib/netaddr/good.ts is banned, use what lies below",
  ],
  "lib/cni/sideways.ts": [
    `${HEADER}export type { Link } from "../rtnetlink/good.ts";\n`,
    "2: import of lib/rtnetlink/good.ts is banned, use what lies below",
  ],
  "plugins/bridge/main.ts": [
    `${HEADER}const other = await import("../vlan/main.ts");\nexport default other;\n`,
    "2: import of plugins/vlan/main.ts is banned, use a verb of lib/",
  ],
  "plugins/vlan/main.ts": [
    `${HEADER}import { send } from "../../lib/netlink/good.ts";
send();
function del() {}
function add() {}
`,
    "2: import of lib/netlink/good.ts is banned, use lib/rtnetlink or a verb of lib/",
    "5: add() after del() is banned, use the order add, del, check, gc, status",
  ],
  // The costly and the dangerous.
  "lib/foreign.ts": [
    `${HEADER}import { dlopen } from "bun:ffi";
import { readFileSync } from "node:fs";
import { execa } from "execa";
`,
    "2: import of bun:ffi is banned, use lib/sys/libc.ts",
    "3: import of node:fs is banned, use lib/sys: it costs 1 ms at start",
    "4: import of execa is banned, use Bun.spawnSync",
  ],
  "lib/validate.ts": [
    `${HEADER}import type { ErrorObject } from "ajv";\nimport { Ajv } from "ajv";\n`,
    "3: import of ajv is banned, do it at build time, in scripts/",
  ],
  // Cycles: the one of types is none.
  "lib/cycle/a.ts": [`${HEADER}import { b } from "./b.ts";\nexport const a = b;\n`],
  "lib/cycle/b.ts": [`${HEADER}import { c } from "./c.ts";\nexport const b = c;\n`],
  "lib/cycle/c.ts": [
    `${HEADER}export const c = () => import("./a.ts");\n`,
    "2: import cycle is banned, use a third file: a.ts → b.ts → c.ts → a.ts",
  ],
  "lib/cycle/d.ts": [`${HEADER}import { e } from "./e.ts";\nexport type D = typeof e;\n`],
  "lib/cycle/e.ts": [`${HEADER}import { type D } from "./d.ts";\nexport const e: D | 1 = 1;\n`],
  // Sizes.
  "lib/long-file.ts": [`${HEADER}${"\n".repeat(400)}`, "400: 401 lines are banned, use files of up to 400"],
  "lib/long-function.ts": [
    `${HEADER}export function long() {${"\n".repeat(70)}}\nconst arrow = () => {${"\n".repeat(70)}};\n`,
    "2: a function of 71 lines is banned, use up to 70",
    "73: a function of 71 lines is banned, use up to 70",
  ],
  "lib/wide.ts": [
    `${HEADER}// ${"é".repeat(108)}
// ${"é".repeat(107)}
throw new Error("${"a text in one piece ".repeat(6)}");
call("one", ${"another, ".repeat(10)} "three", "and the rest");
`,
    "2: 111 columns are banned, use up to 110",
    "5: 128 columns are banned, use up to 110",
  ],
  // Names and shapes.
  "lib/utils.ts": [HEADER, "1: the name utils is banned, use what it is for"],
  "lib/camelCase.ts": [HEADER, "1: the name camelCase is banned, use kebab-case"],
  "lib/headless.ts": [
    "export const x = 1;\n",
    "1: a file without a header is banned, use one sentence that says what it is",
  ],
  "lib/shapes.ts": [
    `${HEADER}export default function f(a: boolean, b: boolean) {}
export const c = f as unknown; // unknown on purpose
export const d = f as object;
export const e = [1] as const;
export const g = { set(name: string, on: boolean) {} };
`,
    "2: a default export is banned, use a name",
    "2: the boolean argument b: boolean is banned, use an options object",
    "4: a cast without its reason beside it is banned, use a check, or a comment",
    "6: the boolean argument on: boolean is banned, use an options object",
  ],
  // Words and spaces.
  "lib/words.ts": [
    `${HEADER}console.log("# TODO of TAP");
process.stdout.write("");
// process.stdout is slow
// TODO later
/* @ts-ignore */
`,
    "2: console.log is banned, use writeFd(1, …): stdout is the result",
    "3: process.stdout is banned, use writeFd(1, …): it takes 9 ms to load",
    "5: TODO is banned, use an issue, or do it",
    "6: @ts-ignore is banned, use @ts-expect-error with its reason",
  ],
  "lib/spaces.ts": [
    `${HEADER}const a = 1; \n\tconst b = 2;\nconst c = 3;`,
    "2: trailing space is banned, use none",
    "3: a tab is banned, use spaces, or \\t in a string",
    "4: a last line without an end is banned, use a newline",
  ],
  // What is as it should be.
  "lib/netaddr/good.ts": [`${HEADER}export const parse = () => 1;\n`],
  "lib/netlink/good.ts": [
    `${HEADER}import { parse } from "../netaddr/good.ts";\nexport const send = parse;\n`,
  ],
  "lib/rtnetlink/good.ts": [`${HEADER}export { send } from "../netlink/good.ts";\nexport type Link = 1;\n`],
  "lib/good.ts": [`${HEADER}import { send } from "./rtnetlink/good.ts";\nsend();\n`],
  "cli/good.ts": [`${HEADER}import "node:fs";\nconsole.log(1);\n`],
  "lib/good.test.ts": [`import { readFileSync } from "node:fs";\nreadFileSync("a" as string);\n`],
};

const root = mkdtempSync(join(tmpdir(), "weft-tidy-"));
afterAll(() => rmSync(root, { recursive: true }));

const TREE: typeof BAD = { ...BAD, "tsconfig.json": ['{"compilerOptions": {"noLib": true}}'] };
for (const [path, [text]] of Object.entries(TREE)) {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}
const found = await tidy(root, [{ path: "lib/gone.ts", rule: "word", because: "the file is gone" }]);

test.each(Object.entries(BAD))("tidy() says what is wrong with %s", (path, [, ...complaints]) => {
  const said = found.filter((line) => line.startsWith(`${path}:`));
  expect(said).toEqual(complaints.map((complaint) => `${path}:${complaint.replace(": ", ": error: ")}`));
});

test("tidy() says when an exception is not needed", () => {
  expect(found).toContain("lib/gone.ts:1: error: an exception from word unused is banned, use none");
});
