/**
 * The parts of a rule: each is a piece of nft text and the expressions that the kernel gets for it, so that
 * what is printed is what was sent.
 *
 *   rule(ctStatusDnat, iifname, …) reads `ct status dnat iifname "cni0" accept`
 *
 * Registers are the 32-bit ones, by number from NFT_REG32_00; a key of several parts lies in one run of them.
 */
import { NFPROTO_IPV4, NFPROTO_IPV6 } from "../netfilter/socket.ts";
import { TYPES, type TypeName, type Word, writeKey } from "./datatype.ts";
import {
  bitwise,
  cmp,
  ct,
  type Expression,
  fib,
  immediate,
  lookup,
  masq,
  meta,
  nat,
  payload,
  range,
} from "./expressions.ts";
import { NF_ACCEPT, NF_DROP, NFT_GOTO, NFT_JUMP, NFT_RETURN } from "./verdict.ts";

// linux/netfilter/nf_tables.h
const NFT_REG_VERDICT = 0;
const NFT_REG32_00 = 8;
const NFT_CMP_EQ = 0;
const NFT_CMP_NEQ = 1;
const NFT_CMP_LTE = 3;
const NFT_CMP_GTE = 5;
const NFT_RANGE_NEQ = 1;
const NFT_LOOKUP_F_INV = 1;
const NFT_NAT_DNAT = 1;
const NFT_PAYLOAD_LL_HEADER = 0;
const NFT_PAYLOAD_NETWORK_HEADER = 1;
const NFT_PAYLOAD_TRANSPORT_HEADER = 2;
const NFT_META_PROTOCOL = 1;
const NFT_META_MARK = 3;
const NFT_META_IIF = 4;
const NFT_META_IIFNAME = 6;
const NFT_META_OIFNAME = 7;
const NFT_META_NFTRACE = 12;
const NFT_META_NFPROTO = 15;
const NFT_META_L4PROTO = 16;
const NFT_META_IIFKIND = 26;
const NFT_CT_STATE = 0;
const NFT_CT_STATUS = 2;
const NFT_FIB_RESULT_ADDRTYPE = 3;
const NFTA_FIB_F_DADDR = 2;
/** RTN_LOCAL (linux/rtnetlink.h) */
const RTN_LOCAL = 2;
/** IPS_DST_NAT (linux/netfilter/nf_conntrack_common.h) */
const IPS_DST_NAT = 0x20;
/** NF_CT_STATE_BIT() of IP_CT_ESTABLISHED and of IP_CT_RELATED (linux/netfilter/nf_conntrack_common.h) */
const CT_STATE_ESTABLISHED_RELATED = 6;
const NFPROTO = {
  4: NFPROTO_IPV4,
  6: NFPROTO_IPV6,
} as const;

/** A piece of a rule. */
export interface Statement {
  readonly text: string;
  readonly expressions: readonly Expression[];
}

/** What of a packet is looked at. */
export interface Selector {
  readonly text: string;
  readonly bytes: number;
  /** The family of packets that has it; others do not match. */
  readonly family?: 4 | 6;
  /** Loads it into a register. */
  load(register: number): Expression;
}

/** The interface's number: 0 where there is none. */
export const iif = metaSelector("iif", NFT_META_IIF, 4);
export const iifname = metaSelector("iifname", NFT_META_IIFNAME, 16);
export const oifname = metaSelector("oifname", NFT_META_OIFNAME, 16);
export const iifkind = metaSelector("meta iifkind", NFT_META_IIFKIND, 16);
export const l4proto = metaSelector("meta l4proto", NFT_META_L4PROTO, 1);
export const mark = metaSelector("meta mark", NFT_META_MARK, 4);
export const etherSaddr = payloadSelector("ether saddr", NFT_PAYLOAD_LL_HEADER, 6, 6);
export const thSport = payloadSelector("th sport", NFT_PAYLOAD_TRANSPORT_HEADER, 0, 2);
export const thDport = payloadSelector("th dport", NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2);

/** Of a frame that is bridged, where no packet has a family yet. */
export const etherType = metaSelector("meta protocol", NFT_META_PROTOCOL, 2);

export const icmpType = payloadSelector("icmp type", NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1);

/** The addresses of a packet, by family (RFC 791 §3.1, RFC 8200 §3). */
export const saddr = {
  4: { ...payloadSelector("ip saddr", NFT_PAYLOAD_NETWORK_HEADER, 12, 4), family: 4 },
  6: { ...payloadSelector("ip6 saddr", NFT_PAYLOAD_NETWORK_HEADER, 8, 16), family: 6 },
} as const;
export const daddr = {
  4: { ...payloadSelector("ip daddr", NFT_PAYLOAD_NETWORK_HEADER, 16, 4), family: 4 },
  6: { ...payloadSelector("ip6 daddr", NFT_PAYLOAD_NETWORK_HEADER, 24, 16), family: 6 },
} as const;

/** Packets of a connection whose destination was translated. */
export const ctStatusDnat = ctBits("ct status dnat", NFT_CT_STATUS, IPS_DST_NAT);
/** Packets of a connection that was let through when it began, and errors about one. */
export const ctEstablished = ctBits(
  "ct state established,related",
  NFT_CT_STATE,
  CT_STATE_ESTABLISHED_RELATED,
);

/** Packets to an address of this host. */
export const toThisHost = statement("fib daddr type local", () => [
  fib({ dreg: NFT_REG32_00, result: NFT_FIB_RESULT_ADDRTYPE, flags: NFTA_FIB_F_DADDR }),
  compare(u32(RTN_LOCAL)),
]);

/** Has the kernel tell of every rule that the packet meets from here on (NFNLGRP_NFTRACE). */
export const traced = statement("meta nftrace set 1", () => [
  immediate({ dreg: NFT_REG32_00, data: { value: Uint8Array.of(1) } }),
  meta({ key: NFT_META_NFTRACE, sreg: NFT_REG32_00 }),
]);

export const masquerade = statement("masquerade", () => [masq({})]);

/** Packets of one family. */
export function ofFamily(family: 4 | 6): Statement {
  return {
    text: `meta nfproto ipv${family}`,
    expressions: [
      meta({ dreg: NFT_REG32_00, key: NFT_META_NFPROTO }),
      compare(Uint8Array.of(NFPROTO[family])),
    ],
  };
}

/** Equivalent to `SELECTOR [!=] WORD`. */
export function is(
  selector: Selector,
  type: TypeName,
  word: Word,
  options: { not?: boolean } = {},
): Statement {
  return isBytes(selector, { text: quoted(type, word), value: writeKey([type], [word]) }, options);
}

/** The same for a value that no type of a set describes. */
export function isBytes(
  selector: Selector,
  { text, value }: { text: string; value: Uint8Array },
  { not = false }: { not?: boolean } = {},
): Statement {
  return {
    text: `${selector.text} ${not ? "!= " : ""}${text}`,
    expressions: [...loads([selector]), compare(value, not)],
  };
}

/** Equivalent to `SELECTOR [!=] PREFIX`: the bits of `mask` are, or are not, as in `value`. */
export function hasBits(
  selector: Selector,
  { text, mask, value }: { text: string; mask: Uint8Array; value: Uint8Array },
  { not = false }: { not?: boolean } = {},
): Statement {
  return {
    text: `${selector.text} ${not ? "!= " : ""}${text}`,
    expressions: [...loads([selector]), masked(mask), compare(value, not)],
  };
}

/** Equivalent to `SELECTOR [!=] FIRST-LAST`, both included. */
export function inRange(
  selector: Selector,
  type: TypeName,
  [first, last]: readonly [Word, Word],
  { not = false }: { not?: boolean } = {},
): Statement {
  const [fromData, toData] = [{ value: writeKey([type], [first]) }, { value: writeKey([type], [last]) }];
  const within = not
    ? [range({ sreg: NFT_REG32_00, op: NFT_RANGE_NEQ, fromData, toData })]
    : [
        cmp({ sreg: NFT_REG32_00, op: NFT_CMP_GTE, data: fromData }),
        cmp({ sreg: NFT_REG32_00, op: NFT_CMP_LTE, data: toData }),
      ];
  return {
    text: `${selector.text} ${not ? "!= " : ""}${first}-${last}`,
    expressions: [...loads([selector]), ...within],
  };
}

/** Equivalent to `SELECTOR . SELECTOR [!=] @SET`. */
export function inSet(
  selectors: readonly Selector[],
  set: string,
  options: { not?: boolean } = {},
): Statement {
  const flags = options.not ? NFT_LOOKUP_F_INV : undefined;
  return {
    text: `${concatenated(selectors)} ${options.not ? "!= " : ""}@${set}`,
    expressions: [...loads(selectors), lookup({ set, sreg: NFT_REG32_00, flags })],
  };
}

/** Equivalent to `SELECTOR . SELECTOR vmap @MAP`. */
export function verdictOf(selectors: readonly Selector[], map: string): Statement {
  return {
    text: `${concatenated(selectors)} vmap @${map}`,
    expressions: [...loads(selectors), lookup({ set: map, sreg: NFT_REG32_00, dreg: NFT_REG_VERDICT })],
  };
}

/** Equivalent to `dnat ip to SELECTOR . SELECTOR map @MAP`: to the address the map has, and its port. */
export function dnatBy(
  family: 4 | 6,
  selectors: readonly Selector[],
  map: string,
  { withPort }: { withPort: boolean },
): Statement {
  const port = NFT_REG32_00 + TYPES[`ipv${family}_addr`].bytes / 4;
  return {
    text: `dnat ip${family === 4 ? "" : 6} to ${concatenated(selectors)} map @${map}`,
    expressions: [
      ...loads(selectors),
      lookup({ set: map, sreg: NFT_REG32_00, dreg: NFT_REG32_00 }),
      nat({
        type: NFT_NAT_DNAT,
        family: NFPROTO[family],
        regAddrMin: NFT_REG32_00,
        regProtoMin: withPort ? port : undefined,
      }),
    ],
  };
}

/** Equivalent to `dnat ip to ADDRESS:PORT`; without a port, the packet's own stays. */
export function dnatTo(family: 4 | 6, address: string, port?: number): Statement {
  const type = `ipv${family}_addr` as const;
  const portRegister = NFT_REG32_00 + TYPES[type].bytes / 4;
  const to = port === undefined ? address : `${family === 4 ? address : `[${address}]`}:${port}`;
  const expressions = [immediate({ dreg: NFT_REG32_00, data: { value: writeKey([type], [address]) } })];
  if (port !== undefined) {
    expressions.push(immediate({ dreg: portRegister, data: { value: writeKey(["inet_service"], [port]) } }));
  }
  expressions.push(
    nat({
      type: NFT_NAT_DNAT,
      family: NFPROTO[family],
      regAddrMin: NFT_REG32_00,
      regProtoMin: port === undefined ? undefined : portRegister,
    }),
  );
  return { text: `dnat ip${family === 4 ? "" : 6} to ${to}`, expressions };
}

/** "accept", "drop", "return", "jump CHAIN", "goto CHAIN". */
export function verdict(text: string): Statement {
  return {
    text,
    expressions: [immediate({ dreg: NFT_REG_VERDICT, data: { verdict: verdictData(text) } })],
  };
}

/** As a u32 has them: its attribute is one. */
const VERDICTS: Readonly<Record<string, number>> = {
  accept: NF_ACCEPT,
  drop: NF_DROP,
  return: NFT_RETURN >>> 0,
  jump: NFT_JUMP >>> 0,
  goto: NFT_GOTO >>> 0,
};

/** A verdict as the kernel has it. @throws SyntaxError */
export function verdictData(text: string): { code: number; chain?: string | undefined } {
  const [word = "", chain] = text.split(" ");
  const code = VERDICTS[word];
  if (code === undefined) throw new SyntaxError(`Cannot parse "${text}" as a verdict`);
  return { code, chain };
}

/** The verdict in nft's words. */
export function verdictText({
  code,
  chain,
}: {
  code?: number | undefined;
  chain?: string | undefined;
}): string {
  const word = Object.keys(VERDICTS).find((name) => VERDICTS[name] === code) ?? String(code);
  return chain === undefined ? word : `${word} ${chain}`;
}

/** A word as nft takes it in a rule or an element: "*" at the end of a name would stand for any other end. */
export function quoted(type: TypeName, word: Word): string {
  const text = String(word);
  if (type !== "ifname") return text;
  return text.endsWith("*") ? `"${text.slice(0, -1)}\\*"` : `"${text}"`;
}

function metaSelector(text: string, key: number, bytes: number): Selector {
  return { text, bytes, load: (dreg) => meta({ dreg, key }) };
}

function payloadSelector(text: string, base: number, offset: number, len: number): Selector {
  return { text, bytes: len, load: (dreg) => payload({ dreg, base, offset, len }) };
}

/** Loads them into one run of registers. Packets of a family that has no such address do not match. */
function loads(selectors: readonly Selector[]): Expression[] {
  const expressions: Expression[] = [];
  const family = selectors.find((selector) => selector.family)?.family;
  if (family) expressions.push(...ofFamily(family).expressions);
  let register = NFT_REG32_00;
  for (const selector of selectors) {
    expressions.push(selector.load(register));
    register += (selector.bytes + 3) >> 2;
  }
  return expressions;
}

function concatenated(selectors: readonly Selector[]): string {
  return selectors.map(({ text }) => text).join(" . ");
}

function ctBits(text: string, key: number, bits: number): Statement {
  return statement(text, () => [ct({ dreg: NFT_REG32_00, key }), masked(u32(bits)), compare(u32(0), true)]);
}

/** One of a module's own: encoded when it is asked for, because most processes make no rule. */
function statement(text: string, encode: () => Expression[]): Statement {
  return {
    text,
    get expressions() {
      return encode();
    },
  };
}

function masked(mask: Uint8Array): Expression {
  const xor = new Uint8Array(mask.length);
  return bitwise({
    sreg: NFT_REG32_00,
    dreg: NFT_REG32_00,
    len: mask.length,
    mask: { value: mask },
    xor: { value: xor },
  });
}

function compare(value: Uint8Array, not = false): Expression {
  return cmp({ sreg: NFT_REG32_00, op: not ? NFT_CMP_NEQ : NFT_CMP_EQ, data: { value } });
}

/** In the host's byte order, as the kernel keeps what it counts itself. */
function u32(value: number): Uint8Array {
  return new Uint8Array(new Uint32Array([value]).buffer);
}
