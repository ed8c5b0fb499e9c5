/** A packet on its way, or the question who has an address, and where that ends. */
import type { Address } from "../../lib/netaddr/address.ts";
import type { Tracked } from "./filter/connection.ts";
import { type Frame, IPPROTO, type Packet } from "./filter/packet.ts";
import type { Node, NodePort, World } from "./node.ts";
import { Trail } from "./trail.ts";

export const BROADCAST = Uint8Array.of(255, 255, 255, 255, 255, 255);
/** Of somebody beyond what can be seen: no interface here has it. */
export const UNKNOWN_MAC = new Uint8Array(6);

export interface Flight {
  readonly packet: Packet;
  readonly frame: Frame;
  readonly mark: number;
  readonly tracked: Tracked;
  readonly trail: Trail;
  /** ARP's or neighbour discovery's: who has this address? The packet says who asks. */
  readonly question?: Address | undefined;
  /** Netfilter has seen it at prerouting already, while it was bridged. */
  readonly isPrerouted?: boolean;
}

export interface End {
  /**
   * "delivered" to a socket of a namespace, "left" what can be seen, "answered" a question; "ignored" by who
   * was not meant, which is how all copies of a flooded frame but one end.
   */
  readonly verdict: "delivered" | "left" | "answered" | "dropped" | "ignored";
  /** Why, of the last three of them; where to, of "left". */
  readonly reason: string;
  readonly flight: Flight;
  readonly at: { readonly node: Node; readonly link: NodePort["link"] | undefined };
  /** Who has the address. */
  readonly mac?: Uint8Array;
  /** A packet filter ended it. */
  readonly isFiltered?: true;
}

/** The steps of the way; each calls others, and none imports them. */
export interface Walk {
  readonly world: World;
  readonly now: Date;
  /** This namespace itself sends it. */
  send(node: Node, flight: Flight): End;
  /** It goes out by an interface. */
  transmit(port: NodePort, flight: Flight): End;
  /** It comes in by an interface. */
  receive(port: NodePort, flight: Flight): End;
  /** It has come in, and no bridge or device above has taken it. */
  receiveIp(port: NodePort, flight: Flight): End;
  /** A frame that a bridge has to take somewhere. */
  bridge(port: NodePort, bridge: NodePort, flight: Flight): End;
}

/** More hops than any way that leads somewhere. */
const HOPS_MAX = 200;

export function dropped(
  port: { node: Node; link?: NodePort["link"] | undefined },
  flight: Flight,
  reason: string,
): End {
  return { verdict: "dropped", reason, flight, at: { node: port.node, link: port.link } };
}

export function ignored(port: NodePort, flight: Flight, reason: string): End {
  return { verdict: "ignored", reason, flight, at: port };
}

/** As skb_scrub_packet(): conntrack's knowledge stays behind, the mark where it is another namespace. */
export function crossed(from: NodePort, to: NodePort, flight: Flight): Flight {
  const { isPrerouted: _there, ...onward } = flight;
  return { ...onward, tracked: undefined, mark: from.node === to.node ? flight.mark : 0 };
}

export function isLost({ trail }: Flight): boolean {
  return trail.hops.length > HOPS_MAX;
}

export function isBroadcast({ frame, question }: Pick<Flight, "frame" | "question">): boolean {
  return question !== undefined || (frame.destination[0] ?? 0) % 2 === 1;
}

const RANKS = { delivered: 4, answered: 4, left: 3, dropped: 2, ignored: 1 };

/** No other copy comes further. */
function hasArrived({ verdict }: End): boolean {
  return verdict === "delivered" || verdict === "answered";
}

/** Of the copies of a frame the one that came furthest; of equals, one that says why not further. */
function bestEnd(ends: readonly End[]): End | undefined {
  const rank = ({ verdict, reason }: End) => 2 * RANKS[verdict] + (reason === "" ? 0 : 1);
  return ends.reduce<End | undefined>(
    (best, end) => (!best || rank(end) > rank(best) ? end : best),
    undefined,
  );
}

/** Sends copies, each on a trail of its own, until one has arrived. */
export function tryAll(
  node: Node,
  flight: Flight,
  ways: readonly ((copy: Flight) => End)[],
): End | undefined {
  const [only] = ways;
  if (ways.length === 1 && only) return only(flight);
  const ends: End[] = [];
  for (const way of ways) {
    const { trail, tracked } = flight.trail.fork(node, flight.tracked);
    const end = way({ ...flight, trail, tracked });
    if (hasArrived(end)) return end;
    ends.push(end);
  }
  return bestEnd(ends);
}

/** A question leaves no hops behind, whoever answers it. */
export function questionFlight(flight: Flight, question: Address, source: Uint8Array): Flight {
  const packet: Packet = {
    ...flight.packet,
    destination: question,
    protocol: IPPROTO.icmpv6, // ARP has none, and says so by its type
    sourcePort: 0,
    destinationPort: 0,
    asks: question,
    isAnswer: false,
    length: question.family === 4 ? 28 : 72,
  };
  const trail = new Trail(flight.trail);
  return {
    ...flight,
    packet,
    trail,
    tracked: undefined,
    question,
    frame: { source, destination: BROADCAST },
  };
}
