/** What a namespace does with a packet itself: routes, hooks, forwarding (net/ipv4/ip_*.c). */
import { type Address, formatAddress, isMulticast, sameAddress } from "../../lib/netaddr/address.ts";
import { formatPrefix, networkOf } from "../../lib/netaddr/prefix.ts";
import type { Link } from "../../lib/rtnetlink/link.ts";
import { RT_TABLE_MAIN } from "../../lib/rtnetlink/route.ts";
import { ROUTE_TYPES, type RouteFound } from "../../lib/rtnetlink/route-lookup.ts";
import { compareBytes } from "./filter/known-bytes.ts";
import { familyOf, type Packet } from "./filter/packet.ts";
import { filtered, type HookQuestion } from "./filter-hop.ts";
import { dropped, type End, type Flight, ignored, isBroadcast, type Walk } from "./flight.ts";
import { addressed, answerQuestion } from "./neighbour-walk.ts";
import type { Node, NodePort } from "./node.ts";
import { downReason, inputRefusal, ipv6ForwardingReason } from "./refusal.ts";
import type { Evidence } from "./trail.ts";

/** 255.255.255.255 (RFC 919) */
const LIMITED_BROADCAST = 0xffff_ffffn;

/** This namespace sends it. */
export function send(walk: Walk, node: Node, given: Flight): End {
  let flight = given;
  let route = outputRoute(node, flight);
  if (typeof route === "string") return unroutable(node, flight, route);
  if (isForMany(flight.packet, route)) return forMany({ node }, flight);
  const oif = node.link(route.oif);
  const passed = ip(walk, node, flight, { hook: "output", oif });
  if ("end" in passed) return passed.end;
  const { packet } = flight;
  flight = passed.flight;
  if (!sameAddress(flight.packet.destination, packet.destination) || flight.mark !== given.mark) {
    route = outputRoute(node, flight);
    if (typeof route === "string") return unroutable(node, flight, route);
  }
  noteRoute(node, flight, route);
  if (route.type === ROUTE_TYPES.local) return sendToItself(walk, node, flight);
  return output(walk, node, flight, { route });
}

function outputRoute(node: Node, { packet, mark }: Flight): RouteFound | string {
  const { source, destination, protocol, sourcePort, destinationPort } = packet;
  const isOwn = node.owns(source);
  return node.lookUp({
    destination,
    ...(isOwn && { source }),
    mark,
    protocol,
    sourcePort,
    destinationPort,
  });
}

function unroutable(node: Node, flight: Flight, code: string): End {
  const { destination } = flight.packet;
  const text = `${node.name} has no route to ${formatAddress(destination)} (${code})`;
  return dropped({ node }, flight, text);
}

/** With a default route, what is found of a group or of 255.255.255.255 is that. */
function isForMany({ destination }: Packet, { type }: RouteFound): boolean {
  const isLimitedBroadcast = destination.family === 4 && destination.value === LIMITED_BROADCAST;
  return type === ROUTE_TYPES.broadcast || isLimitedBroadcast || isMulticast(destination);
}

function forMany(at: Pick<NodePort, "node"> & Partial<NodePort>, flight: Flight): End {
  return dropped(at, flight, `${formatAddress(flight.packet.destination)} is no address of one host`);
}

/** To an address of its own: by the loopback, which comes in again. */
function sendToItself(walk: Walk, node: Node, flight: Flight): End {
  const lo = node.stack.link("lo");
  if (!lo) return dropped({ node }, flight, `${node.name} has no loopback`);
  const passed = ip(walk, node, flight, { hook: "postrouting", oif: lo });
  if ("end" in passed) return passed.end;
  const port = { node, link: lo };
  if (!lo.up) return dropped(port, passed.flight, downReason(port));
  const frame = { source: lo.mac, destination: lo.mac };
  return receiveIp(walk, port, { ...passed.flight, frame });
}

interface Out {
  readonly route: RouteFound;
  /** Where it came in, of what is forwarded. */
  readonly iif?: Link;
}

function output(walk: Walk, node: Node, flight: Flight, { route, iif }: Out): End {
  const link = node.link(route.oif);
  if (!link) return dropped({ node }, flight, `${node.name} has no interface ${route.oif}`);
  const port = { node, link };
  const passed = ip(walk, node, flight, { hook: "postrouting", oif: link, iif, isFramed: iif !== undefined });
  if ("end" in passed) return passed.end;
  const next = passed.flight;
  const mtu = route.mtu ?? link.mtu;
  const { length, dontFragment } = next.packet;
  if (length > mtu && (dontFragment || (iif !== undefined && familyOf(next.packet) === 6))) {
    return dropped(
      port,
      next,
      `${length} bytes do not fit ${link.name} of ${node.name}, whose MTU is ${mtu}`,
    );
  }
  const { isPrerouted: _done, ...rest } = next;
  const isCut = length > mtu;
  if (isCut) next.trail.add(node, link, `cut in pieces of ${mtu} bytes`);
  const onward = isCut ? { ...rest, packet: { ...rest.packet, length: mtu } } : rest;
  const framed = addressed(walk, port, onward, route.gateway ?? next.packet.destination);
  return "end" in framed ? framed.end : walk.transmit(port, framed.flight);
}

/** It has come in by an interface of this namespace. */
export function receiveIp(walk: Walk, port: NodePort, flight: Flight): End {
  const { node, link } = port;
  if (flight.question) return answerQuestion(port, flight);
  const isMine =
    link.mac.length !== 6 || isBroadcast(flight) || compareBytes(flight.frame.destination, link.mac) === 0;
  if (!isMine) return ignored(port, flight, "a frame for another MAC");
  if (familyOf(flight.packet) === 6 && node.setting(`net/ipv6/conf/${link.name}/disable_ipv6`) === 1) {
    return dropped(port, flight, `IPv6 is disabled on ${link.name} of ${node.name}`);
  }
  let next = flight;
  if (!flight.isPrerouted) {
    const passed = ip(walk, node, flight, { hook: "prerouting", iif: link, isFramed: true });
    if ("end" in passed) return passed.end;
    next = passed.flight;
  }
  const route = inputRoute(port, next);
  if (typeof route === "string") return dropped(port, next, inputRefusal(port, next, route));
  if (route.type === ROUTE_TYPES.local) return deliver(walk, port, next);
  if (route.type !== ROUTE_TYPES.unicast) return forMany(port, next);
  return forward(walk, port, next, route);
}

/** On the loopback comes only what this namespace has sent: the kernel keeps the route of it. */
function inputRoute({ node, link }: NodePort, { packet, mark }: Flight): RouteFound | string {
  const { source, destination, protocol, sourcePort, destinationPort } = packet;
  if (link.name === "lo") return node.lookUp({ destination });
  const question = { destination, source, mark, protocol, sourcePort, destinationPort };
  return node.lookUp({ ...question, iif: link.index });
}

function deliver(walk: Walk, port: NodePort, flight: Flight): End {
  const { node, link } = port;
  const passed = ip(walk, node, flight, { hook: "input", iif: link, isFramed: true });
  if ("end" in passed) return passed.end;
  const next = passed.flight;
  next.trail.add(node, link, `arrives at ${formatAddress(next.packet.destination)}`);
  return { verdict: "delivered", reason: "", flight: next, at: port };
}

function forward(walk: Walk, port: NodePort, given: Flight, route: RouteFound): End {
  const { node, link } = port;
  if (familyOf(given.packet) === 6 && !forwardsIpv6(port)) {
    return dropped(port, given, ipv6ForwardingReason(node));
  }
  if (given.packet.ttl <= 1) return dropped(port, given, `its TTL is used up in ${node.name}`);
  const out = node.link(route.oif);
  const packet: Packet = { ...given.packet, ttl: given.packet.ttl - 1 };
  const flight = { ...given, packet };
  noteRoute(node, flight, route, link);
  const passed = ip(walk, node, flight, { hook: "forward", iif: link, oif: out, isFramed: true });
  if ("end" in passed) return passed.end;
  return output(walk, node, passed.flight, { route, iif: link });
}

function forwardsIpv6({ node, link }: NodePort): boolean {
  const isOn = (key: string) => node.setting(`net/ipv6/conf/${key}`) === 1;
  return isOn("all/forwarding") || isOn(`${link.name}/force_forwarding`);
}

function noteRoute(node: Node, { packet, trail }: Flight, route: RouteFound, iif?: Link): void {
  const { destination } = packet;
  const oif = node.link(route.oif);
  const way = route.type === ROUTE_TYPES.local ? "to itself" : `out by ${oif?.name}`;
  const verb = iif ? "forwards" : "sends";
  trail.add(node, iif ?? oif, `${verb} ${formatAddress(destination)} ${way}`, [
    routeEvidence(destination, route, oif),
  ]);
  const rivals = defaultRoutes(node, route);
  if (rivals.length > 1) {
    const ways = rivals.map(({ gateway, oif: index }) =>
      [gateway && `via ${formatAddress(gateway)}`, `dev ${node.link(index)?.name}`].filter(Boolean).join(" "),
    );
    trail.reservations.push(
      `${node.name} has several default routes of one metric (${ways.join(", ")}), and takes one whose gateway answers`,
    );
  }
}

/** IPv4 goes by the one whose gateway is a neighbour that has answered lately (fib_select_default()). */
function defaultRoutes(node: Node, { prefixLength, table, type, gateway }: RouteFound) {
  if (prefixLength !== 0 || table !== RT_TABLE_MAIN || type !== ROUTE_TYPES.unicast) return [];
  const all = node.stack.routes.filter(({ dst }) => dst.length === 0 && dst.address.family === 4);
  const taken = all.find((each) => each.gateway && gateway && sameAddress(each.gateway, gateway));
  return taken ? all.filter(({ priority }) => (priority ?? 0) === (taken.priority ?? 0)) : [];
}

/** As `ip route` has it. */
function routeEvidence(destination: Address, route: RouteFound, oif: Link | undefined): Evidence {
  const { prefixLength, gateway, table } = route;
  const dst =
    prefixLength === 0 ? "default" : formatPrefix(networkOf({ address: destination, length: prefixLength }));
  const parts = [route.type === ROUTE_TYPES.local ? `local ${dst}` : dst];
  if (gateway) parts.push(`via ${formatAddress(gateway)}`);
  if (oif) parts.push(`dev ${oif.name}`);
  const RT_TABLE_LOCAL = 255;
  if (table !== undefined && table !== RT_TABLE_MAIN && table !== RT_TABLE_LOCAL)
    parts.push(`table ${table}`);
  return { kind: "route", text: parts.join(" ") };
}

function ip(walk: Walk, node: Node, flight: Flight, question: Omit<HookQuestion, "family">) {
  return filtered(node, flight, { family: "ip", ...question }, walk.now);
}
