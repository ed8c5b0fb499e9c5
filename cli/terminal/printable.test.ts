import { expect, test } from "bun:test";
import { printable, printableText } from "./printable.ts";

test("printable() leaves no control character in a name", () => {
  expect(printable("a\x1b[31m\nX\x07\u009b")).toBe("a?[31m?X??");
  expect(printable("nginx: größe")).toBe("nginx: größe");
});

test("printableText() leaves lines, tabs and colours", () => {
  expect(printableText("\x1b[1mA\x1b[0m\tB\nx\x1b[2Jy\r\u009b")).toBe("\x1b[1mA\x1b[0m\tB\nx?[2Jy??");
});
