/** readFd() and writeFd() with the pipes and sockets a runtime may give a plugin. */
import { afterAll, afterEach, beforeAll, describe, expect, mock, spyOn, test } from "bun:test";
import { closeSync, fstatSync, mkdtempSync, openSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readFd, writeFd } from "./file.ts";
import * as libc from "./libc.ts";

const LENGTH = 5_000_000;
const SHA256 = new Bun.CryptoHasher("sha256").update(pattern(LENGTH)).digest("hex");

let root: string;
let fifos = 0;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), "weft-descriptor-"));
});
afterAll(() => {
  rmSync(root, { recursive: true });
});
afterEach(() => {
  mock.restore();
});

/** Bytes in which a piece that is missing, doubled or moved shows. */
function pattern(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => (index * 2_654_435_761) >>> 24);
}

/** A pipe whose other end another process holds: `command` reads from "$fifo" or writes to it. */
function pipeTo(command: string, flags: number, isBlocking: boolean) {
  fifos++;
  const fifo = join(root, `fifo${fifos}`);
  Bun.spawnSync(["mkfifo", fifo]);
  const child = Bun.spawn(["sh", "-c", command], { env: { ...process.env, fifo }, stdout: "pipe" });
  const first = libc.open(fifo, flags); // waits for the other end
  // Opened once more, through itself, because a pipe that does not block cannot be waited for in open().
  const fd = isBlocking ? first : libc.open(`/proc/self/fd/${first}`, flags | libc.O_NONBLOCK);
  if (!isBlocking) libc.close(first);
  return { fd, child };
}

describe.each([
  ["a blocking pipe", true],
  ["a pipe that does not block", false],
])("%s", (_kind, isBlocking) => {
  test("readFd() reads 5 MB from it to the end", async () => {
    const { fd, child } = pipeTo(
      `head -c ${LENGTH} /dev/zero | tr '\\0' x > "$fifo"`,
      libc.O_RDONLY,
      isBlocking,
    );
    const bytes = readFd(fd);
    libc.close(fd);
    expect(bytes.length).toBe(LENGTH);
    expect(bytes.every((byte) => byte === 0x78)).toBe(true);
    await child.exited;
  });

  test("readFd() waits for a peer that writes a byte now and then", async () => {
    const slowly = "for n in 1 2 3 4 5; do printf $n; sleep 0.02; done";
    const { fd, child } = pipeTo(`{ ${slowly}; } > "$fifo"`, libc.O_RDONLY, isBlocking);
    expect(new TextDecoder().decode(readFd(fd))).toBe("12345");
    libc.close(fd);
    await child.exited;
  });

  test("readFd() of what nobody wrote is empty", async () => {
    const { fd, child } = pipeTo(`: > "$fifo"`, libc.O_RDONLY, isBlocking);
    expect(readFd(fd)).toHaveLength(0);
    libc.close(fd);
    await child.exited;
  });

  test("writeFd() writes 5 MB to a peer that takes its time", async () => {
    const { fd, child } = pipeTo(`{ sleep 0.05; sha256sum; } < "$fifo"`, libc.O_WRONLY, isBlocking);
    writeFd(fd, pattern(LENGTH));
    libc.close(fd);
    expect(await new Response(child.stdout).text()).toStartWith(SHA256);
  });

  test("writeFd() throws EPIPE when the peer has gone, and the process lives", async () => {
    const { fd, child } = pipeTo(`head -c 1 < "$fifo"`, libc.O_WRONLY, isBlocking);
    expect(() => writeFd(fd, pattern(LENGTH))).toThrow("write: EPIPE");
    libc.close(fd);
    await child.exited;
  });
});

test("readFd() and writeFd() give up on a peer that does nothing, after ppoll() said so", () => {
  const poll = spyOn(libc, "ppoll").mockImplementation(() => false); // a minute has passed
  const fifo = join(root, "idle");
  Bun.spawnSync(["mkfifo", fifo]);
  const fd = libc.open(fifo, libc.O_RDWR | libc.O_NONBLOCK);
  try {
    expect(() => readFd(fd)).toThrow("read: EAGAIN");
    expect(() => writeFd(fd, pattern(200_000))).toThrow("write: EAGAIN");
    expect(poll.mock.calls.map(([, , timeoutMs]) => timeoutMs)).toEqual([60_000, 60_000]);
  } finally {
    libc.close(fd);
  }
});

test("readFd() holds what it reads about twice, however small the pieces are", () => {
  const sizes: number[] = [];
  let left = 10_000;
  spyOn(libc, "read").mockImplementation((_fd, into) => {
    sizes.push(into.buffer.byteLength);
    return left-- > 0 ? 1 : 0;
  });
  expect(readFd(0)).toHaveLength(10_000);
  expect(Math.max(...sizes)).toBeLessThan(200_000);
});

describe("standard input and output of a process", () => {
  const echo = `
    import { fstatSync } from "node:fs";
    import { readFd, writeFd } from "${import.meta.dir}/file.ts";
    const kind = fstatSync(0).isSocket() ? "socket" : "other";
    const bytes = readFd(0);
    writeFd(2, new TextEncoder().encode(kind));
    writeFd(1, bytes);
    process.exit(7);
  `;

  test("readFd(0) and writeFd(1) pass on 5 MB, also when the process exits right after", async () => {
    const child = Bun.spawn([process.execPath, "-e", echo], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "pipe",
    });
    child.stdin.write(pattern(LENGTH));
    child.stdin.end();
    const bytes = await new Response(child.stdout).arrayBuffer();
    expect(new Bun.CryptoHasher("sha256").update(bytes).digest("hex")).toBe(SHA256);
    expect(await child.exited).toBe(7);
  });

  test("readFd(0) reads from a socket", async () => {
    const child = Bun.spawn([process.execPath, "-e", echo], {
      stdin: "pipe",
      stdout: "pipe",
      stderr: "pipe",
    });
    child.stdin.write("text");
    child.stdin.end();
    expect(await new Response(child.stderr).text()).toBe("socket"); // what Bun makes a "pipe" of
    expect(await new Response(child.stdout).text()).toBe("text");
  });

  test.each([
    ["closed", "<&-"],
    ["/dev/null", "</dev/null"],
    ["an empty file", "<<END\nEND"],
  ])("readFd(0) of standard input that is %s is empty", (_what, redirection) => {
    const command = `exec "$0" -e '${echo}' ${redirection}`;
    const { stdout, exitCode } = Bun.spawnSync(["sh", "-c", command, process.execPath]);
    expect(stdout.toString()).toBe("");
    expect(exitCode).toBe(7);
  });
});

test("readFd() reads a file, and a device that ends", () => {
  for (const path of ["/etc/passwd", "/dev/null"]) {
    const fd = openSync(path, "r");
    const { size } = fstatSync(fd);
    expect(readFd(fd)).toHaveLength(size);
    closeSync(fd);
  }
});
