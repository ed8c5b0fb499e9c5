import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ErrnoError } from "./errno.ts";
import * as libc from "./libc.ts";

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "weft-libc-"));
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});

const NO_SUCH_FD = 1_000_000;

describe("every call is checked where it is made", () => {
  const bytes = new Uint8Array(16);
  const missing = () => join(directory, "missing");
  const CASES: readonly (readonly [call: string, code: string, make: () => unknown])[] = [
    ["open", "ENOENT", () => libc.open(missing(), libc.O_RDONLY)],
    ["close", "EBADF", () => libc.close(NO_SUCH_FD)],
    ["read", "EBADF", () => libc.read(NO_SUCH_FD, bytes)],
    ["write", "EBADF", () => libc.write(NO_SUCH_FD, bytes)],
    ["fsync", "EBADF", () => libc.fsync(NO_SUCH_FD)],
    ["fchmod", "EBADF", () => libc.fchmod(NO_SUCH_FD, 0o600)],
    ["statx", "ENOENT", () => libc.statx(new Uint8Array(256), missing())],
    ["statx", "EBADF", () => libc.statx(new Uint8Array(256), NO_SUCH_FD)],
    ["rename", "ENOENT", () => libc.rename(missing(), join(directory, "other"))],
    ["link", "ENOENT", () => libc.link(missing(), join(directory, "other"))],
    ["linkat", "ENOENT", () => libc.linkDescriptor(NO_SUCH_FD, join(directory, "other"))],
    ["symlink", "EEXIST", () => libc.symlink("target", directory)],
    ["readlink", "ENOENT", () => libc.readlink(missing(), bytes)],
    ["readlink", "EINVAL", () => libc.readlink(directory, bytes)],
    ["unlink", "ENOENT", () => libc.unlink(missing())],
    ["mkdir", "EEXIST", () => libc.mkdir(directory, 0o755)],
    ["rmdir", "ENOENT", () => libc.rmdir(missing())],
    ["getdents64", "EBADF", () => libc.getdents64(NO_SUCH_FD, bytes)],
    ["utimensat", "ENOENT", () => libc.utimensat(missing(), new BigInt64Array(4))],
    ["flock", "EBADF", () => libc.flock(NO_SUCH_FD, libc.LOCK_EX)],
    ["clock_gettime", "EINVAL", () => libc.clockGettime(999)],
    ["setns", "EBADF", () => libc.setns(NO_SUCH_FD, libc.CLONE_NEWNET)],
    ["ioctl", "EBADF", () => libc.ioctl(NO_SUCH_FD, 0xb703)],
    ["socket", "EAFNOSUPPORT", () => libc.socket(999, 1, 0)],
    ["bind", "EBADF", () => libc.bind(NO_SUCH_FD, bytes)],
    ["connect", "EBADF", () => libc.connect(NO_SUCH_FD, bytes)],
    ["getsockname", "EBADF", () => libc.getsockname(NO_SUCH_FD, bytes)],
    ["getsockopt", "EBADF", () => libc.getsockopt(NO_SUCH_FD, { level: 1, name: 8 }, bytes)],
    ["setsockopt", "EBADF", () => libc.setsockopt(NO_SUCH_FD, { level: 1, name: 1 }, bytes)],
    ["send", "EBADF", () => libc.send(NO_SUCH_FD, bytes)],
    ["recvfrom", "EBADF", () => libc.recvfrom(NO_SUCH_FD, bytes, new Uint8Array(12))],
  ];
  test.each([...CASES])("%s() throws its errno: %s", (call, code, make) => {
    expect(make).toThrow(ErrnoError);
    expect(make).toThrow(`: ${code} (`);
    expect(make).toThrow(new RegExp(`^${call}`));
  });

  test("open() names the path in the error", () => {
    expect(() => libc.open("/nope", libc.O_RDONLY)).toThrow(
      'open "/nope": ENOENT (no such file or directory)',
    );
  });
});

describe("arguments are checked before the boundary, which would cut them", () => {
  const NUL = "/tmp/a\0b";
  const CASES: readonly (readonly [name: string, make: () => unknown])[] = [
    ["open() of a path with a NUL", () => libc.open(NUL, 0)],
    ["statx() of a path with a NUL", () => libc.statx(new Uint8Array(256), NUL)],
    ["rename() from a path with a NUL", () => libc.rename(NUL, "/tmp/x")],
    ["rename() to a path with a NUL", () => libc.rename("/tmp/x", NUL)],
    ["link() of a path with a NUL", () => libc.link(NUL, "/tmp/x")],
    ["linkDescriptor() to a path with a NUL", () => libc.linkDescriptor(0, NUL)],
    ["symlink() to a target with a NUL", () => libc.symlink(NUL, "/tmp/x")],
    ["symlink() of a path with a NUL", () => libc.symlink("target", NUL)],
    ["readlink() of a path with a NUL", () => libc.readlink(NUL, new Uint8Array(8))],
    ["unlink() of a path with a NUL", () => libc.unlink(NUL)],
    ["mkdir() of a path with a NUL", () => libc.mkdir(NUL, 0o755)],
    ["rmdir() of a path with a NUL", () => libc.rmdir(NUL)],
    ["utimensat() of a path with a NUL", () => libc.utimensat(NUL, new BigInt64Array(4))],
    ["open() with a mode of 2^32", () => libc.open("/dev/null", 0, 2 ** 32)],
    ["mkdir() with a negative mode", () => libc.mkdir("/nope/nope", -1)],
    ["fchmod() with a mode that is not whole", () => libc.fchmod(0, 1.5)],
    ["ioctl() with a request of 2^32", () => libc.ioctl(0, 2 ** 32)],
    ["ioctl() with an argument of 2^32", () => libc.ioctl(0, 0, 2 ** 32)],
    ["ioctl() with a negative argument", () => libc.ioctl(0, 0, -1)],
    ["ppoll() for NaN", () => libc.ppoll(-1, 0, Number.NaN)],
  ];
  test.each([...CASES])("%s throws RangeError", (_name, make) => {
    expect(make).toThrow(RangeError);
  });
});

test("open() closes on exec: a child does not inherit the descriptor", () => {
  const fd = libc.open(directory, libc.O_RDONLY);
  try {
    const { stdout } = Bun.spawnSync([
      "sh",
      "-c",
      `test -e /proc/self/fd/${fd} && echo inherited || echo closed`,
    ]);
    expect(stdout.toString().trim()).toBe("closed");
  } finally {
    libc.close(fd);
  }
});

test("ppoll() sees that there is nothing to read, and that there is", () => {
  const path = join(directory, "fifo");
  Bun.spawnSync(["mkfifo", path]);
  const fd = libc.open(path, libc.O_RDWR); // both ends, so that nothing waits
  try {
    expect(libc.ppoll(fd, libc.POLLIN, 10)).toBe(false);
    libc.write(fd, Uint8Array.of(1));
    expect(libc.ppoll(fd, libc.POLLIN, 10_000)).toBe(true);
    expect(libc.ppoll(fd, libc.POLLOUT, 10_000)).toBe(true);
  } finally {
    libc.close(fd);
  }
});

test("ppoll() waits for the time that was asked for, not for whole milliseconds", () => {
  const waits = Array.from({ length: 20 }, () => {
    const start = performance.now();
    libc.ppoll(-1, 0, 2.1);
    return performance.now() - start;
  });
  expect(Math.min(...waits)).toBeGreaterThanOrEqual(2.1);
  expect(Math.min(...waits)).toBeLessThan(3);
});

test("ppoll() knows standard input, whose number is 0, from no descriptor", () => {
  const script = `
    import { POLLIN, ppoll } from "${import.meta.dir}/libc.ts";
    process.exit(ppoll(0, POLLIN, 10_000) ? 3 : 4);
  `;
  const start = performance.now();
  const { exitCode } = Bun.spawnSync([process.execPath, "-e", script], {
    stdin: new TextEncoder().encode("text"),
  });
  expect(exitCode).toBe(3);
  expect(performance.now() - start).toBeLessThan(5_000);
});

test("recvfrom() says how long a datagram was that did not fit", () => {
  const AF_NETLINK = 16;
  const fd = libc.socket(AF_NETLINK, 3, 0); // SOCK_RAW, NETLINK_ROUTE
  try {
    // RTM_GETLINK of link 1, which the kernel answers with hundreds of bytes.
    const request = Uint8Array.fromHex(
      "20000000120001000100000000000000" + "00000000010000000000000000000000",
    );
    libc.send(fd, request);
    const into = new Uint8Array(20);
    const sender = new Uint8Array(12);
    expect(libc.recvfrom(fd, into, sender)).toBeGreaterThan(200);
    expect(sender[0]).toBe(AF_NETLINK);
    expect(new DataView(sender.buffer).getUint32(4, true)).toBe(0); // the kernel
    expect(new DataView(into.buffer).getUint16(4, true)).toBe(16); // RTM_NEWLINK
  } finally {
    libc.close(fd);
  }
});
