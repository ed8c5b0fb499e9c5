/** nf_tables: tables, chains, rules, sets and their attributes (linux/netfilter/nf_tables.h). */
import { nfgenmsg } from "../netfilter/socket.ts";
import { attributes, nested, repeated } from "../netlink/attributes.ts";
import { messageCodec } from "../netlink/message.ts";
import { be32, bytes, type Codec, cstring } from "../netlink/wire.ts";

/** A list whose elements have the number 1 (NFTA_LIST_ELEM) each. */
function list<T>(element: Codec<T>): Codec<{ elem?: T[] | undefined }> {
  return nested(attributes("NFTA_LIST", { elem: [1, repeated(nested(element))] }));
}

/** NFTA_TABLE_* */
export const tableMessage = messageCodec(
  nfgenmsg,
  attributes("NFTA_TABLE", { name: [1, cstring], flags: [2, be32], userdata: [6, bytes] }),
);

/** NFTA_HOOK_*; the priority is signed in meaning, and written as the u32 of the same bits. */
const hook = nested(attributes("NFTA_HOOK", { hooknum: [1, be32], priority: [2, be32] }));

/** NFTA_CHAIN_* */
export const chainMessage = messageCodec(
  nfgenmsg,
  attributes("NFTA_CHAIN", {
    table: [1, cstring],
    name: [3, cstring],
    hook: [4, hook],
    policy: [5, be32],
    type: [7, cstring],
    userdata: [12, bytes],
  }),
);

/** NFTA_VERDICT_* */
const verdict = nested(attributes("NFTA_VERDICT", { code: [1, be32], chain: [2, cstring] }));

/** NFTA_DATA_*: a value, or what to do. */
export const data = nested(attributes("NFTA_DATA", { value: [1, bytes], verdict: [2, verdict] }));

/** NFTA_EXPR_*: `data` is in the terms of the expression's name. */
export const expression = attributes("NFTA_EXPR", { name: [1, cstring], data: [2, nested(bytes)] });

/** NFTA_RULE_* */
export const ruleMessage = messageCodec(
  nfgenmsg,
  attributes("NFTA_RULE", {
    table: [1, cstring],
    chain: [2, cstring],
    handle: [3, bytes], // handed back as it came
    expressions: [4, list(expression)],
    userdata: [7, bytes],
  }),
);

/** NFTA_SET_DESC_* */
const setDescription = nested(
  attributes("NFTA_SET_DESC", {
    size: [1, be32],
    concat: [2, list(attributes("NFTA_SET_FIELD", { len: [1, be32] }))],
  }),
);

/** NFTA_SET_* */
export const setMessage = messageCodec(
  nfgenmsg,
  attributes("NFTA_SET", {
    table: [1, cstring],
    name: [2, cstring],
    flags: [3, be32],
    keyType: [4, be32],
    keyLen: [5, be32],
    dataType: [6, be32],
    dataLen: [7, be32],
    desc: [9, setDescription],
    id: [10, be32],
    userdata: [13, bytes],
  }),
);

/** NFTA_SET_ELEM_* */
export const setElement = attributes("NFTA_SET_ELEM", {
  key: [1, data],
  data: [2, data],
  flags: [3, be32],
  userdata: [6, bytes],
  keyEnd: [10, data],
});

/** NFTA_SET_ELEM_LIST_* */
export const setElementsMessage = messageCodec(
  nfgenmsg,
  attributes("NFTA_SET_ELEM_LIST", {
    table: [1, cstring],
    set: [2, cstring],
    elements: [3, list(setElement)],
  }),
);
