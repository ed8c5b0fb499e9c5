/** Connections as conntrack has them (nf_conntrack_core.c), and their translation (nf_nat_core.c). */
import { type Address, sameAddress } from "../../../lib/netaddr/address.ts";
import { IPPROTO, isIcmp, type Packet } from "./packet.ts";

/** One direction of a connection. */
export interface Tuple {
  readonly source: Address;
  readonly destination: Address;
  readonly protocol: number;
  readonly sourcePort: number;
  readonly destinationPort: number;
}

// linux/netfilter/nf_conntrack_common.h: NF_CT_STATE_BIT() of them, and IPS_*
export const STATE = { invalid: 1, established: 2, related: 4, new: 8, untracked: 64 } as const;
export const STATUS = {
  seenReply: 2,
  assured: 4,
  confirmed: 8,
  sourceNat: 16,
  destinationNat: 32,
  sourceNatDone: 128,
  destinationNatDone: 256,
} as const;

export class Connection {
  readonly original: Tuple;
  /** What an answer is to look like: changed by translation. */
  reply: Tuple;
  status = 0;
  mark = 0;

  constructor(original: Tuple) {
    this.original = original;
    this.reply = turned(original);
  }

  copy(): Connection {
    const copy = new Connection(this.original);
    copy.reply = this.reply;
    copy.status = this.status;
    copy.mark = this.mark;
    return copy;
  }

  /** Has its packets go to another address, or to another port there. */
  translateDestination(destination: Address, port: number): void {
    const sourcePort = this.#port(port, this.reply.sourcePort);
    this.#expect({ ...this.reply, source: destination, sourcePort }, STATUS.destinationNat);
    this.status |= STATUS.destinationNatDone;
  }

  /** Has its packets come from another address, or from another port there. */
  translateSource(source: Address, port: number): void {
    const destinationPort = this.#port(port, this.reply.destinationPort);
    this.#expect({ ...this.reply, destination: source, destinationPort }, STATUS.sourceNat);
    this.status |= STATUS.sourceNatDone;
  }

  /** An echo has no port that could be changed here. */
  #port(port: number, now: number): number {
    return isIcmp(this.original) ? now : port;
  }

  /** A translation to what was there already leaves no trace in the status. */
  #expect(reply: Tuple, bit: number): void {
    if (!sameTuple(reply, this.reply)) this.status |= bit;
    this.reply = reply;
  }
}

/** What conntrack knows of one packet. */
export interface Tracking {
  readonly connection: Connection;
  /** 0: as it began; 1: an answer. */
  readonly direction: 0 | 1;
  /** One of STATE. */
  readonly state: number;
}

export type Tracked = Tracking | "untracked" | "invalid" | undefined;

/** The connections of one namespace that this packet, or the one it answers, has made. */
export class ConnectionTable {
  readonly #connections: Connection[];

  constructor(connections: readonly Connection[] = []) {
    this.#connections = [...connections];
  }

  /** The same for who only tries something out, with what is known there of a packet on its way. */
  fork(tracked: Tracked): { connections: ConnectionTable; tracked: Tracked } {
    const copies = new Map(this.#connections.map((connection) => [connection, connection.copy()]));
    const connections = new ConnectionTable([...copies.values()]);
    if (typeof tracked !== "object") return { connections, tracked };
    const connection = copies.get(tracked.connection) ?? tracked.connection.copy();
    return { connections, tracked: { ...tracked, connection } };
  }

  /** As nf_conntrack_in(): the connection that the packet is of, or a new one, which enter() keeps. */
  track(packet: Packet): Tracking | "invalid" {
    const tuple = tupleOf(packet);
    for (const connection of this.#connections) {
      if (sameTuple(connection.reply, tuple)) {
        connection.status |= STATUS.seenReply;
        return { connection, direction: 1, state: STATE.established };
      }
      if (sameTuple(connection.original, tuple)) {
        const isAnswered = (connection.status & STATUS.seenReply) !== 0;
        return { connection, direction: 0, state: isAnswered ? STATE.established : STATE.new };
      }
    }
    if (packet.isAnswer && beginsWithQuestion(packet)) return "invalid";
    return { connection: new Connection(tuple), direction: 0, state: STATE.new };
  }

  /** As nf_conntrack_confirm(): what got through is known from now on. */
  confirm({ connection }: Tracking): void {
    connection.status |= STATUS.confirmed;
    if (!this.#connections.includes(connection)) this.#connections.push(connection);
  }
}

/** Of these an answer alone begins nothing. */
function beginsWithQuestion({ protocol }: Packet): boolean {
  return protocol !== IPPROTO.udp;
}

/** As nf_nat_packet(): the packet as the connection wants it, on its way in (destination) or out (source). */
export function translated(
  packet: Packet,
  { connection, direction }: Tracking,
  end: "source" | "destination",
) {
  const { original, reply, status } = connection;
  const isOriginal = direction === 0;
  const isSourceSide = end === "source";
  // an answer's destination is what the connection's source was
  const isNatted = (status & (isOriginal === isSourceSide ? STATUS.sourceNat : STATUS.destinationNat)) !== 0;
  if (!isNatted) return packet;
  const wanted = isOriginal ? turned(reply) : turned(original);
  return isSourceSide
    ? { ...packet, source: wanted.source, sourcePort: wanted.sourcePort }
    : { ...packet, destination: wanted.destination, destinationPort: wanted.destinationPort };
}

/** An echo and its reply have the same identifier, on the same side of the tuple. */
export function turned(tuple: Tuple): Tuple {
  const { source, destination, sourcePort, destinationPort } = tuple;
  const turnedPorts = isIcmp(tuple)
    ? { sourcePort, destinationPort }
    : { sourcePort: destinationPort, destinationPort: sourcePort };
  return { ...tuple, source: destination, destination: source, ...turnedPorts };
}

export function tupleOf({ source, destination, protocol, sourcePort, destinationPort }: Packet): Tuple {
  return { source, destination, protocol, sourcePort, destinationPort };
}

export function sameTuple(a: Tuple, b: Tuple): boolean {
  return (
    a.protocol === b.protocol &&
    a.sourcePort === b.sourcePort &&
    a.destinationPort === b.destinationPort &&
    sameAddress(a.source, b.source) &&
    sameAddress(a.destination, b.destination)
  );
}
