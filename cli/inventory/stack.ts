/** A stack: what the kernel has in one network namespace, read once, when it is first asked for. */
import { inNetns, isOwnNetns, type Netns, openNetns } from "../../lib/netns/netns.ts";
import { type LinkAddress, listAddresses } from "../../lib/rtnetlink/address.ts";
import { type Link, listLinks } from "../../lib/rtnetlink/link.ts";
import { type FdbEntry, listFdb, listNeighbours, type Neighbour } from "../../lib/rtnetlink/neighbour.ts";
import { listMainRoutes, type Route } from "../../lib/rtnetlink/route.ts";
import { openRouteSocket, type RouteSocket } from "../../lib/rtnetlink/route-socket.ts";
import { readSysctl } from "../../lib/sysctl.ts";
import type { Namespace } from "./namespaces.ts";

export class Stack implements Disposable {
  readonly namespace: Namespace;
  readonly netns: Netns;
  readonly socket: RouteSocket;
  /** Nobody has to enter it, which setns(2) allows to root alone. */
  readonly #isOwn: boolean;
  #links: readonly Link[] | undefined;
  #addresses: readonly LinkAddress[] | undefined;
  #routes: readonly Route[] | undefined;
  #neighbours: readonly Neighbour[] | undefined;
  #fdb: readonly FdbEntry[] | undefined;
  #byKey: ReadonlyMap<number | string, Link> | undefined;
  #byMaster: ReadonlyMap<number | undefined, readonly Link[]> | undefined;
  readonly #settings = new Map<string, string | undefined>();

  constructor(namespace: Namespace) {
    this.namespace = namespace;
    this.#isOwn = isOwnNetns(namespace.path);
    this.netns = openNetns(namespace.path);
    try {
      this.socket = openRouteSocket(this.#isOwn ? undefined : this.netns);
    } catch (error) {
      this.netns[Symbol.dispose]();
      throw error;
    }
  }

  /** For people. */
  get name(): string {
    return this.namespace.name;
  }

  /** In the order of their indexes. */
  get links(): readonly Link[] {
    this.#links ??= listLinks(this.socket);
    return this.#links;
  }

  get addresses(): readonly LinkAddress[] {
    this.#addresses ??= listAddresses(this.socket);
    return this.#addresses;
  }

  /** Unicast routes of the main table, of both families. */
  get routes(): readonly Route[] {
    this.#routes ??= ([4, 6] as const).flatMap((family) => listMainRoutes(this.socket, family));
    return this.#routes;
  }

  /** Of both families. */
  get neighbours(): readonly Neighbour[] {
    this.#neighbours ??= ([4, 6] as const).flatMap((family) => listNeighbours(this.socket, { family }));
    return this.#neighbours;
  }

  /** The forwarding tables of all bridges and tunnels. */
  get fdb(): readonly FdbEntry[] {
    this.#fdb ??= listFdb(this.socket);
    return this.#fdb;
  }

  /** By index, by name or by an alternative name. */
  link(key: number | string): Link | undefined {
    this.#byKey ??= new Map(
      this.links.flatMap((link) => [link.index, link.name, ...link.altnames].map((each) => [each, link])),
    );
    return this.#byKey.get(key);
  }

  addressesOf({ index }: Pick<Link, "index">): LinkAddress[] {
    return this.addresses.filter(({ ifindex }) => ifindex === index);
  }

  /** The ports of a bridge, VRF or bond. */
  portsOf({ index }: Pick<Link, "index">): readonly Link[] {
    this.#byMaster ??= Map.groupBy(this.links, ({ master }) => master);
    return this.#byMaster.get(index) ?? [];
  }

  /** A setting under /proc/sys of this namespace, with slashes; undefined where this kernel has none such. */
  sysctl(key: string): string | undefined {
    if (!this.#settings.has(key)) {
      const value = this.#isOwn ? readSysctl(key) : inNetns(this.netns, () => readSysctl(key));
      this.#settings.set(key, value);
    }
    return this.#settings.get(key);
  }

  [Symbol.dispose](): void {
    this.socket[Symbol.dispose]();
    this.netns[Symbol.dispose]();
  }
}

/** @throws NetnsError where it is gone; ErrnoError where we may not open it */
export function openStack(namespace: Namespace): Stack {
  return new Stack(namespace);
}
