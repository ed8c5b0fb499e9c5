/**
 * A hook of netfilter: all that hangs there, in the order of its priorities, asked about one packet
 * (linux/netfilter_ipv4.h NF_IP_PRI_*).
 */
import type { Address } from "../../../lib/netaddr/address.ts";
import type { Verdict } from "../../../lib/nftables/decoded-expression.ts";
import type { RulesetTable } from "../../../lib/nftables/listed-ruleset.ts";
import { NF_ACCEPT, NF_DROP } from "../../../lib/nftables/verdict.ts";
import {
  askChain,
  type ChainSet,
  type Course,
  type Doubt,
  nftChains,
  placeKey,
  type RuleStep,
  verdictWords,
} from "./chain.ts";
import { type ConnectionTable, STATUS, type Tracked, type Tracking, translated } from "./connection.ts";
import { HOOKS, type HookContext, type HookName } from "./hook-context.ts";
import { formatPacket, type Packet } from "./packet.ts";
import type { Translation } from "./rule.ts";

/** What hangs at one hook besides the kernel's own. */
export interface Hanging {
  readonly priority: number;
  readonly isNat: boolean;
  readonly chains: ChainSet;
}

/** All filters of a namespace. */
export interface Filters {
  readonly tables: readonly RulesetTable[];
  /** Of iptables' legacy variant: what hangs at a hook of a family. */
  legacy(family: 4 | 6, hook: HookName): readonly Hanging[];
}

export interface HookEnd {
  /** NF_ACCEPT, NF_DROP …, or that a rule gave it to somebody else. */
  readonly verdict: Verdict;
  /** "drop", "reject", "queue". */
  readonly did: string;
  /** As it is after translation. */
  readonly packet: Packet;
  readonly mark: number;
  readonly tracked: Tracked;
  /** Rules that had a say, in order. */
  readonly steps: readonly RuleStep[];
  /** Rules that could change the end, and of which it is not known whether they mean this packet. */
  readonly doubts: readonly Doubt[];
}

const CONNTRACK = -200;
/** linux/netfilter/nf_nat.h: where the kernel asks the chains of type nat, whatever their own priority. */
const NAT: Readonly<Partial<Record<HookName, number>>> = {
  prerouting: -100,
  output: -100,
  postrouting: 100,
  input: 100,
};

/** Which chains of the hook: those of a priority from here on, and below there. */
export interface Bounds {
  readonly from?: number | undefined;
  readonly below?: number | undefined;
}

/** Asks all of them. `connections` gets what conntrack notes. */
export function askHook(
  filters: Filters,
  context: HookContext,
  connections: ConnectionTable,
  bounds: Bounds = {},
): HookEnd {
  const stations = stationsAt(filters, context).filter(
    ({ priority }) => priority >= (bounds.from ?? priority) && priority < (bounds.below ?? Infinity),
  );
  const before = connections.fork(context.tracked);
  const plain = askOnce(filters, stations, { context, connections, assumed: new Map() });
  const assuming = (place: Doubt["place"]) => {
    const { connections, tracked } = before.connections.fork(before.tracked);
    const assumed = new Map([[placeKey(place), true]]);
    return askOnce(filters, stations, { context: { ...context, tracked }, connections, assumed });
  };
  const doubts = plain.doubts.filter(({ place, isRiddle }) => isRiddle || !isSameEnd(plain, assuming(place)));
  return { ...plain, doubts };
}

function isSameEnd(a: HookEnd, b: HookEnd): boolean {
  const end = ({ verdict, packet, mark }: HookEnd) => [verdict.code, mark, formatPacket(packet)].join(" ");
  return end(a) === end(b);
}

interface Attempt {
  readonly context: HookContext;
  readonly connections: ConnectionTable;
  readonly assumed: ReadonlyMap<string, boolean>;
}

function askOnce(filters: Filters, stations: readonly Station[], attempt: Attempt): HookEnd {
  const { context: given, connections, assumed } = attempt;
  const course: Course = { context: given, steps: [], doubts: [], assumed };
  const end = (verdict: Verdict, how?: string): HookEnd => {
    const { packet, mark, tracked } = course.context;
    const did = how ?? verdictWords(verdict);
    return { verdict, did, packet, mark, tracked, steps: course.steps, doubts: course.doubts };
  };
  for (const { station } of stations) {
    if (station === "conntrack") {
      if (course.context.tracked !== undefined) continue;
      course.context = { ...course.context, tracked: connections.track(course.context.packet) };
    } else if (station === "nat") {
      const refused = translate(filters, course);
      if (refused) return end(refused.verdict, refused.how);
    } else {
      const { verdict, how } = askChain(station.chains, course);
      if (verdict.code !== NF_ACCEPT) return end(verdict, how);
    }
  }
  const { tracked, hook, family } = course.context;
  const isLast = family === "ip" && (hook === "postrouting" || hook === "input");
  if (isLast && typeof tracked === "object") connections.confirm(tracked);
  return end({ code: NF_ACCEPT });
}

interface Station {
  readonly priority: number;
  readonly station: Hanging | "conntrack" | "nat";
}

/** What is asked at this hook, in order. */
function stationsAt(filters: Filters, context: HookContext): Station[] {
  const stations: Station[] = hangingAt(filters, context)
    .filter(({ isNat }) => !isNat)
    .map((station) => ({ priority: station.priority, station }));
  const { family, hook } = context;
  if (family === "ip" && hook !== "ingress" && hook !== "egress") {
    if (hook === "prerouting" || hook === "output") {
      stations.push({ priority: CONNTRACK, station: "conntrack" });
    }
    const priority = NAT[hook];
    if (priority !== undefined) stations.push({ priority, station: "nat" });
  }
  return stations.sort((a, b) => a.priority - b.priority);
}

/**
 * Of one priority the kernel asks the newest first (net/netfilter/core.c, nf_hook_entries_grow()), which it
 * lists last.
 */
function hangingAt(filters: Filters, context: HookContext): Hanging[] {
  const { hook, packet } = context;
  const number = hook === "ingress" ? 0 : hook === "egress" ? 1 : HOOKS[hook];
  const families = familiesOf(context);
  const nft = filters.tables.flatMap((table) => {
    if (table.isDormant || !families.includes(table.family)) return [];
    return [...table.chains.values()].flatMap((chain) => {
      if (chain.hook?.number !== number) return [];
      if (context.family === "netdev" && !chain.hook.devices.includes(context.iif?.name ?? "")) return [];
      const { priority } = chain.hook;
      return { priority, isNat: chain.type === "nat", chains: nftChains(table, chain.name) };
    });
  });
  const isLegacy = context.family === "ip" && hook !== "ingress" && hook !== "egress";
  const legacy = isLegacy ? filters.legacy(packet.source.family, hook) : [];
  return [...nft.reverse(), ...legacy].sort((a, b) => a.priority - b.priority);
}

function familiesOf({ family, packet }: HookContext): string[] {
  if (family !== "ip") return [family];
  return ["inet", packet.source.family === 4 ? "ip" : "ip6"];
}

/** As nf_nat_inet_fn(): of a new connection the rules are asked, once; then the packet is as it wants. */
function translate(
  filters: Filters,
  course: Course,
): { verdict: Verdict; how?: string | undefined } | undefined {
  const { tracked, hook } = course.context;
  if (typeof tracked !== "object") return undefined;
  const end = hook === "prerouting" || hook === "output" ? "destination" : "source";
  const { connection } = tracked;
  const done = end === "destination" ? STATUS.destinationNatDone : STATUS.sourceNatDone;
  if (tracked.direction === 0 && (connection.status & (done | STATUS.confirmed)) === 0) {
    for (const { isNat, chains } of hangingAt(filters, course.context)) {
      if (!isNat || (connection.status & done) !== 0) continue;
      const { verdict, translation, how } = askChain(chains, course);
      if (verdict.code === NF_DROP) return { verdict, how };
      if (translation) apply(translation, tracked, course);
    }
    connection.status |= done; // what no rule wanted stays as it is
  }
  course.context = { ...course.context, packet: translated(course.context.packet, tracked, end) };
  return undefined;
}

function apply(translation: Translation, { connection }: Tracking, { context }: Course): void {
  const { end, port } = translation;
  const { reply } = connection;
  const now = end === "destination" ? reply.source : reply.destination;
  const nowPort = end === "destination" ? reply.sourcePort : reply.destinationPort;
  const address = translation.address === "here" ? addressHere(translation, context) : translation.address;
  if (end === "destination") connection.translateDestination(address ?? now, port ?? nowPort);
  else connection.translateSource(address ?? now, port ?? nowPort);
}

/** Of masquerade the way out's own address; of redirect the way in's, or the loopback's. */
function addressHere(
  { end }: Translation,
  { packet, iif, oif, hook, routes }: HookContext,
): Address | undefined {
  const { destination } = packet;
  if (end === "source") return oif && routes.sourceOn(oif, destination);
  if (hook === "output") {
    return destination.family === 4 ? { family: 4, value: 0x7f00_0001n } : { family: 6, value: 1n };
  }
  return iif && routes.sourceOn(iif, packet.source);
}
