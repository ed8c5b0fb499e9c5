/**
 * The two variants of iptables: a packet passes the tables of both, and the programs of one show nothing of
 * the other's.
 *
 * "iptables" is one of them, by the choice of the distribution, the administrator, or kubelet's wrapper. In
 * the other is what was written before that choice, or by somebody with another iptables, as in an image.
 */
import type { Family } from "../netaddr/address.ts";
import { findSymlink } from "../sys/file.ts";
import * as libc from "../sys/libc.ts";
import { hasLegacyTable, hasNftTable } from "./kernel-tables.ts";
import { findProgram, hasProgramsNamed, iptablesName, runProgram } from "./program.ts";
import type { TableName } from "./rule.ts";

type Kind = "nft" | "legacy";

export interface Variant {
  readonly family: Family;
  readonly kind: Kind;
  /** What the names of its programs begin with: "iptables", "ip6tables-legacy". */
  readonly name: string;
}

/** What a program answered that does not say by its name which variant's it is. */
const answers = new Map<string, Kind>();

/**
 * The host's own iptables; then the other variant, where one of these tables is there and its programs are
 * installed. No program runs for this, unless the host's own is a script.
 */
export function findVariants(family: Family, tables: readonly TableName[]): [Variant, ...Variant[]] {
  const name = iptablesName(family);
  const kind = kindOf(`${name}-save`);
  const otherKind = kind === "nft" ? "legacy" : "nft";
  const other: Variant = { family, kind: otherKind, name: `${name}-${otherKind}` };
  const isThere = tables.some((table) => hasTable(other, table)) && hasProgramsNamed(other.name);
  return [{ family, kind, name }, ...(isThere ? [other] : [])];
}

/** Whether a variant has a table. Asking makes none, as listing it with legacy programs would. */
export function hasTable({ family, kind }: Variant, table: TableName): boolean {
  return kind === "nft" ? hasNftTable(family, table) : hasLegacyTable(family, table);
}

/** By the file it is in the end, xtables-nft-multi or xtables-legacy-multi; else by what it says itself. */
function kindOf(program: string): Kind {
  const path = findProgram(program);
  if (path === undefined) return "nft";
  const file = finalName(path);
  if (file.includes("nft")) return "nft";
  if (file.includes("legacy")) return "legacy";
  return answers.getOrInsertComputed(path, () => {
    const { stdout } = runProgram(program, ["--version"]); // "iptables-save v1.8.9 (nf_tables)"
    return stdout.includes("nf_tables") ? "nft" : "legacy";
  });
}

/** The last part of a path that no link is in any more. */
function finalName(path: string): string {
  const fd = libc.open(path, libc.O_RDONLY);
  try {
    const file = findSymlink(`/proc/self/fd/${fd}`) ?? path;
    return file.slice(file.lastIndexOf("/") + 1);
  } finally {
    libc.close(fd);
  }
}
