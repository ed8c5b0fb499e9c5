/**
 * Running iptables' own programs, with a bound on their time and output.
 *
 * They are found on PATH, or where distributions keep them: a runtime may have started us with neither.
 */
import type { Family } from "../netaddr/address.ts";
import { ErrnoError } from "../sys/errno.ts";
import { LockTimeoutError } from "../sys/lock.ts";

const USUAL_PATH = "/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin";
/** Longer than the wait for the lock; tables of 100,000 rules take seconds. */
const TIMEOUT_MS = 60_000;
const OUTPUT_BYTES_MAX = 256 * 2 ** 20;
/** What the legacy variant waits for the lock that all of its processes take. */
export const LOCK_TIMEOUT_S = 10;
const ENOENT = 2;

export interface Outcome {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** "iptables" or "ip6tables" */
export function iptablesName(family: Family): "iptables" | "ip6tables" {
  return family === 4 ? "iptables" : "ip6tables";
}

/** Where the program is; undefined when this host does not have it. */
export function findProgram(name: string): string | undefined {
  const path = process.env["PATH"];
  return Bun.which(name, { PATH: path ? `${path}:${USUAL_PATH}` : USUAL_PATH }) ?? undefined;
}

/** Whether iptables' rules of a family can be read and changed here. */
export function hasPrograms(family: Family): boolean {
  return hasProgramsNamed(iptablesName(family));
}

/** The same of one variant: "iptables-legacy". */
export function hasProgramsNamed(name: string): boolean {
  return findProgram(`${name}-save`) !== undefined && findProgram(`${name}-restore`) !== undefined;
}

/**
 * Runs a program in the namespace of the process.
 * @returns also of one that failed
 * @throws ErrnoError when it is missing, LockTimeoutError when another process held the tables all the time
 */
export function runProgram(name: string, args: readonly string[], stdin = ""): Outcome {
  const file = findProgram(name);
  if (file === undefined) {
    const text = "no such program in PATH or /usr/sbin; install iptables, or choose the nftables backend";
    throw new ErrnoError("execute", ENOENT, { subject: name, text });
  }
  const child = Bun.spawnSync({
    cmd: [file, ...args],
    env: { ...process.env, LC_ALL: "C" },
    stdin: new TextEncoder().encode(stdin),
    stdout: "pipe",
    stderr: "pipe",
    timeout: TIMEOUT_MS,
    maxBuffer: OUTPUT_BYTES_MAX,
  });
  const decoder = new TextDecoder();
  const stderr = decoder.decode(child.stderr).trim();
  if (child.exitCode === null || child.exitedDueToTimeout || child.exitedDueToMaxBuffer) {
    throw new Error(`Cannot run ${name} to its end: ${child.signalCode ?? "killed"}; it said "${stderr}"`);
  }
  if (stderr.includes("holding the xtables lock")) {
    throw new LockTimeoutError("/run/xtables.lock", LOCK_TIMEOUT_S * 1000);
  }
  return { exitCode: child.exitCode, stdout: decoder.decode(child.stdout), stderr };
}
