import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { BusConnection } from "./connection.ts";
import { BusError, BusTimeoutError, BusUnavailableError } from "./error.ts";
import * as golden from "./message.golden.ts";
import { decodeAnswer, encodeCall } from "./message.ts";

const BUS_DAEMON = "/usr/bin/dbus-daemon";
const hasDaemon = existsSync(BUS_DAEMON);
if (!hasDaemon) console.warn(`skipped, there is no ${BUS_DAEMON}: what a real bus answers`);

const directory = mkdtempSync(join(tmpdir(), "weft-dbus-"));
const children: Bun.Subprocess[] = [];
afterAll(() => {
  for (const child of children) child.kill();
  rmSync(directory, { recursive: true });
});

/** The first thing a child prints: it is ready. */
async function started(child: Bun.Subprocess<"ignore", "pipe", "inherit">): Promise<string> {
  children.push(child);
  const { value } = await child.stdout.getReader().read();
  return new TextDecoder().decode(value).trim();
}

describe.skipIf(!hasDaemon)("a real bus", async () => {
  const config = join(directory, "bus.conf");
  writeFileSync(
    config,
    `<busconfig>
      <listen>unix:dir=${directory}</listen>
      <auth>EXTERNAL</auth>
      <policy context="default"><allow own="*"/><allow send_destination="*"/>
        <allow receive_type="method_return"/><allow receive_type="error"/></policy>
    </busconfig>`,
  );
  const child = Bun.spawn([BUS_DAEMON, `--config-file=${config}`, "--nofork", "--print-address"], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
  });
  const address = hasDaemon ? await started(child) : "";

  test("BusConnection() is let in, and hasService() tells who runs", () => {
    using bus = new BusConnection(address, { timeoutMs: 4_000 });
    expect(bus.hasService("org.freedesktop.DBus")).toBe(true);
    expect(bus.hasService("org.fedoraproject.FirewallD1")).toBe(false);
  });

  test("call() passes the bus's error on, by name and sentence", () => {
    using bus = new BusConnection(address, { timeoutMs: 4_000 });
    const call = { destination: "no.such", path: "/", interface: "a.b", member: "c" };
    const refusal = expect(() => bus.call(call));
    refusal.toThrow(BusError);
    refusal.toThrow('refused c: org.freedesktop.DBus.Error.NameHasNoOwner: Name "no.such" does not exist');
    expect(bus.hasService("org.freedesktop.DBus")).toBe(true); // and the connection lives
  });
});

/** Something that listens but is no bus: it answers each piece it gets with the next of `answers`, in hex. */
async function impostor(name: string, answers: readonly string[]): Promise<string> {
  const path = join(directory, name);
  const script = `
    const answers = ${JSON.stringify(answers)};
    Bun.listen({ unix: ${JSON.stringify(path)}, socket: { data(socket) {
      const answer = answers.shift();
      if (answer === "end") socket.end();
      else if (answer) socket.write(Uint8Array.fromHex(answer));
    } } });
    console.log("ready");
  `;
  const options = { stdin: "ignore", stdout: "pipe", stderr: "inherit" } as const;
  expect(await started(Bun.spawn([process.execPath, "-e", script], options))).toBe("ready");
  return `unix:path=${path}`;
}

const textHex = (text: string) => new TextEncoder().encode(text).toHex();
const OK = textHex("DATA\r\nOK 0123\r\n");

describe("what listens and is no bus", () => {
  const CASES: readonly (readonly [name: string, answers: readonly string[], error: string])[] = [
    ["refuses", [textHex("REJECTED KERBEROS\r\n")], 'it answers "REJECTED KERBEROS" to AUTH EXTERNAL'],
    ["talks", [textHex("x".repeat(9000))], "it sends lines above 4096 bytes"],
    ["hangs-up", ["end"], "it closed the connection"],
    ["hangs-up-later", [OK, "end"], "it closed the connection"],
    ["sends-too-much", [OK, "6c020101ffffff0f0000000000000000"], "it sends a message of 268435471 bytes"],
    ["sends-nonsense", [OK, textHex("0123456789abcdef")], "neither byte order"],
  ];
  test.each([...CASES])("%s: BusConnection() says so", async (name, answers, error) => {
    const address = await impostor(name, answers);
    expect(() => new BusConnection(address, { timeoutMs: 10_000 })).toThrow(error);
  });

  test("is silent: BusConnection() waits no longer than its bound", async () => {
    const address = await impostor("silent", []);
    const start = performance.now();
    expect(() => new BusConnection(address, { timeoutMs: 200 })).toThrow(BusTimeoutError);
    expect(performance.now() - start).toBeWithin(199, 5_000);
  });
});

test("call() passes over what is not its answer, and puts one of many pieces together", async () => {
  const many = Array.from({ length: 1000 }, (_, i) => `10.9.${i >> 8}.${i & 255}/32`);
  const hello = golden.ADDED.slice();
  hello[36] = 1; // the serial it answers
  const call = encodeCall({ destination: "", path: "", interface: "", member: "", args: [many] }, 1);
  const body = call.subarray(decodeAnswer(call).bodyOffset);
  const sources = Uint8Array.of(...golden.SOURCES.subarray(0, 64), ...body);
  new DataView(sources.buffer).setUint32(4, body.length, true);
  const other = golden.SOURCES.slice();
  other[36] = 77;
  const signal = hello.slice();
  signal[1] = 4;
  const both = `${other.toHex()}${sources.toHex()}`;
  const address = await impostor("many", [OK, signal.toHex() + hello.toHex(), both]);
  using bus = new BusConnection(address, { timeoutMs: 10_000 });
  expect(bus.call({ destination: "a.b", path: "/", interface: "a.b", member: "c" })).toEqual([many]);
});

test("BusConnection() takes the first address where somebody listens", async () => {
  const address = `unix:path=${join(directory, "nobody")};${await impostor("second", ["end"])}`;
  expect(() => new BusConnection(address)).toThrow("it closed the connection");
});

test("BusConnection() says where nobody listens", () => {
  for (const address of [`unix:path=${join(directory, "nobody")}`, "tcp:host=localhost", ""]) {
    expect(() => new BusConnection(address)).toThrow(BusUnavailableError);
  }
});
