import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CniError } from "../cni/error.ts";
import { type Call, callPlugin, type Plugin } from "../cni/plugin.ts";
import { parsePrefix } from "../netaddr/prefix.ts";
import { input, probe } from "../testing/probe.ts";
import { ipamAdd, ipamCheck, ipamDel, ipamGc, ipamStatus } from "./delegate.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "weft-ipam-"));
  symlinkSync(process.execPath, join(directory, "ipam"));
});
afterEach(() => rmSync(directory, { recursive: true }));

const IPS = [{ address: parsePrefix("10.1.0.5/16") }];

/** Calls a plugin that asks `ipam` for everything, then does `after`. */
function run(
  command: string,
  ipam: Plugin,
  options: { config?: object; after?: (call: Call) => void } = {},
): string {
  const { plugin } = probe({
    add(call) {
      const result = ipamAdd(call);
      options.after?.(call);
      return result;
    },
    del: ipamDel,
    check: ipamCheck,
    gc: ipamGc,
    status: ipamStatus,
  });
  const config = { ipam: { type: "ipam" }, "cni.dev/valid-attachments": [], ...options.config };
  return callPlugin(plugin, {
    ...input(command, config, { CNI_PATH: directory }),
    own: new Map([["ipam", ipam]]),
  });
}

function failure(act: () => unknown): unknown {
  try {
    act();
  } catch (error) {
    return error;
  }
  throw new Error("not refused");
}

const commandsOf = (calls: readonly Call[]) => calls.map(({ command }) => command as string);

/** An IPAM plugin that gives an address. */
function giving() {
  return probe({ add: () => ({ ips: IPS }) });
}

test.each(["DEL", "CHECK", "GC", "STATUS"])("ipam passes %s on", (command) => {
  const { plugin, calls } = giving();
  expect(run(command, plugin)).toBe("");
  expect(commandsOf(calls)).toEqual([command]);
});

test("ipamAdd() returns the addresses and keeps them when ADD goes through", () => {
  const { plugin, calls } = giving();
  expect(JSON.parse(run("ADD", plugin))).toEqual({ cniVersion: "1.1.0", ips: [{ address: "10.1.0.5/16" }] });
  expect(commandsOf(calls)).toEqual(["ADD"]);
});

test("ipamAdd() gives the addresses back when ADD fails afterwards", () => {
  const { plugin, calls } = giving();
  const error = new Error("later");
  const after = () => {
    throw error;
  };
  expect(failure(() => run("ADD", plugin, { after }))).toBe(error);
  expect(commandsOf(calls)).toEqual(["ADD", "DEL"]);
});

test("ipamAdd() leaves it to a plugin in this process to undo an ADD that failed", () => {
  const error = new CniError(CniError.TRY_AGAIN_LATER, "no lock", { details: "held" });
  const { plugin, calls } = probe({
    add() {
      throw error;
    },
  });
  expect(failure(() => run("ADD", plugin))).toBe(error);
  expect(commandsOf(calls)).toEqual(["ADD"]);
});

test("ipamAdd() follows an ADD that failed in another process with a DEL, and passes its error on", () => {
  const path = join(directory, "ipam");
  rmSync(path);
  const script = `echo "$CNI_COMMAND" >> ${path}.log; echo '{"code":11,"msg":"no lock"}'; exit 1`;
  writeFileSync(path, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  const { plugin, calls } = giving();
  expect(failure(() => run("ADD", plugin))).toMatchObject({ code: 11, msg: "no lock" });
  expect(readFileSync(`${path}.log`, "utf8")).toBe("ADD\nDEL\n");
  expect(calls).toEqual([]);
});

test("ipamAdd() reports its own error though giving back fails", () => {
  const { plugin } = probe({
    del() {
      throw new Error("cannot release");
    },
  });
  expect(failure(() => run("ADD", plugin))).toMatchObject({
    msg: "IPAM plugin returned missing IP config",
    details: "while cleaning up: cannot release",
  });
});

test("ipamAdd() refuses an answer without addresses, and gives back what it may have got", () => {
  const { plugin, calls } = probe();
  expect(failure(() => run("ADD", plugin))).toMatchObject({
    code: 999,
    msg: "IPAM plugin returned missing IP config",
  });
  expect(commandsOf(calls)).toEqual(["ADD", "DEL"]);
});

test.each<[command: string, ipam: object | undefined, code: number, msg: string]>([
  ["ADD", undefined, 7, "no plugin name provided"],
  ["DEL", {}, 7, "no plugin name provided"],
  ["CHECK", { type: "a/b" }, 7, "invalid plugin name: a/b"],
  ["ADD", { type: "gone" }, 7, 'failed to find plugin "gone" in path [DIR]'],
  ["STATUS", { type: "gone" }, 50, 'failed to find plugin "gone" in path [DIR]'],
])("ipam %s with %j says what is missing", (command, ipam, code, msg) => {
  const { plugin, calls } = probe();
  const error = failure(() => run(command, plugin, { config: { ipam } }));
  expect(error).toMatchObject({ code, msg: msg.replace("DIR", directory), details: "" });
  expect(calls).toEqual([]);
});

test("ipamStatus() passes on what the IPAM plugin says", () => {
  const { plugin } = probe({
    status() {
      throw new CniError(CniError.NOT_AVAILABLE_AFFECTED, "down");
    },
  });
  expect(failure(() => run("STATUS", plugin))).toMatchObject({ code: 51, msg: "down" });
});
