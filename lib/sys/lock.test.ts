/** Locks between processes; the other process is flock(1). */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { acquireLock, LockTimeoutError } from "./lock.ts";

let path: string;
beforeAll(() => {
  path = join(mkdtempSync(join(tmpdir(), "weft-lock-")), "lock");
});
afterAll(() => {
  rmSync(join(path, ".."), { recursive: true });
});

/** Another process that holds the lock until it is disposed of. */
async function holder(kind: "--exclusive" | "--shared") {
  const child = Bun.spawn(["flock", "--close", kind, path, "sh", "-c", "echo held; exec cat"], {
    stdin: "pipe",
    stdout: "pipe",
  });
  await child.stdout.getReader().read(); // "held"
  return {
    release: () => child.stdin.end(),
    kill: () => child.kill("SIGKILL"),
    async [Symbol.asyncDispose]() {
      child.stdin.end();
      await child.exited;
    },
  };
}

/** Whether another process gets the lock at once. */
function isFree(kind: "--exclusive" | "--shared"): boolean {
  return Bun.spawnSync(["flock", kind, "--nonblock", path, "true"]).exitCode === 0;
}

test("acquireLock() makes a file that nobody else can lock", () => {
  using _lock = acquireLock(`${path}2`);
  expect(statSync(`${path}2`).mode & 0o777).toBe(0o600);
});

test("acquireLock() keeps other processes out until it is disposed of", () => {
  const lock = acquireLock(path);
  expect(isFree("--exclusive")).toBe(false);
  expect(isFree("--shared")).toBe(false);
  lock[Symbol.dispose]();
  expect(isFree("--exclusive")).toBe(true);
});

test("acquireLock() of a shared lock lets shared holders in and keeps exclusive ones out", async () => {
  {
    await using _other = await holder("--shared");
    using _lock = acquireLock(path, { shared: true, timeoutMs: 0 });
    expect(isFree("--shared")).toBe(true);
    expect(isFree("--exclusive")).toBe(false);
    expect(() => acquireLock(path, { timeoutMs: 0 })).toThrow(LockTimeoutError);
  }
  await using _other = await holder("--exclusive");
  expect(() => acquireLock(path, { shared: true, timeoutMs: 0 })).toThrow(LockTimeoutError);
});

test("acquireLock() gives up when the bound passes, not before, and says what to do", async () => {
  await using _other = await holder("--exclusive");
  const start = performance.now();
  expect(() => acquireLock(path, { timeoutMs: 100 })).toThrow(
    `Cannot lock "${path}": another process held it for 100 ms; try again`,
  );
  const tookMs = performance.now() - start;
  expect(tookMs).toBeGreaterThanOrEqual(100);
  expect(tookMs).toBeLessThan(1_000);
});

test("acquireLock() takes the lock when the other process lets go", async () => {
  await using other = await holder("--exclusive");
  const script = `
    import { acquireLock } from "${import.meta.dir}/lock.ts";
    console.log("waits");
    using lock = acquireLock("${path}", { timeoutMs: 10_000 });
    console.log("has it");
  `;
  const waiter = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe" });
  const output = waiter.stdout.getReader();
  expect(new TextDecoder().decode((await output.read()).value)).toBe("waits\n");
  other.release();
  expect(new TextDecoder().decode((await output.read()).value)).toBe("has it\n");
  await waiter.exited;
});

test("acquireLock() takes the lock of a process that was killed", async () => {
  await using other = await holder("--exclusive");
  other.kill();
  using _lock = acquireLock(path, { timeoutMs: 10_000 });
  expect(isFree("--exclusive")).toBe(false);
});

test("acquireLock() locks against this process as well: the lock is the descriptor's", () => {
  using _lock = acquireLock(path);
  expect(() => acquireLock(path, { timeoutMs: 0 })).toThrow(LockTimeoutError);
});

test("Lock[Symbol.dispose]() releases once, however often it is called", () => {
  const lock = acquireLock(path);
  lock[Symbol.dispose]();
  using _next = acquireLock(path); // most likely under the same number
  lock[Symbol.dispose]();
  expect(isFree("--exclusive")).toBe(false);
});

test("acquireLock() leaves no descriptor behind when it fails", async () => {
  await using _other = await holder("--exclusive");
  const open = () => [...new Bun.Glob("*").scanSync({ cwd: "/proc/self/fd", onlyFiles: false })].length;
  const before = open();
  for (let n = 0; n < 5; n++) expect(() => acquireLock(path, { timeoutMs: 0 })).toThrow(LockTimeoutError);
  expect(open()).toBe(before);
});

test("acquireLock() throws where there is no directory for the file", () => {
  expect(() => acquireLock("/nope/lock")).toThrow('open "/nope/lock": ENOENT');
});
