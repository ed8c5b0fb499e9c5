/** A namespace that a packet may pass: its stack, and all that its kernel asks on the way. */

import { type LegacyTable, readLegacyTables } from "../../lib/iptables/legacy-table.ts";
import { type Address, isLoopback, isMulticast, sameAddress } from "../../lib/netaddr/address.ts";
import { containsAddress } from "../../lib/netaddr/prefix.ts";
import { type NetfilterSocket, openNetfilterSocket } from "../../lib/netfilter/socket.ts";
import { inNetns } from "../../lib/netns/netns.ts";
import { listRuleset, type RulesetTable } from "../../lib/nftables/listed-ruleset.ts";
import { type BridgeVlan, listBridgeVlans } from "../../lib/rtnetlink/bridge-vlan.ts";
import type { Link } from "../../lib/rtnetlink/link.ts";
import {
  lookUpRoute,
  ROUTE_TYPES,
  type RouteFound,
  type RouteQuestion,
} from "../../lib/rtnetlink/route-lookup.ts";
import type { HostView } from "../inventory/host-view.ts";
import type { Stack } from "../inventory/stack.ts";
import type { Filters } from "./filter/hook.ts";
import type { Device, RouteQuestions } from "./filter/hook-context.ts";
import { legacyHanging } from "./filter/legacy.ts";

export class Node implements Filters {
  readonly stack: Stack;
  readonly name: string;
  /** As rules ask for them. */
  readonly routes: RouteQuestions;
  #netfilter: NetfilterSocket | undefined;
  #tables: readonly RulesetTable[] | undefined;
  #legacy: readonly LegacyTable[] | undefined;
  #vlans: ReadonlyMap<number, readonly BridgeVlan[]> | undefined;

  constructor(stack: Stack, name: string) {
    this.stack = stack;
    this.name = name;
    this.routes = {
      addressType: (address, device) => this.#addressType(address, device),
      outDevice: (address, options) => this.#outDevice(address, options),
      sourceOn: (device, destination) => this.#sourceOn(device, destination),
    };
  }

  /** All tables of nf_tables; none where this kernel has no nf_tables. */
  get tables(): readonly RulesetTable[] {
    this.#tables ??= listRuleset(this.netfilter);
    return this.#tables;
  }

  /** Closed with the process: closing one waits for a grace period of nf_tables. */
  get netfilter(): NetfilterSocket {
    this.#netfilter ??= openNetfilterSocket(this.stack.netns);
    return this.#netfilter;
  }

  legacy(family: 4 | 6, hook: Parameters<typeof legacyHanging>[2]) {
    this.#legacy ??= ([4, 6] as const).flatMap((each) => readLegacyTables(this.stack.netns, each));
    return legacyHanging(this.#legacy, family, hook);
  }

  vlansOf({ index }: Pick<Link, "index">): readonly BridgeVlan[] {
    this.#vlans ??= listBridgeVlans(this.stack.socket);
    return this.#vlans.get(index) ?? [];
  }

  lookUp(question: RouteQuestion): RouteFound | string {
    return lookUpRoute(this.stack.socket, question);
  }

  /** A setting under /proc/sys as a number; undefined where there is none. */
  setting(key: string): number | undefined {
    const value = this.stack.sysctl(key);
    return value === undefined ? undefined : Number(value);
  }

  owns(address: Address): boolean {
    return this.stack.addresses.some(({ prefix }) => sameAddress(prefix.address, address));
  }

  link(index: number | undefined): Link | undefined {
    return index === undefined ? undefined : this.stack.link(index);
  }

  /** As ip_route_input() and the rules' fib have it: of IPv4 what no table says is unicast. */
  #addressType(address: Address, device: Device | undefined): number {
    if (isMulticast(address)) return ROUTE_TYPES.multicast;
    if (address.value === 0n) return ROUTE_TYPES.broadcast;
    const owned = this.stack.addresses.filter(({ prefix }) => sameAddress(prefix.address, address));
    if (device) {
      if (owned.some(({ ifindex }) => ifindex === device.index)) return ROUTE_TYPES.local;
      return ROUTE_TYPES.unicast;
    }
    if (owned.length > 0 || isLoopback(address)) return ROUTE_TYPES.local;
    const found = this.lookUp({ destination: address });
    if (typeof found === "string") {
      return address.family === 4 ? ROUTE_TYPES.unicast : ROUTE_TYPES.unreachable;
    }
    return found.type;
  }

  #outDevice(
    destination: Address,
    { mark, only }: { mark?: number; only?: Device | undefined },
  ): Device | undefined {
    const found = this.lookUp({ destination, mark, oif: only?.index });
    if (typeof found === "string" || found.type !== ROUTE_TYPES.unicast) return undefined;
    if (only && found.oif !== only.index) return undefined;
    const link = this.link(found.oif);
    return link && deviceOf(link);
  }

  /** As inet_select_addr() and ipv6_dev_get_saddr(): on that device, of the neighbour's subnet if any. */
  #sourceOn(device: Device, destination: Address): Address | undefined {
    if (destination.family === 6) {
      const found = this.lookUp({ destination, oif: device.index });
      if (typeof found !== "string" && found.prefsrc) return found.prefsrc;
    }
    const found = this.lookUp({ destination, oif: device.index });
    const neighbour = (typeof found === "string" ? undefined : found.gateway) ?? destination;
    const RT_SCOPE_LINK = 253;
    const own = this.stack.addresses.filter(
      ({ ifindex, prefix, scope }) =>
        ifindex === device.index && prefix.address.family === destination.family && scope < RT_SCOPE_LINK,
    );
    const near = own.find(({ prefix }) => containsAddress(prefix, neighbour));
    const any = this.stack.addresses.find(
      ({ prefix, scope }) => prefix.address.family === destination.family && scope < RT_SCOPE_LINK,
    );
    return (near ?? own[0] ?? any)?.prefix.address;
  }

  /** Runs where this namespace's sockets are made. */
  inside<T>(act: () => T extends Promise<unknown> ? never : T): T {
    return inNetns(this.stack.netns, act);
  }
}

export function deviceOf({ index, name, kind }: Link): Device {
  return { index, name, kind, isLoopback: name === "lo" };
}

/** An interface of a namespace. */
export interface NodePort {
  readonly node: Node;
  readonly link: Link;
}

/** Of a host's view what a trace wants. */
export type Namespaces = Pick<HostView, "stacks" | "host" | "nameOf" | "peerOf">;

/** All namespaces, and which interface of one is connected to which of another. */
export class World {
  readonly nodes: readonly Node[];
  readonly #view: Namespaces;
  readonly #byStack: ReadonlyMap<Stack, Node>;
  #upper: readonly { readonly lower: NodePort; readonly upper: NodePort }[] | undefined;

  constructor(view: Namespaces) {
    this.#view = view;
    this.nodes = view.stacks.map((stack) => new Node(stack, view.nameOf(stack)));
    this.#byStack = new Map(this.nodes.map((node) => [node.stack, node]));
  }

  /** The namespace of this process. */
  get host(): Node {
    return this.nodeOf(this.#view.host);
  }

  nodeOf(stack: Stack): Node {
    const node = this.#byStack.get(stack);
    if (!node) throw new Error(`no stack ${stack.name} in this view`);
    return node;
  }

  /** A veth's other end, or the device below; undefined where it cannot be seen. */
  peerOf({ node, link }: NodePort): NodePort | undefined {
    const peer = this.#view.peerOf(node.stack, link);
    return peer && { node: this.nodeOf(peer.stack), link: peer.link };
  }

  /** The macvlans, ipvlans and VLANs above an interface, wherever they are. */
  above({ node, link }: NodePort): readonly NodePort[] {
    this.#upper ??= this.nodes.flatMap((each) =>
      each.stack.links
        .filter(({ kind }) => UPPER.has(kind))
        .flatMap((upperLink) => {
          const upper = { node: each, link: upperLink };
          const lower = this.peerOf(upper);
          return lower ? [{ lower, upper }] : [];
        }),
    );
    return this.#upper
      .filter(({ lower }) => lower.node === node && lower.link.index === link.index)
      .map(({ upper }) => upper);
  }

  /** The namespace that has an address; the host's own first. */
  ownerOf(address: Address): Node | undefined {
    return this.nodes.find((node) => node.owns(address));
  }
}

const UPPER = new Set(["macvlan", "macvtap", "ipvlan", "vlan"]);
