import { expect, test } from "bun:test";
import { type Column, cut, formatTable } from "./table.ts";

const COLUMNS: readonly Column[] = [
  { title: "NAME", shrink: 1, least: 10 },
  { title: "COUNT", align: "right" },
  { title: "ADDRESSES", shrink: 2 },
];
const ROWS = [
  ["web", "7", "172.17.0.2/16 fd00:17::2/64"],
  ["default/nginx-5d4f7b8c9-abcde", "12", "10.9.0.3/24"],
];

test("formatTable() has columns as wide as they need where there is room", () => {
  expect(formatTable(COLUMNS, ROWS, 80).split("\n")).toEqual([
    "NAME                           COUNT  ADDRESSES",
    "web                                7  172.17.0.2/16 fd00:17::2/64",
    "default/nginx-5d4f7b8c9-abcde     12  10.9.0.3/24",
  ]);
});

test("formatTable() takes room from the column that gives way first", () => {
  expect(formatTable(COLUMNS, ROWS, 60).split("\n")).toEqual([
    "NAME                           COUNT  ADDRESSES",
    "web                                7  172.17.0.2/16 …",
    "default/nginx-5d4f7b8c9-abcde     12  10.9.0.3/24",
  ]);
});

test("formatTable() takes from the next one when that has given all, and never from one that keeps its own", () => {
  const lines = formatTable(COLUMNS, ROWS, 40).split("\n");
  expect(lines).toEqual([
    "NAME                    COUNT  ADDRESSES",
    "web                         7  172.17.0…",
    "default/nginx-5d4f7b8…     12  10.9.0.3…",
  ]);
  expect(formatTable([{ title: "A" }], [["a text that is long"]], 5)).toBe("A\na text that is long");
});

test("formatTable() counts no escape sequences", () => {
  const [, line] = formatTable([{ title: "A" }, { title: "B" }], [["\x1b[32mup\x1b[0m", "x"]], 20).split(
    "\n",
  );
  expect(line).toBe("\x1b[32mup\x1b[0m  x");
});

test.each([
  ["one two three", 20, "one two three"],
  ["one two three", 9, "one two …"],
  ["one two three", 8, "one …"],
  ["abcdef", 4, "abc…"],
  ["\x1b[31mabcdef\x1b[0m", 4, "abc…"],
])("cut() of %j to %d", (text, width, expected) => {
  expect(cut(text, width)).toBe(expected);
});
