/** What the kernel told of packets, for people: a paragraph a packet in a namespace, a line a rule. */
import { type Address, addressFromBytes } from "../../lib/netaddr/address.ts";
import type { TraceEvent } from "../../lib/nftables/trace-event.ts";
import { NF_DROP } from "../../lib/nftables/verdict.ts";
import { fold } from "../terminal/fold.ts";
import { cyan, dim, red } from "../terminal/style.ts";
import { terminalColumns } from "../terminal/width.ts";
import { verdictWords } from "./filter/chain.ts";
import { formatPacket } from "./filter/packet.ts";
import { ruleText } from "./filter/rule-text.ts";
import { LIVE_TABLE } from "./live-table.ts";
import type { Node } from "./node.ts";

/** One line of what happened, and in JSON as it is. */
export interface LiveLine {
  readonly place: string;
  readonly packet: number;
  /** "10.0.0.2:41000 → 10.0.0.3:80 tcp", where the event says it. */
  readonly flow?: string;
  readonly iif?: string;
  readonly oif?: string;
  readonly table: string;
  readonly chain: string;
  readonly rule?: string;
  readonly comment?: string;
  readonly verdict: string;
}

/** @returns undefined for what says nothing: the end of a chain of ours, a chain that went on by itself */
export function liveLine(node: Node, event: TraceEvent): LiveLine | undefined {
  const { table, chain, type, handle, verdict, id } = event;
  const isOwn = table.endsWith(` ${LIVE_TABLE}`);
  const isFirst = chain === "prerouting" || chain === "output"; // where our rule is
  if (isOwn && isFirst && type !== "rule") return undefined;
  if (type === "rule" && handle === undefined) return undefined;
  const rule = type === "rule" ? ruleOf(node, event) : undefined;
  const name = (index: number | undefined) => node.link(index)?.name;
  const [iif, oif, flow] = [name(event.iif), name(event.oif), flowOf(event)];
  const words = type === "rule" ? verdictText(verdict) : `${type} ${verdictWords(verdict)}`;
  return {
    place: node.name,
    packet: id,
    ...(flow !== undefined && { flow }),
    ...(iif !== undefined && { iif }),
    ...(oif !== undefined && { oif }),
    table,
    chain,
    ...(handle !== undefined && { rule: rule?.text ?? `handle ${handle}` }),
    ...(rule?.comment && { comment: rule.comment }),
    verdict: words,
  };
}

/** Whether it ended here. */
export function isDrop({ verdict, type }: TraceEvent): boolean {
  return verdict.code === NF_DROP && type !== "return";
}

/** As lines; a packet that comes to another namespace, or another packet, begins with where it is. */
export class LiveReport {
  #last = "";
  readonly #flows = new Map<string, string>();

  lines(line: LiveLine, width = terminalColumns()): string[] {
    const { place, packet, flow, iif, oif, table, chain, rule, comment, verdict } = line;
    const key = `${place} ${packet}`;
    const lines: string[] = [];
    const isMoved = flow !== undefined && this.#flows.get(key) !== flow;
    if (flow !== undefined) this.#flows.set(key, flow);
    // a packet that a bridge has handed up gets another number, and says who it is at the next rule only
    const isSamePlace = this.#last.startsWith(`${place} `) && flow === undefined && !this.#flows.has(key);
    if ((key !== this.#last && !isSamePlace) || isMoved) {
      const way = [iif, oif && `→ ${oif}`].filter(Boolean).join(" ");
      lines.push(
        ...fold(`${cyan(place)}  ${way}  ${flow ?? this.#flows.get(key) ?? ""}`, { hanging: 4, width }),
      );
    }
    this.#last = key;
    const isOwn = table.endsWith(` ${LIVE_TABLE}`);
    const note = comment ? ` "${comment}"` : "";
    const text = isOwn
      ? `${table.startsWith("bridge") ? "bridge " : ""}${PASSED[chain] ?? chain}`
      : `${table} ${chain}${rule === undefined ? "" : ` ${rule}`}${note}: ${verdict}`;
    const paint = verdict.endsWith("drop") ? red : isOwn ? dim : (plain: string) => plain;
    return [...lines, ...fold(text, { indent: 4, hanging: 6, width }).map(paint)];
  }
}

/** The ends of hooks, as our own chains there tell of them. */
const PASSED: Readonly<Record<string, string>> = {
  prerouting: "comes in",
  output: "is sent",
  input: "arrives",
  forward: "is forwarded",
  postrouting: "goes out",
};

function verdictText(verdict: TraceEvent["verdict"]): string {
  const CONTINUE = -1;
  return verdict.code === CONTINUE ? "goes on" : verdictWords(verdict);
}

function ruleOf(
  node: Node,
  { table, chain, handle }: TraceEvent,
): { text: string; comment: string } | undefined {
  const listed = node.tables.find(({ family, name }) => `${family} ${name}` === table)?.chains.get(chain);
  const rule = listed?.rules.find((each) => each.handle === handle);
  return rule && { text: ruleText(rule.expressions), comment: rule.comment };
}

/** From and to whom the packet is, where the event says so. */
export function addressesOf({ networkHeader }: TraceEvent): readonly [Address, Address] | undefined {
  if (!networkHeader || networkHeader.length < 20) return undefined;
  const isV4 = (networkHeader[0] ?? 0) >> 4 === 4;
  if (!isV4 && networkHeader.length < 40) return undefined;
  const [at, size] = isV4 ? [12, 4] : [8, 16];
  const address = (from: number) => addressFromBytes(networkHeader.slice(from, from + size));
  return [address(at), address(at + size)];
}

/** What its headers say; undefined where they are not of IP, or cut off. */
function flowOf(event: TraceEvent): string | undefined {
  const { networkHeader, transportHeader } = event;
  const [source, destination] = addressesOf(event) ?? [];
  if (!networkHeader || !source || !destination) return undefined;
  const protocol = networkHeader[source.family === 4 ? 9 : 6] ?? 0;
  const port = (offset: number) =>
    (transportHeader?.[offset] ?? 0) * 256 + (transportHeader?.[offset + 1] ?? 0);
  const [sourcePort, destinationPort] = [port(0), port(2)];
  const rest = { isAnswer: false, ttl: 0, length: 0, dontFragment: false };
  return formatPacket({ source, destination, protocol, sourcePort, destinationPort, ...rest });
}
