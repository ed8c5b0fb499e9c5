/**
 * Measures cases: every suite in every round, in an order of
 * chance, so that none always follows the same other.
 */
import type { Step } from "./cases.ts";
import type { Outcome } from "./process.ts";
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
      for (const { step, outcome } of runSteps(steps, random)) {
        if (round < 0) continue;
        const { wall, cpu } = seriesOf(results, step, name);
        wall.push(outcome.durationNs / 1e6);
        cpu.push(outcome.cpuNs / 1e6);
      }
    }
  }
  return results;
}

/** Runs the steps once, each with the answer of the one before. @throws Error when one fails */
function runSteps(steps: readonly Step[], random: () => number): { step: string; outcome: Outcome }[] {
  let answer = "";
  return steps.map(({ name, program, stdin }) => {
    Bun.sleepSync(random() * PAUSE_MAX_MS);
    const outcome = program.run(stdin(answer));
    const { status, stdout, stderr } = outcome;
    if (status !== 0) throw new Error(`${name} of ${program.file}: status ${status}, ${stdout}${stderr}`);
    answer = stdout;
    return { step: name, outcome };
  });
}

function seriesOf(results: Map<string, Map<string, Series>>, step: string, name: string): Series {
  const contest = results.get(step) ?? new Map<string, Series>();
  const series = contest.get(name) ?? { wall: [], cpu: [] };
  results.set(step, contest.set(name, series));
  return series;
}
