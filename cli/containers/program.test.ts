import { expect, test } from "bun:test";
import { faultOfProgram } from "./program.ts";

const PATH = "/nowhere:/usr/bin:/bin";

test.each(["sh", "/bin/sh"])("faultOfProgram() finds %s", (name) => {
  expect(faultOfProgram(name, PATH)).toBeUndefined();
});

test.each([
  ["nosuchprogram", 127, "nosuchprogram: not found"],
  ["/bin/nosuchprogram", 127, "/bin/nosuchprogram: not found"],
  ["/etc/passwd/sh", 127, "/etc/passwd/sh: not found"],
  ["", 127, '"": not found'],
  ["/etc/passwd", 126, "/etc/passwd: is there, but is no program that may be run"],
  ["/etc", 126, "/etc: is there, but is no program that may be run"],
] as const)("faultOfProgram() of %p is %d", (name, exitCode, message) => {
  expect(faultOfProgram(name, PATH)).toEqual({ exitCode, message });
});
