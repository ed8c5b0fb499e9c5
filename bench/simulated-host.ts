/**
 * A host of its own for a contestant: a network namespace, and a state of weft's, so that what one has in its
 * packet filter does not slow the other down.
 */
import { mkdirSync, rmSync, symlinkSync } from "node:fs";
import { inNetns, openNetns } from "../lib/netns/netns.ts";
import { makeNetns } from "./host.ts";

/** Where weft keeps its state: here a link to that of the host whose turn it is. */
const STATE = "/run/weft";

export interface SimulatedHost {
  /** Where its state is. */
  readonly state: string;
  /** Runs `inside` on it: programs that are started there are there. */
  on<T>(inside: () => T extends Promise<unknown> ? never : T): T;
}

/** @param name for a namespace, and so of 15 characters at the most where links are named after it */
export function simulateHost(name: string): SimulatedHost {
  const netns = openNetns(makeNetns(name));
  const state = `/run/state/${name}`;
  mkdirSync(state, { recursive: true });
  const host: SimulatedHost = {
    state,
    on(inside) {
      rmSync(STATE, { force: true, recursive: true });
      symlinkSync(state, STATE);
      try {
        return inNetns(netns, inside);
      } finally {
        rmSync(STATE);
      }
    },
  };
  host.on(() => run("ip", "link", "set", "lo", "up"));
  return host;
}

/** Runs a program to its end. @throws Error when it fails */
export function run(...command: string[]): string {
  return runWith("", ...command);
}

/** The same, with what it reads. */
export function runWith(stdin: string, ...command: string[]): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync(command, { stdin: Buffer.from(stdin), stderr: "pipe" });
  if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${stderr}${stdout}`);
  return stdout.toString();
}
