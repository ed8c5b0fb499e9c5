/** Out by an interface, and in by one: what each kind of link does with a frame (drivers/net/*.c). */
import { MACVLAN_MODES, macvlan, vlan } from "../../lib/rtnetlink/link-kinds.ts";
import { compareBytes } from "./filter/known-bytes.ts";
import { filtered } from "./filter-hop.ts";
import {
  crossed,
  dropped,
  type End,
  type Flight,
  ignored,
  isBroadcast,
  isLost,
  tryAll,
  type Walk,
} from "./flight.ts";
import { receiveAboveIpvlan, transmitIpvlan } from "./ipvlan-walk.ts";
import type { NodePort } from "./node.ts";
import { downReason } from "./refusal.ts";
import { transmitVxlan } from "./vxlan-walk.ts";

/** A tag may come on top of what a device's MTU says (is_skb_forwardable()). */
const VLAN_HLEN = 4;

export function transmit(walk: Walk, port: NodePort, flight: Flight): End {
  const { node, link } = port;
  if (isLost(flight)) return dropped(port, flight, "it goes round in a circle");
  if (!link.up) return dropped(port, flight, downReason(port));
  const passed = filtered(
    node,
    flight,
    { family: "netdev", hook: "egress", iif: link, isFramed: true },
    walk.now,
  );
  if ("end" in passed) return passed.end;
  const next = passed.flight;
  switch (link.kind) {
    case "veth":
      return transmitVeth(walk, port, next);
    case "bridge":
      return walk.bridge(port, port, next);
    case "vlan":
      return transmitVlan(walk, port, next);
    case "macvlan":
    case "macvtap":
      return transmitMacvlan(walk, port, next);
    case "ipvlan":
      return transmitIpvlan(walk, port, next);
    case "vxlan":
      return transmitVxlan(walk, port, next);
    case "dummy":
      return dropped(port, next, `${link.name} of ${node.name} is a dummy: what it is given ends there`);
    default:
      if (link.name === "lo") return walk.receive(port, next);
      return leave(port, next);
  }
}

/** Out of what can be seen: a physical device, a tap, the other end of a veth in a namespace of others. */
export function leave(port: NodePort, flight: Flight): End {
  const { node, link } = port;
  const to =
    link.kind === "veth"
      ? "to the other end of the veth, in a namespace that cannot be seen from here"
      : link.kind === "tun"
        ? "to the process that holds the device"
        : "to the wire";
  if (!flight.question) flight.trail.add(node, link, `leaves by ${link.name}, ${to}`);
  return { verdict: "left", reason: `by ${link.name} of ${node.name}, ${to}`, flight, at: port };
}

function transmitVeth(walk: Walk, port: NodePort, flight: Flight): End {
  const peer = walk.world.peerOf(port);
  if (!peer) return leave(port, flight);
  const { link } = peer;
  if (!link.up) {
    return dropped(
      peer,
      flight,
      `the other end of ${port.link.name}, ${link.name} of ${peer.node.name}, is down`,
    );
  }
  const { length } = flight.packet;
  if (!flight.question && length > link.mtu + VLAN_HLEN) {
    const reason = `${length} bytes do not fit ${link.name} of ${peer.node.name}, whose MTU is ${link.mtu}`;
    return dropped(peer, flight, reason);
  }
  return walk.receive(peer, crossed(port, peer, flight));
}

function transmitVlan(walk: Walk, port: NodePort, flight: Flight): End {
  const lower = walk.world.peerOf(port);
  if (!lower) return leave(port, flight);
  const vlanId = vlan.read(port.link.data).id;
  const frame = { ...flight.frame, vlanId };
  if (!flight.question)
    flight.trail.add(port.node, port.link, `tagged with VLAN ${vlanId}, out by ${lower.link.name}`);
  return walk.transmit(lower, { ...crossed(port, lower, flight), frame });
}

function transmitMacvlan(walk: Walk, port: NodePort, flight: Flight): End {
  const lower = walk.world.peerOf(port);
  if (!lower) return leave(port, flight);
  const isBridge = macvlanMode(port) === MACVLAN_MODES.bridge;
  const siblings = isBridge
    ? walk.world.above(lower).filter((each) => isSibling(each, port) && isMacvlan(each))
    : [];
  const takers = siblings.filter(
    (each) =>
      macvlanMode(each) === MACVLAN_MODES.bridge &&
      (isBroadcast(flight) || compareBytes(each.link.mac, flight.frame.destination) === 0),
  );
  const ways = takers.map((each) => (copy: Flight) => {
    if (!copy.question)
      copy.trail.add(port.node, port.link, `macvlan: to ${each.link.name} above the same ${lower.link.name}`);
    return walk.receive(each, crossed(port, each, copy));
  });
  const isOut = takers.length === 0 || isBroadcast(flight);
  const out = (copy: Flight) => {
    if (!copy.question)
      copy.trail.add(port.node, port.link, `macvlan: out by ${lower.link.name} of ${lower.node.name}`);
    return walk.transmit(lower, crossed(port, lower, copy));
  };
  return tryAll(port.node, flight, isOut ? [...ways, out] : ways) ?? leave(port, flight);
}

function isMacvlan({ link }: NodePort): boolean {
  return link.kind === "macvlan" || link.kind === "macvtap";
}

function isSibling(a: NodePort, b: NodePort): boolean {
  return a.node !== b.node || a.link.index !== b.link.index;
}

function macvlanMode({ link }: NodePort): number | undefined {
  return macvlan.read(link.data).mode;
}

export function receive(walk: Walk, port: NodePort, flight: Flight): End {
  const { node, link } = port;
  if (isLost(flight)) return dropped(port, flight, "it goes round in a circle");
  if (!link.up) return dropped(port, flight, downReason(port));
  const question = { family: "netdev", hook: "ingress", iif: link, isFramed: true } as const;
  const passed = filtered(node, flight, question, walk.now);
  if ("end" in passed) return passed.end;
  const next = passed.flight;
  const above = walk.world.above(port);
  const tagged = next.frame.vlanId;
  if (tagged !== undefined) {
    const vlanPort = above.find(
      (each) => each.link.kind === "vlan" && vlan.read(each.link.data).id === tagged,
    );
    if (vlanPort) {
      const { vlanId: _tag, ...frame } = next.frame;
      return walk.receive(vlanPort, { ...crossed(port, vlanPort, next), frame });
    }
  }
  const bridge = link.master === undefined ? undefined : node.link(link.master);
  if (bridge?.kind === "bridge") return walk.bridge(port, { node, link: bridge }, next);
  return receiveAbove(walk, port, above, next);
}

/** The devices above take what is theirs, and leave the rest to the namespace itself. */
function receiveAbove(walk: Walk, port: NodePort, above: readonly NodePort[], flight: Flight): End {
  const macvlans = above.filter(isMacvlan);
  const takers = macvlans.filter(
    (each) =>
      isBroadcast(flight) ||
      compareBytes(each.link.mac, flight.frame.destination) === 0 ||
      macvlanMode(each) === MACVLAN_MODES.passthru,
  );
  const ways = takers.map((each) => (copy: Flight) => walk.receive(each, crossed(port, each, copy)));
  const isTaken = takers.length > 0 && !isBroadcast(flight);
  const own = (copy: Flight) => receiveOwn(walk, port, above, copy);
  return (
    tryAll(port.node, flight, isTaken ? ways : [...ways, own]) ?? ignored(port, flight, "nobody takes it")
  );
}

function receiveOwn(walk: Walk, port: NodePort, above: readonly NodePort[], flight: Flight): End {
  const ipvlans = above.filter(({ link }) => link.kind === "ipvlan");
  if (ipvlans.length > 0) {
    const end = receiveAboveIpvlan(walk, port, ipvlans, flight);
    if (end) return end;
  }
  if (flight.frame.vlanId !== undefined) {
    return ignored(port, flight, `${port.link.name} of ${port.node.name} has no VLAN ${flight.frame.vlanId}`);
  }
  return walk.receiveIp(port, flight);
}
