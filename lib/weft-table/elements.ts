/**
 * The elements of an attachment in our tables: added and deleted in one transaction each, by their keys,
 * which the attachment's record has. Nothing is listed in order to delete it, but where there is no record.
 */

import { CniError } from "../cni/error.ts";
import type { GcCall } from "../cni/plugin.ts";
import type { NetfilterSocket } from "../netfilter/socket.ts";
import type { NetlinkError } from "../netlink/error.ts";
import type { Word } from "../nftables/datatype.ts";
import { findElement, hasChain, listElements } from "../nftables/query.ts";
import { Transaction } from "../nftables/transaction.ts";
import type { AttachmentName } from "../state/record.ts";
import {
  type Element,
  elementName,
  networkComment,
  type OwnChain,
  ownerComment,
  setByName,
  TABLES,
} from "./element.ts";
import { addOwnChain, chainsOf } from "./own-chain.ts";
import { WEFT_TABLE } from "./ruleset.ts";
import { checkTable, ensureTable, presentTables } from "./table-life.ts";

/**
 * How often others may change the same elements between a look at them and a change, before that is an error.
 */
const ATTEMPTS = 5;
const ALL_SETS = TABLES.flatMap(({ sets }) => sets.map(({ name }) => name));

/**
 * Adds the elements, and the chains they jump to. One of the same key that is there already is replaced: its
 * owner is gone, or what gave this one its address or port would not have given it twice.
 */
export function addElements(
  socket: NetfilterSocket,
  elements: readonly Element[],
  owner: AttachmentName,
  chains: readonly OwnChain[] = [],
): void {
  putElements(socket, elements, { comment: ownerComment(owner), chains });
}

/** As addElements(), with any comment; one that is `shared` is not replaced while it leads to the same. */
export function putElements(
  socket: NetfilterSocket,
  elements: readonly Element[],
  options: { comment: string; chains?: readonly OwnChain[]; shared?: boolean },
): void {
  const { comment, chains = [], shared = false } = options;
  const tables = TABLES.filter((table) => elements.some(({ set }) => setByName(set).table === table));
  const put = (inPlaceOf: readonly Element[]): NetlinkError[] => {
    const transaction = new Transaction();
    for (const chain of chains) addOwnChain(transaction, WEFT_TABLE, chain);
    deleteFrom(transaction, inPlaceOf);
    for (const { table, set, some } of bySet(elements)) {
      const commented = some.map(({ key, data }) => ({ key, data, comment }));
      if (shared) transaction.addElements(table, set, commented);
      else transaction.createElements(table, set, commented);
    }
    return transaction.tryCommit(socket);
  };
  for (let attempt = 1; ; attempt++) {
    for (const table of tables) ensureTable(socket, table);
    const [refusal, ...others] = put(attempt === 1 ? [] : thoseThere(socket, elements));
    if (!refusal) return;
    // somebody else's element was there, or has just gone, or the table has
    const isPassing = [refusal, ...others].every(({ code }) => code === "EEXIST" || code === "ENOENT");
    if (!isPassing || attempt === ATTEMPTS) throw refusal;
  }
}

/**
 * Deletes the elements, and the chains they jump to. What is
 * not there, or not in a table of ours, is passed over.
 */
export function deleteElements(socket: NetfilterSocket, elements: readonly Element[]): void {
  const remove = (some: readonly Element[], chains: readonly string[]): NetlinkError[] => {
    const transaction = new Transaction();
    deleteFrom(transaction, some);
    for (const chain of chains) transaction.deleteChain(WEFT_TABLE, chain);
    return transaction.tryCommit(socket);
  };
  // of a range the kernel compares the first port alone: it would delete somebody else's, which is longer
  const isRange = ({ set }: Element) => setByName(set).set.interval === true;
  const ranges = thoseThere(socket, elements.filter(isRange));
  const others = elements.filter((element) => !isRange(element));
  let refusals = remove([...others, ...ranges], chainsOf(elements));
  if (refusals.length > 0) {
    const tables = presentTables(socket);
    const there = elements.filter(({ set }) => tables.includes(setByName(set).table));
    const chainsThere = chainsOf(there).filter((chain) => hasChain(socket, WEFT_TABLE, chain));
    refusals = remove(thoseThere(socket, there), chainsThere);
  }
  if (refusals[0]) throw refusals[0];
}

/** @throws CniError 100 that names the element, rule, chain or table that is missing or changed */
export function checkElements(socket: NetfilterSocket, elements: readonly Element[]): void {
  for (const table of TABLES) {
    if (elements.some((element) => setByName(element.set).table === table)) checkTable(socket, table);
  }
  for (const element of elements) {
    const { table, set } = setByName(element.set);
    const held = findElement(socket, table, set, element.key);
    if (held && sameWords(held.data, element.data)) continue;
    const state = held ? `leads to ${held.data?.join(":")}, not ${element.data?.join(":")}` : "not found";
    const msg = `element ${elementName(element)} of table ${table.family} ${table.name} ${state}`;
    throw new CniError(CniError.CHECK_FAILED, msg);
  }
}

/** Deletes what the sets have of the attachment, found by the comments: for want of a record. */
export function deleteOwned(
  socket: NetfilterSocket,
  owner: AttachmentName,
  { sets = ALL_SETS }: { sets?: readonly string[] } = {},
): void {
  const comment = ownerComment(owner);
  const isOwn = (element: { comment: string }) => element.comment === comment;
  deleteElements(socket, listOwned(socket, { sets }).filter(isOwn));
}

/** Deletes what the sets have of this network's attachments that are not valid any more. */
export function deleteStale(
  call: GcCall,
  socket: NetfilterSocket,
  { sets = ALL_SETS }: { sets?: readonly string[] } = {},
): void {
  const { config, validAttachments } = call;
  const valid = validAttachments.map(({ containerID, ifname }) =>
    ownerComment({ network: config.name, containerId: containerID, ifname }),
  );
  const stale = ({ comment }: { comment: string }) =>
    comment.startsWith(`${networkComment(config.name)}/`) && !valid.includes(comment);
  deleteElements(socket, listOwned(socket, { sets }).filter(stale));
}

/** Every element of the sets that has an owner. */
export function listOwned(
  socket: NetfilterSocket,
  { sets = ALL_SETS }: { sets?: readonly string[] } = {},
): (Element & { comment: string })[] {
  const owned: (Element & { comment: string })[] = [];
  for (const table of presentTables(socket)) {
    for (const set of table.sets.filter(({ name }) => sets.includes(name))) {
      for (const { key, data, comment = "" } of listElements(socket, table, set)) {
        if (comment !== "") owned.push({ set: set.name, key, data, comment });
      }
    }
  }
  return owned;
}

function deleteFrom(transaction: Transaction, elements: readonly Element[]): void {
  for (const { table, set, some } of bySet(elements)) transaction.deleteElements(table, set, some);
}

/** Those of the elements whose key is there, with what is there under it. */
function thoseThere(socket: NetfilterSocket, elements: readonly Element[]): Element[] {
  const there: Element[] = [];
  for (const { set: name, key } of elements) {
    const { table, set } = setByName(name);
    const held = findElement(socket, table, set, key);
    if (held) there.push({ set: name, key, data: held.data });
  }
  return there;
}

/** The elements by their sets: a message of nf_tables is about one. */
function bySet(elements: readonly Element[]) {
  const groups = new Map<string, Element[]>();
  for (const element of elements) {
    const group = groups.get(element.set);
    if (group) group.push(element);
    else groups.set(element.set, [element]);
  }
  return [...groups].map(([name, some]) => ({ ...setByName(name), some }));
}

function sameWords(a: readonly Word[] = [], b: readonly Word[] = []): boolean {
  return a.length === b.length && a.every((word, i) => String(word) === String(b[i]));
}
