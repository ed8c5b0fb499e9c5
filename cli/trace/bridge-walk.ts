/** What a bridge does with a frame (net/bridge/br_input.c, br_forward.c, br_netfilter_hooks.c). */
import { formatAddress, sameAddress } from "../../lib/netaddr/address.ts";
import { formatMac } from "../../lib/netaddr/mac.ts";
import type { Link } from "../../lib/rtnetlink/link.ts";
import { bridge as bridgeAttributes } from "../../lib/rtnetlink/link-attributes.ts";
import { type FdbEntry, NUD_PERMANENT } from "../../lib/rtnetlink/neighbour.ts";
import { compareBytes } from "./filter/known-bytes.ts";
import { familyOf } from "./filter/packet.ts";
import { filtered, type HookQuestion } from "./filter-hop.ts";
import {
  dropped,
  type End,
  type Flight,
  ignored,
  isBroadcast,
  questionFlight,
  tryAll,
  type Walk,
} from "./flight.ts";
import { answering } from "./neighbour-walk.ts";
import type { Node, NodePort } from "./node.ts";

// linux/if_bridge.h
const BR_STATE_LEARNING = 2;
const BR_STATE_FORWARDING = 3;
/** linux/neighbour.h */
const NTF_STICKY = 0x40;
/** NF_BR_PRI_BRNF: where a bridged packet is shown to the filters of IP. */
const BRNF = 0;
/** A tag may come on top of what a device's MTU says (is_skb_forwardable()). */
const VLAN_HLEN = 4;

/** @param port where it came in; the bridge itself for what this namespace sends */
export function bridge(walk: Walk, port: NodePort, bridgePort: NodePort, flight: Flight): End {
  const { node, link } = port;
  const vlanId = vlanIn(port, bridgePort, flight);
  if (vlanId === "none") return refusesVlan(port, flight);
  const place: Place = { port, bridge: bridgePort, vlanId };
  if (isOwn(place)) {
    const passed = ask(walk, node, flight, { hook: "output", oif: link, isFramed: true });
    return "end" in passed ? passed.end : forward(walk, place, passed.flight);
  }
  if (!bridgePort.link.up) {
    return dropped(bridgePort, flight, `${bridgePort.link.name} of ${node.name} is down`);
  }
  const state = link.port?.state ?? BR_STATE_FORWARDING;
  if (state >= BR_STATE_LEARNING && link.port?.learning !== 0) {
    flight.trail.learn(bridgePort, keyOf(flight.frame.source, vlanId), link);
  }
  if (state !== BR_STATE_FORWARDING) {
    return dropped(port, flight, `${link.name} is not forwarding in ${bridgePort.link.name} of ${node.name}`);
  }
  const passed = prerouting(walk, port, bridgePort, flight);
  return "end" in passed ? passed.end : take(walk, place, passed.flight);
}

/** Where in a bridge a frame is. */
interface Place {
  readonly port: NodePort;
  readonly bridge: NodePort;
  /** undefined where the bridge has no VLANs. */
  readonly vlanId: number | undefined;
}

/** The namespace itself sends it. */
function isOwn({ port, bridge: bridgePort }: Place): boolean {
  return port.link.index === bridgePort.link.index;
}

function take(walk: Walk, place: Place, flight: Flight): End {
  const { bridge: bridgePort, port } = place;
  if (isBroadcast(flight)) {
    const answered = suppressed(place, flight);
    if (answered) return answered;
    const up = (copy: Flight) => passUp(walk, place, copy);
    const out = (copy: Flight) => forward(walk, place, copy);
    return tryAll(port.node, flight, [up, out]) ?? ignored(port, flight, "nobody answers");
  }
  const isUp = isOwnMac(bridgePort, flight.frame.destination);
  return isUp ? passUp(walk, place, flight) : forward(walk, place, flight);
}

/** Up to the namespace that the bridge is in. */
function passUp(walk: Walk, { port, bridge: bridgePort, vlanId }: Place, flight: Flight): End {
  const { node } = port;
  const { name } = bridgePort.link;
  let next = flight;
  if (vlanId !== undefined) {
    const own = node.vlansOf(bridgePort.link).find((each) => each.vlanId === vlanId);
    if (!own && flight.question) return ignored(port, flight, "another VLAN");
    if (!own) return dropped(port, flight, `${name} of ${node.name} itself is not in VLAN ${vlanId}`);
    const { vlanId: _tag, ...frame } = flight.frame;
    next = { ...flight, frame: own.untagged ? frame : { ...frame, vlanId } };
  }
  const passed = ask(walk, node, next, { hook: "input", iif: port.link, isFramed: true });
  if ("end" in passed) return passed.end;
  if (!flight.question) {
    const mac = formatMac(flight.frame.destination);
    next.trail.add(node, port.link, `port of ${name}, up to ${node.name} itself`, [
      { kind: "fdb", text: `${mac} is ${name}'s own` },
    ]);
  }
  return walk.receive(bridgePort, passed.flight);
}

/** To the port that the forwarding table names; to all where it names none. */
function forward(walk: Walk, place: Place, flight: Flight): End {
  const { bridge: bridgePort, port } = place;
  const { node } = port;
  const ports = node.stack.portsOf(bridgePort.link);
  if (isBroadcast(flight)) {
    const open = ports.filter((each) => refusalOf(place, each) === undefined && each.port?.bcastFlood !== 0);
    const ways = ownersFirst(walk, place, open, flight).map(
      (each) => (copy: Flight) => deliver(walk, place, each, copy),
    );
    return tryAll(node, flight, ways) ?? ignored(port, flight, lostReason(place, ports, flight));
  }
  const known = knownPort(place, flight);
  if (!known) return flood(walk, place, ports, flight);
  const refusal = refusalOf(place, known.link);
  if (refusal !== undefined) return dropped(port, flight, refusal);
  flight.trail.add(node, port.link, `bridge ${bridgePort.link.name}: to its port ${known.link.name}`, [
    { kind: "fdb", text: known.text },
  ]);
  return deliver(walk, place, known.link, flight);
}

/** A question comes first to who has the address: of many on a bridge the others need not be asked. */
function ownersFirst(
  walk: Walk,
  { port: { node } }: Place,
  ports: readonly Link[],
  { question }: Flight,
): readonly Link[] {
  if (!question) return ports;
  const byHaving = Map.groupBy(ports, (link) => walk.world.peerOf({ node, link })?.node.owns(question));
  return [true, false, undefined].flatMap((hasIt) => byHaving.get(hasIt) ?? []);
}

function flood(walk: Walk, place: Place, ports: readonly Link[], flight: Flight): End {
  const { bridge: bridgePort, port } = place;
  const { node } = port;
  const text = `${formatMac(flight.frame.destination)} is not in the table`;
  const open = ports.filter((each) => refusalOf(place, each) === undefined && each.port?.unicastFlood !== 0);
  const ways = open.map((each) => (copy: Flight) => {
    copy.trail.add(node, port.link, `bridge ${bridgePort.link.name}: to every port, of them ${each.name}`, [
      { kind: "fdb", text },
    ]);
    return deliver(walk, place, each, copy);
  });
  const end = tryAll(node, flight, ways);
  if (end && end.verdict !== "ignored") return end;
  return dropped(port, flight, lostReason(place, ports, flight));
}

/** Why nobody gets the frame: what is wrong with a port, or that none leads there. */
function lostReason(place: Place, ports: readonly Link[], flight: Flight): string {
  const { bridge: bridgePort, port } = place;
  const refusals = ports.map((each) => refusalOf(place, each));
  const isolated = refusals.find((text) => text?.includes("isolated"));
  if (isolated !== undefined) return isolated;
  if (flight.question) return `no port of ${bridgePort.link.name} in ${port.node.name} leads to who has it`;
  const mac = formatMac(flight.frame.destination);
  return `no port of ${bridgePort.link.name} in ${port.node.name} leads to ${mac}`;
}

/** Why a frame may not go out there; undefined where it may (should_deliver()). */
function refusalOf(place: Place, out: Link): string | undefined {
  const { port, vlanId, bridge: bridgePort } = place;
  const { node, link } = port;
  if (out.index === link.index && (link.port?.mode ?? 0) === 0) {
    return `${out.name} is where it came from, and its hairpin mode is off`;
  }
  if ((out.port?.state ?? BR_STATE_FORWARDING) !== BR_STATE_FORWARDING) {
    return `${out.name} of ${node.name} is not forwarding`;
  }
  if (!isOwn(place) && out.port?.isolated === 1 && link.port?.isolated === 1) {
    return `${link.name} and ${out.name} are isolated ports of ${bridgePort.link.name} in ${node.name}`;
  }
  const isMember = vlanId === undefined || node.vlansOf(out).some((each) => each.vlanId === vlanId);
  return isMember ? undefined : `${out.name} of ${node.name} is not in VLAN ${vlanId}`;
}

function deliver(walk: Walk, place: Place, out: Link, flight: Flight): End {
  const { port, vlanId } = place;
  const { node } = port;
  const passed = forwarded(walk, place, out, flight);
  if ("end" in passed) return passed.end;
  const next = passed.flight;
  if (!next.question && next.packet.length > out.mtu + VLAN_HLEN) {
    const reason = `${next.packet.length} bytes do not fit ${out.name} of ${node.name}, whose MTU is ${out.mtu}`;
    return dropped(port, next, reason);
  }
  const isUntagged =
    vlanId === undefined || node.vlansOf(out).some((each) => each.vlanId === vlanId && each.untagged);
  const { vlanId: _tag, ...frame } = next.frame;
  const sent = { ...next, frame: isUntagged ? frame : { ...frame, vlanId } };
  const end = walk.transmit({ node, link: out }, sent);
  // who answers does so by the port that the question went out by
  if (end.verdict !== "answered" || !end.mac) return end;
  if (out.port?.learning !== 0) end.flight.trail.learn(place.bridge, keyOf(end.mac, vlanId), out);
  return answerBack(walk, place, out, end);
}

/** The answer to a question goes through the same filter, the other way. */
function answerBack(walk: Walk, place: Place, out: Link, end: End): End {
  const { port } = place;
  const { packet } = end.flight;
  const [source, destination] = [packet.destination, packet.source];
  const flight: Flight = { ...end.flight, packet: { ...packet, source, destination, isAnswer: true } };
  const hooks: Omit<HookQuestion, "family">[] = [
    { hook: "prerouting", iif: out, isFramed: true },
    isOwn(place)
      ? { hook: "input", iif: out, isFramed: true }
      : { hook: "forward", iif: out, oif: port.link, isFramed: true },
  ];
  for (const hook of hooks) {
    const passed = ask(walk, port.node, flight, hook);
    if ("end" in passed) return { ...passed.end, reason: `the answer: ${passed.end.reason}` };
  }
  return end;
}

type Passed = { flight: Flight } | { end: End };

/** The hooks of a frame from port to port; what the namespace itself sends passes the last alone. */
function forwarded(walk: Walk, place: Place, out: Link, flight: Flight): Passed {
  const { port, bridge: bridgePort } = place;
  const { node } = port;
  const { link } = bridgePort;
  const isShown = !isOwn(place) && callsIp(bridgePort, flight);
  const ports = { bridgeIn: port.link, bridgeOut: out };
  const show = (next: Flight, question: Pick<HookQuestion, "hook" | "iif" | "oif">) =>
    filtered(node, next, { family: "ip", isFramed: true, ...ports, ...question }, walk.now);
  let next = flight;
  if (!isOwn(place)) {
    const passed = ask(walk, node, next, { hook: "forward", iif: port.link, oif: out, isFramed: true });
    if ("end" in passed) return passed;
    next = passed.flight;
  }
  if (isShown) {
    const passed = show(next, { hook: "forward", iif: link, oif: link });
    if ("end" in passed) return passed;
    next = passed.flight;
  }
  const iif = isOwn(place) ? undefined : port.link;
  const passed = ask(walk, node, next, { hook: "postrouting", iif, oif: out, isFramed: true });
  if ("end" in passed || !isShown) return passed;
  return show(passed.flight, { hook: "postrouting", oif: link });
}

/** The filter of bridges, with that of IP in its middle where the host has it look at what is bridged. */
function prerouting(walk: Walk, port: NodePort, bridgePort: NodePort, flight: Flight): Passed {
  const { node, link } = port;
  const question = { hook: "prerouting", iif: link, isFramed: true } as const;
  if (!callsIp(bridgePort, flight)) return ask(walk, node, flight, question);
  const early = ask(walk, node, flight, { ...question, below: BRNF });
  if ("end" in early) return early;
  const shown = filtered(
    node,
    early.flight,
    { family: "ip", hook: "prerouting", iif: bridgePort.link, bridgeIn: link, isFramed: true },
    walk.now,
  );
  if ("end" in shown) return shown;
  const isTranslated = !sameAddress(shown.flight.packet.destination, early.flight.packet.destination);
  const next = isTranslated ? readdressed(walk, bridgePort, shown.flight) : shown.flight;
  return ask(walk, node, { ...next, isPrerouted: true }, { ...question, from: BRNF });
}

/**
 * As br_nf_pre_routing_finish(): to a translated address on this bridge the frame is bridged on, to its
 * neighbour; to any other it is the namespace's own to route.
 */
function readdressed(walk: Walk, bridgePort: NodePort, flight: Flight): Flight {
  const { node, link } = bridgePort;
  const { destination } = flight.packet;
  const route = node.lookUp({ destination });
  const isHere = typeof route !== "string" && route.oif === link.index;
  const nextHop = (typeof route === "string" ? undefined : route.gateway) ?? destination;
  const ask = () => walk.transmit(bridgePort, questionFlight(flight, nextHop, link.mac)).mac;
  const mac = isHere ? (macOf(node, link, nextHop) ?? ask()) : undefined;
  return { ...flight, frame: { ...flight.frame, destination: mac ?? link.mac } };
}

function macOf(node: Node, { index }: Link, address: Flight["packet"]["destination"]) {
  return node.stack.neighbours.find(
    (each) => each.ifindex === index && sameAddress(each.address, address) && each.mac.length === 6,
  )?.mac;
}

/** net.bridge.bridge-nf-call-iptables, of the namespace or of the bridge alone. */
function callsIp({ node, link }: NodePort, flight: Flight): boolean {
  if (flight.question) return false;
  const isV4 = familyOf(flight.packet) === 4;
  const { nfCallIptables, nfCallIp6tables } = bridgeAttributes.read(link.data);
  if ((isV4 ? nfCallIptables : nfCallIp6tables) === 1) return true;
  return node.setting(`net/bridge/bridge-nf-call-${isV4 ? "iptables" : "ip6tables"}`) === 1;
}

/** The filter of bridges. */
function ask(walk: Walk, node: Node, flight: Flight, question: Omit<HookQuestion, "family">): Passed {
  const bridgeOf = (link: Link | undefined) => (link?.kind === "bridge" ? link : node.link(link?.master));
  const bridges = { bridgeOfIif: bridgeOf(question.iif), bridgeOfOif: bridgeOf(question.oif) };
  return filtered(node, flight, { family: "bridge", ...question, ...bridges }, walk.now);
}

function vlanIn({ node, link }: NodePort, bridgePort: NodePort, flight: Flight): number | undefined | "none" {
  if (bridgeAttributes.read(bridgePort.link.data).vlanFiltering !== 1) return undefined;
  const vlans = node.vlansOf(link);
  const tag = flight.frame.vlanId;
  const found =
    tag === undefined ? vlans.find(({ pvid }) => pvid) : vlans.find(({ vlanId }) => vlanId === tag);
  return found?.vlanId ?? "none";
}

function refusesVlan(port: NodePort, flight: Flight): End {
  const tag = flight.frame.vlanId;
  const what = tag === undefined ? "frames without a tag" : `frames of VLAN ${tag}`;
  return dropped(port, flight, `${port.link.name} of ${port.node.name} takes no ${what}`);
}

function isOwnMac({ node, link }: NodePort, mac: Uint8Array): boolean {
  if (compareBytes(link.mac, mac) === 0) return true;
  return node.stack.portsOf(link).some((port) => compareBytes(port.mac, mac) === 0);
}

function knownPort(place: Place, { frame, trail }: Flight): { link: Link; text: string } | undefined {
  const { bridge: bridgePort, vlanId } = place;
  const { node } = bridgePort;
  const mac = formatMac(frame.destination);
  const isMeant = ({ mac: each, vlan, state, dst }: FdbEntry) =>
    compareBytes(each, frame.destination) === 0 &&
    (vlanId === undefined || vlan === undefined || vlan === vlanId) &&
    (state & NUD_PERMANENT) === 0 &&
    dst === undefined;
  const ports = node.stack.portsOf(bridgePort.link);
  const entry = node.stack.fdb.find(
    (each) => isMeant(each) && ports.some(({ index }) => index === each.ifindex),
  );
  const learned = node.link(trail.learnedPort(bridgePort, keyOf(frame.destination, vlanId)));
  // a MAC that is seen elsewhere moves there, also from a static entry, unless that is sticky
  const isKept = entry && (!learned || entry.ifindex === learned.index || (entry.flags & NTF_STICKY) !== 0);
  const link = isKept ? node.link(entry.ifindex) : learned;
  if (!link) return undefined;
  const where = vlanId === undefined ? "" : ` vlan ${vlanId}`;
  return { link, text: `${mac} dev ${link.name}${where}${isKept ? "" : ", learned meanwhile"}` };
}

function keyOf(mac: Uint8Array, vlanId: number | undefined): string {
  return `${mac.toHex()} ${vlanId}`;
}

/** A port with neigh_suppress has the bridge answer for who is behind it (br_do_proxy_suppress_arp()). */
function suppressed({ bridge: bridgePort }: Place, flight: Flight): End | undefined {
  const { node, link } = bridgePort;
  const { question } = flight;
  if (!question || !node.stack.portsOf(link).some(({ port }) => port?.neighSuppress === 1)) return undefined;
  const mac = macOf(node, link, question);
  if (!mac) return undefined;
  const text = `${link.name} of ${node.name} answers for ${formatAddress(question)}`;
  return answering(bridgePort, flight, { mac, text });
}
