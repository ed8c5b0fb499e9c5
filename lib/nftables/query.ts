/** What is in a table now: asked of the kernel, one message for what is known by its key. */

import type { NetfilterSocket, nfgenmsg } from "../netfilter/socket.ts";
import { unlessMissing } from "../netlink/error.ts";
import type { Request } from "../netlink/request.ts";
import {
  chainMessage,
  generationMessage,
  ruleMessage,
  type setElement,
  setElementsMessage,
  setMessage,
  tableMessage,
} from "./attributes.ts";
import { readComment } from "./comment.ts";
import { readKey, type Word } from "./datatype.ts";
import { type MessageName, messageKind, NFT_TABLE_F_DORMANT } from "./message.ts";
import { verdictText } from "./statement.ts";
import type { SetDefinition, TableName } from "./table.ts";
import type { RawElements, RawSet, SetElement } from "./transaction.ts";
import { encodeElement, FAMILIES } from "./transaction.ts";

/** A rule as the kernel has it. */
export interface ListedRule {
  readonly chain: string;
  readonly comment: string;
  /** Names it for Transaction.deleteRule(). */
  readonly handle: Uint8Array;
  /** For Transaction.addRawRule(). */
  readonly expressions: NonNullable<ReturnType<typeof ruleMessage.read>["expressions"]>;
  readonly userdata: Uint8Array | undefined;
}

/** How often the ruleset of the namespace was changed. @throws NetlinkError EINVAL without nf_tables */
export function readGeneration(socket: NetfilterSocket): number {
  const parts = { codec: generationMessage, attributes: {} };
  const table: TableName = { family: "inet", name: "" };
  return socket.get(ask(table, "the generation", "GETGEN", parts)).id ?? 0;
}

/** Equivalent to `nft -a list table …`, its head: its comment, and what names it for good. */
export function findTable(
  socket: NetfilterSocket,
  table: TableName,
): { comment: string; handle: Uint8Array | undefined; isDormant: boolean } | undefined {
  const attributes = { name: table.name };
  const found = unlessMissing(() =>
    socket.get(ask(table, "table", "GETTABLE", { codec: tableMessage, attributes })),
  );
  if (!found) return undefined;
  const isDormant = ((found.flags ?? 0) & NFT_TABLE_F_DORMANT) !== 0;
  return { comment: readComment(found.userdata), handle: found.handle, isDormant };
}

/** A table's comment, or undefined when there is no such table. */
export function findTableComment(socket: NetfilterSocket, table: TableName): string | undefined {
  return findTable(socket, table)?.comment;
}

/** Whether the table has the chain. */
export function hasChain(socket: NetfilterSocket, table: TableName, name: string): boolean {
  return findChain(socket, table, name) !== undefined;
}

/**
 * The policy of a base chain, NF_DROP or NF_ACCEPT
 * (linux/netfilter.h); undefined when there is no such chain.
 */
export function findPolicy(socket: NetfilterSocket, table: TableName, chain: string): number | undefined {
  return findChain(socket, table, chain)?.policy;
}

function findChain(socket: NetfilterSocket, table: TableName, name: string) {
  const attributes = { table: table.name, name };
  const what = `chain ${name}`;
  return unlessMissing(() => socket.get(ask(table, what, "GETCHAIN", { codec: chainMessage, attributes })));
}

/** A chain as the kernel has it. */
export interface ListedChain {
  readonly name: string;
  /** NF_DROP or NF_ACCEPT of a base chain; undefined of one that only jumps lead to. */
  readonly policy: number | undefined;
}

/** Equivalent to `nft list chains`, those of one table; [] when there is no such table. */
export function listChains(socket: NetfilterSocket, table: TableName): ListedChain[] {
  const parts = { codec: chainMessage, attributes: {} };
  return socket
    .dump(ask(table, "chains", "GETCHAIN", parts))
    .filter((chain) => chain.table === table.name)
    .map(({ name = "", hook, policy }) => ({ name, policy: hook && policy }));
}

/** Equivalent to `nft -a list table …`, its rules, of one chain or of all; [] when there is no such table. */
export function listRules(socket: NetfilterSocket, table: TableName, chain?: string): ListedRule[] {
  const attributes = { table: table.name, chain };
  const what = "rules";
  const rules =
    unlessMissing(() => socket.dump(ask(table, what, "GETRULE", { codec: ruleMessage, attributes }))) ?? [];
  return rules.map((rule) => ({
    chain: rule.chain ?? "",
    comment: readComment(rule.userdata),
    handle: rule.handle ?? new Uint8Array(0),
    expressions: rule.expressions ?? {},
    userdata: rule.userdata,
  }));
}

/** Equivalent to `nft get element … { KEY }`; undefined when it is not there, nor its set. */
export function findElement(
  socket: NetfilterSocket,
  table: TableName,
  set: SetDefinition,
  key: readonly Word[],
): SetElement | undefined {
  const element = encodeElement(set, { key });
  const attributes = { table: table.name, set: set.name, elements: { elem: [element] } };
  const found = unlessMissing(() => socket.get(askElements(table, set, attributes)))?.elements?.elem?.[0];
  // of ranges, the kernel gives the one that the key begins in
  return found && isSameKey(found, element) ? readElement(set, found) : undefined;
}

/** Equivalent to `nft list set …`, its elements; [] when there is no such set. */
export function listElements(socket: NetfilterSocket, table: TableName, set: SetDefinition): SetElement[] {
  const attributes = { table: table.name, set: set.name };
  const found = unlessMissing(() => socket.dump(askElements(table, set, attributes))) ?? [];
  return found.flatMap((message) => readElements(set, message));
}

/** A set by its name, whoever made it; undefined when it is not there. For Transaction.addRawSet(). */
export function findRawSet(socket: NetfilterSocket, table: TableName, name: string): RawSet | undefined {
  const attributes = { table: table.name, name };
  const parts = { codec: setMessage, attributes };
  const found = unlessMissing(() => socket.get(ask(table, `set ${name}`, "GETSET", parts)));
  if (!found) return undefined;
  const { family: _family, version: _version, resId: _resId, ...set } = found;
  return set;
}

/** The elements of any set, as many as come in a message together. For Transaction.addRawElements(). */
export function listRawElements(socket: NetfilterSocket, table: TableName, set: string): RawElements[] {
  const attributes = { table: table.name, set };
  return socket
    .dump(askElements(table, { name: set }, attributes))
    .map(({ elements }) => ({ set, elements }));
}

type RawElement = ReturnType<typeof setElement.read>;
type ElementsMessage = ReturnType<typeof setElementsMessage.read>;

function askElements(
  table: TableName,
  set: Pick<SetDefinition, "name">,
  attributes: Parameters<typeof setElementsMessage.write>[2],
) {
  const what = `elements of ${set.name}`;
  return ask(table, what, "GETSETELEM", { codec: setElementsMessage, attributes });
}

function ask<H extends object, A, R>(
  table: TableName,
  what: string,
  message: MessageName,
  parts: Pick<Request<ReturnType<typeof nfgenmsg.read> & H, A, R>, "codec" | "attributes">,
) {
  return {
    doing: `list ${what} of table ${table.family} ${table.name}`,
    ...messageKind(message),
    header: { family: FAMILIES[table.family], version: 0, resId: 0 },
    ...parts,
  };
}

function isSameKey(a: RawElement, b: RawElement): boolean {
  const hex = ({ value = new Uint8Array(0) }: NonNullable<RawElement["key"]>) => value.toHex();
  return hex(a.key ?? {}) === hex(b.key ?? {}) && hex(a.keyEnd ?? {}) === hex(b.keyEnd ?? {});
}

function readElements(set: SetDefinition, { elements }: ElementsMessage): SetElement[] {
  return (elements?.elem ?? []).map((element) => readElement(set, element));
}

function readElement(set: SetDefinition, element: RawElement): SetElement {
  const { key, keyEnd, data, userdata } = element;
  const empty = new Uint8Array(0);
  return {
    key: readKey(set.key, key?.value ?? empty, keyEnd?.value),
    data: set.data && readData(set.data, data),
    comment: readComment(userdata),
  };
}

function readData(types: NonNullable<SetDefinition["data"]>, data: RawElement["data"]): Word[] {
  if (types === "verdict") return [verdictText(data?.verdict ?? {})];
  return readKey(types, data?.value ?? new Uint8Array(0));
}
