/** Where the time of a call goes, by the marks of phases/main.ts. */

import { nowNs } from "../../lib/sys/clock.ts";
import type { Step } from "../cases.ts";
import { median } from "../statistics.ts";

/** Milliseconds, the median, by phase in their order. */
export type Profile = ReadonlyMap<string, number>;

/** The phases, and what is done in each. */
export const PHASES: Readonly<Record<string, string>> = {
  exec: "the kernel's exec, the dynamic linker",
  runtime: "Bun and JavaScriptCore, until the first line of ours",
  entry: "main.ts and what it imports: the C library, the process of a plugin",
  load: "the plugin's chunk and what it imports",
  input: "environment, stdin, configuration, the chunk of the IPAM plugin",
  work: "the plugin's add() or del()",
  answer: "the result as text, written",
  exit: "the end of the process until its parent knows",
};

/** Runs the steps again and again. @returns a profile for each step */
export function profileSteps(steps: readonly Step[], rounds: number): Map<string, Profile> {
  const samples = new Map<string, Map<string, number[]>>();
  for (let round = 0; round < rounds; round++) {
    let answer = "";
    for (const { name, program, stdin } of steps) {
      const text = stdin(answer);
      const start = nowNs();
      const { durationNs, stdout, stderr } = program.run(text);
      answer = stdout;
      const byPhase = samples.get(name) ?? new Map<string, number[]>();
      samples.set(name, byPhase);
      for (const [phase, ms] of phasesOf(stderr, { start, end: start + BigInt(durationNs) })) {
        byPhase.set(phase, [...(byPhase.get(phase) ?? []), ms]);
      }
    }
  }
  const profileOf = (byPhase: Map<string, number[]>) =>
    new Map([...byPhase].map(([phase, times]) => [phase, median(times)]));
  return new Map([...samples].map(([name, byPhase]) => [name, profileOf(byPhase)]));
}

function phasesOf(report: string, { start, end }: { start: bigint; end: bigint }): [string, number][] {
  const moments: [string, string][] = JSON.parse(report);
  let before = start;
  return [...moments, ["exit", String(end)] as const].map(([phase, at]) => {
    const ms = Number(BigInt(at) - before) / 1e6;
    before = BigInt(at);
    return [phase, ms];
  });
}
