/** A case, run by every contestant: the rows that a report has of it. */
import type { Case, Suite } from "./cases.ts";
import { measureFloor } from "./floor.ts";
import type { Row } from "./report.ts";
import { runRounds } from "./rounds.ts";

export function measureCase<S extends Suite>(
  each: Case<S>,
  suites: readonly S[],
  rounds = each.rounds,
): Row[] {
  const contestants = suites.map((suite) => ({ name: suite.name, steps: each.prepare(suite) }));
  const floor = measureFloor(each.name, rounds);
  return [...runRounds(contestants, rounds)].map(([step, contest]) => ({
    name: `${each.name} ${step}`,
    contest,
    floor: floor.get(step),
    bar: each.bars?.[step],
    limitMs: each.limitsMs?.[step],
  }));
}
