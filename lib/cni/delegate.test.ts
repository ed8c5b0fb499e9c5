import { afterEach, beforeEach, expect, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseAddress } from "../netaddr/address.ts";
import { parsePrefix } from "../netaddr/prefix.ts";
import { LockTimeoutError } from "../sys/lock.ts";
import { input, probe } from "../testing/probe.ts";
import { delegate, findPlugin } from "./delegate.ts";
import { CniError } from "./error.ts";
import { type Call, callPlugin, type Plugin } from "./plugin.ts";
import type { Result } from "./result.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "weft-delegate-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

/** An executable in the directory. */
function script(name: string, body: string): string {
  const path = join(directory, name);
  writeFileSync(path, `#!/bin/sh\n${body}\n`);
  chmodSync(path, 0o755);
  return path;
}

/** Our own executable under another name: here that is the one which runs the tests. */
function link(name: string): void {
  symlinkSync(process.execPath, join(directory, name));
}

/** What `delegate()` gives to a plugin that is called with `config`, and calls `type`. */
function delegated(
  command: "ADD" | "DEL",
  type: string,
  options: { own?: Plugin; config?: object; args?: string } = {},
) {
  let result: Result | undefined;
  const visit = (call: Call): Result => {
    result = delegate(call, type, command);
    return result ?? {};
  };
  const { plugin } = probe({ argKeys: ["MAC"], add: visit, del: (call) => void visit(call) });
  const given = input(
    command,
    { cniVersion: "1.0.0", ...options.config },
    {
      ...process.env,
      CNI_PATH: `/nowhere:${directory}`,
      ...(options.args !== undefined && { CNI_ARGS: options.args }),
    },
  );
  const own = new Map(options.own && [[type, options.own]]);
  callPlugin(plugin, { ...given, own });
  return { result, given };
}

function failure(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  throw new Error("not refused");
}

test.each<[type: string, path: string[], msg: string]>([
  ["", ["/a"], "no plugin name provided"],
  ["a/b", ["/a"], "invalid plugin name: a/b"],
  ["../x", ["/a"], "invalid plugin name: ../x"],
  ["x", [], "no paths provided"],
  ["x", ["/nowhere", "/dev/null/a"], 'failed to find plugin "x" in path [/nowhere /dev/null/a]'],
])("findPlugin() refuses %p in %j", (type, path, msg) => {
  expect(failure(() => findPlugin(type, path))).toMatchObject({ code: 7, msg });
});

test("findPlugin() takes the first regular file, links followed", () => {
  mkdirSync(join(directory, "first/x"), { recursive: true });
  mkdirSync(join(directory, "second"));
  script("target", "");
  symlinkSync("../target", join(directory, "second/x"));
  script("x", "");
  const path = [join(directory, "first"), join(directory, "second"), directory];
  expect(findPlugin("x", path)).toBe(join(directory, "second/x"));
});

test("delegate() gives an executable the configuration as it was read and the variables, with its own command", () => {
  script("x", `cat > ${directory}/stdin; env > ${directory}/env`);
  const { result, given } = delegated("DEL", "x", {
    config: { vendor: { A: null } },
    args: "IgnoreUnknown=1;X=2",
  });
  expect(result).toBeUndefined();
  expect(readFileSync(join(directory, "stdin"), "utf8")).toBe(given.stdin);
  expect(readFileSync(join(directory, "env"), "utf8").split("\n")).toEqual(
    expect.arrayContaining([
      "CNI_COMMAND=DEL",
      "CNI_CONTAINERID=c1",
      "CNI_IFNAME=eth0",
      "CNI_ARGS=IgnoreUnknown=1;X=2",
    ]),
  );
});

test("delegate() lets an executable ignore what only the caller needs to know", () => {
  script("x", `printf '{"args":"%s"}' "$CNI_ARGS"`);
  expect(delegated("ADD", "x", { args: "MAC=a" }).result).toEqual({
    args: "MAC=a;IgnoreUnknown=1",
  } as Result);
});

test.each<[printed: string, expected: object]>([
  ['{"cniVersion":"1.0.0","ips":[{"address":"10.1.0.5/16"}]}', { cniVersion: "1.0.0" }],
  ['{"ips":[{"address":"10.1.0.5/16"}]}', {}],
  ['{"cniVersion":"0.4.0","ips":[{"version":"4","address":"10.1.0.5/16"}]}', { cniVersion: "0.4.0" }],
  ['{"cniVersion":"0.2.0","ip4":{"ip":"10.1.0.5/16"}}', { cniVersion: "0.2.0" }],
])("delegate() reads the result %s", (printed, expected) => {
  script("x", `echo '${printed}'`);
  expect(delegated("ADD", "x").result).toMatchObject({
    ...expected,
    ips: [{ address: parsePrefix("10.1.0.5/16") }],
  });
});

test.each<[why: string, body: string, expected: Partial<CniError>]>([
  [
    "its error object, unchanged",
    `echo '{"code":11,"msg":"later","details":"held"}'; exit 1`,
    { code: 11, msg: "later", details: "held" },
  ],
  ["an error object without a code", `echo '{"msg":"m"}'; exit 1`, { code: 999, msg: "m", details: "" }],
  [
    "a failure without a word",
    "exit 3",
    { code: 999, msg: "exited with status 3", details: "no error message" },
  ],
  [
    "a failure with other words",
    "echo hello; exit 3",
    { code: 999, msg: "exited with status 3", details: 'it printed "hello\\n"' },
  ],
  ["a signal", "kill -9 $$", { code: 999, msg: "was killed by SIGKILL", details: "no error message" }],
  [
    "a signal after an error object",
    `echo '{"msg":"m"}'; kill -9 $$`,
    { code: 999, msg: "was killed by SIGKILL" },
  ],
  ["no result", "exit 0", { code: 6, msg: "returned no valid result", details: '"" is not an object' }],
  [
    "words for a result",
    "echo hello",
    { code: 6, msg: "returned no valid result", details: '"hello\\n" is not an object' },
  ],
  [
    "a list for a result",
    "echo []",
    { code: 6, msg: "returned no valid result", details: "[] is not an object" },
  ],
  [
    "a bad result",
    `echo '{"ips":[{}]}'`,
    { code: 6, msg: "returned no valid result", details: "ips[0].address: missing" },
  ],
  [
    "a result of no known version",
    `echo '{"cniVersion":"9.0.0"}'`,
    { code: 6, msg: "returned no valid result", details: 'unsupported CNI result version "9.0.0"' },
  ],
  ["endless output", "exec yes", { code: 999, msg: "printed more than 16777216 bytes" }],
])("delegate() reports of an executable %s", (_, body, { msg = "", ...rest }) => {
  const path = script("x", body);
  const error = failure(() => delegated("ADD", "x"));
  expect(error).toMatchObject(rest);
  expect((error as CniError).msg).toBe(msg.includes(" ") ? `plugin "${path}" ${msg}` : msg);
});

test("delegate() reports a file that cannot be executed", () => {
  const path = script("x", "");
  chmodSync(path, 0o644);
  const error = {
    code: 5,
    msg: `cannot execute plugin "${path}"`,
    details: expect.stringContaining("EACCES"),
  };
  expect(failure(() => delegated("ADD", "x"))).toMatchObject(error);
});

test("delegate() is not disturbed by what an executable prints for DEL, or does not read", () => {
  script("x", "echo hello");
  expect(delegated("DEL", "x", { config: { vendor: "x".repeat(2_000_000) } }).result).toBeUndefined();
});

test("delegate() waits for an executable that is still being written", async () => {
  const path = script("x", 'echo "{}"');
  const writer = Bun.spawn(["sh", "-c", 'exec 3>>"$0"; echo; sleep 0.3', path], { stdout: "pipe" });
  await writer.stdout.getReader().read(); // it has the file open now
  expect(delegated("ADD", "x").result).toEqual({});
  await writer.exited;
});

test("delegate() calls a plugin of its own executable as a function", () => {
  link("x");
  const { plugin, calls } = probe({ add: () => ({ dns: { domain: "d" } }) });
  const { result, given } = delegated("ADD", "x", { own: plugin, args: "MAC=a" });
  expect(result).toEqual({ cniVersion: "1.0.0", dns: { domain: "d" } });
  expect(calls).toMatchObject([{ command: "ADD", stdin: given.stdin, containerId: "c1" }]);
  expect(calls[0]?.environment["CNI_ARGS"]).toBe("MAC=a;IgnoreUnknown=1");
});

test("delegate() executes a plugin that CNI_PATH finds elsewhere, though it has one of that name", () => {
  script("x", `echo '{"dns":{"domain":"elsewhere"}}'`);
  const { plugin, calls } = probe();
  expect(delegated("ADD", "x", { own: plugin }).result).toEqual({ dns: { domain: "elsewhere" } });
  expect(calls).toEqual([]);
});

const FULL: Result = {
  interfaces: [{ name: "eth0", mtu: 1500 }],
  ips: ["10.1.0.5/16", "10.2.0.5/16"].map((text) => ({
    address: parsePrefix(text),
    gateway: parseAddress("10.1.0.1"),
  })),
  routes: [{ dst: parsePrefix("0.0.0.0/0"), mtu: 1400 }],
};

test.each(["0.2.0", "0.4.0", "1.1.0"])(
  "delegate() gets in %s the same from a function as from a process",
  (cniVersion) => {
    const { plugin } = probe({ add: () => FULL });
    link("own");
    const printed = callPlugin(plugin, input("ADD", { cniVersion }));
    script("other", `cat <<'END'\n${printed}\nEND`);
    const config = { config: { cniVersion } };
    expect(delegated("ADD", "own", { ...config, own: plugin }).result).toEqual(
      delegated("ADD", "other", config).result,
    );
  },
);

test.each<[why: string, thrown: Error, expected: object]>([
  [
    "an error of the plugin",
    new CniError(11, "later", { details: "held" }),
    { code: 11, msg: "later", details: "held" },
  ],
  ["any other error", new RangeError("x"), { code: 999, msg: "x", details: "" }],
  ["a lock that stayed taken", new LockTimeoutError("/run/l", 5), { code: 11 }],
])("delegate() throws for a function what a process would have printed: %s", (_, thrown, expected) => {
  link("x");
  const { plugin } = probe({
    add() {
      throw thrown;
    },
  });
  const error = failure(() => delegated("ADD", "x", { own: plugin }));
  expect(error).toBeInstanceOf(CniError);
  expect(error).toMatchObject(expected);
});

test("delegate() makes the checks of a process for a function too", () => {
  link("x");
  const { plugin, calls } = probe({ versions: ["0.4.0"] });
  expect(failure(() => delegated("ADD", "x", { own: plugin }))).toMatchObject({
    code: 1,
    msg: "incompatible CNI versions",
  });
  expect(calls).toEqual([]);
});
