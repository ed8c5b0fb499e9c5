/**
 * Our tables on a host: made with the first element that needs them, made anew when they are of another
 * version of weft, left alone when they are somebody else's.
 *
 * A table that was gone (`nft flush ruleset`) gets back all that the records tell of, as one that is made
 * anew does: the other containers of the host need theirs as much as the one whose ADD noticed.
 */
import { CniError } from "../cni/error.ts";
import type { NetfilterSocket } from "../netfilter/socket.ts";
import { findTable, findTableComment, listRules } from "../nftables/query.ts";
import type { TableDefinition } from "../nftables/table.ts";
import { encodeElement, Transaction } from "../nftables/transaction.ts";
import { type AttachmentRecord, listAllRecords } from "../state/record.ts";
import { type Element, type Entries, networkComment, ownerComment, setByName, TABLES } from "./element.ts";
import { inForce } from "./in-force.ts";
import { addOwnChain } from "./own-chain.ts";
import { keepUserRules, USER_CHAIN } from "./user-rules.ts";

/** Makes the table where it is missing or of another version. @throws CniError 999 when it is not ours */
export function ensureTable(socket: NetfilterSocket, table: TableDefinition): void {
  if (hasTable(socket, table)) return;
  const found = findTable(socket, table);
  if (found?.comment !== table.comment) replaceTable(socket, table, found); // else somebody was faster
}

/** Whether the table is there, ours, and of this version. */
export function hasTable(socket: NetfilterSocket, table: TableDefinition): boolean {
  return findTableComment(socket, table) === table.comment;
}

/**
 * Those of our tables that are there, each of this version;
 * somebody else's of the same name is not among them.
 */
export function presentTables(socket: NetfilterSocket): TableDefinition[] {
  return TABLES.filter((table) => {
    const found = findTableComment(socket, table);
    if (found === undefined || !isOurs(found)) return false;
    if (found !== table.comment) remakeTable(socket, table);
    return true;
  });
}

/** Makes the table, in one transaction with taking away the one that is there. @throws CniError 999 */
export function remakeTable(socket: NetfilterSocket, table: TableDefinition): void {
  replaceTable(socket, table, findTable(socket, table));
}

function replaceTable(
  socket: NetfilterSocket,
  table: TableDefinition,
  found: ReturnType<typeof findTable>,
): void {
  if (found && !isOurs(found.comment)) throw foreign(table);
  const transaction = new Transaction();
  if (found) transaction.deleteTable(table, found.handle);
  transaction.createTable(table);
  if (found) keepUserRules(socket, table, transaction);
  addRecorded(table, transaction);
  const refusals = transaction.tryCommit(socket);
  if (!refusals[0]) return;
  // of two ADDs that found it missing, or of another version, the other one made it
  const isRemade = findTable(socket, table);
  if (isRemade?.comment === table.comment && found?.comment !== table.comment) return;
  throw found ? cannotKeep(table, refusals[0]) : refusals[0];
}

/** What the administrator has in the table and cannot be copied: named counters, meters. */
function cannotKeep({ family, name }: TableDefinition, cause: Error): CniError {
  const msg = `cannot make table ${family} ${name} anew with what the chain "${USER_CHAIN}" has in it`;
  const rules = `nft list chain ${family} ${name} ${USER_CHAIN}`;
  const details = `see "${rules}", and put such rules into a table of your own; ${cause.message}`;
  return new CniError(CniError.INTERNAL, msg, { details, cause });
}

/** @throws CniError 100 unless the table is there with every rule it was made with */
export function checkTable(socket: NetfilterSocket, table: TableDefinition): void {
  const name = `table ${table.family} ${table.name}`;
  const found = findTable(socket, table);
  if (!found) throw failed(`${name} not found`);
  const { comment, isDormant } = found;
  if (comment !== table.comment) throw failed(`${name} is "${comment}", not "${table.comment}"`);
  if (isDormant) throw failed(`${name} is dormant: nothing of it is in force`);
  const rules = listRules(socket, table);
  for (const chain of table.chains) {
    const held = rules.filter((rule) => rule.chain === chain.name).map(({ comment }) => comment);
    // of those with one comment, for IPv4 and IPv6, each
    const missing = chain.rules.find(({ comment }) => !takeOut(held, comment));
    if (missing) throw failed(`rule "${missing.comment}" of chain ${chain.name} in ${name} not found`);
  }
}

/** Takes the text out of the list, once. @returns whether it was there */
function takeOut(list: string[], text: string): boolean {
  const at = list.indexOf(text);
  if (at >= 0) list.splice(at, 1);
  return at >= 0;
}

/** What the records say is in the table; of two that say the same key, one. */
function addRecorded(table: TableDefinition, transaction: Transaction): void {
  const seen = new Set<string>();
  for (const record of listAllRecords<Entries>()) {
    const { elements, shared, chains } = entriesOf(record);
    const inThis = (element: Element) => setByName(element.set).table === table;
    if (elements.some(inThis)) for (const chain of chains) addOwnChain(transaction, table, chain);
    const each = (element: Element, comment: string) => {
      const name = nameOf(element);
      if (!inThis(element) || seen.has(name)) return;
      seen.add(name);
      transaction.createElements(table, setByName(element.set).set, [{ ...element, comment }]);
    };
    for (const element of elements) each(element, ownerComment(record));
    for (const element of shared) each(inForce(element) ?? element, networkComment(record.network));
  }
}

/**
 * What a record says is in our tables, whichever plugin's it is. A record of another version of weft may name
 * sets that are no more, or say otherwise what is in them: that is passed over.
 */
export function entriesOf({ details }: AttachmentRecord<Entries>): Required<Entries> {
  const { elements, shared, chains } = details;
  return { elements: usable(elements), shared: usable(shared), chains: Array.isArray(chains) ? chains : [] };
}

function usable(elements: readonly Element[] | undefined): Element[] {
  if (!Array.isArray(elements)) return [];
  return elements.filter((element) => {
    try {
      const { set } = setByName(element.set);
      return nameOf(element) !== "" && (element.data === undefined) === (set.data === undefined);
    } catch {
      return false;
    }
  });
}

/** What two elements have in common of which only one can be there. @throws where it is none of ours */
function nameOf(element: Element): string {
  const { set } = setByName(element.set);
  return `${set.name} ${encodeElement(set, element).key.value.toHex()}`;
}

function isOurs(comment: string): boolean {
  return /^weft \d+$/.test(comment);
}

function foreign({ family, name }: TableDefinition): CniError {
  const msg = `table ${family} ${name} was not made by weft`;
  const details = `it has not its comment; rename it or delete it: nft delete table ${family} ${name}`;
  return new CniError(CniError.INTERNAL, msg, { details });
}

function failed(message: string): CniError {
  return new CniError(CniError.CHECK_FAILED, message);
}
