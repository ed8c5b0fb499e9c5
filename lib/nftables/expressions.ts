/**
 * What rules are made of: the kernel's expressions (linux/netfilter/nf_tables.h), each a table of attributes.
 */
import { type AttributeSet, attributes, encode, type Table, type Values } from "../netlink/attributes.ts";
import { be32, cstring, u8 } from "../netlink/wire.ts";
import { data } from "./attributes.ts";

/** An expression as a rule holds it. */
export interface Expression {
  readonly name: string;
  readonly data: Uint8Array;
}

/** NFTA_META_* */
export const metaAttributes = attributes("NFTA_META", { dreg: [1, be32], key: [2, be32], sreg: [3, be32] });
/** NFTA_PAYLOAD_* */
export const payloadAttributes = attributes("NFTA_PAYLOAD", {
  dreg: [1, be32],
  base: [2, be32],
  offset: [3, be32],
  len: [4, be32],
  sreg: [5, be32],
});
/** NFTA_CT_* */
export const ctAttributes = attributes("NFTA_CT", {
  dreg: [1, be32],
  key: [2, be32],
  direction: [3, u8],
  sreg: [4, be32],
});
/** NFTA_FIB_* */
export const fibAttributes = attributes("NFTA_FIB", { dreg: [1, be32], result: [2, be32], flags: [3, be32] });
/** NFTA_CMP_* */
export const cmpAttributes = attributes("NFTA_CMP", { sreg: [1, be32], op: [2, be32], data: [3, data] });
/** NFTA_RANGE_* */
export const rangeAttributes = attributes("NFTA_RANGE", {
  sreg: [1, be32],
  op: [2, be32],
  fromData: [3, data],
  toData: [4, data],
});
/** NFTA_BITWISE_* */
export const bitwiseAttributes = attributes("NFTA_BITWISE", {
  sreg: [1, be32],
  dreg: [2, be32],
  len: [3, be32],
  mask: [4, data],
  xor: [5, data],
  op: [6, be32],
  data: [7, data],
});
/** NFTA_LOOKUP_* */
export const lookupAttributes = attributes("NFTA_LOOKUP", {
  set: [1, cstring],
  sreg: [2, be32],
  dreg: [3, be32],
  flags: [5, be32],
});
/** NFTA_DYNSET_*: of what a rule of somebody else's adds to a set, its name. */
export const dynsetAttributes = attributes("NFTA_DYNSET", { setName: [1, cstring] });
/** NFTA_IMMEDIATE_* */
export const immediateAttributes = attributes("NFTA_IMMEDIATE", { dreg: [1, be32], data: [2, data] });
/** NFTA_NAT_* */
export const natAttributes = attributes("NFTA_NAT", {
  type: [1, be32],
  family: [2, be32],
  regAddrMin: [3, be32],
  regAddrMax: [4, be32],
  regProtoMin: [5, be32],
  regProtoMax: [6, be32],
});
/** NFTA_MASQ_* */
export const masqAttributes = attributes("NFTA_MASQ", { flags: [1, be32] });

/** Makes expressions of a kind. */
function kind<T extends Table>(name: string, set: AttributeSet<T>): (values: Values<T>) => Expression {
  return (values) => ({ name, data: encode(set, values) });
}

export const meta = kind("meta", metaAttributes);
export const payload = kind("payload", payloadAttributes);
export const ct = kind("ct", ctAttributes);
export const fib = kind("fib", fibAttributes);
export const cmp = kind("cmp", cmpAttributes);
export const range = kind("range", rangeAttributes);
export const bitwise = kind("bitwise", bitwiseAttributes);
export const lookup = kind("lookup", lookupAttributes);
export const immediate = kind("immediate", immediateAttributes);
export const nat = kind("nat", natAttributes);
export const masq = kind("masq", masqAttributes);
