/**
 * The whole ruleset of a namespace: all tables, chains, rules and sets, of whatever family and owner. What
 * `nft -a list ruleset` shows.
 */
import type { NetfilterSocket } from "../netfilter/socket.ts";
import type { AnyRequest, Request } from "../netlink/request.ts";
import { chainMessage, ruleMessage, setElementsMessage, setMessage, tableMessage } from "./attributes.ts";
import { readComment } from "./comment.ts";
import {
  type DecodedExpression,
  decodeExpressions,
  type Verdict,
  valueBytes,
  verdictOf,
} from "./decoded-expression.ts";
import {
  type MessageName,
  messageKind,
  NFT_SET_CONCAT,
  NFT_SET_INTERVAL,
  NFT_SET_MAP,
  NFT_TABLE_F_DORMANT,
} from "./message.ts";
import { readGeneration } from "./query.ts";

// linux/netfilter/nf_tables.h
const NFT_SET_ELEM_INTERVAL_END = 1;
const NFT_SET_ELEM_CATCHALL = 2;
/** Rulesets that change all the time are taken as they are then. */
const ATTEMPTS = 5;

/** linux/netfilter.h NFPROTO_* */
const FAMILY_NAMES = { 1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6" } as const;

export type RulesetFamily = (typeof FAMILY_NAMES)[keyof typeof FAMILY_NAMES];

export interface RulesetRule {
  readonly handle: bigint;
  readonly comment: string;
  readonly expressions: readonly DecodedExpression[];
}

export interface RulesetHook {
  /** NF_INET_*; of netdev NF_NETDEV_*. */
  readonly number: number;
  readonly priority: number;
  /** Of netdev: the interfaces it is on. */
  readonly devices: readonly string[];
}

export interface RulesetChain {
  readonly name: string;
  readonly hook: RulesetHook | undefined;
  /** "filter", "nat", "route"; "" where nothing but jumps leads there. */
  readonly type: string;
  /** NF_ACCEPT or NF_DROP, of a base chain. */
  readonly policy: number;
  readonly rules: readonly RulesetRule[];
}

export interface RulesetElement {
  readonly key: Uint8Array;
  /** Of an interval: its last key, where it is said with the first. */
  readonly keyEnd: Uint8Array | undefined;
  /** A key that ends the interval of the one before it, and is not in it any more. */
  readonly isEnd: boolean;
  readonly isCatchAll: boolean;
  readonly data: Uint8Array | undefined;
  readonly verdict: Verdict | undefined;
  readonly comment: string;
}

export interface RulesetSet {
  readonly name: string;
  readonly isInterval: boolean;
  readonly isMap: boolean;
  /** Bytes of the key, and of its parts where they are ranges of their own. */
  readonly keyBytes: number;
  readonly parts: readonly number[];
  readonly elements: readonly RulesetElement[];
}

export interface RulesetTable {
  readonly family: RulesetFamily;
  readonly name: string;
  readonly comment: string;
  /** No chain of it is asked about any packet. */
  readonly isDormant: boolean;
  readonly chains: ReadonlyMap<string, RulesetChain>;
  readonly sets: ReadonlyMap<string, RulesetSet>;
}

/** @throws NetlinkError EINVAL without nf_tables, EPERM without CAP_NET_ADMIN */
export function listRuleset(socket: NetfilterSocket): RulesetTable[] {
  for (let attempt = 1; ; attempt++) {
    const before = readGeneration(socket);
    const tables = listOnce(socket);
    if (readGeneration(socket) === before || attempt === ATTEMPTS) return tables;
  }
}

function listOnce(socket: NetfilterSocket): RulesetTable[] {
  const tables = socket.dump(ask("tables", "GETTABLE", tableMessage, {}));
  if (tables.length === 0) return [];
  const chains = socket.dump(ask("chains", "GETCHAIN", chainMessage, {}));
  const rules = groupBy(socket.dump(ask("rules", "GETRULE", ruleMessage, {})), (rule) =>
    keyOf(rule.family, rule.table, rule.chain),
  );
  const sets = socket.dump(ask("sets", "GETSET", setMessage, {}));
  return tables.flatMap(({ family = 0, name = "", flags = 0, userdata }) => {
    const familyName = familyOf(family);
    if (!familyName) return [];
    const isOurs = (each: { family?: number; table?: string | undefined }) =>
      each.family === family && each.table === name;
    return {
      family: familyName,
      name,
      comment: readComment(userdata),
      isDormant: (flags & NFT_TABLE_F_DORMANT) !== 0,
      chains: byName(
        chains.filter(isOurs).map((chain) => readChain(chain, rules.get(keyOf(family, name, chain.name)))),
      ),
      sets: byName(sets.filter(isOurs).map((set) => readSet(socket, family, set))),
    };
  });
}

function familyOf(number: number): RulesetFamily | undefined {
  return Object.hasOwn(FAMILY_NAMES, number)
    ? FAMILY_NAMES[number as keyof typeof FAMILY_NAMES] // it has the number
    : undefined;
}

type RawRule = ReturnType<typeof ruleMessage.read>;

function readChain(
  chain: ReturnType<typeof chainMessage.read>,
  rules: readonly RawRule[] = [],
): RulesetChain {
  const { hook, policy = 1, type = "", name = "" } = chain;
  const devices = hook?.devs?.name ?? (hook?.dev === undefined ? [] : [hook.dev]);
  return {
    name,
    hook: hook && { number: hook.hooknum ?? 0, priority: (hook.priority ?? 0) | 0, devices },
    type,
    policy,
    rules: rules.map(({ handle, userdata, expressions }) => ({
      handle: handle ? BigInt(`0x${handle.toHex()}`) : 0n,
      comment: readComment(userdata),
      expressions: decodeExpressions({ expressions: expressions ?? {} }),
    })),
  };
}

function readSet(
  socket: NetfilterSocket,
  family: number,
  { table, name = "", flags = 0, keyLen = 0, desc }: ReturnType<typeof setMessage.read>,
): RulesetSet {
  const request = ask(`elements of ${name}`, "GETSETELEM", setElementsMessage, { table, set: name }, family);
  const elements = socket.dump(request).flatMap((message) => message.elements?.elem ?? []);
  const parts = (flags & NFT_SET_CONCAT) !== 0 ? (desc?.concat?.elem ?? []) : [];
  return {
    name,
    isInterval: (flags & NFT_SET_INTERVAL) !== 0,
    isMap: (flags & NFT_SET_MAP) !== 0,
    keyBytes: keyLen,
    parts: parts.map(({ len = 0 }) => len),
    elements: elements.map(({ key, keyEnd, data, flags: elementFlags = 0, userdata }) => ({
      key: valueBytes(key),
      keyEnd: keyEnd && valueBytes(keyEnd),
      isEnd: (elementFlags & NFT_SET_ELEM_INTERVAL_END) !== 0,
      isCatchAll: (elementFlags & NFT_SET_ELEM_CATCHALL) !== 0,
      data: data?.value,
      verdict: data?.verdict && verdictOf(data),
      comment: readComment(userdata),
    })),
  };
}

function ask<A, R>(
  what: string,
  message: MessageName,
  codec: Request<Parameters<typeof tableMessage.write>[1], A, R>["codec"],
  attributes: A,
  family = 0,
) {
  return {
    doing: `list ${what} of nf_tables`,
    ...messageKind(message),
    codec,
    header: { family, version: 0, resId: 0 },
    attributes,
  } satisfies AnyRequest;
}

function keyOf(family: number | undefined, table: string | undefined, chain: string | undefined): string {
  return `${family} ${table} ${chain}`;
}

function groupBy<T>(values: readonly T[], keyOfValue: (value: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const value of values) groups.getOrInsertComputed(keyOfValue(value), () => []).push(value);
  return groups;
}

function byName<T extends { readonly name: string }>(values: readonly T[]): Map<string, T> {
  return new Map(values.map((value) => [value.name, value]));
}
