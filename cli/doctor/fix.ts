/** The order of mending: what one command mends may be what another finding was about. */
import { COLLECT } from "./collect.ts";
import type { Finding } from "./finding.ts";

/** What is mended may uncover what hung on it, such as the routes of an interface that was down. */
const ROUNDS_MAX = 50;

export interface Fixing {
  /** Looks at the host. */
  readonly look: () => Promise<readonly Finding[]>;
  /** Asks whether these may be mended. */
  readonly isAgreed: (ready: readonly Finding[]) => Promise<boolean>;
  /** Runs the remedy. */
  readonly run: (finding: Finding) => void;
}

export interface Fixed {
  /** What is found at the end. */
  readonly findings: readonly Finding[];
  readonly mended: readonly Finding[];
  /** Remedies that did not help. */
  readonly idle: readonly string[];
}

/**
 * Mends what is safe, fault by fault, and looks again after each: until there is nothing more to mend, or it
 * does not help.
 */
export async function fix(before: readonly Finding[], { look, isAgreed, run }: Fixing): Promise<Fixed> {
  const agreed = new Set<string>();
  const tried = new Set<string>();
  const mended: Finding[] = [];
  let findings = before;
  for (let round = 1; round <= ROUNDS_MAX; round++) {
    const ready = inOrder(findings.filter(({ isSafe, remedy }) => isSafe && !tried.has(remedy)));
    if (ready.length === 0) break;
    if (!ready.some(({ remedy }) => agreed.has(remedy))) {
      if (!(await isAgreed(ready))) break;
      for (const { remedy } of ready) agreed.add(remedy);
    }
    const allowed = ready.filter(({ remedy }) => agreed.has(remedy));
    for (const each of allowed.filter(({ fault }) => fault === allowed[0]?.fault)) {
      if (tried.has(each.remedy)) continue;
      tried.add(each.remedy);
      run(each);
    }
    const after = await look();
    mended.push(...allowed.filter((each) => !after.some((it) => isSameFinding(it, each))));
    findings = after;
  }
  const idle = new Set(findings.map(({ remedy }) => remedy).filter((remedy) => tried.has(remedy)));
  return { findings, mended, idle: [...idle] };
}

/** What takes away what several findings are about comes last. */
function inOrder(ready: readonly Finding[]): Finding[] {
  return ready.toSorted((a, b) => Number(a.remedy === COLLECT) - Number(b.remedy === COLLECT));
}

function isSameFinding(a: Finding, b: Finding): boolean {
  return a.fault === b.fault && a.subject === b.subject;
}
