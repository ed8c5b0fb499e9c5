/** What an attachment has in our tables, in nft's words: as its record keeps it. */

import { COMMENT_MAX } from "../nftables/comment.ts";
import type { Word } from "../nftables/datatype.ts";
import { quoted } from "../nftables/statement.ts";
import type { Rule, SetDefinition, TableDefinition } from "../nftables/table.ts";
import type { AttachmentName } from "../state/record.ts";
import { BRIDGE_TABLE, WEFT_TABLE } from "./ruleset.ts";

/** Characters of a container's id in a comment: runtimes make such of 64. */
const ID_MAX = 64;
/** What an id, the longest name of an interface and two "/" leave for the network's name. */
const NETWORK_MAX = COMMENT_MAX - ID_MAX - 15 - 2;

/** An element of one of our sets: `{ set: "port4", key: ["tcp", 8080], data: ["10.9.0.2", 80] }`. */
export interface Element {
  readonly set: string;
  readonly key: readonly Word[];
  /** What a map has for the key; of a map of verdicts, one: ["accept"], ["jump x"]. */
  readonly data?: readonly Word[] | undefined;
}

/** A chain of an attachment's own, to which an element of condition4 or condition6 jumps. */
export interface OwnChain {
  readonly name: string;
  readonly rules: readonly StoredRule[];
}

/** A rule that JSON can hold: an expression is its name and its bytes as hexadecimal digits. */
export interface StoredRule {
  readonly text: string;
  readonly expressions: readonly (readonly [name: string, data: string])[];
}

/** The part of a record's details that says what is in our tables. */
export interface Entries {
  readonly elements?: readonly Element[];
  readonly chains?: readonly OwnChain[];
  /** Claimed, rather than the attachment's own (shared-elements.ts). */
  readonly shared?: readonly Element[];
}

export function storeRule({ statements }: Pick<Rule, "statements">): StoredRule {
  return {
    text: statements.map(({ text }) => text).join(" "),
    expressions: statements.flatMap(({ expressions }) =>
      expressions.map(({ name, data }) => [name, data.toHex()] as const),
    ),
  };
}

/** Both of our tables. */
export const TABLES: readonly TableDefinition[] = [WEFT_TABLE, BRIDGE_TABLE];

/** A set of ours by its name, which no two have, in whichever table. @throws RangeError */
export function setByName(name: string): { table: TableDefinition; set: SetDefinition } {
  for (const table of TABLES) {
    for (const set of table.sets) if (set.name === name) return { table, set };
  }
  throw new RangeError(`Cannot use the set "${name}": no table of ours has it`);
}

/** The element as nft writes it: `port4 { tcp . 8080 }`. */
export function elementName({ set: name, key }: Element): string {
  const { set } = setByName(name);
  return `${name} { ${key.map((word, i) => quoted(set.key[i] ?? "ifname", word)).join(" . ")} }`;
}

/** Whose an element is, as its comment says. */
export function ownerComment({ network, containerId, ifname }: AttachmentName): string {
  return `${networkComment(network)}/${fitting(containerId, ID_MAX)}/${ifname}`;
}

/** The network in a comment; by itself that of an element which its attachments share. */
export function networkComment(network: string): string {
  return fitting(network, NETWORK_MAX);
}

/** The text, or a hash in its place where it is too long. */
function fitting(text: string, max: number): string {
  if (text.length <= max) return text;
  return new Bun.CryptoHasher("sha256").update(text).digest("hex").slice(0, max);
}
