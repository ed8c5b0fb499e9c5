/**
 * A transaction of nf_tables: what is added to it is carried out as a whole by commit(), or not at all.
 *
 * It prints as the text that nft would take for the same (`nft -f`), for logs and for people.
 *
 * Reference: linux/netfilter/nfnetlink.h (batches), net/netfilter/nf_tables_api.c.
 */
import {
  type NetfilterSocket,
  NFPROTO_BRIDGE,
  NFPROTO_INET,
  NFPROTO_IPV4,
  NFPROTO_IPV6,
} from "../netfilter/socket.ts";
import type { Values } from "../netlink/attributes.ts";
import type { NetlinkError } from "../netlink/error.ts";
import { NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL } from "../netlink/message.ts";
import type { AnyRequest } from "../netlink/request.ts";
import {
  batchMessage,
  chainMessage,
  ruleMessage,
  type setAttributes,
  type setElement,
  type setElementsAttributes,
  setElementsMessage,
  setMessage,
  tableMessage,
} from "./attributes.ts";
import { writeComment } from "./comment.ts";
import { partBytes, typeBytes, typeNumber, type Word, writeKey } from "./datatype.ts";
import {
  type MessageName,
  messageKind,
  NFNL_SUBSYS_NFTABLES,
  NFT_SET_CONCAT,
  NFT_SET_INTERVAL,
  NFT_SET_MAP,
} from "./message.ts";
import { quoted, verdictData } from "./statement.ts";
import {
  type ChainDefinition,
  HOOKS,
  type Rule,
  type SetDefinition,
  type TableDefinition,
  type TableFamily,
  type TableName,
} from "./table.ts";

const NFNL_MSG_BATCH_BEGIN = 16;
const NFNL_MSG_BATCH_END = 17;
// linux/netfilter/nf_tables.h
const NFT_TABLE_F_OWNER = 2;
/** libnftnl's NFTNL_UDATA_SET_KEYBYTEORDER: without it `nft list` shows no name of an interface. */
const HOST_BYTE_ORDER = Uint8Array.of(0, 4, 1, 0, 0, 0);
const NFT_DATA_VERDICT = 0xffffff00;
/** An attribute holds 64 KiB; an element takes less than 400 bytes of it, its comment included. */
const ELEMENTS_PER_MESSAGE = 128;

export const FAMILIES: Readonly<Record<TableFamily, number>> = {
  inet: NFPROTO_INET,
  ip: NFPROTO_IPV4,
  ip6: NFPROTO_IPV6,
  bridge: NFPROTO_BRIDGE,
};

/** What a set holds: a key, what a map has for it (for a verdict, its text), and whose it is. */
export interface SetElement {
  readonly key: readonly Word[];
  readonly data?: readonly Word[] | undefined;
  readonly comment?: string | undefined;
}

/** A set, and elements of one, as the kernel says them: NFTA_SET_*, NFTA_SET_ELEM_LIST_*. */
export type RawSet = Values<typeof setAttributes.table>;
export type RawElements = Values<typeof setElementsAttributes.table>;

interface Operation {
  readonly request: AnyRequest;
  readonly text: string;
}

export class Transaction {
  readonly #operations: Operation[] = [];

  /** The same in nft's words, a line each. */
  toString(): string {
    return this.#operations.map(({ text }) => text).join("\n");
  }

  /** Sends it. @throws NetlinkError, the first refusal; nothing has changed then */
  commit(socket: NetfilterSocket): void {
    const [refusal] = this.tryCommit(socket);
    if (refusal) throw refusal;
  }

  /** Sends it. @returns every refusal; when there is one, nothing has changed */
  tryCommit(socket: NetfilterSocket): NetlinkError[] {
    if (this.#operations.length === 0) return [];
    const requests = this.#operations.map(({ request }) => request);
    return socket.transact(requests, {
      begin: batchFrame("begin a transaction", "NFNL_MSG_BATCH_BEGIN", NFNL_MSG_BATCH_BEGIN),
      end: batchFrame("end a transaction", "NFNL_MSG_BATCH_END", NFNL_MSG_BATCH_END),
    });
  }

  /** Equivalent to `nft create table …` with all that is in it: refused (EEXIST) when it is there. */
  createTable(table: TableDefinition): void {
    const { family, name, comment, isOwned, sets, chains } = table;
    const owned = isOwned ? " flags owner;" : "";
    this.#add(table, `create table ${family} ${name} {${owned} comment "${comment}"; }`, {
      ...message("NEWTABLE", tableMessage, NLM_F_CREATE | NLM_F_EXCL),
      attributes: { name, flags: isOwned ? NFT_TABLE_F_OWNER : undefined, userdata: writeComment(comment) },
    });
    for (const [index, set] of sets.entries()) this.#addSet(table, set, index + 1);
    for (const chain of chains) this.addChain(table, chain);
    // after all chains: rules and elements may name any of them
    for (const chain of chains) for (const each of chain.rules) this.addRule(table, chain.name, each);
  }

  /**
   * What is missing of the table is added, and the rules of its chains made anew; a chain
   * that has none in the definition, and whatever else is in the table, stays as it is.
   */
  repairTable(table: TableDefinition): void {
    const { family, name, comment, sets, chains } = table;
    this.#add(table, `add table ${family} ${name} { comment "${comment}"; }`, {
      ...message("NEWTABLE", tableMessage, NLM_F_CREATE),
      attributes: { name, userdata: writeComment(comment) }, // for one that somebody has just flushed
    });
    for (const [index, set] of sets.entries()) this.#addSet(table, set, index + 1);
    for (const chain of chains) this.addChain(table, chain);
    for (const chain of chains) if (chain.rules.length > 0) this.flushChain(table, chain.name);
    for (const chain of chains) for (const each of chain.rules) this.addRule(table, chain.name, each);
  }

  /** Equivalent to `nft delete table …`; with a handle only that one, not another made since in its place. */
  deleteTable(table: TableName, handle?: Uint8Array): void {
    const which = handle ? `handle ${handleNumber(handle)}` : table.name;
    this.#add(table, `delete table ${table.family} ${which}`, {
      ...message("DELTABLE", tableMessage),
      attributes: { name: table.name, handle },
    });
  }

  /** Equivalent to `nft add chain …`, without its rules. */
  addChain(table: TableName, { name, hook }: Omit<ChainDefinition, "rules">): void {
    const { family, name: tableName } = table;
    const text = hook && `type ${hook.type} hook ${hook.hook} priority ${hook.priority}; policy accept;`;
    this.#add(table, `add chain ${family} ${tableName} ${name}${text ? ` { ${text} }` : ""}`, {
      ...message("NEWCHAIN", chainMessage, NLM_F_CREATE),
      attributes: {
        table: tableName,
        name,
        ...(hook && {
          type: hook.type,
          hook: { hooknum: HOOKS[hook.hook], priority: hook.priority >>> 0 },
          policy: 1, // NF_ACCEPT
        }),
      },
    });
  }

  /** Equivalent to `nft flush chain …`. */
  flushChain(table: TableName, chain: string): void {
    this.#add(table, `flush chain ${table.family} ${table.name} ${chain}`, {
      ...message("DELRULE", ruleMessage),
      attributes: { table: table.name, chain },
    });
  }

  /** Equivalent to `nft flush chain …; nft delete chain …`. */
  deleteChain(table: TableName, chain: string): void {
    this.flushChain(table, chain);
    this.#add(table, `delete chain ${table.family} ${table.name} ${chain}`, {
      ...message("DELCHAIN", chainMessage),
      attributes: { table: table.name, name: chain },
    });
  }

  /** Equivalent to `nft add rule …`. */
  addRule(table: TableName, chain: string, { statements, comment }: Rule): void {
    const words = statements.map(({ text }) => text).join(" ");
    const elem = statements.flatMap(({ expressions }) => expressions);
    this.addRawRule(table, chain, {
      text: `${words} comment "${comment}"`,
      expressions: { elem: [...elem] },
      userdata: writeComment(comment),
    });
  }

  /** A rule whose expressions are as the kernel has them. Without its text, nft's is a remark. */
  addRawRule(
    table: TableName,
    chain: string,
    rule: {
      text?: string | undefined;
      expressions: NonNullable<ReturnType<typeof ruleMessage.read>["expressions"]>;
      userdata?: Uint8Array | undefined;
    },
  ): void {
    const { text, expressions, userdata } = rule;
    const verb = `add rule ${table.family} ${table.name} ${chain}`;
    this.#add(table, text === undefined ? `# ${verb}, as it was` : `${verb} ${text}`, {
      ...message("NEWRULE", ruleMessage, NLM_F_CREATE | NLM_F_APPEND),
      attributes: { table: table.name, chain, expressions, userdata },
    });
  }

  /** A set as the kernel has it, and what is in it when its elements follow; in nft's text, remarks. */
  addRawSet(table: TableName, set: RawSet, id: number): void {
    this.#add(table, `# add set ${table.family} ${table.name} ${set.name}, as it was`, {
      ...message("NEWSET", setMessage, NLM_F_CREATE),
      attributes: { ...set, id },
    });
  }

  addRawElements(table: TableName, { set, elements }: RawElements): void {
    this.#add(table, `# add element ${table.family} ${table.name} ${set}, as it was`, {
      ...message("NEWSETELEM", setElementsMessage, NLM_F_CREATE),
      attributes: { table: table.name, set, elements },
    });
  }

  /** Equivalent to `nft delete rule … handle N`. */
  deleteRule(table: TableName, chain: string, handle: Uint8Array): void {
    const which = `handle ${handleNumber(handle)}`;
    this.#add(table, `delete rule ${table.family} ${table.name} ${chain} ${which}`, {
      ...message("DELRULE", ruleMessage),
      attributes: { table: table.name, chain, handle },
    });
  }

  /** Equivalent to `nft add element …`: refused (EEXIST) when a key is there and leads elsewhere. */
  addElements(table: TableName, set: SetDefinition, elements: readonly SetElement[]): void {
    this.#changeElements(table, set, elements, {
      verb: "add",
      ...message("NEWSETELEM", setElementsMessage, NLM_F_CREATE),
    });
  }

  /** Equivalent to `nft create element …`: refused (EEXIST) when one of the keys is there. */
  createElements(table: TableName, set: SetDefinition, elements: readonly SetElement[]): void {
    this.#changeElements(table, set, elements, {
      verb: "create",
      ...message("NEWSETELEM", setElementsMessage, NLM_F_CREATE | NLM_F_EXCL),
    });
  }

  /** Equivalent to `nft delete element …`: refused (ENOENT) when one of the keys is not there. */
  deleteElements(table: TableName, set: SetDefinition, elements: readonly SetElement[]): void {
    const keys = elements.map(({ key }) => ({ key }));
    this.#changeElements(table, set, keys, {
      verb: "delete",
      ...message("DELSETELEM", setElementsMessage),
    });
  }

  #changeElements(
    table: TableName,
    set: SetDefinition,
    elements: readonly SetElement[],
    { verb, ...head }: ReturnType<typeof message<typeof setElementsMessage>> & { verb: string },
  ): void {
    for (let from = 0; from < elements.length; from += ELEMENTS_PER_MESSAGE) {
      const some = elements.slice(from, from + ELEMENTS_PER_MESSAGE);
      const texts = some.map((element) => elementText(set, element)).join(", ");
      this.#add(table, `${verb} element ${table.family} ${table.name} ${set.name} { ${texts} }`, {
        ...head,
        attributes: {
          table: table.name,
          set: set.name,
          elements: { elem: some.map((element) => encodeElement(set, element)) },
        },
      });
    }
  }

  #addSet(table: TableName, set: SetDefinition, id: number): void {
    const { family, name: tableName } = table;
    const { name, key, data, interval = false } = set;
    const hasParts = key.length > 1 && interval; // of keys that are hashed whole nft says nothing, nor do we
    const types = data === undefined ? key.join(" . ") : `${key.join(" . ")} : ${dataText(data)}`;
    const text = `{ type ${types};${interval ? " flags interval;" : ""} }`;
    this.#add(table, `add ${data ? "map" : "set"} ${family} ${tableName} ${name} ${text}`, {
      ...message("NEWSET", setMessage, NLM_F_CREATE),
      attributes: {
        table: tableName,
        name,
        id,
        flags: (interval ? NFT_SET_INTERVAL : 0) | (data ? NFT_SET_MAP : 0) | (hasParts ? NFT_SET_CONCAT : 0),
        keyType: typeNumber(key),
        keyLen: typeBytes(key),
        ...dataAttributes(data),
        ...(key.length === 1 && key[0] === "ifname" && { userdata: HOST_BYTE_ORDER }),
        ...(hasParts && { desc: { concat: { elem: partBytes(key).map((len) => ({ len })) } } }),
      },
    });
  }

  #add(table: TableName, text: string, request: Omit<AnyRequest, "header" | "doing">): void {
    const header = { family: FAMILIES[table.family], version: 0, resId: 0 };
    this.#operations.push({ text, request: { ...request, doing: text, header } });
  }
}

function handleNumber(handle: Uint8Array): bigint {
  return BigInt(`0x${handle.toHex()}`);
}

function message<C>(name: MessageName, codec: C, flags = 0) {
  return { ...messageKind(name), codec, flags };
}

function batchFrame(doing: string, name: string, type: number): AnyRequest {
  const header = { family: 0, version: 0, resId: NFNL_SUBSYS_NFTABLES };
  return { doing, name, type, codec: batchMessage, header, attributes: {} };
}

/** An element as the kernel gets it. @throws SyntaxError, RangeError where its words are not the set's */
export function encodeElement(set: SetDefinition, { key, data, comment }: SetElement) {
  return {
    key: { value: writeKey(set.key, key) },
    ...(set.interval && { keyEnd: { value: writeKey(set.key, key, { end: true }) } }),
    ...(data && set.data && { data: encodeData(set.data, data) }),
    ...(comment && { userdata: writeComment(comment) }),
  } satisfies ReturnType<typeof setElement.read>;
}

function encodeData(types: NonNullable<SetDefinition["data"]>, data: readonly Word[]) {
  return types === "verdict" ? { verdict: verdictData(String(data[0])) } : { value: writeKey(types, data) };
}

function dataAttributes(data: SetDefinition["data"]) {
  if (data === undefined) return {};
  if (data === "verdict") return { dataType: NFT_DATA_VERDICT, dataLen: 0 };
  return { dataType: typeNumber(data), dataLen: typeBytes(data) };
}

function dataText(data: NonNullable<SetDefinition["data"]>): string {
  return data === "verdict" ? data : data.join(" . ");
}

function elementText(set: SetDefinition, { key, data, comment }: SetElement): string {
  const words = (types: SetDefinition["data"], values: readonly Word[]) =>
    values.map((word, i) => (types === "verdict" ? word : quoted(types?.[i] ?? "ifname", word))).join(" . ");
  const note = comment ? ` comment "${comment}"` : "";
  return `${words(set.key, key)}${note}${data ? ` : ${words(set.data, data)}` : ""}`;
}
