import { expect, test } from "bun:test";
import { join } from "node:path";

/** With "$0" weft's own program, behind it a pipe or a file; ends as weft does. */
function shell(command: string) {
  const main = join(import.meta.dir, "../../main.ts");
  const { exitCode, stdout, stderr } = Bun.spawnSync([
    "bash",
    "-c",
    `weft() { (exec -a weft "$0" "${main}" "$@"); }; ${command}; exit "\${PIPESTATUS[0]}"`,
    process.execPath,
  ]);
  return { exitCode, stdout: stdout.toString().trim(), stderr: stderr.toString().trim() };
}

test("run() says that a full disk has not taken what was to be written, and fails", () => {
  expect(shell("weft completion bash > /dev/full")).toEqual({
    exitCode: 1,
    stdout: "",
    stderr: "weft: cannot write to standard output: ENOSPC: no space left on device, write",
  });
});

test.each(["--help", "ls --help", "network create --help"])("run() says it of %s", (words) => {
  expect(shell(`weft ${words} > /dev/full`)).toMatchObject({
    exitCode: 1,
    stderr: expect.stringContaining("weft: cannot write to standard output: ENOSPC"),
  });
});

test("run() is silent where nobody reads on", () => {
  expect(shell("weft completion bash | true")).toEqual({ exitCode: 0, stdout: "", stderr: "" });
});

test("watchOutput() writes all to a reader that is slower", () => {
  const fill = `import { reportOutput, watchOutput } from "${join(import.meta.dir, "output.ts")}";
    watchOutput(); console.log("x".repeat(300_000)); reportOutput()`;
  const reader = `"$0" -e '${fill}' | (sleep 0.1; wc -c)`;
  expect(shell(reader)).toEqual({ exitCode: 0, stdout: "300001", stderr: "" });
});

test("watchOutput() ends a line that nothing is in", () => {
  const blank = `import { watchOutput } from "${join(import.meta.dir, "output.ts")}"; watchOutput(); console.log()`;
  expect(shell(`"$0" -e '${blank}' | wc -l`)).toEqual({ exitCode: 0, stdout: "1", stderr: "" });
});

test("watchOutput() lets no name steer the terminal, on standard error neither", () => {
  const steer = `import { watchOutput } from "${join(import.meta.dir, "output.ts")}"; watchOutput();
    console.log("a\\x1b[2Jb"); console.error("c\\x1b[2Jd")`;
  expect(shell(`"$0" -e '${steer}'`)).toEqual({ exitCode: 0, stdout: "a?[2Jb", stderr: "c?[2Jd" });
});
