/** What a packet has left behind on its way: hops, connections that were noted, what bridges have learned. */
import type { Link } from "../../lib/rtnetlink/link.ts";
import type { Doubt } from "./filter/chain.ts";
import { ConnectionTable, type Tracked } from "./filter/connection.ts";
import { formatPacket, type Packet } from "./filter/packet.ts";
import type { Node, NodePort } from "./node.ts";

/** Where something is known from. */
export interface Evidence {
  readonly kind: "rule" | "route" | "neighbour" | "fdb" | "setting" | "link" | "nat";
  readonly text: string;
  /** Of a rule. */
  readonly table?: string;
  readonly chain?: string;
  readonly rule?: string;
  readonly comment?: string;
  /** Its place in the chain, from 1; undefined of the chain's policy. */
  readonly number?: number;
  /** Which hook asked it, about a packet between which interfaces. */
  readonly hook?: string;
  readonly iif?: string;
  readonly oif?: string;
}

/** One station of the way. */
export interface Hop {
  /** The namespace, as people know it. */
  readonly place: string;
  /** "" where no interface has to do with it. */
  readonly device: string;
  readonly text: string;
  readonly evidence: readonly Evidence[];
}

export class Trail {
  readonly hops: Hop[];
  readonly doubts: Doubt[];
  /** What makes the answer uncertain that no rule decides. */
  readonly reservations: string[];
  readonly #connections: Map<Node, ConnectionTable>;
  readonly #learned: Map<string, number>;
  readonly #visits: Map<Node, readonly Packet[]>;

  constructor(from?: Trail) {
    this.hops = [...(from?.hops ?? [])];
    this.doubts = [...(from?.doubts ?? [])];
    this.reservations = [...(from?.reservations ?? [])];
    this.#connections = new Map(from?.copiedConnections());
    this.#learned = new Map(from?.learned ?? []);
    this.#visits = new Map(from?.visits ?? []);
  }

  get learned(): ReadonlyMap<string, number> {
    return this.#learned;
  }

  /** The namespaces it has come to, with the packets as they were then. */
  get visits(): ReadonlyMap<Node, readonly Packet[]> {
    return this.#visits;
  }

  visit(node: Node, packet: Packet): void {
    const known = this.#visits.get(node) ?? [];
    const text = formatPacket(packet);
    if (!known.some((each) => formatPacket(each) === text)) this.#visits.set(node, [...known, packet]);
  }

  /** Another to go on with, that leaves this one as it is; with the connection of the packet on its way. */
  fork(node: Node, tracked: Tracked): { trail: Trail; tracked: Tracked } {
    const trail = new Trail(this);
    const fork = this.connectionsOf(node).fork(tracked);
    trail.#connections.set(node, fork.connections);
    return { trail, tracked: fork.tracked };
  }

  copiedConnections(): [Node, ConnectionTable][] {
    return [...this.#connections].map(([node, table]) => [node, table.fork(undefined).connections]);
  }

  connectionsOf(node: Node): ConnectionTable {
    return this.#connections.getOrInsertComputed(node, () => new ConnectionTable());
  }

  add(place: Node, device: Link | undefined, text: string, evidence: readonly Evidence[] = []): void {
    this.hops.push({ place: place.name, device: device?.name ?? "", text, evidence });
  }

  /** To the last hop where that was the route; else as a hop of its own. */
  addEvidence(place: Node, device: Link, text: string, evidence: Evidence): void {
    const last = this.hops.at(-1);
    if (last?.place === place.name && last.evidence.some(({ kind }) => kind === "route")) {
      this.hops[this.hops.length - 1] = { ...last, evidence: [...last.evidence, evidence] };
    } else this.add(place, device, text, [evidence]);
  }

  /** Behind which port of a bridge frames of a MAC have come in. */
  learn(bridge: NodePort, key: string, port: Link): void {
    this.#learned.set(`${bridge.node.stack.namespace.inode} ${bridge.link.index} ${key}`, port.index);
  }

  /** What bridges have learned on another trail, of who was asked there and answered. */
  learnFrom({ learned }: Trail): void {
    for (const [key, ifindex] of learned) this.#learned.set(key, ifindex);
  }

  learnedPort(bridge: NodePort, key: string): number | undefined {
    return this.#learned.get(`${bridge.node.stack.namespace.inode} ${bridge.link.index} ${key}`);
  }
}
