import { expect, spyOn, test } from "bun:test";
import { continued, fold, Narrator } from "./narrator.ts";

test("fold() breaks at spaces, within 80 columns, and indents what follows by two more", () => {
  const words = Array.from({ length: 40 }, (_, i) => `word${i}`).join(" ");
  const lines = fold(words, 4);
  expect(lines.map((line) => line.length).every((length) => length <= 80)).toBe(true);
  expect(lines[0]).toStartWith("    word0 word1");
  expect(lines[1]).toMatch(/^ {6}word/);
  expect(lines.map((line) => line.trim()).join(" ")).toBe(words);
});

test("fold() leaves short lines, blanks inside them and long words alone", () => {
  expect(fold("one  two", 2)).toEqual(["  one  two"]);
  expect(fold("x".repeat(100), 0)).toEqual(["x".repeat(100)]);
  expect(fold("", 0)).toEqual([""]);
});

test("continued() breaks a command as a shell reads it", () => {
  expect(continued("ip link add br0 type bridge", 40)).toEqual(["ip link add br0 type bridge"]);
  expect(continued("iptables -t nat -A POSTROUTING -j MASQUERADE", 24)).toEqual([
    "iptables -t nat -A \\",
    "  POSTROUTING -j \\",
    "  MASQUERADE",
  ]);
});

test("Narrator counts the proofs that fail", () => {
  const log = spyOn(console, "log").mockImplementation(() => {});
  try {
    const narrator = new Narrator();
    narrator.proof("holds", { holds: true });
    narrator.proof("does not", { holds: false });
    expect(narrator.failures).toBe(1);
    expect(log.mock.calls.map(([line]) => Bun.stripANSI(String(line)))).toEqual([
      "  ✓ holds",
      "  ✗ does not",
    ]);
  } finally {
    log.mockRestore();
  }
});
