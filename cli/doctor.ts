/** weft doctor: what is wrong with the container networks of this host, and what mends it. */
import { createInterface } from "node:readline/promises";
import { Command } from "commander";
import { parseAddress } from "../lib/netaddr/address.ts";
import { diagnose } from "./doctor/diagnose.ts";
import { FAULTS } from "./doctor/faults.ts";
import type { Finding } from "./doctor/finding.ts";
import { fix } from "./doctor/fix.ts";
import { type Mending, mend } from "./doctor/mend.ts";
import { countOf, formatFinding } from "./doctor/report.ts";
import { EXIT_FAILED } from "./failure.ts";
import { networksDirectory, runtimeOf } from "./runtime-command.ts";
import { formatTable } from "./terminal/table.ts";

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
  const { findings, mended, idle } = options.fix
    ? await fix(before, {
        look,
        isAgreed: async (ready) => options.yes === true || isAgreed(ready),
        run: (each) => tell(mend(each), { isQuiet: options.json === true }),
      })
    : { findings: before, mended: [], idle: [] };
  for (const remedy of idle) console.error(`weft: it did not help: ${remedy}`);
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
    { title: "WHAT IS WRONG", shrink: 1, folds: true },
  ];
  const rows = faults.map(({ fault, severity, isSafe, title }) => [
    fault,
    severity,
    isSafe ? "yes" : "by hand",
    title,
  ]);
  return formatTable(columns, rows);
}
