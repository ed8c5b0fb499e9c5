/**
 * nf_tables: tables, chains, rules, sets and their attributes (linux/netfilter/nf_tables.h; of batches,
 * nfnetlink.h).
 */
import { nfgenmsg } from "../netfilter/socket.ts";
import { attributes, nested, repeated } from "../netlink/attributes.ts";
import { messageCodec } from "../netlink/message.ts";
import { be32, bytes, cstring } from "../netlink/wire.ts";

/** NFNL_BATCH_*: of what begins and ends a batch. */
export const batchAttributes = attributes("NFNL_BATCH", { genid: [1, be32] });
export const batchMessage = messageCodec(nfgenmsg, batchAttributes);

/** NFTA_TABLE_* */
export const tableAttributes = attributes("NFTA_TABLE", {
  name: [1, cstring],
  flags: [2, be32],
  handle: [4, bytes], // handed back as it came
  userdata: [6, bytes],
});
export const tableMessage = messageCodec(nfgenmsg, tableAttributes);

/** NFTA_HOOK_*; the priority is signed in meaning, and written as the u32 of the same bits. */
export const hookDevices = attributes("NFTA_DEVICE", { name: [1, repeated(cstring)] });
export const hookAttributes = attributes("NFTA_HOOK", {
  hooknum: [1, be32],
  priority: [2, be32],
  dev: [3, cstring],
  devs: [4, nested(hookDevices)],
});

/** NFTA_CHAIN_* */
export const chainAttributes = attributes("NFTA_CHAIN", {
  table: [1, cstring],
  name: [3, cstring],
  hook: [4, nested(hookAttributes)],
  policy: [5, be32],
  type: [7, cstring],
  userdata: [12, bytes],
});
export const chainMessage = messageCodec(nfgenmsg, chainAttributes);

/** NFTA_VERDICT_* */
export const verdictAttributes = attributes("NFTA_VERDICT", { code: [1, be32], chain: [2, cstring] });

/** NFTA_DATA_*: a value, or what to do. */
export const dataAttributes = attributes("NFTA_DATA", {
  value: [1, bytes],
  verdict: [2, nested(verdictAttributes)],
});
export const data = nested(dataAttributes);

/** NFTA_EXPR_*: `data` is in the terms of the expression's name. */
export const expression = attributes("NFTA_EXPR", { name: [1, cstring], data: [2, nested(bytes)] });
export const expressionList = attributes("NFTA_LIST", { elem: [1, repeated(nested(expression))] });

/** NFTA_RULE_* */
export const ruleAttributes = attributes("NFTA_RULE", {
  table: [1, cstring],
  chain: [2, cstring],
  handle: [3, bytes], // handed back as it came
  expressions: [4, nested(expressionList)],
  userdata: [7, bytes],
});
export const ruleMessage = messageCodec(nfgenmsg, ruleAttributes);

/** NFTA_SET_FIELD_*, NFTA_SET_DESC_* */
export const setField = attributes("NFTA_SET_FIELD", { len: [1, be32] });
export const fieldList = attributes("NFTA_LIST", { elem: [1, repeated(nested(setField))] });
export const setDescription = attributes("NFTA_SET_DESC", {
  size: [1, be32],
  concat: [2, nested(fieldList)],
});

/** NFTA_SET_* */
export const setAttributes = attributes("NFTA_SET", {
  table: [1, cstring],
  name: [2, cstring],
  flags: [3, be32],
  keyType: [4, be32],
  keyLen: [5, be32],
  dataType: [6, be32],
  dataLen: [7, be32],
  policy: [8, be32],
  desc: [9, nested(setDescription)],
  id: [10, be32],
  timeout: [11, bytes],
  gcInterval: [12, bytes],
  userdata: [13, bytes],
});
export const setMessage = messageCodec(nfgenmsg, setAttributes);

/** NFTA_SET_ELEM_* */
export const setElement = attributes("NFTA_SET_ELEM", {
  key: [1, data],
  data: [2, data],
  flags: [3, be32],
  timeout: [4, bytes],
  expiration: [5, bytes],
  userdata: [6, bytes],
  keyEnd: [10, data],
});
export const elementList = attributes("NFTA_LIST", { elem: [1, repeated(nested(setElement))] });

/** NFTA_SET_ELEM_LIST_* */
export const setElementsAttributes = attributes("NFTA_SET_ELEM_LIST", {
  table: [1, cstring],
  set: [2, cstring],
  elements: [3, nested(elementList)],
});
export const setElementsMessage = messageCodec(nfgenmsg, setElementsAttributes);

/** NFTA_GEN_* */
export const generationMessage = messageCodec(nfgenmsg, attributes("NFTA_GEN", { id: [1, be32] }));
