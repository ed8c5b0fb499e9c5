/**
 * What the host's packet filters say to containers: of each network a packet is followed to the uplink, to a
 * neighbour, and from the uplink and the host to each published port, as `weft trace` does.
 */
import {
  type Address,
  type Family,
  formatAddress,
  isLinkLocal,
  parseAddress,
} from "../../../lib/netaddr/address.ts";
import { parsePrefix } from "../../../lib/netaddr/prefix.ts";
import { parseService, readQuestion } from "../../trace/endpoints.ts";
import { World } from "../../trace/node.ts";
import { type TraceResult, trace } from "../../trace/trace.ts";
import type { Evidence, Hop } from "../../trace/trail.ts";
import { accepting, deleting } from "../accepting.ts";
import { type Finding, finding } from "../finding.ts";
import { type Attached, type Host, hostSideOf, isRoutedByHost, isSet, nameOf } from "../host.ts";

/** What a container asks of the world: a port that somebody may have closed is as good as any. */
const WEB = "443";
const PING = "ping";
const LOCALHOST = "127.0.0.1";
/** Rules of weft's and of the reference's firewall drop what they were asked to. */
const INTENDED = /^(inet|bridge) weft|CNI-/;
/** Of the ways of one kind: each asks every port of a bridge on its way. */
const WAYS_MAX = 32;

interface Uplink {
  readonly gateway: Address;
  /** The host's own address there. */
  readonly own: Address;
}

interface Surroundings {
  readonly host: Host;
  readonly world: World;
  readonly family: Family;
  readonly uplink: Uplink | undefined;
}

export function checkForward(host: Host): Finding[] {
  const up = host.attachments.filter(({ state }) => state === "up");
  if (up.length === 0) return [];
  const world = new World(host.view);
  return ([4, 6] as const).flatMap((family) => {
    const surroundings = { host, world, family, uplink: uplinkOf(host, family) };
    const mine = up.filter((attached) => isRoutedByHost(host, attached, family));
    return [...Map.groupBy(mine, ({ network }) => network).values()].flatMap((attachments) =>
      networkDropped(surroundings, attachments),
    );
  });
}

function uplinkOf({ stack }: Host, family: Family): Uplink | undefined {
  const route = stack.routes.find(({ dst, gateway }) => dst.length === 0 && gateway?.family === family);
  const { gateway, oif } = route ?? {};
  if (!gateway || isLinkLocal(gateway) || oif === undefined) return undefined;
  const own = stack.addresses.find(
    ({ prefix, ifindex }) =>
      ifindex === oif && prefix.address.family === family && !isLinkLocal(prefix.address),
  );
  return own && { gateway, own: own.prefix.address };
}

/** The ways of one kind after the other: what ends one ends others, by the same rule. */
function networkDropped(surroundings: Surroundings, attachments: readonly Attached[]): Finding[] {
  const isInternal = attachments.some((attached) => firewallOf(attached)?.["internal"] === true);
  const kinds = isInternal ? [toNeighbours] : [toUplink, toNeighbours, toPorts];
  for (const waysOf of kinds) {
    const found = followAll(surroundings, waysOf(surroundings, attachments));
    if (found.length > 0) return found;
  }
  return [];
}

interface Way {
  readonly attached: Attached;
  readonly from: string;
  readonly to: Address;
  readonly port: string;
  /** "from 10.9.0.2 to the uplink" */
  readonly course: string;
  /** It is to end in the container. */
  readonly isInward?: true;
}

function toUplink({ uplink, family }: Surroundings, attachments: readonly Attached[]): Way[] {
  if (!uplink) return [];
  return attachments.flatMap((attached) => {
    const from = addressOf(attached, family);
    if (from === undefined) return [];
    return { attached, from, to: uplink.gateway, port: WEB, course: `from ${from} to the uplink` };
  });
}

/** Of each to the next. */
function toNeighbours({ family }: Surroundings, attachments: readonly Attached[]): Way[] {
  return attachments.flatMap((attached, at) => {
    const next = attachments[(at + 1) % attachments.length];
    const from = addressOf(attached, family);
    const to = next && next !== attached && areNeighbours(attached, next) && addressOf(next, family);
    if (!from || !to) return [];
    const course = `from ${from} to its neighbour ${to}`;
    return { attached, from, to: parseAddress(to), port: PING, course };
  });
}

/** From the uplink to each, and from this host to the first: to 127.0.0.1, for ::1 is not published. */
function toPorts({ uplink, family }: Surroundings, attachments: readonly Attached[]): Way[] {
  const published = attachments.flatMap((attached) =>
    attached.ports
      .filter(({ hostIP, protocol }) => hostIP === "" && protocol !== "sctp")
      .map(({ hostPort, protocol }) => ({ attached, hostPort, port: `${hostPort}/${protocol}` })),
  );
  const waysFrom = (place: string, ends: Pick<Way, "from" | "to">, ports: typeof published): Way[] =>
    ports.map(({ hostPort, ...port }) => {
      return { ...port, ...ends, course: `from ${place} to port ${hostPort}`, isInward: true };
    });
  const local = { from: "host", to: parseAddress(LOCALHOST) };
  const outer = uplink && { from: formatAddress(uplink.gateway), to: uplink.own };
  return [
    ...(family === 4 ? waysFrom("this host", local, published.slice(0, 1)) : []),
    ...(outer ? waysFrom("the uplink", outer, published) : []),
  ];
}

function firewallOf({ list }: Attached) {
  return list?.plugins.find(({ type }) => type === "firewall");
}

/** Whether they are to reach each other by a bridge. */
function areNeighbours(one: Attached, other: Attached): boolean {
  if (one.bridge === undefined || one.bridge !== other.bridge) return false;
  const firewall = firewallOf(one);
  const isApart = firewall?.["icc"] === false || firewall?.["ingressPolicy"] === "isolated";
  return !isApart && !isSet(one.main, "portIsolation");
}

function addressOf({ addresses }: Attached, family: Family): string | undefined {
  const prefix = addresses.map(parsePrefix).find(({ address }) => address.family === family);
  return prefix && formatAddress(prefix.address);
}

/** One finding a rule or policy, whatever it ends. */
function followAll(surroundings: Surroundings, ways: readonly Way[]): Finding[] {
  const ends = ways.slice(0, WAYS_MAX).flatMap((way) => {
    const { from, to, port } = way;
    const { host, world } = surroundings;
    const words = [from, formatAddress(to), parseService(port)] as const;
    const result = trace(world, readQuestion(host.view, world, words, {}));
    const diverting = way.isInward && divertedBy(world, way, result);
    if (diverting) return { way, rule: diverting, isDropped: false };
    const dropping = droppedBy(world, result);
    return dropping ? { way, rule: dropping, isDropped: true } : [];
  });
  return [...Map.groupBy(ends, ({ rule }) => rule.text).values()].flatMap(([first, ...others]) => {
    if (!first) return [];
    const { way, rule, isDropped } = first;
    const { attached, course } = way;
    const more = new Set([first, ...others].map((end) => end.way.attached)).size - 1;
    const subject = more > 0 ? `${nameOf(attached)} and ${more} more` : nameOf(attached);
    const evidence = `what goes ${course} is ${isDropped ? "dropped" : "led elsewhere"} by ${rule.text}`;
    const side = hostSideOf(surroundings.host, attached)?.name ?? "";
    return isDropped
      ? finding("forward-dropped", { subject, evidence, remedy: accepting(side, rule) })
      : finding("port-diverted", { subject, evidence, remedy: deleting(rule) });
  });
}

/** The rule of this host that ends it; undefined where none does, or what was meant to. */
function droppedBy({ host }: World, { there, back }: TraceResult): Evidence | undefined {
  const ended = [there, back].find((leg) => leg?.verdict === "dropped");
  const last = ended?.hops.at(-1);
  return last?.place === host.name ? anothersRule(last) : undefined;
}

/** The rule of another's by which what is for a container does not come to it. */
function divertedBy({ host }: World, { attached }: Way, { there, visits }: TraceResult) {
  if ([...visits.keys()].some(({ stack }) => stack === attached.inside?.stack)) return undefined;
  const hop = there.hops.find(({ place, text }) => place === host.name && text.includes(": translated to"));
  return hop && anothersRule(hop);
}

function anothersRule({ evidence }: Hop): Evidence | undefined {
  const rule = evidence.findLast(({ kind }) => kind === "rule");
  return rule && !INTENDED.test(`${rule.table} ${rule.chain}`) ? rule : undefined;
}
