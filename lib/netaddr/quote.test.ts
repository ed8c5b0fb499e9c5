import { expect, test } from "bun:test";
import { quote } from "./quote.ts";

test("quote() shows control characters and cuts long texts", () => {
  expect(quote("eth0")).toBe('"eth0"');
  expect(quote('a"b\n\0')).toBe('"a\\"b\\n\\u0000"');
  expect(quote("x".repeat(64))).toBe(`"${"x".repeat(64)}"`);
  expect(quote("x".repeat(65))).toBe(`"${"x".repeat(64)}…"`);
  expect(quote("\u{1F600}".repeat(40))).toBe(`"${"\u{1F600}".repeat(32)}…"`);
});
