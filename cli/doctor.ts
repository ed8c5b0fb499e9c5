/** weft doctor: what is wrong with the container networks of this host, and what mends it. */
import { createInterface } from "node:readline/promises";
import { Command } from "commander";
import { parseAddress } from "../lib/netaddr/address.ts";
import { COLLECT } from "./doctor/collect.ts";
import { diagnose } from "./doctor/diagnose.ts";
import { FAULTS } from "./doctor/faults.ts";
import type { Finding } from "./doctor/finding.ts";
import { type Mending, mend } from "./doctor/mend.ts";
import { countOf, formatFinding } from "./doctor/report.ts";
import { EXIT_FAILED } from "./failure.ts";
import { networksDirectory, runtimeOf } from "./runtime-command.ts";
import { formatTable } from "./terminal/table.ts";

/** What is mended may uncover what hung on it, such as the routes of an interface that was down. */
const ROUNDS_MAX = 6;

interface Options {
  readonly fix?: true;
  readonly yes?: true;
  readonly json?: true;
  readonly faults?: true;
  readonly probe?: readonly string[];
}

export function command(): Command {
  const description = "find what is wrong with the container networks of this host";
  return new Command("doctor")
    .summary(description)
    .description(
      `${description}

Compares the kernel with what the plugins were asked for: forwarding and packet
filters, bridges and their ports, MTU, addresses and routes of every container,
leases, records, published ports, other programs that manage interfaces, and
whether the plugins are there. Each finding names the fault, what shows it, and
the command that mends it. Nothing is changed without --fix.

  weft doctor
  weft doctor --fix`,
    )
    .option("--fix", "run the commands that can harm nobody, after asking, and look again")
    .option("-y, --yes", "with --fix: do not ask")
    .option("--probe <address...>", "probe the paths to these addresses too, for their MTU")
    .option("--json", "as JSON: { findings, mended }")
    .option("--faults", "list the faults that it knows")
    .addHelpText(
      "after",
      "\nExit status: 0 nothing found, or all of it mended; 1 not begun;\n2 faults were found.",
    )
    .action(doctor);
}

async function doctor(options: Options): Promise<void> {
  if (options.faults) {
    console.log(listFaults(options));
    return;
  }
  const place = { networksDirectory: networksDirectory(process.env), runtime: runtimeOf(process.env) };
  const probed = (options.probe ?? []).map(parseAddress);
  const look = () => diagnose({ ...place, probed });
  const before = await look();
  const { findings, mended } = options.fix
    ? await fix(before, look, options)
    : { findings: before, mended: [] };
  if (options.json) console.log(JSON.stringify({ findings, mended }, null, 2));
  else report(findings, { isFixing: options.fix === true });
  if (findings.length > 0) process.exitCode = EXIT_FAILED;
}

function report(findings: readonly Finding[], { isFixing }: { isFixing: boolean }): void {
  if (findings.length === 0) {
    console.log(isFixing ? "nothing is wrong any more" : "nothing found");
    return;
  }
  for (const each of findings) console.log(`${formatFinding(each)}\n`);
  const safe = findings.filter(({ isSafe }) => isSafe).length;
  const hint =
    !isFixing && safe > 0 ? `; weft doctor --fix mends ${safe === findings.length ? "them" : safe}` : "";
  console.log(`${countOf(findings)}${hint}`);
}

/** Mends, and looks again, until there is nothing more that is safe to mend, or it does not help. */
async function fix(
  before: readonly Finding[],
  look: () => Promise<Finding[]>,
  { yes, json }: Options,
): Promise<{ findings: readonly Finding[]; mended: Finding[] }> {
  const tried = new Set<string>();
  const mended: Finding[] = [];
  let findings = before;
  for (let round = 1; round <= ROUNDS_MAX; round++) {
    const ready = findings.filter(({ isSafe, remedy }) => isSafe && !tried.has(remedy));
    if (ready.length === 0 || !(yes || (await isAgreed(ready)))) break;
    for (const remedy of new Set(inOrder(ready).map((each) => each.remedy))) {
      tried.add(remedy);
      const each = ready.find((it) => it.remedy === remedy);
      if (each) tell(mend(each), { isQuiet: json === true });
    }
    const after = await look();
    mended.push(...ready.filter((each) => !after.some((it) => isSameFinding(it, each))));
    findings = after;
  }
  const idle = new Set(findings.map(({ remedy }) => remedy).filter((remedy) => tried.has(remedy)));
  for (const remedy of idle) console.error(`weft: it did not help: ${remedy}`);
  return { findings, mended };
}

/** Whatever takes away what several findings are about comes last: their own commands would miss it. */
function inOrder(ready: readonly Finding[]): Finding[] {
  return ready.toSorted((a, b) => Number(a.remedy === COLLECT) - Number(b.remedy === COLLECT));
}

function isSameFinding(a: Finding, b: Finding): boolean {
  return a.fault === b.fault && a.subject === b.subject;
}

function tell({ finding, failure }: Mending, { isQuiet }: { isQuiet: boolean }): void {
  if (failure !== undefined) console.error(`weft: ${finding.remedy}\n  ${failure.replaceAll("\n", "\n  ")}`);
  else if (!isQuiet) console.log(`ran ${finding.remedy}`);
}

/** @throws Error where nobody can be asked */
async function isAgreed(ready: readonly Finding[]): Promise<boolean> {
  if (!process.stdin.isTTY)
    throw new Error("--fix asks before it changes anything: give --yes where nobody can answer");
  // not among what is printed with --json
  for (const each of ready) console.error(`${formatFinding(each)}\n`);
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const commands = ready.length === 1 ? "this command" : `these ${ready.length} commands`;
    return /^y(es)?$/i.test((await terminal.question(`run ${commands}? [y/N] `)).trim());
  } finally {
    terminal.close();
  }
}

function listFaults({ json }: Options): string {
  const faults = Object.entries(FAULTS).map(([fault, about]) => ({ fault, ...about }));
  if (json) return JSON.stringify(faults, null, 2);
  const columns = [
    { title: "FAULT" },
    { title: "SEVERITY" },
    { title: "FIX" },
    { title: "WHAT IS WRONG", shrink: 1 },
  ];
  const rows = faults.map(({ fault, severity, isSafe, title }) => [
    fault,
    severity,
    isSafe ? "yes" : "by hand",
    title,
  ]);
  return formatTable(columns, rows);
}
