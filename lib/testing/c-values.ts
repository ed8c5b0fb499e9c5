/** Numbers from the C headers of this machine: what our constants are checked against. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** The values of C expressions, or why there are none. */
export type CValues =
  | { readonly values: ReadonlyMap<string, bigint>; readonly skipped?: never }
  | { readonly values?: never; readonly skipped: string };

/**
 * Compiles a program that prints the expressions, and runs it.
 * @throws Error where the compiler refuses: an expression is not in these headers
 */
export function cValues(headers: readonly string[], expressions: readonly string[]): CValues {
  const compiler = Bun.which("cc") ?? Bun.which("gcc");
  if (!compiler) return { skipped: "needs a C compiler (gcc, linux-libc-dev)" };
  const directory = mkdtempSync(join(tmpdir(), "weft-c-values-"));
  try {
    const source = join(directory, "values.c");
    writeFileSync(source, program(headers, expressions));
    const compiled = Bun.spawnSync([compiler, "-w", "-o", join(directory, "values"), source]);
    const complaint = compiled.stderr.toString();
    if (/fatal error: .*No such file/.test(complaint)) {
      return { skipped: `needs the kernel's headers (linux-libc-dev): ${complaint.trim().split("\n")[0]}` };
    }
    if (compiled.exitCode !== 0) throw new Error(`${compiler} refuses:\n${complaint}`);
    const printed = Bun.spawnSync([join(directory, "values")]).stdout.toString();
    const numbers = printed.trim().split("\n");
    return {
      values: new Map(expressions.map((expression, index) => [expression, BigInt(numbers[index] ?? "")])),
    };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

function program(headers: readonly string[], expressions: readonly string[]): string {
  return [
    "#define _GNU_SOURCE",
    "#include <stddef.h>",
    "#include <stdio.h>",
    ...headers.map((header) => `#include <${header}>`),
    "int main(void) {",
    ...expressions.map((expression) => `  printf("%lld\\n", (long long)(${expression}));`),
    "}",
  ].join("\n");
}

/** A constant as our source states it. */
export interface Constant {
  readonly name: string;
  /** Undefined where it is neither written out as a number nor exported. */
  readonly value: number | undefined;
}

/** The constants of a module whose names are in capitals, as the kernel's are. */
export async function constantsIn(path: string): Promise<Constant[]> {
  const exports: Record<string, unknown> = await import(path);
  return [...readFileSync(path, "utf8").matchAll(/^ *(?:export )?const ([A-Z][A-Z0-9_]*) = (.+);/gm)].map(
    ([, name = "", expression = ""]) => {
      const value = exports[name] ?? Number(expression.replaceAll("_", ""));
      return { name, value: typeof value === "number" && !Number.isNaN(value) ? value : undefined };
    },
  );
}
