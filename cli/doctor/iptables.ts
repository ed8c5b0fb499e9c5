/** iptables' tables, of both variants, as far as they are there: reading one that is not would make it. */
import { hasProgramsNamed, runProgram } from "../../lib/iptables/program.ts";
import { Table } from "../../lib/iptables/table.ts";
import { findVariants, hasTable, type Variant } from "../../lib/iptables/variant.ts";
import type { Family } from "../../lib/netaddr/address.ts";

type TableName = Parameters<typeof hasTable>[1];

export interface ReadTable {
  readonly variant: Variant;
  readonly table: Table;
}

/** None where no program of the variant can read it. */
export function readTables(family: Family, name: TableName): ReadTable[] {
  return findVariants(family, [name])
    .filter((variant) => hasTable(variant, name) && hasProgramsNamed(variant.name))
    .flatMap((variant) => {
      const { exitCode, stdout } = runProgram(`${variant.name}-save`, ["-t", name]);
      return exitCode === 0 ? [{ variant, table: new Table(name, stdout) }] : [];
    });
}
