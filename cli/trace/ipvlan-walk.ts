/** ipvlan: one MAC, told apart by addresses (drivers/net/ipvlan/ipvlan_core.c). */
import { sameAddress } from "../../lib/netaddr/address.ts";
import { IPVLAN_FLAGS, IPVLAN_MODES, ipvlan } from "../../lib/rtnetlink/link-kinds.ts";
import { compareBytes } from "./filter/known-bytes.ts";
import { filtered } from "./filter-hop.ts";
import { crossed, dropped, type End, type Flight, isBroadcast, tryAll, type Walk } from "./flight.ts";
import type { NodePort } from "./node.ts";

export function transmitIpvlan(walk: Walk, port: NodePort, flight: Flight): End {
  const lower = walk.world.peerOf(port);
  if (!lower) return dropped(port, flight, `the device below ${port.link.name} cannot be seen from here`);
  const { mode, flags } = settingsOf(port);
  const isL2 = mode === IPVLAN_MODES.l2;
  const isBridge = flags === IPVLAN_FLAGS.bridge;
  const siblings = isBridge
    ? walk.world.above(lower).filter((each) => each.link.kind === "ipvlan" && !isSame(each, port))
    : [];
  const out = (copy: Flight) => {
    note(copy, port, `ipvlan: out by ${lower.link.name} of ${lower.node.name}`);
    return walk.transmit(lower, crossed(port, lower, copy));
  };
  if (isL2 && isBroadcast(flight)) {
    const ways = siblings.map((each) => (copy: Flight) => walk.receiveIp(each, crossed(port, each, copy)));
    return tryAll(port.node, flight, [...ways, out]) ?? out(flight);
  }
  const target = flight.question ?? flight.packet.destination;
  const isToOwnMac = compareBytes(flight.frame.destination, port.link.mac) === 0;
  const sibling = siblings.find((each) => holds(each, target));
  if (sibling && (!isL2 || isToOwnMac)) {
    note(flight, port, `ipvlan: to ${sibling.link.name} above the same ${lower.link.name}`);
    return walk.receiveIp(sibling, ownFrame(sibling, crossed(port, sibling, flight)));
  }
  if (!isL2) {
    note(flight, port, `ipvlan in mode ${nameOfMode(mode)}: routed by ${lower.node.name}`);
    return walk.send(lower.node, crossed(port, lower, flight));
  }
  if (isBridge && isToOwnMac) {
    note(flight, port, `ipvlan: to ${lower.link.name} of ${lower.node.name} itself`);
    return walk.receiveIp(lower, ownFrame(lower, crossed(port, lower, flight)));
  }
  return out(flight);
}

/** What comes in by the device below. @returns undefined for what the namespace itself takes */
export function receiveAboveIpvlan(
  walk: Walk,
  port: NodePort,
  ipvlans: readonly NodePort[],
  flight: Flight,
): End | undefined {
  const [first] = ipvlans;
  if (!first) return undefined;
  const { mode } = settingsOf(first); // all above one device have the same
  const owner = ipvlans.find((each) => holds(each, flight.question ?? flight.packet.destination));
  if (flight.question) {
    // above layer 2 nobody asks and nobody answers
    return owner && mode === IPVLAN_MODES.l2
      ? walk.receiveIp(owner, crossed(port, owner, flight))
      : undefined;
  }
  if (!owner || compareBytes(flight.frame.destination, port.link.mac) !== 0) return undefined;
  if (mode !== IPVLAN_MODES.l3s) {
    return walk.receiveIp(owner, ownFrame(owner, crossed(port, owner, flight)));
  }
  return receiveL3s(walk, port, owner, flight);
}

/** Of l3s the filter of the device's own namespace sees all that comes in for one above. */
function receiveL3s(walk: Walk, port: NodePort, owner: NodePort, flight: Flight): End {
  let next = flight;
  for (const hook of ["prerouting", "input"] as const) {
    const passed = filtered(
      port.node,
      next,
      { family: "ip", hook, iif: port.link, isFramed: true },
      walk.now,
    );
    if ("end" in passed) return passed.end;
    next = passed.flight;
  }
  note(next, owner, "arrives");
  return { verdict: "delivered", reason: "", flight: next, at: owner };
}

function settingsOf({ link }: NodePort): { mode: number; flags: number } {
  const { mode = IPVLAN_MODES.l3, flags = 0 } = ipvlan.read(link.data);
  return { mode, flags };
}

function nameOfMode(mode: number): string {
  return Object.entries(IPVLAN_MODES).find(([, number]) => number === mode)?.[0] ?? `${mode}`;
}

function holds({ node, link }: NodePort, address: Flight["packet"]["destination"]): boolean {
  return node.stack.addressesOf(link).some(({ prefix }) => sameAddress(prefix.address, address));
}

function isSame(a: NodePort, b: NodePort): boolean {
  return a.node === b.node && a.link.index === b.link.index;
}

/** All have the MAC of the device below. */
function ownFrame({ link }: NodePort, flight: Flight): Flight {
  return { ...flight, frame: { ...flight.frame, destination: link.mac } };
}

function note({ trail, question }: Flight, { node, link }: NodePort, text: string): void {
  if (!question) trail.add(node, link, text);
}
