/**
 * The administrator's chain outlives the table it is in: its rules are made anew with the table, and so are
 * the sets and chains of their own that they lead to. `ip saddr { 10.1.0.1, 10.1.0.2 }` is such a set.
 */
import type { NetfilterSocket } from "../netfilter/socket.ts";
import { dynsetAttributes, immediateAttributes, lookupAttributes } from "../nftables/expressions.ts";
import { findRawSet, type ListedRule, listRawElements, listRules } from "../nftables/query.ts";
import type { TableDefinition } from "../nftables/table.ts";
import type { RawElements, RawSet, Transaction } from "../nftables/transaction.ts";

export const USER_CHAIN = "user";

/** What rules, or elements of a map, lead to. */
interface References {
  readonly sets: readonly string[];
  readonly chains: readonly string[];
}

/**
 * Adds, to the transaction that makes the table anew, what the administrator has in the one that is there.
 */
export function keepUserRules(
  socket: NetfilterSocket,
  table: TableDefinition,
  transaction: Transaction,
): void {
  const rules = listRules(socket, table);
  const chains = [USER_CHAIN];
  const sets: RawSet[] = [];
  const elements: RawElements[] = [];
  const ours = [...table.sets, ...table.chains].map(({ name }) => name);

  const follow = (found: References): void => {
    for (const name of found.chains) if (![...ours, ...chains].includes(name)) chains.push(name);
    for (const name of found.sets) {
      if (ours.includes(name) || sets.some((set) => set.name === name)) continue;
      const set = findRawSet(socket, table, name);
      if (!set) continue;
      sets.push(set);
      const some = listRawElements(socket, table, name);
      elements.push(...some);
      follow({ sets: [], chains: some.flatMap(chainsOfElements) });
    }
  };
  const kept: ListedRule[] = [];
  for (const chain of chains) {
    // a chain that is found on the way comes later
    const those = rules.filter((rule) => rule.chain === chain);
    for (const rule of those) follow(referencesOf(rule));
    kept.push(...those);
  }

  // sets before the elements, chains before the elements that lead to them, rules last
  for (const [i, set] of sets.entries()) transaction.addRawSet(table, set, table.sets.length + 1 + i);
  for (const name of chains) if (name !== USER_CHAIN) transaction.addChain(table, { name });
  for (const some of elements) transaction.addRawElements(table, some);
  for (const { chain, expressions, userdata } of kept) {
    transaction.addRawRule(table, chain, { expressions, userdata });
  }
}

function referencesOf({ expressions }: ListedRule): References {
  const sets: (string | undefined)[] = [];
  const chains: (string | undefined)[] = [];
  for (const { name, data = new Uint8Array(0) } of expressions.elem ?? []) {
    if (name === "lookup") sets.push(lookupAttributes.read(data).set);
    if (name === "dynset") sets.push(dynsetAttributes.read(data).setName);
    if (name === "immediate") chains.push(immediateAttributes.read(data).data?.verdict?.chain);
  }
  return {
    sets: sets.filter((name) => name !== undefined),
    chains: chains.filter((name) => name !== undefined),
  };
}

function chainsOfElements({ elements }: RawElements): string[] {
  return (elements?.elem ?? []).flatMap(({ data }) => data?.verdict?.chain ?? []);
}
