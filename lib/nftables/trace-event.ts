/** What the kernel tells of packets of `meta nftrace set 1`: linux/netfilter/nf_tables.h NFT_MSG_TRACE. */
import { nfgenmsg } from "../netfilter/socket.ts";
import { attributes, nested } from "../netlink/attributes.ts";
import { messageCodec } from "../netlink/message.ts";
import { be32, bytes, cstring } from "../netlink/wire.ts";
import { verdictAttributes } from "./attributes.ts";
import type { Verdict } from "./decoded-expression.ts";
import { messageKind } from "./message.ts";

const TYPES = { 1: "policy", 2: "return", 3: "rule" } as const;
const FAMILIES = { 1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6" } as const;

/** NFTA_TRACE_* */
export const traceAttributes = attributes("NFTA_TRACE", {
  table: [1, cstring],
  chain: [2, cstring],
  ruleHandle: [3, bytes],
  type: [4, be32],
  verdict: [5, nested(verdictAttributes)],
  id: [6, be32],
  llHeader: [7, bytes],
  networkHeader: [8, bytes],
  transportHeader: [9, bytes],
  iif: [10, be32],
  oif: [12, be32],
  mark: [14, be32],
  nfproto: [15, be32],
  policy: [16, be32],
});

export const traceMessage = messageCodec(nfgenmsg, traceAttributes);

/** One thing that happened to a packet in one chain. */
export interface TraceEvent {
  /** The same for all of one packet, while it is in one namespace. */
  readonly id: number;
  /** As the table has it: "inet weft". */
  readonly table: string;
  readonly chain: string;
  /** "policy": the end of a base chain was reached. */
  readonly type: "policy" | "return" | "rule";
  /** Of a rule. */
  readonly handle: bigint | undefined;
  /** Of a policy its verdict. */
  readonly verdict: Verdict;
  /** ifindexes. */
  readonly iif: number | undefined;
  readonly oif: number | undefined;
  /** As the packet was when it came to this chain; of each chain the first event says so. */
  readonly networkHeader: Uint8Array | undefined;
  readonly transportHeader: Uint8Array | undefined;
}

/** Whether an event of netfilter's is one of these. */
export function isTraceEvent({ type }: { readonly type: number }): boolean {
  return type === messageKind("TRACE").type;
}

/** @returns undefined for an event of a kind that is not known @throws RangeError on bad lengths */
export function readTraceEvent(body: Uint8Array): TraceEvent | undefined {
  const message = traceMessage.read(body);
  const { id = 0, table = "", chain = "", ruleHandle, verdict, policy, family = 0 } = message;
  const type = TYPES[message.type as keyof typeof TYPES]; // undefined for another
  if (!type) return undefined;
  const familyName = FAMILIES[family as keyof typeof FAMILIES] ?? `family ${family}`; // the same
  return {
    id,
    table: `${familyName} ${table}`,
    chain,
    type,
    handle: ruleHandle && BigInt(`0x${ruleHandle.toHex()}`),
    verdict: { code: (verdict?.code ?? policy ?? 0) | 0, chain: verdict?.chain },
    iif: message.iif,
    oif: message.oif,
    networkHeader: message.networkHeader,
    transportHeader: message.transportHeader,
  };
}
