/** The tables that have the kernel tell of one flow, for as long as the socket is open that made them. */
import { addressBytes, formatAddress } from "../../lib/netaddr/address.ts";
import { type NetfilterSocket, openNetfilterSocket } from "../../lib/netfilter/socket.ts";
import { findTableComment } from "../../lib/nftables/query.ts";
import {
  daddr,
  etherType,
  icmpType,
  is,
  isBytes,
  l4proto,
  type Selector,
  type Statement,
  saddr,
  thDport,
  thSport,
  traced,
} from "../../lib/nftables/statement.ts";
import {
  type ChainDefinition,
  type Hook,
  type Rule,
  rule,
  type TableDefinition,
} from "../../lib/nftables/table.ts";
import { Transaction } from "../../lib/nftables/transaction.ts";
import { networkNumber } from "./filter/known-bytes.ts";
import {
  etherType as etherTypeOf,
  hasPorts,
  icmpType as icmpTypeOf,
  isIcmp,
  type Packet,
} from "./filter/packet.ts";
import type { Node } from "./node.ts";

export const LIVE_TABLE = "weft-trace";
/** Of the table, for who would make another. */
const COMMENT = `weft trace --live (pid ${process.pid})`;
/** Before and after all that anybody has (linux/netfilter_ipv4.h NF_IP_PRI_RAW_BEFORE_DEFRAG is -450). */
const FIRST = -1_000;
const LAST = 1_000;

/**
 * Marks packets of these flows in a namespace where they begin, and has chains at the ends of its hooks, so
 * that one sees how far they came. The kernel deletes it when the socket is closed, also by a kill.
 * @throws Error where another trace listens there: each would tell of the other's packets
 */
export function openLiveTable(node: Node, packets: readonly Packet[]): NetfilterSocket {
  const socket = openNetfilterSocket(node.stack.netns);
  try {
    const other = findTableComment(socket, { family: "inet", name: LIVE_TABLE });
    if (other) throw new Error(`another ${other} listens in ${node.name}: one at a time`);
    const transaction = new Transaction();
    transaction.createTable(tableOf("inet", packets));
    if (node.stack.links.some(({ kind }) => kind === "bridge")) {
      transaction.createTable(tableOf("bridge", packets));
    }
    transaction.commit(socket);
    return socket;
  } catch (error) {
    socket[Symbol.dispose]();
    throw error;
  }
}

function tableOf(family: "inet" | "bridge", packets: readonly Packet[]): TableDefinition {
  const rules = packets.map((packet) => flowRule(family, packet));
  const last = (["input", "forward", "postrouting"] as const).map((hook) => chain(hook, LAST, []));
  const chains = [chain("prerouting", FIRST, rules), chain("output", FIRST, rules), ...last];
  return { family, name: LIVE_TABLE, comment: COMMENT, isOwned: true, sets: [], chains };
}

function chain(hook: Hook["hook"], priority: number, rules: readonly Rule[]): ChainDefinition {
  return { name: hook, hook: { type: "filter", hook, priority }, rules };
}

/** By addresses, protocol and the server's port: the client's is not known before it sends. */
function flowRule(family: "inet" | "bridge", packet: Packet): Rule {
  const { source, destination, protocol, isAnswer } = packet;
  const port = isAnswer
    ? is(thSport, "inet_service", packet.sourcePort)
    : is(thDport, "inet_service", packet.destinationPort);
  const parts: Statement[] = [
    ...(family === "bridge" ? [ofEtherType(packet)] : []),
    isAddress(family === "bridge" ? unguarded(saddr[source.family]) : saddr[source.family], source),
    isAddress(
      family === "bridge" ? unguarded(daddr[destination.family]) : daddr[destination.family],
      destination,
    ),
    isBytes(l4proto, { text: `${protocol}`, value: Uint8Array.of(protocol) }),
    ...(hasPorts(packet) ? [port] : []),
    ...(isIcmp(packet) ? [ofType(packet)] : []),
    traced,
  ];
  return rule("the flow that is traced", ...parts);
}

function isAddress(selector: Selector, address: Packet["source"]): Statement {
  return isBytes(selector, { text: formatAddress(address), value: addressBytes(address) });
}

/** Where packets are bridged their family is another, and the frame says which they are of. */
function unguarded({ text, bytes, load }: Selector): Selector {
  return { text, bytes, load };
}

function ofEtherType(packet: Packet): Statement {
  const number = etherTypeOf(packet);
  return isBytes(etherType, { text: `0x${number.toString(16)}`, value: networkNumber(number) });
}

function ofType(packet: Packet): Statement {
  const type = icmpTypeOf(packet);
  return isBytes(icmpType, { text: `${type}`, value: Uint8Array.of(type) });
}
