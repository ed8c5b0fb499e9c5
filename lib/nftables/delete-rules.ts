/**
 * Rules of other programs' tables, found by their comments: what the reference plugins left of a container.
 */
import type { NetfilterSocket } from "../netfilter/socket.ts";
import { listRules } from "./query.ts";
import type { TableName } from "./table.ts";
import { Transaction } from "./transaction.ts";

/**
 * Deletes the table's rules whose comment `isOurs` accepts, and then the chains, in one transaction.
 * A table that is not there has none.
 */
export function deleteRules(
  socket: NetfilterSocket,
  table: TableName,
  isOurs: (comment: string) => boolean,
  chains: readonly string[] = [],
): void {
  const rules = listRules(socket, table);
  const transaction = new Transaction();
  for (const { chain, comment, handle } of rules) {
    if (isOurs(comment)) transaction.deleteRule(table, chain, handle);
  }
  for (const chain of chains) {
    if (rules.some((rule) => rule.chain === chain)) transaction.deleteChain(table, chain);
  }
  transaction.commit(socket);
}
