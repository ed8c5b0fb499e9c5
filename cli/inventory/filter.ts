/** What is in weft's own tables of nftables now. Nothing is changed, nor mended. */
import { hasNftables } from "../../lib/iptables/kernel-tables.ts";
import { netfilterSocket } from "../../lib/netfilter/socket.ts";
import { findTable, listElements, listRules } from "../../lib/nftables/query.ts";
import { quoted } from "../../lib/nftables/statement.ts";
import type { TableDefinition } from "../../lib/nftables/table.ts";
import { type Element, elementName, setByName, TABLES } from "../../lib/weft-table/element.ts";
import { USER_CHAIN } from "../../lib/weft-table/user-rules.ts";

/** An element with its comment, which says whose it is (ownerComment()). */
export interface HeldElement extends Element {
  readonly comment: string;
}

/**
 * "there" as this version of weft makes it; "old" by another version; "foreign": somebody else's table of
 * that name; "unreadable": we may not ask.
 */
export type TableState = "there" | "dormant" | "absent" | "old" | "foreign" | "unreadable";

export interface FilterView {
  readonly tables: readonly { readonly name: string; readonly state: TableState }[];
  readonly elements: readonly HeldElement[];
  /** How many rules the administrator has in the chain that is asked first. */
  readonly userRules: number;
}

const names = new WeakMap<FilterView, ReadonlySet<string>>();

/** Whether an element of this name (elementName()) is in a table that is in force. */
export function hasElement(filter: FilterView, name: string): boolean {
  return names.getOrInsertComputed(filter, () => new Set(filter.elements.map(elementName))).has(name);
}

/** Of the namespace this process is in. */
export function readFilter(): FilterView {
  const tables = TABLES.map((table) => ({ table, name: nameOf(table), state: stateOf(table) }));
  const readable = tables.filter(({ state }) => state === "there" || state === "dormant");
  return {
    tables: tables.map(({ name, state }) => ({ name, state })),
    elements: readable.flatMap(({ table }) => elementsOf(table)),
    userRules: readable.reduce(
      (sum, { table }) => sum + listRules(netfilterSocket(), table, USER_CHAIN).length,
      0,
    ),
  };
}

/** As nft writes it: `port4 { tcp . 8080 : 172.17.0.2 . 80 }`. */
export function elementText(element: Element): string {
  const name = elementName(element);
  const { data } = element;
  if (!data) return name;
  const types = setByName(element.set).set.data;
  const words = data.map((word, i) =>
    Array.isArray(types) ? quoted(types[i] ?? "inet_proto", word) : String(word),
  );
  return `${name.slice(0, -" }".length)} : ${words.join(" . ")} }`;
}

function stateOf(table: TableDefinition): TableState {
  try {
    if (!hasNftables()) return "absent";
    const found = findTable(netfilterSocket(), table);
    if (!found) return "absent";
    if (found.comment !== table.comment) return found.comment.startsWith("weft ") ? "old" : "foreign";
    return found.isDormant ? "dormant" : "there";
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EPERM") return "unreadable";
    throw error;
  }
}

function elementsOf(table: TableDefinition): HeldElement[] {
  return table.sets.flatMap((set) =>
    listElements(netfilterSocket(), table, set).map(({ key, data, comment = "" }) => ({
      set: set.name,
      key,
      data,
      comment,
    })),
  );
}

function nameOf({ family, name }: TableDefinition): string {
  return `${family} ${name}`;
}
