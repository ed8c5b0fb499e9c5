import { afterEach, beforeEach, expect, test } from "bun:test";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { installExecutable } from "./install-executable.ts";

let scratch: string;
let built: string;
let bin: string;

beforeEach(() => {
  scratch = mkdtempSync(join(tmpdir(), "weft-install-"));
  built = join(scratch, "built");
  bin = join(scratch, "opt/cni/bin");
  writeFileSync(built, "first");
});
afterEach(() => rmSync(scratch, { recursive: true }));

const inode = (name: string) => statSync(join(bin, name)).ino;

test("installExecutable() makes the directory, one executable and a hard link for each name", () => {
  expect(installExecutable(built, bin, ["bridge", "static"])).toEqual(["weft", "bridge", "static"]);
  expect(readdirSync(bin).sort()).toEqual(["bridge", "static", "weft"]);
  expect(statSync(join(bin, "weft"))).toMatchObject({ nlink: 3 });
  expect(statSync(join(bin, "weft")).mode & 0o777).toBe(0o755);
  expect(readFileSync(join(bin, "bridge"), "utf8")).toBe("first");
});

test("installExecutable() changes nothing when all is as it should be", () => {
  installExecutable(built, bin, ["bridge"]);
  const before = inode("weft");
  expect(installExecutable(built, bin, ["bridge"])).toEqual([]);
  expect(installExecutable(join(bin, "weft"), bin, ["bridge"])).toEqual([]);
  expect(inode("weft")).toBe(before);
});

test("installExecutable() mends a link or a mode that is wrong, and a plain copy", () => {
  installExecutable(built, bin, ["bridge", "static"]);
  rmSync(join(bin, "bridge"));
  copyFileSync(built, join(bin, "bridge"));
  expect(installExecutable(built, bin, ["bridge", "static"])).toEqual(["bridge"]);
  expect(inode("bridge")).toBe(inode("weft"));
  chmodSync(join(bin, "weft"), 0o644);
  expect(installExecutable(built, bin, ["bridge", "static"])).toEqual(["weft", "bridge", "static"]);
});

test("installExecutable() replaces an executable that is running, which goes on", async () => {
  mkdirSync(bin, { recursive: true });
  copyFileSync("/bin/sleep", join(bin, "weft"));
  const running = Bun.spawn([join(bin, "weft"), "100"]);
  try {
    expect(() => writeFileSync(join(bin, "weft"), "in place")).toThrow("ETXTBSY");
    installExecutable(built, bin, ["bridge"]);
    expect(readFileSync(join(bin, "bridge"), "utf8")).toBe("first");
    expect(running.exitCode).toBeNull();
  } finally {
    running.kill();
    await running.exited;
  }
});

test("installExecutable() takes the place of what has the name of a plugin, and of nothing else", () => {
  mkdirSync(bin, { recursive: true });
  writeFileSync(join(scratch, "elsewhere"), "not ours");
  writeFileSync(join(bin, "bridge"), "another suite's");
  symlinkSync(join(scratch, "elsewhere"), join(bin, "static"));
  writeFileSync(join(bin, "flannel"), "left alone");
  installExecutable(built, bin, ["bridge", "static"]);
  expect(inode("bridge")).toBe(inode("weft"));
  expect(() => readlinkSync(join(bin, "static"))).toThrow("EINVAL");
  expect(readFileSync(join(scratch, "elsewhere"), "utf8")).toBe("not ours");
  expect(readFileSync(join(bin, "flannel"), "utf8")).toBe("left alone");
});

test("installExecutable() says what is in the way, and leaves no temporary file", () => {
  mkdirSync(join(bin, "bridge"), { recursive: true });
  expect(() => installExecutable(built, bin, ["bridge"])).toThrow(
    new RegExp(
      `^Cannot install to "${bin}": EISDIR.*a directory has the name of an executable: move it away`,
    ),
  );
  expect(readdirSync(bin).sort()).toEqual(["bridge", "weft"]);
  expect(() => installExecutable(built, join(built, "bin"), [])).toThrow("a part of the path is a file");
  expect(() => installExecutable(join(scratch, "absent"), bin, [])).toThrow("ENOENT");
});

test("installExecutable() removes what a killed install left, not what a running one needs", () => {
  mkdirSync(bin, { recursive: true });
  for (const name of [".weft-old.new", ".weft-young.new"]) writeFileSync(join(bin, name), "");
  utimesSync(join(bin, ".weft-old.new"), 1, 1);
  installExecutable(built, bin, []);
  expect(existsSync(join(bin, ".weft-old.new"))).toBe(false);
  expect(existsSync(join(bin, ".weft-young.new"))).toBe(true);
});
