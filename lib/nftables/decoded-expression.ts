/**
 * The expressions of any rule, whoever made it, in the terms that its evaluation needs: registers as places
 * in one run of bytes, data as bytes or as a verdict (linux/netfilter/nf_tables.h, nf_tables_compat.h).
 */
import { type AttributeSet, attributes, type Table, type Values } from "../netlink/attributes.ts";
import { be32, bytes, cstring, u8 } from "../netlink/wire.ts";
import {
  bitwiseAttributes,
  cmpAttributes,
  ctAttributes,
  dynsetAttributes,
  fibAttributes,
  immediateAttributes,
  lookupAttributes,
  masqAttributes,
  metaAttributes,
  natAttributes,
  payloadAttributes,
  rangeAttributes,
} from "./expressions.ts";
import type { ListedRule } from "./query.ts";

/** NFTA_BYTEORDER_* */
export const byteorderAttributes = attributes("NFTA_BYTEORDER", {
  sreg: [1, be32],
  dreg: [2, be32],
  op: [3, be32],
  len: [4, be32],
  size: [5, be32],
});
/** NFTA_REDIR_* */
export const redirAttributes = attributes("NFTA_REDIR", {
  regProtoMin: [1, be32],
  regProtoMax: [2, be32],
  flags: [3, be32],
});
/** NFTA_REJECT_* */
export const rejectAttributes = attributes("NFTA_REJECT", { type: [1, be32], icmpCode: [2, u8] });
/** NFTA_LIMIT_*, NFTA_QUOTA_*, NFTA_CONNLIMIT_*: of each, whether it is turned around. */
export const limitAttributes = attributes("NFTA_LIMIT", { flags: [5, be32] });
export const quotaAttributes = attributes("NFTA_QUOTA", { flags: [2, be32] });
/** NFTA_OBJREF_*: the kind of a named object that is used. */
export const objrefAttributes = attributes("NFTA_OBJREF", { immType: [1, be32] });
/** NFTA_EXTHDR_* */
export const exthdrAttributes = attributes("NFTA_EXTHDR", {
  dreg: [1, be32],
  type: [2, u8],
  offset: [3, be32],
  len: [4, be32],
  flags: [5, be32],
  op: [6, be32],
});
/** NFTA_NG_*, NFTA_HASH_*, NFTA_RT_*, NFTA_SOCKET_* …: what they load depends on more than the packet. */
export const numgenAttributes = attributes("NFTA_NG", { dreg: [1, be32], modulus: [2, be32] });
export const hashAttributes = attributes("NFTA_HASH", { dreg: [2, be32] });
export const rtAttributes = attributes("NFTA_RT", { dreg: [1, be32], key: [2, be32] });
export const socketAttributes = attributes("NFTA_SOCKET", { key: [1, be32], dreg: [2, be32] });
export const osfAttributes = attributes("NFTA_OSF", { dreg: [1, be32] });
export const xfrmAttributes = attributes("NFTA_XFRM", { dreg: [1, be32] });
export const tunnelAttributes = attributes("NFTA_TUNNEL", { dreg: [2, be32] });
/** NFTA_MATCH_*, NFTA_TARGET_*: a match or target of iptables', of which `info` is its own struct. */
export const matchAttributes = attributes("NFTA_MATCH", {
  name: [1, cstring],
  rev: [2, be32],
  info: [3, bytes],
});
export const targetAttributes = attributes("NFTA_TARGET", {
  name: [1, cstring],
  rev: [2, be32],
  info: [3, bytes],
});
/** NFTA_DUP_*, NFTA_FWD_* */
export const fwdAttributes = attributes("NFTA_FWD", { sregDev: [1, be32] });
/** NFTA_TPROXY_* */
export const tproxyAttributes = attributes("NFTA_TPROXY", { regAddr: [2, be32], regPort: [3, be32] });

/** NFTA_NAT_*, with the flags that ours never have. */
export const natRuleAttributes = attributes("NFTA_NAT", { ...natAttributes.table, flags: [7, be32] });
/** linux/netfilter/nf_nat.h */
const NF_NAT_RANGE_NETMAP = 0x40;

/** What to do: NF_* and NFT_* (linux/netfilter.h, nf_tables.h), signed. */
export interface Verdict {
  readonly code: number;
  /** Of a jump or goto. */
  readonly chain?: string | undefined;
}

/** Bytes of all registers that hold data. */
export const REGISTER_BYTES = 64;

/** Where a register begins, in bytes; "verdict" is the one that says what to do. */
export type Register = number | "verdict";

export type DecodedExpression =
  | { readonly kind: "meta"; readonly key: number; readonly dreg?: Register; readonly sreg?: Register }
  | {
      readonly kind: "payload";
      readonly base: number;
      readonly offset: number;
      readonly length: number;
      readonly dreg?: Register;
      readonly sreg?: Register;
    }
  | {
      readonly kind: "ct";
      readonly key: number;
      readonly direction?: number;
      readonly dreg?: Register;
      readonly sreg?: Register;
    }
  | { readonly kind: "fib"; readonly dreg: Register; readonly result: number; readonly flags: number }
  | { readonly kind: "cmp"; readonly sreg: Register; readonly op: number; readonly value: Uint8Array }
  | {
      readonly kind: "range";
      readonly sreg: Register;
      readonly isNot: boolean;
      readonly from: Uint8Array;
      readonly to: Uint8Array;
    }
  | {
      readonly kind: "bitwise";
      readonly sreg: Register;
      readonly dreg: Register;
      readonly length: number;
      readonly op: number;
      readonly mask: Uint8Array;
      readonly xor: Uint8Array;
      /** Bits to shift by. */
      readonly shift: number;
    }
  | {
      readonly kind: "byteorder";
      readonly sreg: Register;
      readonly dreg: Register;
      readonly length: number;
      readonly size: number;
    }
  | {
      readonly kind: "lookup";
      readonly set: string;
      readonly sreg: Register;
      readonly dreg?: Register;
      readonly isNot: boolean;
    }
  | { readonly kind: "immediate"; readonly dreg: Register; readonly value: Uint8Array }
  | { readonly kind: "verdict"; readonly verdict: Verdict }
  | {
      readonly kind: "nat";
      readonly type: number;
      readonly family: number;
      readonly address?: Register;
      readonly addressMax?: Register;
      readonly port?: Register;
      readonly portMax?: Register;
      /** Of a network for another: the host's bits stay. */
      readonly isNetmap: boolean;
    }
  | { readonly kind: "masq" }
  | { readonly kind: "redir"; readonly port?: Register }
  | { readonly kind: "reject"; readonly type: number; readonly icmpCode: number }
  /** Lets pass what is within a bound, or what is not. */
  | { readonly kind: "bound"; readonly name: string; readonly isNot: boolean }
  | {
      readonly kind: "exthdr";
      readonly dreg?: Register;
      readonly isPresence: boolean;
      readonly length: number;
    }
  | { readonly kind: "match"; readonly name: string; readonly revision: number; readonly info: Uint8Array }
  | { readonly kind: "target"; readonly name: string; readonly revision: number; readonly info: Uint8Array }
  | { readonly kind: "dynset"; readonly set: string }
  /** Goes on, whatever the packet is, and changes nothing that is looked at: a counter, a log. */
  | { readonly kind: "effect"; readonly name: string }
  | { readonly kind: "notrack" }
  | { readonly kind: "queue" }
  | { readonly kind: "forward"; readonly device: Register }
  | { readonly kind: "tproxy" }
  /** Loads what nobody knows before the packet is there: a random number, the socket's owner. */
  | { readonly kind: "unknown-value"; readonly name: string; readonly dreg: Register }
  | { readonly kind: "unknown"; readonly name: string };

type Decode = (data: Uint8Array) => DecodedExpression;

/** The expressions of a rule. @throws RangeError where one is not well-formed */
export function decodeExpressions({ expressions }: Pick<ListedRule, "expressions">): DecodedExpression[] {
  return (expressions.elem ?? []).map(({ name = "", data = new Uint8Array(0) }) => decode(name, data));
}

function decode(name: string, data: Uint8Array): DecodedExpression {
  return DECODERS[name]?.(data) ?? { kind: "unknown", name };
}

const DECODERS: Readonly<Record<string, Decode>> = {
  meta: of(metaAttributes, ({ key = 0, dreg, sreg }) => ({
    kind: "meta",
    key,
    ...registers({ dreg, sreg }),
  })),
  payload: of(payloadAttributes, ({ base = 0, offset = 0, len = 0, dreg, sreg }) => ({
    kind: "payload",
    base,
    offset,
    length: len,
    ...registers({ dreg, sreg }),
  })),
  ct: of(ctAttributes, ({ key = 0, direction, dreg, sreg }) => ({
    kind: "ct",
    key,
    ...(direction !== undefined && { direction }),
    ...registers({ dreg, sreg }),
  })),
  fib: of(fibAttributes, ({ dreg, result = 0, flags = 0 }) => ({
    kind: "fib",
    dreg: register(dreg),
    result,
    flags,
  })),
  cmp: of(cmpAttributes, ({ sreg, op = 0, data }) => ({
    kind: "cmp",
    sreg: register(sreg),
    op,
    value: valueBytes(data),
  })),
  range: of(rangeAttributes, ({ sreg, op, fromData, toData }) => ({
    kind: "range",
    sreg: register(sreg),
    isNot: op === 1,
    from: valueBytes(fromData),
    to: valueBytes(toData),
  })),
  bitwise: of(bitwiseAttributes, ({ sreg, dreg, len = 0, op = 0, mask, xor, data }) => ({
    kind: "bitwise",
    sreg: register(sreg),
    dreg: register(dreg),
    length: len,
    op,
    mask: valueBytes(mask),
    xor: valueBytes(xor),
    shift: hostNumber(valueBytes(data)),
  })),
  byteorder: of(byteorderAttributes, ({ sreg, dreg, len = 0, size = 0 }) => ({
    kind: "byteorder",
    sreg: register(sreg),
    dreg: register(dreg),
    length: len,
    size,
  })),
  lookup: of(lookupAttributes, ({ set = "", sreg, dreg, flags = 0 }) => ({
    kind: "lookup",
    set,
    sreg: register(sreg),
    ...registers({ dreg }),
    isNot: (flags & 1) !== 0,
  })),
  immediate: of(immediateAttributes, ({ dreg, data }) => {
    if (data?.verdict) return { kind: "verdict", verdict: verdictOf(data) };
    return { kind: "immediate", dreg: register(dreg), value: valueBytes(data) };
  }),
  nat: of(natRuleAttributes, ({ type = 0, family = 0, flags = 0, ...at }) => ({
    kind: "nat",
    type,
    family,
    isNetmap: (flags & NF_NAT_RANGE_NETMAP) !== 0,
    ...(at.regAddrMin !== undefined && { address: register(at.regAddrMin) }),
    ...(at.regAddrMax !== undefined && { addressMax: register(at.regAddrMax) }),
    ...(at.regProtoMin !== undefined && { port: register(at.regProtoMin) }),
    ...(at.regProtoMax !== undefined && { portMax: register(at.regProtoMax) }),
  })),
  masq: of(masqAttributes, () => ({ kind: "masq" })),
  redir: of(redirAttributes, ({ regProtoMin }) => ({
    kind: "redir",
    ...(regProtoMin !== undefined && { port: register(regProtoMin) }),
  })),
  reject: of(rejectAttributes, ({ type = 0, icmpCode = 0 }) => ({ kind: "reject", type, icmpCode })),
  limit: of(limitAttributes, ({ flags = 0 }) => ({ kind: "bound", name: "limit", isNot: (flags & 1) !== 0 })),
  quota: of(quotaAttributes, ({ flags = 0 }) => ({ kind: "bound", name: "quota", isNot: (flags & 1) !== 0 })),
  connlimit: of(quotaAttributes, ({ flags = 0 }) => ({
    kind: "bound",
    name: "ct count",
    isNot: (flags & 1) !== 0,
  })),
  exthdr: of(exthdrAttributes, ({ dreg, flags = 0, len = 0 }) => ({
    kind: "exthdr",
    ...registers({ dreg }),
    isPresence: (flags & 1) !== 0,
    length: len,
  })),
  objref: of(objrefAttributes, ({ immType = 0 }) => {
    const bound = { 2: "quota", 4: "limit", 5: "ct count" }[immType]; // NFT_OBJECT_*
    return bound ? { kind: "bound", name: bound, isNot: false } : { kind: "effect", name: "object" };
  }),
  match: of(matchAttributes, ({ name = "", rev = 0, info }) => ({
    kind: "match",
    name,
    revision: rev,
    info: info ?? new Uint8Array(0),
  })),
  target: of(targetAttributes, ({ name = "", rev = 0, info }) => ({
    kind: "target",
    name,
    revision: rev,
    info: info ?? new Uint8Array(0),
  })),
  dynset: of(dynsetAttributes, ({ setName = "" }) => ({ kind: "dynset", set: setName })),
  fwd: of(fwdAttributes, ({ sregDev }) => ({ kind: "forward", device: register(sregDev) })),
  tproxy: of(tproxyAttributes, () => ({ kind: "tproxy" })),
  numgen: of(numgenAttributes, ({ dreg }) => unknownValue("numgen", dreg)),
  hash: of(hashAttributes, ({ dreg }) => unknownValue("hash", dreg)),
  rt: of(rtAttributes, ({ dreg }) => unknownValue("rt", dreg)),
  socket: of(socketAttributes, ({ dreg }) => unknownValue("socket", dreg)),
  osf: of(osfAttributes, ({ dreg }) => unknownValue("osf", dreg)),
  xfrm: of(xfrmAttributes, ({ dreg }) => unknownValue("ipsec", dreg)),
  tunnel: of(tunnelAttributes, ({ dreg }) => unknownValue("tunnel", dreg)),
  notrack: () => ({ kind: "notrack" }),
  queue: () => ({ kind: "queue" }),
  ...Object.fromEntries(
    ["counter", "log", "last", "dup", "flow_offload", "secmark", "synproxy"].map((name) => [
      name,
      () => ({ kind: "effect", name }) as const,
    ]),
  ),
};

function of<T extends Table>(
  set: AttributeSet<T>,
  toExpression: (values: Values<T>) => DecodedExpression,
): Decode {
  return (data) => toExpression(set.read(data));
}

function unknownValue(name: string, dreg: number | undefined): DecodedExpression {
  return { kind: "unknown-value", name, dreg: register(dreg) };
}

/** NFT_REG_1 to 4 are of 16 bytes, NFT_REG32_00 to 15 of four in the same place. */
function register(number = 0): Register {
  const NFT_REG32_00 = 8;
  if (number === 0) return "verdict";
  const at = number < NFT_REG32_00 ? (number - 1) * 16 : (number - NFT_REG32_00) * 4;
  if (at < 0 || at >= REGISTER_BYTES) throw new RangeError(`Cannot use register ${number}: no such one`);
  return at;
}

function registers<K extends string>(numbers: Record<K, number | undefined>): Partial<Record<K, Register>> {
  const found: Partial<Record<K, Register>> = {};
  for (const name in numbers) {
    const number = numbers[name];
    if (number !== undefined) found[name] = register(number);
  }
  return found;
}

interface RawData {
  value?: Uint8Array | undefined;
  verdict?: { code?: number | undefined; chain?: string | undefined } | undefined;
}

export function valueBytes(data: RawData | undefined): Uint8Array {
  return data?.value ?? new Uint8Array(0);
}

/** NFTA_DATA_VERDICT, its code signed. */
export function verdictOf({ verdict }: RawData): Verdict {
  return { code: (verdict?.code ?? 0) | 0, chain: verdict?.chain };
}

/** In the host's byte order. */
function hostNumber(value: Uint8Array): number {
  return value.reduceRight((sum, byte) => sum * 256 + byte, 0);
}
