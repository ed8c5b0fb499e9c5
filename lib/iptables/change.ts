/**
 * Reading and changing iptables' tables: `iptables-save -t` for each of them, then one `iptables-restore
 * --noflush`, which carries out all changes of a table or none.
 *
 * A restore of several tables commits them one after the other: what must not come
 * first comes last. Other programs are not kept out between reading and changing (our own are,
 * by a lock): a change that no longer fits is refused as a whole, and worked out again.
 */
import type { Family } from "../netaddr/address.ts";
import { makeDirectory } from "../sys/file.ts";
import { acquireLock } from "../sys/lock.ts";
import { hasLegacyTable, hasTable } from "./kernel-tables.ts";
import { hasPrograms, iptablesName, LOCK_TIMEOUT_S, type Outcome, runProgram } from "./program.ts";
import type { Rule, TableName } from "./rule.ts";
import { Table } from "./table.ts";
import { type Variant, variantInForce, variantsInUse } from "./variant.ts";

const LOCKS_DIR = "/run/weft/locks";
const ATTEMPTS = 5;

export type Tables<N extends TableName> = { readonly [name in N]: Table };

export interface ReadOptions<N extends TableName> {
  /** Those that are there; the others count as empty. Default: all, made by being read. */
  readonly existing?: readonly N[];
  /** Default: the one in force. */
  readonly variant?: Variant;
}

/**
 * Reads the tables and makes the changes that `plan` makes to them.
 * @throws LockTimeoutError, ErrnoError when a program is missing, Error with what iptables-restore said
 */
export function changeTables<N extends TableName>(
  family: Family,
  names: readonly N[],
  plan: (tables: Tables<N>) => void,
  options: ReadOptions<N> = {},
): void {
  makeDirectory(LOCKS_DIR);
  using _ = acquireLock(`${LOCKS_DIR}/iptables`);
  const { variant = variantInForce(family) } = options;
  let refused: { input: string; reason: string } | undefined;
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const tables = readTables(family, names, { ...options, variant });
    plan(tables);
    const input = names.map((name) => tables[name].input).join("");
    if (input === "") return;
    if (input === refused?.input) break; // nobody else's doing
    const { exitCode, stderr } = restore(family, input, variant);
    if (exitCode === 0) return;
    refused = {
      input,
      reason: `status ${exitCode}, ${stderr}${lineAt(input, stderr)}`,
    };
  }
  throw new Error(`Cannot change rules: ${iptablesName(family)}-restore ended with ${refused?.reason}`);
}

/** The same for what is to be taken away: nothing is done where there are no tables, or no programs. */
export function changeExistingTables<N extends TableName>(
  family: Family,
  names: readonly N[],
  plan: (tables: Tables<N>) => void,
): void {
  for (const variant of variantsInUse(family)) {
    const isThere = variant === "" ? hasTable : hasLegacyTable;
    const existing = names.filter((name) => isThere(family, name));
    if (existing.length > 0 && hasPrograms(family)) changeTables(family, names, plan, { existing, variant });
  }
}

/**
 * Reads tables with `iptables-save -t`. Of those that are to exist already the others count as empty, since
 * reading makes them, and so does one that `nft` filled with what iptables cannot say: nothing there is ours.
 */
export function readTables<N extends TableName>(
  family: Family,
  names: readonly N[],
  { existing, variant = variantInForce(family) }: ReadOptions<N> = {},
): Tables<N> {
  const tables: Partial<Record<N, Table>> = {};
  for (const name of names) {
    const isRead = existing === undefined || existing.includes(name);
    const text = isRead ? readTable(family, name, variant) : "";
    if (text === undefined && !existing) {
      const cure = "choose the nftables backend, or rename that table";
      throw new Error(
        `Cannot use table ${name} of ${iptablesName(family)}: it holds rules of nft's; ${cure}`,
      );
    }
    tables[name] = new Table(name, text ?? "");
  }
  return tables as Tables<N>; // one for each name
}

/** What iptables-save prints; undefined of a table that is not one of iptables' but for its name. */
function readTable(family: Family, name: TableName, variant: Variant): string | undefined {
  const program = `${iptablesName(family)}${variant}-save`;
  const { exitCode, stdout, stderr } = runProgram(program, ["-t", name]);
  if (exitCode !== 0) throw new Error(`Cannot read table ${name}: ${program} says "${stderr}"`);
  return stdout.includes(`# Table \`${name}' is incompatible`) ? undefined : stdout;
}

/** Adds the rules that are not there, with their chains. */
export function ensureRules(tables: Partial<Tables<TableName>>, rules: readonly Rule[]): void {
  for (const rule of rules) tables[rule.table]?.ensureRule(rule);
}

/**
 * The first of the rules that is missing. What cannot be found in the text of the tables is asked
 * for with `-C`: iptables alone knows whether words of a user's own are the rule it prints in others.
 */
export function findMissingRule(
  family: Family,
  rules: readonly Rule[],
  tables: Partial<Tables<TableName>> = readTables(family, tablesOf(rules)),
): Rule | undefined {
  return rules.find(({ table, chain, text }) => {
    if (tables[table]?.includes(chain, text)) return false;
    if (!tables[table]?.has(chain)) return true;
    const input = `*${table}\n-C ${chain} ${text}\nCOMMIT\n`;
    return restore(family, input, variantInForce(family)).exitCode !== 0;
  });
}

/** The tables of these rules, each once, in their order. */
export function tablesOf(rules: readonly Rule[]): TableName[] {
  return [...new Set(rules.map(({ table }) => table))];
}

function restore(family: Family, input: string, variant: Variant): Outcome {
  const args = ["--noflush", "-w", String(LOCK_TIMEOUT_S)];
  return runProgram(`${iptablesName(family)}${variant}-restore`, args, input);
}

/** The line that iptables-restore complains of: "line 3 failed", "Error occurred at line: 3". */
function lineAt(input: string, complaint: string): string {
  const number = /line:? ([0-9]+)/.exec(complaint)?.[1];
  const line = number && input.split("\n")[Number(number) - 1];
  return line ? ` (${line})` : "";
}
