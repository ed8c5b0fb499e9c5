/** What a table is made of, as its definition says it: sets, maps, chains and rules. */
import type { TypeName } from "./datatype.ts";
import type { Statement } from "./statement.ts";

export type TableFamily = "inet" | "bridge" | "ip" | "ip6";

/** A table by its family and name. */
export interface TableName {
  readonly family: TableFamily;
  readonly name: string;
}

/** A set; a map when it has data. */
export interface SetDefinition {
  readonly name: string;
  readonly key: readonly TypeName[];
  readonly data?: readonly TypeName[] | "verdict";
  /** Its last part may be a range. */
  readonly interval?: boolean;
}

/** Where a base chain hangs. */
export interface Hook {
  readonly type: "filter" | "nat";
  readonly hook: keyof typeof HOOKS;
  readonly priority: number;
}

export interface ChainDefinition {
  readonly name: string;
  readonly hook?: Hook;
  readonly rules: readonly Rule[];
}

/** A rule: its parts, and a comment that explains it. */
export interface Rule {
  readonly statements: readonly Statement[];
  readonly comment: string;
}

export interface TableDefinition extends TableName {
  readonly comment: string;
  /** The kernel deletes it when the socket is closed that made it (since Linux 5.12). */
  readonly isOwned?: true;
  readonly sets: readonly SetDefinition[];
  readonly chains: readonly ChainDefinition[];
}

/** linux/netfilter.h NF_INET_*; the numbers of the bridge family are the same. */
export const HOOKS = { prerouting: 0, input: 1, forward: 2, output: 3, postrouting: 4 } as const;

/** A rule of these parts, in order. */
export function rule(comment: string, ...statements: readonly Statement[]): Rule {
  return { statements, comment };
}
