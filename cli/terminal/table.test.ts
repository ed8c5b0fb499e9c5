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

test("formatTable() goes on below with what folds", () => {
  const columns = [{ title: "NAME" }, { title: "WHAT IT IS", shrink: 1, folds: true }];
  const rows = [
    ["web", "a server of pages"],
    ["db", "a store"],
  ];
  expect(formatTable(columns, rows, 16).split("\n")).toEqual([
    "NAME  WHAT IT IS",
    "web   a server",
    "      of pages",
    "db    a store",
  ]);
});

test("formatTable() leaves out what it can do without, before anything is cut below use", () => {
  const columns: readonly Column[] = [
    { title: "NAME", shrink: 1, least: 12, dispensable: 1 },
    { title: "FILE", shrink: 2, least: 12, dispensable: 2 },
    { title: "HOST", shrink: 3, least: 12 },
  ];
  const rows = [["a-name-of-16-chr", "weft-blue.conflist", "veth1a2b3c4d"]];
  const shownAt = (width: number) => formatTable(columns, rows, width).split("\n")[1];
  expect(shownAt(50)).toBe("a-name-of-16-chr  weft-blue.conflist  veth1a2b3c4d");
  expect(shownAt(44)).toBe("a-name-of-16-chr  weft-blue.c…  veth1a2b3c4d");
  expect(shownAt(39)).toBe("a-name-of-16-chr  veth1a2b3c4d");
  expect(shownAt(25)).toBe("veth1a2b3c4d");
  expect(shownAt(10)).toBe("veth1a2b3…");
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
  ["      127.0.0.1:9000->90/udp", 22, "      127.0.0.1:9000-…"],
  ["\x1b[31mabcdef\x1b[0m", 4, "abc…"],
])("cut() of %j to %d", (text, width, expected) => {
  expect(cut(text, width)).toBe(expected);
});
