/** Routing rules: which table a packet's route is looked up in. linux/fib_rules.h. */
import { formatPrefix, type Prefix } from "../netaddr/prefix.ts";
import { attributes } from "../netlink/attributes.ts";
import { messageCodec, NLM_F_CREATE, NLM_F_EXCL } from "../netlink/message.ts";
import { address, cstring, struct, u8, u32 } from "../netlink/wire.ts";
import { addressFamily, type RouteSocket } from "./route-socket.ts";

const RTM_NEWRULE = 32;
const RTM_DELRULE = 33;
const RTM_GETRULE = 34;
/** FR_ACT_TO_TBL */
const FR_ACT_TO_TBL = 1;

/** struct fib_rule_hdr */
export const fibRuleHdr = struct({
  family: u8,
  dstLen: u8,
  srcLen: u8,
  tos: u8,
  table: u8,
  pad1: u8,
  pad2: u8,
  action: u8,
  flags: u32,
});

/** FRA_* */
export const ruleAttributes = attributes("FRA", {
  dst: [1, address],
  src: [2, address],
  iifname: [3, cstring],
  priority: [6, u32],
  fwmark: [10, u32],
  table: [15, u32],
  fwmask: [16, u32],
  oifname: [17, cstring],
});

export const ruleMessage = messageCodec(fibRuleHdr, ruleAttributes);

export interface Rule {
  readonly family: 4 | 6;
  /** The table to look in. */
  readonly table: number;
  readonly src?: Prefix | undefined;
  readonly dst?: Prefix | undefined;
  readonly iifname?: string | undefined;
  readonly oifname?: string | undefined;
  readonly fwmark?: number | undefined;
  readonly priority?: number | undefined;
}

/** Equivalent to `ip rule add [from SRC] [to DST] … table TABLE`. */
export function addRule(socket: RouteSocket, rule: Rule): void {
  const verb = { name: "RTM_NEWRULE", type: RTM_NEWRULE, flags: NLM_F_CREATE | NLM_F_EXCL };
  socket.change({ ...verb, doing: `add rule ${formatRule(rule)}`, ...ruleParts(rule) });
}

/** Equivalent to `ip rule del …`: the first rule that agrees in all that is given. */
export function deleteRule(socket: RouteSocket, rule: Rule): void {
  const verb = { name: "RTM_DELRULE", type: RTM_DELRULE };
  socket.change({ ...verb, doing: `delete rule ${formatRule(rule)}`, ...ruleParts(rule) });
}

function ruleParts({ family, table, src, dst, ...rest }: Rule) {
  const header = {
    family: addressFamily(family),
    srcLen: src?.length ?? 0,
    dstLen: dst?.length ?? 0,
    table: table < 256 ? table : 0, // FRA_TABLE says it
    action: FR_ACT_TO_TBL,
  };
  return { codec: ruleMessage, header, attributes: { ...rest, src: src?.address, dst: dst?.address, table } };
}

/** Equivalent to `ip rule show`. */
export function listRules(socket: RouteSocket, family: 4 | 6): Rule[] {
  return socket
    .dump({
      doing: "list rules",
      name: "RTM_GETRULE",
      type: RTM_GETRULE,
      codec: ruleMessage,
      header: { family: addressFamily(family) },
      attributes: {},
    })
    .map(({ src, dst, srcLen = 0, dstLen = 0, table = 0, iifname, oifname, fwmark, priority }) => ({
      family,
      table,
      src: src && { address: src, length: srcLen },
      dst: dst && { address: dst, length: dstLen },
      iifname,
      oifname,
      fwmark,
      priority: priority ?? 0,
    }));
}

function formatRule({ src, dst, table }: Rule): string {
  return `from ${src ? formatPrefix(src) : "all"}${dst ? ` to ${formatPrefix(dst)}` : ""} table ${table}`;
}
