/** Chains of attachments' own: a container with conditions has one, whose rules only the kernel can check. */
import type { TableDefinition } from "../nftables/table.ts";
import type { Transaction } from "../nftables/transaction.ts";
import type { Element, OwnChain } from "./element.ts";

/** Adds the chain and its rules, in place of those that a killed ADD left there. */
export function addOwnChain(
  transaction: Transaction,
  table: TableDefinition,
  { name, rules }: OwnChain,
): void {
  transaction.addChain(table, { name });
  transaction.flushChain(table, name);
  for (const { text, expressions } of rules) {
    const elem = expressions.map(([name, data]) => ({ name, data: Uint8Array.fromHex(data) }));
    transaction.addRawRule(table, name, { text, expressions: { elem } });
  }
}

/** The chains that elements jump to. */
export function chainsOf(elements: readonly Element[]): string[] {
  const chains = new Set<string>();
  for (const { set, data } of elements) {
    if (set.startsWith("condition")) chains.add(String(data?.[0]).replace("jump ", ""));
  }
  return [...chains];
}
