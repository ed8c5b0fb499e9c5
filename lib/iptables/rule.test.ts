import { expect, test } from "bun:test";
import fc from "fast-check";
import { optionOf, quoteWord, ruleKey, splitWords } from "./rule.ts";

test.each([
  ["plain-Word_1.2,3:4/5!=", "plain-Word_1.2,3:4/5!="],
  ["two words", '"two words"'],
  ['name: "n" id: "c"', '"name: \\"n\\" id: \\"c\\""'],
  ["back\\slash", '"back\\\\slash"'],
  ["", '""'],
])("quoteWord() writes %p as %p", (word, quoted) => {
  expect(quoteWord(word)).toBe(quoted);
});

test("quoteWord() refuses what would be a line of its own", () => {
  expect(() => quoteWord("a\n-F")).toThrow(RangeError);
});

test("splitWords() reads what quoteWord() wrote", () => {
  const word = fc.string().filter((text) => !text.includes("\n") && !text.includes("\0"));
  fc.assert(
    fc.property(fc.array(word), (words) => {
      expect(splitWords(words.map(quoteWord).join(" "))).toEqual(words);
    }),
  );
});

test("splitWords() reads the escapes of iptables-save, also of an apostrophe", () => {
  expect(splitWords(`-m comment --comment "it\\'s \\"it\\""  -j X`)).toEqual([
    "-m",
    "comment",
    "--comment",
    `it's "it"`,
    "-j",
    "X",
  ]);
});

test("ruleKey() is the same for the options of a rule in any order, with and without -m", () => {
  const saved = '-s 10.0.0.1/32 ! -i lo -p tcp -m comment --comment "a b" -m tcp --dport 80 -j X';
  const written = '-p tcp --dport 80 -m comment --comment "a b" ! -i lo -s 10.0.0.1/32 -j X';
  expect(ruleKey(saved)).toBe(ruleKey(written));
  expect(ruleKey(saved)).not.toBe(ruleKey(saved.replace("! ", "")));
});

test("optionOf() finds a whole word", () => {
  expect(optionOf('-m comment --comment "-j A" -j B', "-j")).toBe("B");
  expect(optionOf("-s 10.0.0.1/32", "-j")).toBeUndefined();
});
