/** There and back: the way of a packet through the namespaces of this host, and that of the answer. */
import { type Address, formatAddress } from "../../lib/netaddr/address.ts";
import { ROUTE_TYPES } from "../../lib/rtnetlink/route-lookup.ts";
import { bridge } from "./bridge-walk.ts";
import { sameTuple, tupleOf } from "./filter/connection.ts";
import { answerTo, formatPacket, type Packet } from "./filter/packet.ts";
import { doubtText } from "./filter-hop.ts";
import { type End, type Flight, questionFlight, UNKNOWN_MAC, type Walk } from "./flight.ts";
import { receiveIp, send } from "./ip-walk.ts";
import { receive, transmit } from "./link-walk.ts";
import type { Node, NodePort, World } from "./node.ts";
import { type Hop, Trail } from "./trail.ts";

/** Where the packet is from: a namespace that can be seen, or somebody beyond. */
export type Origin = { readonly node: Node } | { readonly outside: Address };

export interface TraceQuestion {
  readonly origin: Origin;
  readonly packet: Packet;
}

export interface Leg {
  /** As it was sent. */
  readonly packet: Packet;
  readonly hops: readonly Hop[];
  readonly verdict: "delivered" | "left" | "dropped";
  /** Why it was dropped, or where it left to. */
  readonly reason: string;
  /** The namespace where that is. */
  readonly place: string;
  /** A packet filter dropped it. */
  readonly isFiltered: boolean;
}

export interface TraceResult {
  readonly verdict: "passes" | "dropped";
  readonly there: Leg;
  /** undefined when the packet does not get there. */
  readonly back: Leg | undefined;
  /** What the verdict depends on, and cannot be known. */
  readonly unknown: readonly string[];
  /** The namespaces on both ways, with the packets as they come to them. */
  readonly visits: ReadonlyMap<Node, readonly Packet[]>;
}

export function trace(world: World, { origin, packet }: TraceQuestion, now = new Date()): TraceResult {
  const walk = makeWalk(world, now);
  const trail = new Trail();
  const flight: Flight = {
    packet,
    frame: { source: UNKNOWN_MAC, destination: UNKNOWN_MAC },
    mark: 0,
    tracked: undefined,
    trail,
  };
  const end = "node" in origin ? walk.send(origin.node, flight) : enter(walk, origin.outside, flight);
  const there = legOf(packet, end, 0);
  const unknown = [...unknownOf(end), ...untranslated(origin, end), ...elsewhere(world, end)];
  if (there.verdict === "dropped")
    return { verdict: "dropped", there, back: undefined, unknown, visits: visitsOf(end) };
  const hopsBefore = end.flight.trail.hops.length;
  const answer = { ...answerTo(end.flight.packet), length: packet.length };
  const returned = expected(origin, packet, sendBack(walk, end, answer));
  const back = legOf(answer, returned, hopsBefore);
  const verdict = back.verdict === "dropped" ? "dropped" : "passes";
  const all = [...new Set([...unknown, ...unknownOf(returned)])];
  return { verdict, there, back, unknown: all, visits: visitsOf(returned) };
}

function makeWalk(world: World, now: Date): Walk {
  const walk: Walk = {
    world,
    now,
    send: (node, flight) => send(walk, node, flight),
    transmit: (port, flight) => transmit(walk, port, flight),
    receive: (port, flight) => receive(walk, port, flight),
    receiveIp: (port, flight) => receiveIp(walk, port, flight),
    bridge: (port, bridgePort, flight) => bridge(walk, port, bridgePort, flight),
  };
  return walk;
}

/** From beyond: by the interface that this host would answer by. */
function enter(walk: Walk, outside: Address, flight: Flight): End {
  const { host } = walk.world;
  const route = host.lookUp({ destination: outside });
  const link = typeof route === "string" ? undefined : host.link(route.oif);
  if (!link || typeof route === "string" || route.type === ROUTE_TYPES.local) {
    const reason = `${host.name} has no route to ${formatAddress(outside)}: it cannot be told where that comes in`;
    return { verdict: "dropped", reason, flight, at: { node: host, link } };
  }
  const port = { node: host, link };
  flight.trail.add(host, link, `comes in by ${link.name}`);
  return walk.receive(port, { ...flight, frame: frameFromBeyond(walk, port, flight) });
}

/** To who answers for the address on that link, else to this host as a router. */
function frameFromBeyond(walk: Walk, port: NodePort, flight: Flight): Flight["frame"] {
  const question = questionFlight(flight, flight.packet.destination, UNKNOWN_MAC);
  const asked = walk.receive(port, question);
  return { source: UNKNOWN_MAC, destination: asked.mac ?? port.link.mac };
}

/** By who got it; of what left, from beyond, to the MAC that it left with. */
function sendBack(walk: Walk, end: End, answer: Packet): End {
  const { node, link } = end.at;
  const flight: Flight = { ...end.flight, packet: answer, mark: 0, tracked: undefined, question: undefined };
  if (end.verdict === "delivered" || !link) return walk.send(node, flight);
  const frame = { source: UNKNOWN_MAC, destination: end.flight.frame.source };
  return walk.receive({ node, link }, { ...flight, frame });
}

/** Whether the answer is what the sender waits for: from whom it asked, and where it is. */
function expected(origin: Origin, question: Packet, end: End): End {
  const wanted = answerTo(question);
  const isThere =
    "node" in origin ? end.verdict === "delivered" && end.at.node === origin.node : end.verdict === "left";
  if (isThere && sameTuple(tupleOf(end.flight.packet), tupleOf(wanted))) return end;
  if (end.verdict === "dropped" || end.verdict === "ignored") return end;
  const where = end.verdict === "left" ? end.reason : end.at.node.name;
  const reason = isThere
    ? `the answer comes from another address than was asked: ${formatPacket(end.flight.packet)}`
    : `the answer goes elsewhere: ${where}`;
  return { ...end, verdict: "dropped", reason };
}

function legOf(packet: Packet, end: End, hopsBefore: number): Leg {
  const { verdict, reason, flight, at } = end;
  return {
    packet,
    hops: flight.trail.hops.slice(hopsBefore),
    verdict: verdict === "delivered" || verdict === "left" ? verdict : "dropped",
    reason: reason === "" && verdict !== "delivered" ? "nobody takes it" : reason,
    place: at.node.name,
    isFiltered: end.isFiltered === true,
  };
}

function visitsOf({ flight }: End): TraceResult["visits"] {
  return flight.trail.visits;
}

function unknownOf({ flight }: End): string[] {
  return [...flight.trail.doubts.map(doubtText), ...flight.trail.reservations];
}

/** What leaves with an address that nobody beyond may know a way to. */
function untranslated(origin: Origin, { verdict, flight, at }: End): string[] {
  if (verdict !== "left" || "outside" in origin) return [];
  const { source } = flight.packet;
  const isRouted = at.link !== undefined && flight.frame.source.toHex() === at.link.mac.toHex();
  if (!isRouted || at.node.owns(source)) return [];
  return [
    `it leaves from ${formatAddress(source)}, which is not translated: whether those beyond ${at.link?.name} know the way back`,
  ];
}

/** What leaves although who has the address is here: somebody beyond may bring it back, or not. */
function elsewhere(world: World, { verdict, flight, at }: End): string[] {
  const { destination } = flight.packet;
  const owner = verdict === "left" ? world.ownerOf(destination) : undefined;
  if (!owner) return [];
  const text = formatAddress(destination);
  return [`it leaves by ${at.link?.name}, although ${owner.name} has ${text}: whether it is brought back`];
}
