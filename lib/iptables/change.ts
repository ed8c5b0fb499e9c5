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
import { hasProgramsNamed, LOCK_TIMEOUT_S, type Outcome, runProgram } from "./program.ts";
import type { Rule, TableName } from "./rule.ts";
import { Table } from "./table.ts";
import { findVariants, hasTable, type Variant } from "./variant.ts";

const LOCKS_DIR = "/run/weft/locks";
const ATTEMPTS = 5;

export type Tables<N extends TableName> = { readonly [name in N]: Table };

/**
 * Reads the tables and makes the changes that `plan` makes to them, in one variant: the host's own, unless
 * the other alone is used, or has the chain that the rules lead to.
 * @throws LockTimeoutError, ErrnoError when a program is missing, Error with what iptables-restore said
 */
export function changeTables<N extends TableName>(
  family: Family,
  names: readonly N[],
  plan: (tables: Tables<N>) => void,
  { target }: { target?: { readonly table: N; readonly chain: string } | undefined } = {},
): void {
  using _ = lockTables();
  const used = usedVariants(family, names);
  const chosen = target && used.find(({ tables }) => tables?.[target.table].has(target.chain));
  changeVariant((chosen ?? used[0]).variant, names, plan);
}

/** The same in each variant that is used: a packet has to be accepted in all of them. */
export function changeUsedTables<N extends TableName>(
  family: Family,
  names: readonly N[],
  plan: (tables: Tables<N>) => void,
): void {
  using _ = lockTables();
  for (const { variant } of usedVariants(family, names)) changeVariant(variant, names, plan);
}

/** The same for what is to be taken away, wherever it is; nothing without the tables, or the programs. */
export function changeExistingTables<N extends TableName>(
  family: Family,
  names: readonly N[],
  plan: (tables: Tables<N>) => void,
): void {
  const variants = findVariants(family, names).filter(
    (variant) => names.some((name) => hasTable(variant, name)) && hasProgramsNamed(variant.name),
  );
  if (variants.length === 0) return;
  using _ = lockTables();
  for (const variant of variants) changeVariant(variant, names, plan, { onlyExisting: true });
}

/**
 * For what a record says is there, so that it is not taken for gone.
 * @throws ErrnoError where the kernel has the table, and the programs to change it are missing
 */
export function requirePrograms(table: TableName): void {
  for (const family of [4, 6] as const) {
    const [own] = findVariants(family, [table]);
    if (hasTable(own, table) && !hasProgramsNamed(own.name)) runProgram(`${own.name}-save`, ["-t", table]);
  }
}

/** A change runs several programs, and a storm of attachments is a queue of changes. */
const TURN_TIMEOUT_MS = 60_000;

function lockTables(): Disposable {
  makeDirectory(LOCKS_DIR);
  return acquireLock(`${LOCKS_DIR}/iptables`, { timeoutMs: TURN_TIMEOUT_MS });
}

/** The variants in which somebody has something, the host's own first, and alone where nobody has. */
function usedVariants<N extends TableName>(family: Family, names: readonly N[]): [Used<N>, ...Used<N>[]] {
  const variants = findVariants(family, names);
  const own: Used<N> = { variant: variants[0] };
  if (variants.length === 1) return [own];
  const [first = own, ...others] = variants
    .map((variant) => ({ variant, tables: readTables(variant, names, { onlyExisting: true }) }))
    .filter(({ tables }) => names.some((name) => tables[name].isUsed));
  return [first, ...others];
}

interface Used<N extends TableName> {
  readonly variant: Variant;
  /** Not read where there was no choice. */
  readonly tables?: Tables<N>;
}

function changeVariant<N extends TableName>(
  variant: Variant,
  names: readonly N[],
  plan: (tables: Tables<N>) => void,
  options: ReadOptions = {},
): void {
  let refused: { input: string; reason: string } | undefined;
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const tables = readTables(variant, names, options);
    plan(tables);
    const input = names.map((name) => tables[name].input).join("");
    if (input === "") return;
    if (input === refused?.input) break; // nobody else's doing
    const { exitCode, stderr } = restore(variant, input);
    if (exitCode === 0) return;
    refused = {
      input,
      reason: `status ${exitCode}, ${stderr}${lineAt(input, stderr)}`,
    };
  }
  throw new Error(`Cannot change rules: ${variant.name}-restore ended with ${refused?.reason}`);
}

interface ReadOptions {
  /** A table that is not there counts as empty, since reading may make it. */
  readonly onlyExisting?: boolean;
}

/**
 * Reads tables with `iptables-save -t`. Of those that are to exist already, one that `nft` filled with what
 * iptables cannot say counts as empty: nothing there is ours.
 */
function readTables<N extends TableName>(
  variant: Variant,
  names: readonly N[],
  { onlyExisting = false }: ReadOptions,
): Tables<N> {
  const tables: Partial<Record<N, Table>> = {};
  for (const name of names) {
    const text = onlyExisting && !hasTable(variant, name) ? "" : readTable(variant, name);
    if (text === undefined && !onlyExisting) {
      const cure = "choose the nftables backend, or rename that table";
      throw new Error(`Cannot use table ${name} of ${variant.name}: it holds rules of nft's; ${cure}`);
    }
    tables[name] = new Table(name, text ?? "");
  }
  return tables as Tables<N>; // one for each name
}

/** What iptables-save prints; undefined of a table that is not one of iptables' but for its name. */
function readTable({ name: start }: Variant, name: TableName): string | undefined {
  const program = `${start}-save`;
  const { exitCode, stdout, stderr } = runProgram(program, ["-t", name]);
  if (exitCode !== 0) throw new Error(`Cannot read table ${name}: ${program} says "${stderr}"`);
  return stdout.includes(`# Table \`${name}' is incompatible`) ? undefined : stdout;
}

/** Adds the rules that are not there, with their chains. */
export function ensureRules(tables: Partial<Tables<TableName>>, rules: readonly Rule[]): void {
  for (const rule of rules) tables[rule.table]?.ensureRule(rule);
}

/**
 * The first of the rules that is missing. It is enough that one variant has them all, unless `isNeeded` says
 * that another one has to. `rulesOf` says for each what is to be there.
 */
export function findMissingRule<N extends TableName>(
  family: Family,
  names: readonly N[],
  rulesOf: (tables: Tables<N>) => readonly Rule[],
  { isNeeded = () => false }: { isNeeded?: (tables: Tables<N>) => boolean } = {},
): Rule | undefined {
  const lacking = findVariants(family, names).map((variant) => {
    const tables = readTables(variant, names, { onlyExisting: true });
    const rules = rulesOf(tables);
    const found = rules.findIndex((rule) => !hasRule(variant, tables, rule));
    return { rule: rules[found], place: found < 0 ? rules.length : found, isNeeded: isNeeded(tables) };
  });
  const needed = lacking.find((it) => it.isNeeded && it.rule);
  // Else it is told of the variant that has most.
  return (needed ?? lacking.reduce((best, it) => (it.place > best.place ? it : best))).rule;
}

/**
 * What cannot be found in the text of the tables is asked for with `-C`: iptables alone knows whether words
 * of a user's own are the rule it prints in others.
 */
function hasRule(
  variant: Variant,
  tables: Partial<Tables<TableName>>,
  { table, chain, text }: Rule,
): boolean {
  if (tables[table]?.includes(chain, text)) return true;
  if (!tables[table]?.has(chain)) return false;
  return restore(variant, `*${table}\n-C ${chain} ${text}\nCOMMIT\n`).exitCode === 0;
}

/** The tables of these rules, each once, in their order. */
export function tablesOf(rules: readonly Rule[]): TableName[] {
  return [...new Set(rules.map(({ table }) => table))];
}

function restore({ name }: Variant, input: string): Outcome {
  return runProgram(`${name}-restore`, ["--noflush", "-w", String(LOCK_TIMEOUT_S)], input);
}

/** The line that iptables-restore complains of: "line 3 failed", "Error occurred at line: 3". */
function lineAt(input: string, complaint: string): string {
  const number = /line:? ([0-9]+)/.exec(complaint)?.[1];
  const line = number && input.split("\n")[Number(number) - 1];
  return line ? ` (${line})` : "";
}
