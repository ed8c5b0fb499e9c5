/**
 * What rules are made of: the kernel's expressions (linux/netfilter/nf_tables.h), each a table of attributes.
 */
import { type AttributeSet, attributes, encode, type Table, type Values } from "../netlink/attributes.ts";
import { be32, cstring } from "../netlink/wire.ts";
import { data } from "./attributes.ts";

/** An expression as a rule holds it. */
export interface Expression {
  readonly name: string;
  readonly data: Uint8Array;
}

/** NFTA_META_* */
const META = attributes("NFTA_META", { dreg: [1, be32], key: [2, be32] });
/** NFTA_PAYLOAD_* */
const PAYLOAD = attributes("NFTA_PAYLOAD", {
  dreg: [1, be32],
  base: [2, be32],
  offset: [3, be32],
  len: [4, be32],
});
/** NFTA_CT_* */
const CT = attributes("NFTA_CT", { dreg: [1, be32], key: [2, be32] });
/** NFTA_FIB_* */
const FIB = attributes("NFTA_FIB", { dreg: [1, be32], result: [2, be32], flags: [3, be32] });
/** NFTA_CMP_* */
const CMP = attributes("NFTA_CMP", { sreg: [1, be32], op: [2, be32], data: [3, data] });
/** NFTA_BITWISE_* */
const BITWISE = attributes("NFTA_BITWISE", {
  sreg: [1, be32],
  dreg: [2, be32],
  len: [3, be32],
  mask: [4, data],
  xor: [5, data],
});
/** NFTA_LOOKUP_* */
const LOOKUP = attributes("NFTA_LOOKUP", {
  set: [1, cstring],
  sreg: [2, be32],
  dreg: [3, be32],
  flags: [5, be32],
});
/** NFTA_IMMEDIATE_* */
const IMMEDIATE = attributes("NFTA_IMMEDIATE", { dreg: [1, be32], data: [2, data] });
/** NFTA_NAT_* */
const NAT = attributes("NFTA_NAT", {
  type: [1, be32],
  family: [2, be32],
  regAddrMin: [3, be32],
  regAddrMax: [4, be32],
  regProtoMin: [5, be32],
  regProtoMax: [6, be32],
});
/** NFTA_MASQ_* */
const MASQ = attributes("NFTA_MASQ", { flags: [1, be32] });

/** Makes expressions of a kind. */
function kind<T extends Table>(name: string, set: AttributeSet<T>): (values: Values<T>) => Expression {
  return (values) => ({ name, data: encode(set, values) });
}

export const meta = kind("meta", META);
export const payload = kind("payload", PAYLOAD);
export const ct = kind("ct", CT);
export const fib = kind("fib", FIB);
export const cmp = kind("cmp", CMP);
export const bitwise = kind("bitwise", BITWISE);
export const lookup = kind("lookup", LOOKUP);
export const immediate = kind("immediate", IMMEDIATE);
export const nat = kind("nat", NAT);
export const masq = kind("masq", MASQ);
