/**
 * Measures cases: every suite in every round, in an order of
 * chance, so that none always follows the same other.
 */
import type { Step } from "./cases.ts";
import { generator, shuffled } from "./statistics.ts";

const WARM_UP_ROUNDS = 5;
/** More than two grace periods. */
const PAUSE_MAX_MS = 25;

/** Milliseconds, a round each. */
export interface Series {
  readonly wall: number[];
  readonly cpu: number[];
}

/** By contestant. */
export type Contest = ReadonlyMap<string, Series>;

export interface Contestant {
  readonly name: string;
  readonly steps: readonly Step[];
}

/** @returns what each step took */
export function runRounds(contestants: readonly Contestant[], rounds: number): Map<string, Contest> {
  const random = generator(rounds);
  const results = new Map<string, Map<string, Series>>();
  for (let round = -WARM_UP_ROUNDS; round < rounds; round++) {
    for (const { name, steps } of shuffled(contestants, random)) {
      for (const [step, { wallMs, cpuMs }] of runSteps(steps, random)) {
        if (round < 0) continue;
        const { wall, cpu } = seriesOf(results, step, name);
        wall.push(wallMs);
        cpu.push(cpuMs);
      }
    }
  }
  return results;
}

interface Duration {
  readonly wallMs: number;
  readonly cpuMs: number;
}

/**
 * Runs the steps once, each with the answer of the one before. @returns what each took, and then what
 * those that are summed up took @throws Error when one fails
 */
function runSteps(steps: readonly Step[], random: () => number): Map<string, Duration> {
  let answer = "";
  const durations = new Map<string, Duration>();
  const totals = new Map<string, Duration>();
  for (const { name, total, host, program, stdin } of steps) {
    Bun.sleepSync(random() * PAUSE_MAX_MS);
    const run = () => program.run(stdin(answer));
    const { durationNs, cpuNs, status, stdout, stderr } = host ? host.on(run) : run();
    if (status !== 0) throw new Error(`${name} of ${program.file}: status ${status}, ${stdout}${stderr}`);
    if (stdout !== "") answer = stdout;
    const duration = { wallMs: durationNs / 1e6, cpuMs: cpuNs / 1e6 };
    durations.set(name, duration);
    if (total === undefined) continue;
    const { wallMs, cpuMs } = totals.get(total) ?? { wallMs: 0, cpuMs: 0 };
    totals.set(total, { wallMs: wallMs + duration.wallMs, cpuMs: cpuMs + duration.cpuMs });
  }
  return new Map([...durations, ...totals]);
}

function seriesOf(results: Map<string, Map<string, Series>>, step: string, name: string): Series {
  const contest = results.get(step) ?? new Map<string, Series>();
  const series = contest.get(name) ?? { wall: [], cpu: [] };
  results.set(step, contest.set(name, series));
  return series;
}
