import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isErrno } from "./errno.ts";
import { StreamBrokenError, StreamTimeoutError, UnixStream, unixAddress } from "./unix-stream.ts";

const directory = mkdtempSync(join(tmpdir(), "weft-stream-"));
const children: Bun.Subprocess[] = [];
afterAll(() => {
  for (const child of children) child.kill("SIGKILL");
  rmSync(directory, { recursive: true });
});

function addressOf(name: string): Uint8Array {
  const address = unixAddress("path", join(directory, name));
  if (!address) throw new Error(`${name} is no name of a socket`);
  return address;
}

/** Listens in another process and calls `onData`, a piece of program, with `socket` and `data`. */
async function listener(name: string, onData: string): Promise<Bun.Subprocess> {
  const path = JSON.stringify(join(directory, name));
  const script = `
    Bun.listen({ unix: ${path}, socket: { data(socket, data) { ${onData} } } });
    console.log("ready");
  `;
  const child = Bun.spawn([process.execPath, "-e", script], { stdin: "ignore", stdout: "pipe" });
  children.push(child);
  await child.stdout.getReader().read();
  return child;
}

const soon = () => performance.now() + 4_000;
const line = (text: string) => new TextEncoder().encode(`${text}\n`);

test("readLine() gives lines as they come, whole", async () => {
  await listener("echo", "socket.write(data); socket.write(data);");
  using stream = new UnixStream(addressOf("echo"), soon());
  stream.write(line("ä\nb"));
  expect([1, 2, 3, 4].map(() => stream.readLine(100))).toEqual(["ä", "b", "ä", "b"]);
});

test("write() and readLine() pass what no socket buffer holds", async () => {
  await listener(
    "count",
    'globalThis.n = (globalThis.n ?? 0) + data.length; if (data.at(-1) === 10) socket.write(n + "\\n");',
  );
  using stream = new UnixStream(addressOf("count"), soon());
  stream.write(line("x".repeat(3_000_000)));
  expect(stream.readLine(100)).toBe("3000001");
});

test("readLine() refuses a line that does not end", async () => {
  await listener("endless", 'socket.write("x".repeat(1000));');
  using stream = new UnixStream(addressOf("endless"), soon());
  stream.write(line("?"));
  expect(() => stream.readLine(100)).toThrow(StreamBrokenError);
});

test("readLine() says that the other side closed the connection", async () => {
  await listener("closing", "socket.end();");
  using stream = new UnixStream(addressOf("closing"), soon());
  stream.write(line("?"));
  expect(() => stream.readLine(100)).toThrow("it closed the connection");
});

test("UnixStream() waits no longer than its deadline for one who is stopped: read, written to, connected to", async () => {
  const child = await listener("stopped", "");
  child.kill("SIGSTOP");
  const timeoutMs = 150;
  const start = performance.now();
  using stream = new UnixStream(addressOf("stopped"), start + timeoutMs);
  stream.write(line("?")); // into the socket's buffer
  expect(() => stream.readLine(100)).toThrow(StreamTimeoutError);
  expect(() => stream.write(line("x".repeat(3_000_000)))).toThrow(StreamTimeoutError);
  const waiting: UnixStream[] = [];
  expect(() => {
    // a listener's queue has an end
    for (let n = 0; n < 10_000; n++)
      waiting.push(new UnixStream(addressOf("stopped"), start + 2 * timeoutMs));
  }).toThrow(StreamTimeoutError);
  for (const each of waiting) each[Symbol.dispose]();
  expect(performance.now() - start).toBeLessThan(2_000);
});

test("UnixStream() fails where nobody listens", () => {
  let failure: unknown;
  try {
    new UnixStream(addressOf("nobody"), soon());
  } catch (error) {
    failure = error;
  }
  expect(isErrno(failure, "ENOENT")).toBe(true);
});

test("unixAddress() has none for a name that no socket can have", () => {
  expect(["", "a\0b", "x".repeat(108)].map((name) => unixAddress("path", name))).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
});
