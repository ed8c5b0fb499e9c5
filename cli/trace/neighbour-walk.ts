/** Who has an address on a link: the neighbour table, else a question to all (arp.c, ndisc.c). */
import { type Address, formatAddress, isMulticast, sameAddress } from "../../lib/netaddr/address.ts";
import { formatMac } from "../../lib/netaddr/mac.ts";
import { type Neighbour, NUD_NOARP, NUD_PERMANENT } from "../../lib/rtnetlink/neighbour.ts";
import { ROUTE_TYPES } from "../../lib/rtnetlink/route-lookup.ts";
import { compareBytes } from "./filter/known-bytes.ts";
import {
  BROADCAST,
  dropped,
  type End,
  type Flight,
  ignored,
  questionFlight,
  UNKNOWN_MAC,
  type Walk,
} from "./flight.ts";
import type { NodePort } from "./node.ts";

/** NUD_REACHABLE, STALE, DELAY, PROBE: it is used as it is, and asked for again some time. */
const NUD_VALID = 0x02 | 0x04 | 0x08 | 0x10;

/** Where a frame to the next hop goes. @returns the flight with its frame, or why there is none */
export function addressed(
  walk: Walk,
  port: NodePort,
  flight: Flight,
  nextHop: Address,
): { flight: Flight } | { end: End } {
  const { node, link } = port;
  const frame = (destination: Uint8Array) => ({ source: link.mac, destination });
  if (link.name === "lo" || link.mac.length !== 6) return { flight: { ...flight, frame: frame(link.mac) } };
  if (isMulticast(nextHop)) return { flight: { ...flight, frame: frame(BROADCAST) } };
  const text = formatAddress(nextHop);
  const found = neighbourOf(port, nextHop);
  const goOn = (mac: Uint8Array, evidence: string) => {
    flight.trail.addEvidence(node, link, `out by ${link.name}`, { kind: "neighbour", text: evidence });
    return { flight: { ...flight, frame: frame(mac) } };
  };
  if (found && found.state & (NUD_PERMANENT | NUD_NOARP)) {
    return goOn(found.mac, `${text} lladdr ${formatMac(found.mac)} PERMANENT`);
  }
  const asked = walk.transmit(port, questionFlight(flight, nextHop, link.mac));
  flight.trail.learnFrom(asked.flight.trail);
  flight.trail.doubts.push(...asked.flight.trail.doubts.slice(flight.trail.doubts.length));
  if (asked.verdict === "answered" && asked.mac) {
    return goOn(
      asked.mac,
      `${text} lladdr ${formatMac(asked.mac)}: ${asked.reason}${oldEntry(found, asked.mac)}`,
    );
  }
  if (found) return goOn(found.mac, `${text} lladdr ${formatMac(found.mac)}`);
  if (asked.verdict === "left") {
    return goOn(UNKNOWN_MAC, `who has ${text} is beyond ${asked.at.link?.name ?? link.name}`);
  }
  return { end: dropped(port, flight, unansweredReason(walk, port, nextHop, asked)) };
}

function oldEntry(found: Neighbour | undefined, mac: Uint8Array): string {
  const isOld = found && compareBytes(found.mac, mac) !== 0;
  return isOld ? `; the table still says ${formatMac(found.mac)}` : "";
}

function neighbourOf({ node, link }: NodePort, address: Address): Neighbour | undefined {
  return node.stack.neighbours.find(
    ({ ifindex, address: each, mac, state }) =>
      ifindex === link.index &&
      sameAddress(each, address) &&
      mac.length === 6 &&
      (state & (NUD_VALID | NUD_PERMANENT | NUD_NOARP)) !== 0,
  );
}

function unansweredReason(walk: Walk, { node, link }: NodePort, address: Address, asked: End): string {
  const nobody = `nobody on ${link.name} of ${node.name} answers for ${formatAddress(address)}`;
  const owner = walk.world.ownerOf(address);
  const above = walk.world
    .above({ node, link })
    .find((upper) => upper.link.kind !== "vlan" && upper.node === owner);
  if (above) {
    return `${nobody}: ${node.name} itself cannot reach the ${above.link.kind}s above its own ${link.name}`;
  }
  return asked.reason === "" ? nobody : `${nobody}: ${asked.reason}`;
}

/** A question has come to a namespace: it answers for its own addresses, and as a proxy. */
export function answerQuestion(port: NodePort, flight: Flight): End {
  const { node, link } = port;
  const { question } = flight;
  if (!question) return ignored(port, flight, "");
  if (isAnswered(port, question)) {
    return answering(port, flight, { mac: link.mac, text: `${link.name} of ${node.name} answers` });
  }
  if (isProxied(port, question)) {
    return answering(port, flight, {
      mac: link.mac,
      text: `${link.name} of ${node.name} answers as a proxy`,
    });
  }
  return ignored(port, flight, "");
}

export function answering(
  port: NodePort,
  flight: Flight,
  { mac, text }: { mac: Uint8Array; text: string },
): End {
  return { verdict: "answered", reason: text, flight, at: port, mac };
}

/** For IPv4 the namespace answers for all its addresses on any interface, unless arp_ignore says else. */
function isAnswered({ node, link }: NodePort, address: Address): boolean {
  const onLink = node.stack.addressesOf(link).some(({ prefix }) => sameAddress(prefix.address, address));
  if (onLink || address.family === 6) return onLink;
  if (!node.owns(address)) return false;
  const ignores = ["all", link.name].map((each) => node.setting(`net/ipv4/conf/${each}/arp_ignore`) ?? 0);
  return Math.max(...ignores) === 0;
}

function isProxied({ node, link }: NodePort, address: Address): boolean {
  if (address.family === 6) return false;
  const isOn = ["all", link.name].some((each) => node.setting(`net/ipv4/conf/${each}/proxy_arp`) === 1);
  if (!isOn) return false;
  const route = node.lookUp({ destination: address });
  return typeof route !== "string" && route.type === ROUTE_TYPES.unicast && route.oif !== link.index;
}
