import { afterAll, afterEach, beforeAll, describe, expect, mock, spyOn, test } from "bun:test";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ErrnoError } from "./errno.ts";
import * as files from "./file.ts";
import * as libc from "./libc.ts";

const EOPNOTSUPP = 95;
const ENOSPC = 28;

let root: string;
let made = 0;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "weft-file-"));
});
afterAll(() => {
  rmSync(root, { recursive: true });
});
afterEach(() => {
  mock.restore();
});

/** A name that no other test has. */
function freshPath(): string {
  made++;
  return join(root, String(made));
}

function failing(call: string, errno: number): () => never {
  return () => {
    throw new ErrnoError(call, errno, { text: "as the test wants it" });
  };
}

/** Makes file systems have no unnamed files (O_TMPFILE), as NFS has none. */
function withoutUnnamedFiles(): void {
  const { open } = libc;
  spyOn(libc, "open").mockImplementation((path, flags, mode) =>
    (flags & libc.O_TMPFILE) === libc.O_TMPFILE ? failing("open", EOPNOTSUPP)() : open(path, flags, mode),
  );
}

describe("readTextFile(), findTextFile(), writeFile()", () => {
  test("readTextFile() reads what is there, of any size", () => {
    const path = freshPath();
    for (const text of ["", "é", "x".repeat(65_536), "y".repeat(200_000)]) {
      writeFileSync(path, text);
      expect(files.readTextFile(path)).toBe(text);
    }
  });

  test("readTextFile() reads files of /proc, which have no size", () => {
    expect(files.readTextFile("/proc/self/status")).toContain(`Pid:\t${process.pid}\n`);
  });

  test("readTextFile() throws where there is no file, findTextFile() gives undefined", () => {
    expect(() => files.readTextFile("/nope")).toThrow('open "/nope": ENOENT (no such file or directory)');
    expect(files.findTextFile("/nope")).toBeUndefined();
    expect(files.findTextFile("/etc/passwd/nope")).toBeUndefined();
  });

  test("findTextFile() throws what is no absence", () => {
    expect(() => files.findTextFile(root)).toThrow(`read "${root}": EISDIR`);
  });

  test("writeFile() writes over what is there, and makes no file", () => {
    const path = freshPath();
    writeFileSync(path, "a longer text");
    files.writeFile(path, "text");
    expect(readFileSync(path, "utf8")).toBe("text");
    expect(() => files.writeFile(freshPath(), "text")).toThrow("ENOENT");
  });
});

describe.each([
  ["with O_TMPFILE", () => {}],
  ["without O_TMPFILE", withoutUnnamedFiles],
] as const)("createFileExclusive() %s", (_how, prepare) => {
  test("createFileExclusive() makes a file with its content and mode", () => {
    prepare();
    const path = freshPath();
    expect(files.createFileExclusive(path, "text", 0o600)).toBe(true);
    expect(readFileSync(path, "utf8")).toBe("text");
    expect(statSync(path).mode & 0o7777).toBe(0o600);
  });

  test("createFileExclusive() changes nothing where the name is taken, be it by a dangling link", () => {
    prepare();
    const path = freshPath();
    writeFileSync(path, "first");
    expect(files.createFileExclusive(path, "second", 0o600)).toBe(false);
    expect(readFileSync(path, "utf8")).toBe("first");
    const link = freshPath();
    Bun.spawnSync(["ln", "-s", "/nope", link]);
    expect(files.createFileExclusive(link, "second", 0o600)).toBe(false);
  });

  test("createFileExclusive() leaves nothing behind when it cannot write", () => {
    prepare();
    spyOn(libc, "write").mockImplementation(failing("write", ENOSPC));
    const path = freshPath();
    expect(() => files.createFileExclusive(path, "text", 0o600)).toThrow(`write "${path}": as`);
    expect(readdirSync(root)).not.toContain(path.slice(root.length + 1));
  });

  test("createFileExclusive() throws where there is no directory", () => {
    prepare();
    expect(() => files.createFileExclusive("/nope/file", "text", 0o600)).toThrow("ENOENT");
  });
});

test("createFileExclusive() lets one of many win, and nobody sees the file half written", async () => {
  const path = freshPath();
  const script = `
    import { createFileExclusive } from "${import.meta.dir}/file.ts";
    console.log(createFileExclusive("${path}", process.argv[1].repeat(1_000_000), 0o600));
  `;
  const contenders = ["a", "b", "c"].map((letter) =>
    Bun.spawn([process.execPath, "-e", script, letter], { stdout: "pipe" }),
  );
  let seen: string | undefined;
  while (seen === undefined && contenders.some(({ exitCode }) => exitCode === null)) {
    seen = files.findTextFile(path); // the first there is to be seen
    await Bun.sleep(0);
  }
  const won = await Promise.all(contenders.map(({ stdout }) => new Response(stdout).text()));
  expect(won.sort()).toEqual(["false\n", "false\n", "true\n"]);
  seen ??= files.readTextFile(path);
  expect(seen).toHaveLength(1_000_000);
  expect(new Set(seen).size).toBe(1);
});

test("overwriteFile() makes a file, and writes longer and shorter text into the same one", () => {
  const path = freshPath();
  files.overwriteFile(path, "text", 0o640);
  const { ino, mode } = statSync(path);
  expect(mode & 0o7777).toBe(0o640);
  for (const text of ["a longer text", "short", ""]) {
    files.overwriteFile(path, text, 0o600);
    expect(readFileSync(path, "utf8")).toBe(text);
  }
  expect(statSync(path)).toMatchObject({ ino, mode });
});

describe("replaceFile()", () => {
  test("replaceFile() makes a file, and replaces one", () => {
    const path = freshPath();
    files.replaceFile(path, "one", 0o640);
    expect(statSync(path).mode & 0o7777).toBe(0o640);
    files.replaceFile(path, "two", 0o640);
    expect(readFileSync(path, "utf8")).toBe("two");
  });

  test("replaceFile() leaves the old file as it was, and nothing beside it, when it fails", () => {
    const path = freshPath();
    files.replaceFile(path, "one", 0o600);
    const before = readdirSync(root);
    spyOn(libc, "write").mockImplementation(failing("write", ENOSPC));
    expect(() => files.replaceFile(path, "two", 0o600)).toThrow(`write "${path}": as`);
    mock.restore();
    spyOn(libc, "rename").mockImplementation(failing("rename", ENOSPC));
    expect(() => files.replaceFile(path, "two", 0o600)).toThrow("rename");
    expect(readFileSync(path, "utf8")).toBe("one");
    expect(readdirSync(root)).toEqual(before);
  });

  test("replaceFile() has the text on the disk before the name is, when it is to be durable", () => {
    const order: string[] = [];
    const { fsync, rename } = libc;
    spyOn(libc, "fsync").mockImplementation((fd) => {
      order.push("fsync");
      fsync(fd);
    });
    spyOn(libc, "rename").mockImplementation((from, to) => {
      order.push("rename");
      rename(from, to);
    });
    files.replaceFile(freshPath(), "one", 0o600, { durable: true });
    files.replaceFile(freshPath(), "two", 0o600);
    expect(order).toEqual(["fsync", "rename", "rename"]);
  });

  test("replaceFile() shows readers a whole text, although two processes replace the file at once", async () => {
    const path = freshPath();
    files.replaceFile(path, "0".repeat(300_000), 0o600);
    const script = `
      import { replaceFile } from "${import.meta.dir}/file.ts";
      const text = process.argv[1].repeat(300_000);
      for (let n = 0; n < 150; n++) replaceFile("${path}", text, 0o600);
    `;
    const writers = ["a", "b"].map((letter) => Bun.spawn([process.execPath, "-e", script, letter]));
    const seen = new Set<string>();
    while (writers.some(({ exitCode }) => exitCode === null)) {
      const text = files.readTextFile(path);
      expect(text).toHaveLength(300_000);
      expect(text).toBe(text.charAt(0).repeat(300_000));
      seen.add(text.charAt(0));
      await Bun.sleep(0);
    }
    expect(await Promise.all(writers.map(({ exited }) => exited))).toEqual([0, 0]);
    expect([...seen].some((letter) => letter !== "0")).toBe(true);
  });
});

test("createSymlink() makes a link where the name is free; findSymlink() tells what it says", () => {
  const path = freshPath();
  expect(files.findSymlink(path)).toBeUndefined();
  expect(files.createSymlink("net/c1/eth0", path)).toBe(true);
  expect(files.createSymlink("other", path)).toBe(false); // although it leads nowhere
  expect(files.findSymlink(path)).toBe("net/c1/eth0");
  const longest = `${freshPath()}-long`;
  files.createSymlink("é".repeat(2_047), longest);
  expect(files.findSymlink(longest)).toBe("é".repeat(2_047));
  expect(files.findSymlink(join(path, "x"))).toBeUndefined();
  expect(() => files.findSymlink(root)).toThrow("readlink");
  expect(() => files.createSymlink("a", join(freshPath(), "a"))).toThrow("symlink");
});

test("removeFile() removes a file, and says whether there was one", () => {
  const path = freshPath();
  writeFileSync(path, "");
  expect(files.removeFile(path)).toBe(true);
  expect(files.removeFile(path)).toBe(false);
  expect(() => files.removeFile(root)).toThrow("unlink");
});

test.each([
  ["/file", "/"],
  ["/a/file", "/a"],
  ["file", "."],
  ["a/file", "a"],
])("createFileExclusive() of %s looks for the directory %s", (path, directory) => {
  const open = spyOn(libc, "open").mockImplementation(failing("open", ENOSPC));
  expect(() => files.createFileExclusive(path, "", 0o600)).toThrow("open");
  expect(open.mock.calls[0]?.[0]).toBe(directory);
});

test("files are closed, whether it went well or not", () => {
  const opened: number[] = [];
  const { open } = libc;
  spyOn(libc, "open").mockImplementation((...given) => {
    const fd = open(...given);
    opened.push(fd);
    return fd;
  });
  const close = spyOn(libc, "close");
  const path = freshPath();
  files.createFileExclusive(path, "text", 0o600);
  files.createFileExclusive(path, "text", 0o600);
  files.replaceFile(path, "text", 0o600);
  files.overwriteFile(path, "text", 0o600);
  files.writeFile(path, "text");
  files.readTextFile(path);
  files.listDirectory(root);
  expect(() => files.readTextFile(root)).toThrow("EISDIR");
  expect(opened).toHaveLength(8);
  expect(close.mock.calls.map(([fd]) => fd)).toEqual(opened);
});

describe("directories", () => {
  test("makeDirectory() makes what is missing above as well, and is content with one that is there", () => {
    const top = freshPath();
    files.makeDirectory(join(top, "a/b"));
    files.makeDirectory(join(top, "a/b"));
    files.makeDirectory(`${top}/a/b/`);
    expect(statSync(join(top, "a/b")).isDirectory()).toBe(true);
  });

  test("makeDirectory() is content with a link to a directory, and refuses a file", () => {
    const link = freshPath();
    Bun.spawnSync(["ln", "-s", root, link]);
    files.makeDirectory(link);
    const file = freshPath();
    writeFileSync(file, "");
    expect(() => files.makeDirectory(file)).toThrow("EEXIST");
    expect(() => files.makeDirectory(join(file, "a"))).toThrow("ENOTDIR");
  });

  test("removeDirectory() removes an empty one alone", () => {
    const top = freshPath();
    files.makeDirectory(join(top, "a"));
    expect(files.removeDirectory(top)).toBe(false);
    expect(files.removeDirectory(join(top, "a"))).toBe(true);
    expect(files.removeDirectory(top)).toBe(true);
    expect(files.removeDirectory(top)).toBe(false);
  });

  test("listDirectory() lists every name, also where they take several reads", () => {
    const top = freshPath();
    files.makeDirectory(top);
    expect(files.listDirectory(top)).toEqual([]);
    const names = Array.from({ length: 500 }, (_, n) => `${"n".repeat(100 + (n % 100))}é${n}`); // some 90 KB
    for (const name of [...names, ".hidden"]) writeFileSync(join(top, name), "");
    expect(files.listDirectory(top).sort()).toEqual([...names, ".hidden"].sort());
  });

  test("listDirectory() of what is no directory is empty", () => {
    expect(files.listDirectory("/nope")).toEqual([]);
    expect(files.listDirectory("/etc/passwd")).toEqual([]);
  });
});

describe("findFile()", () => {
  test.each([["/etc/passwd"], ["/etc"], ["/proc/self/ns/net"], ["/dev/null"]])(
    "findFile() of %s says what stat says",
    (path) => {
      const theirs = statSync(path, { bigint: true });
      const [major, minor] = [
        (theirs.dev >> 8n) & 0xfffn,
        (theirs.dev & 0xffn) | ((theirs.dev >> 12n) & 0xfff00n),
      ];
      expect(files.findFile(path)).toEqual({
        dev: Number(major * 0x10_0000n + minor),
        ino: theirs.ino,
        size: Number(theirs.size),
        mode: Number(theirs.mode & 0o7777n),
        isRegular: theirs.isFile(),
        isDirectory: theirs.isDirectory(),
        mtimeNs: theirs.mtimeNs,
        ctimeNs: theirs.ctimeNs,
      });
    },
  );

  test("findFile() gives undefined for what there is not, the empty path too", () => {
    expect(files.findFile("/nope")).toBeUndefined();
    expect(files.findFile("/etc/passwd/nope")).toBeUndefined();
    expect(files.findFile("")).toBeUndefined();
  });

  test("fileStatus() says the same of an open file; isSameFile() tells one from another", () => {
    const path = freshPath();
    writeFileSync(path, "text");
    const fd = libc.open(path, libc.O_RDONLY);
    const status = files.fileStatus(fd);
    libc.close(fd);
    expect(status).toEqual(files.findFile(path)!);
    expect(files.isSameFile(status, files.findFile(path))).toBe(true);
    expect(files.isSameFile(status, files.findFile(root))).toBe(false);
    expect(files.isSameFile(undefined, undefined)).toBe(false);
  });

  test("setModificationTime() sets it to the nanosecond", () => {
    const path = freshPath();
    writeFileSync(path, "");
    const timeNs = 1_700_000_000_123_456_789n;
    files.setModificationTime(path, timeNs);
    expect(files.findFile(path)?.mtimeNs).toBe(timeNs);
    expect(statSync(path, { bigint: true }).mtimeNs).toBe(timeNs);
  });
});

const asRoot = process.getuid?.() === 0 ? " [skipped: root reads everything]" : "";
test.skipIf(asRoot !== "")(`findTextFile() throws where the file cannot be read${asRoot}`, () => {
  const path = freshPath();
  writeFileSync(path, "");
  chmodSync(path, 0);
  expect(() => files.findTextFile(path)).toThrow("EACCES");
});
