/**
 * The two variants of iptables: one keeps its tables in nf_tables, the legacy one in tables of its own, and a
 * packet passes both. The plain names are one of them's; where the other's FORWARD drops, it has to be that
 * one's rules that accept.
 */
import type { Family } from "../netaddr/address.ts";
import { isErrno } from "../sys/errno.ts";
import { findSymlink } from "../sys/file.ts";
import { hasLegacyTable } from "./kernel-tables.ts";
import { findProgram, iptablesName, runProgram } from "./program.ts";

/** What stands in the programs' names: nothing, or the legacy variant's own infix. */
export type Variant = "" | "-legacy";

const SYMLINKS_MAX = 5;

/** The variant that rules are written with, and looked for. */
export function variantInForce(family: Family): Variant {
  return hasOwnLegacy(family) && legacyDropsForwarded(family) ? "-legacy" : "";
}

/** Every variant in which there may be rules of ours. */
export function variantsInUse(family: Family): Variant[] {
  return hasOwnLegacy(family) ? ["", "-legacy"] : [""];
}

/** Whether the legacy variant drops what no rule of its FORWARD accepts. */
export function legacyDropsForwarded(family: Family): boolean {
  if (!hasLegacyTable(family, "filter")) return false;
  const name = iptablesName(family);
  const program = [`${name}-legacy-save`, `${name}-save`].find((file) => findProgram(file) !== undefined);
  return program !== undefined && runProgram(program, ["-t", "filter"]).stdout.includes("\n:FORWARD DROP ");
}

/** Whether there is a legacy table of packets, and programs for it beside those of the plain names. */
function hasOwnLegacy(family: Family): boolean {
  if (!(["filter", "nat", "raw"] as const).some((table) => hasLegacyTable(family, table))) return false;
  const name = iptablesName(family);
  const programs = [`${name}-legacy-save`, `${name}-legacy-restore`];
  return programs.every((program) => findProgram(program) !== undefined) && !isLegacy(`${name}-save`);
}

/** Whether a plain name leads to the legacy variant, as update-alternatives has it. */
function isLegacy(name: string): boolean {
  let path = findProgram(name);
  for (let hops = 0; path !== undefined && hops < SYMLINKS_MAX; hops++) {
    if (path.includes("legacy")) return true;
    path = path.startsWith("/") ? linkAt(path) : undefined;
  }
  return false;
}

function linkAt(path: string): string | undefined {
  try {
    return findSymlink(path);
  } catch (error) {
    if (isErrno(error, "EINVAL")) return undefined; // a file of its own
    throw error;
  }
}
