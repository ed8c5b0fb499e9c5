/**
 * The tables of iptables' legacy variant as the kernel has them, read without a program: rules as structs,
 * with matches and targets in the same form as nf_tables keeps those of the other variant.
 *
 * Reference: linux/netfilter_ipv4/ip_tables.h, linux/netfilter_ipv6/ip6_tables.h, linux/netfilter/x_tables.h.
 */
import type { Family } from "../netaddr/address.ts";
import { inNetns, type Netns } from "../netns/netns.ts";
import * as libc from "../sys/libc.ts";
import { hasLegacyTable } from "./kernel-tables.ts";

export const LEGACY_TABLES = ["raw", "mangle", "nat", "filter", "security"] as const;
export type LegacyTableName = (typeof LEGACY_TABLES)[number];

/** A match or target: `info` is its own struct. */
export interface LegacyPart {
  readonly name: string;
  readonly revision: number;
  readonly info: Uint8Array;
}

/** "accept", "drop", "queue", "return", or a chain. */
export type LegacyVerdict =
  | { readonly kind: "accept" | "drop" | "queue" | "return" }
  | { readonly kind: "jump" | "goto"; readonly chain: string };

export interface LegacyRule {
  readonly source: LegacyAddress;
  readonly destination: LegacyAddress;
  readonly iniface: LegacyInterface;
  readonly outiface: LegacyInterface;
  /** 0: any. */
  readonly protocol: number;
  readonly isProtocolNot: boolean;
  readonly matches: readonly LegacyPart[];
  /** One of both. */
  readonly verdict: LegacyVerdict | undefined;
  readonly target: LegacyPart | undefined;
}

export interface LegacyAddress {
  readonly address: Uint8Array;
  readonly mask: Uint8Array;
  readonly isNot: boolean;
}

export interface LegacyInterface {
  /** 16 bytes each. */
  readonly name: Uint8Array;
  readonly mask: Uint8Array;
  readonly isNot: boolean;
}

export interface LegacyTable {
  readonly name: LegacyTableName;
  readonly family: Family;
  /** Those of the kernel's own by hook (NF_INET_*), with their policy. */
  readonly baseChains: ReadonlyMap<number, { readonly chain: string; readonly policy: "accept" | "drop" }>;
  readonly chains: ReadonlyMap<string, readonly LegacyRule[]>;
}

// linux/netfilter_ipv4/ip_tables.h and, with the same numbers, linux/netfilter_ipv6/ip6_tables.h
const SO_GET_INFO = 64;
const SO_GET_ENTRIES = 65;
const SOL_IP = 0;
const SOL_IPV6 = 41;
const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_RAW = 3;
const IPPROTO_RAW = 255;
const INFO_BYTES = 84;
const ENTRIES_HEADER_BYTES = 40;
const HOOK_NAMES = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"];
const INV_VIA_IN = 0x01;
const INV_VIA_OUT = 0x02;
const INV_SRCIP = 0x08;
const INV_DSTIP = 0x10;
const INV_PROTO = 0x40;

/** Where things lie in struct ipt_entry and ip6t_entry. */
const LAYOUTS = {
  4: { addressBytes: 4, protocol: 80, flags: 82, inverted: 83, isGoto: 2, targetOffset: 88, entry: 112 },
  6: { addressBytes: 16, protocol: 128, flags: 131, inverted: 132, isGoto: 4, targetOffset: 140, entry: 168 },
} as const;

/** Those that are there; none is made by being asked for. @throws ErrnoError EPERM without CAP_NET_ADMIN */
export function readLegacyTables(netns: Netns, family: Family): LegacyTable[] {
  return inNetns(netns, () => {
    const there = LEGACY_TABLES.filter((name) => hasLegacyTable(family, name));
    if (there.length === 0) return [];
    const fd = libc.socket(family === 4 ? AF_INET : AF_INET6, SOCK_RAW, IPPROTO_RAW);
    try {
      return there.map((name) => readTable(fd, family, name));
    } finally {
      libc.close(fd);
    }
  });
}

function readTable(fd: number, family: Family, name: LegacyTableName): LegacyTable {
  const level = family === 4 ? SOL_IP : SOL_IPV6;
  const info = new Uint8Array(INFO_BYTES);
  info.set(new TextEncoder().encode(name));
  libc.getsockopt(fd, { level, name: SO_GET_INFO }, info);
  const view = new DataView(info.buffer);
  const size = view.getUint32(80, true);
  const answer = new Uint8Array(ENTRIES_HEADER_BYTES + size);
  answer.set(info.subarray(0, 32));
  new DataView(answer.buffer).setUint32(32, size, true);
  libc.getsockopt(fd, { level, name: SO_GET_ENTRIES }, answer);
  const hooks = HOOK_NAMES.flatMap((chain, hook) =>
    view.getUint32(32, true) & (1 << hook)
      ? [
          {
            hook,
            chain,
            at: view.getUint32(36 + 4 * hook, true),
            policyAt: view.getUint32(56 + 4 * hook, true),
          },
        ]
      : [],
  );
  return parseLegacyTable({ name, family, hooks, entries: answer.subarray(ENTRIES_HEADER_BYTES) });
}

interface RawTable {
  readonly name: LegacyTableName;
  readonly family: Family;
  /** Where the kernel's own chains begin, and where the entry is that says their policy. */
  readonly hooks: readonly { hook: number; chain: string; at: number; policyAt: number }[];
  readonly entries: Uint8Array;
}

/** @throws RangeError where the entries are not well-formed */
export function parseLegacyTable({ name, family, hooks, entries }: RawTable): LegacyTable {
  const offsets = entryOffsets(entries, family);
  const names = new Map<number, string>(); // of chains, by where their first rule is
  for (const { at, chain } of hooks) names.set(at, chain);
  for (const at of offsets) {
    const head = headOf(entries, at, family);
    if (head !== undefined) names.set(at + u16(entries, at + LAYOUTS[family].targetOffset + 2), head);
  }
  const policies = new Map(hooks.map(({ policyAt, hook }) => [policyAt, hook]));
  const baseChains = new Map<number, { chain: string; policy: "accept" | "drop" }>();
  const chains = new Map<string, LegacyRule[]>();
  let rules: LegacyRule[] = [];
  for (const at of offsets) {
    const begun = names.get(at);
    if (begun !== undefined) {
      rules = [];
      chains.set(begun, rules);
    }
    if (headOf(entries, at, family) !== undefined) continue;
    const rule = readEntry(entries, at, family, names);
    const hook = policies.get(at);
    if (hook === undefined) rules.push(rule);
    else {
      const policy = rule.verdict?.kind === "drop" ? "drop" : "accept";
      baseChains.set(hook, { chain: HOOK_NAMES[hook] ?? "", policy });
    }
  }
  return { name, family, baseChains, chains };
}

function entryOffsets(entries: Uint8Array, family: Family): number[] {
  const { targetOffset, entry } = LAYOUTS[family];
  const offsets: number[] = [];
  for (let at = 0; at < entries.length; ) {
    const next = u16(entries, at + targetOffset + 2);
    if (next < entry || at + next > entries.length)
      throw new RangeError(`Cannot read the rule at byte ${at}`);
    offsets.push(at);
    at += next;
  }
  return offsets;
}

/** An entry whose target is ERROR is the head of a chain, and says its name; the last one ends the table. */
function headOf(entries: Uint8Array, at: number, family: Family): string | undefined {
  const targetAt = at + u16(entries, at + LAYOUTS[family].targetOffset);
  const { name, info } = partAt(entries, targetAt);
  return name === "ERROR" ? text(info) : undefined;
}

function readEntry(
  entries: Uint8Array,
  at: number,
  family: Family,
  names: ReadonlyMap<number, string>,
): LegacyRule {
  const { addressBytes, protocol, flags, inverted, isGoto, targetOffset, entry } = LAYOUTS[family];
  const bytes = (offset: number, length: number) => entries.slice(at + offset, at + offset + length);
  const isNot = (bit: number) => ((entries[at + inverted] ?? 0) & bit) !== 0;
  const names16 = 4 * addressBytes;
  const targetAt = at + u16(entries, at + targetOffset);
  const matches: LegacyPart[] = [];
  for (let part = at + entry; part < targetAt; part += Math.max(u16(entries, part), 32)) {
    matches.push(partAt(entries, part));
  }
  const target = partAt(entries, targetAt);
  const isStandard = target.name === "";
  const isGone = ((entries[at + flags] ?? 0) & isGoto) !== 0;
  return {
    source: {
      address: bytes(0, addressBytes),
      mask: bytes(2 * addressBytes, addressBytes),
      isNot: isNot(INV_SRCIP),
    },
    destination: {
      address: bytes(addressBytes, addressBytes),
      mask: bytes(3 * addressBytes, addressBytes),
      isNot: isNot(INV_DSTIP),
    },
    iniface: { name: bytes(names16, 16), mask: bytes(names16 + 32, 16), isNot: isNot(INV_VIA_IN) },
    outiface: { name: bytes(names16 + 16, 16), mask: bytes(names16 + 48, 16), isNot: isNot(INV_VIA_OUT) },
    protocol: u16(entries, at + protocol),
    isProtocolNot: isNot(INV_PROTO),
    matches,
    verdict: isStandard ? standardVerdict(target.info, names, isGone ? "goto" : "jump") : undefined,
    target: isStandard ? undefined : target,
  };
}

/** struct xt_entry_match, xt_entry_target: u16 size, char name[29], u8 revision */
function partAt(entries: Uint8Array, at: number): LegacyPart {
  const size = u16(entries, at);
  if (size < 32 || at + size > entries.length) throw new RangeError(`Cannot read the match at byte ${at}`);
  return {
    name: text(entries.subarray(at + 2, at + 31)),
    revision: entries[at + 31] ?? 0,
    info: entries.slice(at + 32, at + size),
  };
}

/** struct xt_standard_target: below 0 a verdict, else where the chain begins. */
function standardVerdict(
  info: Uint8Array,
  names: ReadonlyMap<number, string>,
  how: "jump" | "goto",
): LegacyVerdict {
  const value = new DataView(info.buffer, info.byteOffset, info.byteLength).getInt32(0, true);
  if (value >= 0) {
    const chain = names.get(value);
    // A jump to the next rule is how the kernel keeps a rule without a target.
    return chain === undefined ? { kind: "jump", chain: "" } : { kind: how, chain };
  }
  const kinds = { [-1]: "drop", [-2]: "accept", [-4]: "queue", [-5]: "return" } as const;
  return { kind: kinds[value as keyof typeof kinds] ?? "return" }; // one of these, or what no kernel says
}

function text(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}

function u16(bytes: Uint8Array, at: number): number {
  if (at + 2 > bytes.length) throw new RangeError(`Cannot read two bytes at ${at} of ${bytes.length}`);
  return (bytes[at] ?? 0) + 256 * (bytes[at + 1] ?? 0);
}
