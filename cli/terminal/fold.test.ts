import { expect, test } from "bun:test";
import { formatFacts } from "./facts.ts";
import { fold } from "./fold.ts";
import { countOf, formatBytes } from "./quantity.ts";

test("fold() breaks between words, and keeps a word that is too long", () => {
  expect(fold("one two three four", { width: 9 })).toEqual(["one two", "three", "four"]);
  expect(fold("a verylongword b", { width: 6, indent: 1, hanging: 3 })).toEqual([
    " a",
    "   verylongword",
    "   b",
  ]);
  expect(fold("", { width: 9 })).toEqual([""]);
});

test("formatFacts() puts values under one another, several a line each, and leaves out what is not there", () => {
  const facts = formatFacts(
    [
      ["MAC", "02:00:00:00:00:01"],
      ["alias", undefined],
      ["addresses", ["10.0.0.1/24", "fd00::1/64"]],
      ["rules", []],
      ["says", "a sentence that is longer than the line"],
    ],
    36,
  );
  expect(facts).toEqual([
    "  MAC        02:00:00:00:00:01",
    "  addresses  10.0.0.1/24",
    "             fd00::1/64",
    "  says       a sentence that is",
    "               longer than the line",
  ]);
});

test.each([
  [0, "no ports"],
  [1, "1 port"],
  [2, "2 ports"],
])("countOf(%d)", (count, text) => expect(countOf(count, "port")).toBe(text));

test.each([
  [0, "0 B"],
  [999, "999 B"],
  [1_000, "1.0 kB"],
  [9_949, "9.9 kB"],
  [9_950, "10 kB"],
  [999_499, "999 kB"],
  [999_500, "1.0 MB"],
  [1.5e9, "1.5 GB"],
  [7e18, "7000 PB"],
])("formatBytes(%d)", (bytes, text) => expect(formatBytes(bytes)).toBe(text));

test("fold() counts what is seen of a painted text", () => {
  expect(fold("\u001b[1mone\u001b[22m two three", { width: 7, hanging: 2 })).toEqual([
    "\u001b[1mone\u001b[22m two",
    "  three",
  ]);
});
