import { afterAll, afterEach, beforeAll, describe, expect, mock, spyOn, test } from "bun:test";
import {
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ErrnoError } from "../sys/errno.ts";
import * as libc from "../sys/libc.ts";
import { kernelTest, noNetnsReason, TestNetns } from "../testing/netns.ts";
import { findNetns, inNetns, isOwnNetns, NetnsError, netnsIdentity, openNetns } from "./netns.ts";

const OWN = "/proc/self/ns/net";
const EPERM = 1;

let directory: string;
let other: TestNetns;
beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "weft-netns-"));
  if (noNetnsReason === undefined) other = await TestNetns.make();
});
afterAll(() => {
  rmSync(directory, { recursive: true });
  other?.[Symbol.dispose]();
});
afterEach(() => {
  mock.restore();
});

/** What the thread runs in. */
function here(): string {
  return readlinkSync("/proc/thread-self/ns/net");
}

function thrownBy(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  throw new Error("It threw nothing");
}

/** Paths of what is no network namespace, made when they are needed. */
const NOT_A_NETNS: readonly (readonly [what: string, path: () => string])[] = [
  ["a file", () => made("file", (path) => writeFileSync(path, ""))],
  ["a directory", () => directory],
  [
    "a FIFO, whose writer it does not wait for",
    () => made("fifo", (path) => Bun.spawnSync(["mkfifo", path])),
  ],
  ["a device", () => "/dev/null"],
  ["a file of /proc", () => "/proc/self/status"],
  ["a namespace of another kind", () => "/proc/self/ns/mnt"],
];

function made(name: string, make: (path: string) => void): string {
  const path = join(directory, name);
  rmSync(path, { force: true });
  make(path);
  return path;
}

describe("openNetns()", () => {
  test("openNetns() opens a namespace by its path, and closes it once", () => {
    const netns = openNetns(OWN);
    expect(netns.path).toBe(OWN);
    expect(readlinkSync(`/proc/self/fd/${netns.fd}`)).toBe(readlinkSync(OWN));
    const close = spyOn(libc, "close");
    netns[Symbol.dispose]();
    netns[Symbol.dispose]();
    expect(close).toHaveBeenCalledTimes(1);
    expect(netns.fd).toBe(-1);
  });

  test("openNetns() says what a runtime is used to hear when there is nothing at the path", () => {
    const error = thrownBy(() => openNetns("/nope"));
    expect(error).toBeInstanceOf(NetnsError);
    expect(error).toMatchObject({
      message: 'failed to open netns "/nope": failed to Statfs "/nope": no such file or directory',
      path: "/nope",
      missing: true,
    });
  });

  test.each([
    [
      "a path through a file",
      () =>
        join(
          made("f", (path) => writeFileSync(path, "")),
          "ns",
        ),
      "not a directory",
    ],
    [
      "a link that leads nowhere",
      () => made("l", (path) => symlinkSync("/nope", path)),
      "no such file or directory",
    ],
    ["a process that is not there", () => "/proc/0/ns/net", "no such file or directory"],
  ])("openNetns() takes for missing: %s", (_what, path, reason) => {
    const error = thrownBy(() => openNetns(path()));
    expect(error).toMatchObject({ missing: true });
    expect(String(error)).toEndWith(`: ${reason}`);
  });

  test.each([...NOT_A_NETNS])("openNetns() refuses %s, and closes it again", (_what, path) => {
    const at = path();
    const opened: number[] = [];
    const { open } = libc;
    spyOn(libc, "open").mockImplementation((...given) => {
      const fd = open(...given);
      opened.push(fd);
      return fd;
    });
    const close = spyOn(libc, "close");
    const error = thrownBy(() => openNetns(at));
    expect(error).toBeInstanceOf(NetnsError);
    expect(String(error)).toEndWith(
      `failed to open netns "${at}": unknown FS magic on "${at}": not a network namespace`,
    );
    expect(close.mock.calls.map(([fd]) => fd)).toEqual(opened);
  });

  test("openNetns() throws what is no absence as an error that is not missing", () => {
    const refused = new ErrnoError("open", EPERM, { text: "EPERM" });
    spyOn(libc, "open").mockImplementation(() => {
      throw refused;
    });
    expect(thrownBy(() => openNetns("/x"))).toMatchObject({
      message: 'failed to open netns "/x": failed to Statfs "/x": operation not permitted',
      missing: false,
      cause: refused,
    });
    expect(() => findNetns("/x")).toThrow(NetnsError);
  });

  test("openNetns() throws RangeError for a path with a NUL", () => {
    expect(() => openNetns("/proc/self/ns/net\0")).toThrow(RangeError);
  });
});

describe("findNetns()", () => {
  test("findNetns() opens a namespace that is there", () => {
    using netns = findNetns(OWN);
    expect(netns?.path).toBe(OWN);
  });

  test("findNetns() gives undefined without a path, for nothing, and for a file where a namespace was", () => {
    expect(findNetns("")).toBeUndefined();
    expect(findNetns("/nope")).toBeUndefined();
    expect(findNetns(made("was", (path) => writeFileSync(path, "")))).toBeUndefined();
  });
});

describe("isOwnNetns()", () => {
  test("isOwnNetns() is true for every path to the namespace of this process", () => {
    const { pid } = process;
    const paths = [OWN, "/proc/thread-self/ns/net", `/proc/${pid}/ns/net`, `/proc/${pid}/task/${pid}/ns/net`];
    paths.push(made("link", (path) => symlinkSync(OWN, path)));
    for (const path of paths) expect(isOwnNetns(path)).toBe(true);
  });

  test("isOwnNetns() is false for what is not there and for what is something else", () => {
    const paths = ["", "/nope", "/dev/null", "/proc/self/ns/mnt", directory];
    for (const path of paths) expect(isOwnNetns(path)).toBe(false);
  });

  test("isOwnNetns() is false for what it may not look at", () => {
    const { statx } = libc;
    spyOn(libc, "statx").mockImplementation((into, of) => {
      if (of === "/x") throw new ErrnoError("statx", EPERM, { text: "EPERM" });
      statx(into, of);
    });
    expect(isOwnNetns("/x")).toBe(false);
    expect(isOwnNetns(OWN)).toBe(true);
  });

  kernelTest("isOwnNetns() is false for another namespace, and true within it", () => {
    expect(isOwnNetns(other.path)).toBe(false);
    expect(inNetns(other.netns, () => isOwnNetns(other.path))).toBe(true);
    expect(inNetns(other.netns, () => isOwnNetns(`/proc/${process.ppid}/ns/net`))).toBe(false);
  });

  kernelTest("netnsIdentity() is the namespace's device and inode", () => {
    const { dev: _dev, ino } = netnsIdentity(other.netns);
    expect(ino).toBe(statSync(other.path, { bigint: true }).ino);
    using own = openNetns(OWN);
    expect(netnsIdentity(own).ino).not.toBe(ino);
  });
});

describe("inNetns()", () => {
  kernelTest("inNetns() runs in the namespace, gives what the callback gave, and comes back", () => {
    const home = here();
    const [inside, links] = inNetns(other.netns, () => [here(), readFileSync("/proc/net/dev", "utf8")]);
    expect(inside).toBe(readlinkSync(other.path));
    expect(links!.split("\n").filter((line) => line.includes(":"))).toHaveLength(1); // lo
    expect(here()).toBe(home);
  });

  kernelTest("inNetns() comes back after a throw, and throws that", () => {
    const home = here();
    const failure = new Error("inside");
    const run = () =>
      inNetns(other.netns, () => {
        throw failure;
      });
    expect(thrownBy(run)).toBe(failure);
    expect(here()).toBe(home);
  });

  kernelTest("inNetns() within inNetns() comes back a step at a time", async () => {
    using third = await TestNetns.make();
    const home = here();
    inNetns(other.netns, () => {
      inNetns(third.netns, () => expect(here()).toBe(readlinkSync(third.path)));
      expect(here()).toBe(readlinkSync(other.path));
    });
    expect(here()).toBe(home);
  });

  kernelTest("inNetns() tries again when it cannot come back at once", () => {
    const home = here();
    const { setns } = libc;
    let calls = 0;
    spyOn(libc, "setns").mockImplementation((fd, kind) => {
      calls++;
      if (calls === 2 || calls === 3) throw new ErrnoError("setns", EPERM, { text: "EPERM" });
      setns(fd, kind);
    });
    inNetns(other.netns, () => {});
    expect(calls).toBe(4);
    expect(here()).toBe(home);
  });

  test("inNetns() throws when it cannot come back in three tries", () => {
    using own = openNetns(OWN);
    const calls: number[] = [];
    spyOn(libc, "setns").mockImplementation((fd) => {
      calls.push(fd);
      if (calls.length > 1) throw new ErrnoError("setns", EPERM, { text: "EPERM" });
    });
    expect(() => inNetns(own, () => "inside")).toThrow("setns: EPERM");
    expect(calls).toHaveLength(4);
    expect(calls[0]).toBe(own.fd);
    expect(new Set(calls.slice(1)).size).toBe(1); // home
  });

  test("inNetns() of a namespace that was closed throws, and stays", () => {
    const home = here();
    const netns = openNetns(OWN);
    netns[Symbol.dispose]();
    expect(() => inNetns(netns, () => "inside")).toThrow("setns: EBADF");
    expect(here()).toBe(home);
  });

  kernelTest("inNetns() leaves no descriptor behind", () => {
    const open = () => [...new Bun.Glob("*").scanSync({ cwd: "/proc/self/fd", onlyFiles: false })].length;
    const before = open();
    for (let n = 0; n < 10; n++) inNetns(other.netns, () => {});
    expect(open()).toBe(before);
  });

  test("inNetns() is not for promises, which the compiler sees", () => {
    using netns = openNetns(OWN);
    // @ts-expect-error: the namespace belongs to the thread, and would be left before the promise is settled
    const wrong = () => inNetns(netns, async () => 1);
    expect(wrong).toBeFunction();
  });
});
