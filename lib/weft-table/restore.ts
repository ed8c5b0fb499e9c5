/**
 * Our tables as the attachment records say they are: what somebody took away is put back, and nothing else is
 * touched. ADD does as much only for a table that is gone, because looking at every element takes its time.
 */
import { CniError } from "../cni/error.ts";
import type { NetfilterSocket } from "../netfilter/socket.ts";
import { findTableComment, listElements, listRules } from "../nftables/query.ts";
import type { TableDefinition } from "../nftables/table.ts";
import { Transaction } from "../nftables/transaction.ts";
import { type AttachmentRecord, listAllRecords } from "../state/record.ts";
import { type Element, type Entries, elementName, networkComment, setByName } from "./element.ts";
import { addElements, putElements } from "./elements.ts";
import { inForce } from "./in-force.ts";
import { checkTable, entriesOf, remakeTable } from "./table-life.ts";
import { lockTables } from "./table-lock.ts";

type TableRecord = AttachmentRecord<Required<Entries>>;

/**
 * Puts back a table of ours, if a record has something in it or it is there, and what the records have in it.
 * @returns the records of which something was missing
 * @throws CniError 999 when a table of that name is somebody else's
 */
export function restoreTable(socket: NetfilterSocket, table: TableDefinition): TableRecord[] {
  using _alone = lockTables({ shared: false });
  const records = listAllRecords<Entries>().flatMap((record) => recordIn(table, record) ?? []);
  const found = findTableComment(socket, table);
  if (found === undefined && records.length === 0) return [];
  if (found !== table.comment) {
    remakeTable(socket, table);
    return records;
  }
  const wasWhole = isWhole(socket, table);
  if (!wasWhole) repairTable(socket, table);
  const there = listTable(socket, table);
  const lacking = records.filter((record) => isLacking(socket, { table, there, record }));
  for (const record of lacking) {
    const { elements, shared, chains } = record.details;
    addElements(socket, elements, record, chains);
    const missing = shared.filter((element) => !there.has(elementName(element)));
    putElements(socket, missing, { comment: networkComment(record.network) });
  }
  return wasWhole ? lacking : records;
}

/** The records of which restoreTable() would put something back, and what is missing. Changes nothing. */
export function findMissing(
  socket: NetfilterSocket,
  table: TableDefinition,
): { record: AttachmentRecord<Entries>; missing: string }[] {
  const records = listAllRecords<Entries>().flatMap((record) => recordIn(table, record) ?? []);
  if (records.length === 0) return [];
  const fault = faultOf(socket, table);
  if (fault !== undefined) return records.map((record) => ({ record, missing: fault }));
  const there = listTable(socket, table);
  return records
    .filter((record) => isLacking(socket, { table, there, record }))
    .map((record) => ({ record, missing: `its elements in table ${table.family} ${table.name} are gone` }));
}

/** Not by making it anew: the administrator may have in it what cannot be copied. */
function repairTable(socket: NetfilterSocket, table: TableDefinition): void {
  const transaction = new Transaction();
  transaction.repairTable(table);
  transaction.commit(socket);
}

/** The record with what it says of this table; undefined when that is nothing. */
function recordIn(table: TableDefinition, record: AttachmentRecord<Entries>): TableRecord | undefined {
  const isHere = ({ set }: Element) => setByName(set).table === table;
  const entries = entriesOf(record);
  const elements = entries.elements.filter(isHere);
  const shared = entries.shared.filter(isHere).map((element) => inForce(element) ?? element);
  if (elements.length === 0 && shared.length === 0) return undefined;
  return { ...record, details: { elements, shared, chains: elements.length > 0 ? entries.chains : [] } };
}

function isWhole(socket: NetfilterSocket, table: TableDefinition): boolean {
  return faultOf(socket, table) === undefined;
}

/** What checkTable() says is missing. */
function faultOf(socket: NetfilterSocket, table: TableDefinition): string | undefined {
  try {
    checkTable(socket, table);
    return undefined;
  } catch (error) {
    if (error instanceof CniError && error.code === CniError.CHECK_FAILED) return error.msg;
    throw error;
  }
}

/** What the elements of the table lead to, by their names. */
function listTable(socket: NetfilterSocket, table: TableDefinition): Map<string, string> {
  const there = new Map<string, string>();
  for (const { name: set } of table.sets) {
    for (const { key, data } of listElements(socket, table, setByName(set).set)) {
      there.set(elementName({ set, key }), String(data));
    }
  }
  return there;
}

/** Of what is shared, another attachment may have had its way with where it leads. */
function isLacking(
  socket: NetfilterSocket,
  { table, there, record }: { table: TableDefinition; there: Map<string, string>; record: TableRecord },
): boolean {
  const { elements, shared, chains } = record.details;
  return (
    elements.some((element) => there.get(elementName(element)) !== String(element.data)) ||
    shared.some((element) => !there.has(elementName(element))) ||
    chains.some(({ name, rules }) => listRules(socket, table, name).length !== rules.length)
  );
}
