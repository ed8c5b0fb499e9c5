/**
 * What the store says of all overlays, kept in memory: listed once, then watched. While the store is away it
 * stays as it was; what was missed meanwhile comes with the watch that follows, or with another list.
 */
import type { EtcdClient } from "../lib/etcd/client.ts";
import type { KeyValue } from "../lib/etcd/encoding.ts";
import { EtcdError } from "../lib/etcd/error.ts";
import type { WatchEvent } from "../lib/etcd/watch.ts";
import {
  decodeValue,
  type EndpointValue,
  type HostValue,
  type StoreKeys,
  type VtepValue,
} from "../lib/store/layout.ts";
import { type Log, wordsOf } from "./log.ts";
import { NetworkView, nothingTouched, type Touched } from "./network-view.ts";
import { pause } from "./pause.ts";

/** Between two tries to reach the store, growing from the one to the other. */
const RETRY_MIN_MS = 100;
const RETRY_MAX_MS = 2_000;

/** What the view needs of a client. */
export type WatchedStore = Pick<EtcdClient, "range" | "listAll" | "watch">;

/** A host, and the lease that its agent lives by. */
export interface StoredHost extends HostValue {
  readonly lease: string;
}

/** Who wants to know what has changed. */
export interface ViewListener {
  /** The view was listed anew: anything may have changed. */
  listed(): void;
  /** A network has changed in this. */
  changed(network: string, touched: Touched): void;
  /** A host has changed. */
  hostChanged(host: string): void;
  /** The store went away, or came back. */
  reached(): void;
}

export class View {
  hosts = new Map<string, StoredHost>();
  networks = new Map<string, NetworkView>();
  /** Up to which everything is known; undefined before the first list. */
  revision: bigint | undefined;
  /** Why nothing is heard of the store now; undefined while the watch stands. */
  away: { readonly since: Date; readonly reason: string } | undefined = {
    since: new Date(),
    reason: "not yet asked",
  };
  readonly #store: WatchedStore;
  readonly #keys: StoreKeys;
  readonly #log: Log;
  readonly #listener: ViewListener;

  constructor(store: WatchedStore, keys: StoreKeys, options: { log: Log; listener: ViewListener }) {
    this.#store = store;
    this.#keys = keys;
    this.#log = options.log;
    this.#listener = options.listener;
  }

  network(name: string): NetworkView {
    return this.networks.get(name) ?? EMPTY;
  }

  /** Lists and watches until `signal` is aborted. Never throws. */
  async follow(signal: AbortSignal): Promise<void> {
    let pauseMs = RETRY_MIN_MS;
    let isToList = true;
    while (!signal.aborted) {
      const before = this.revision;
      try {
        isToList ||= await this.#isOlder();
        if (isToList) await this.#list();
        isToList = false;
        await this.#watch(signal);
      } catch (error) {
        if (signal.aborted) return;
        isToList ||= error instanceof EtcdError && error.kind === "compacted";
        this.#lost(error);
      }
      pauseMs = before === this.revision ? Math.min(2 * pauseMs, RETRY_MAX_MS) : RETRY_MIN_MS;
      await pause(pauseMs, signal);
    }
  }

  /** Whether the store has been put back to an earlier state: a watch would wait for what never comes. */
  async #isOlder(): Promise<boolean> {
    const { revision } = await this.#store.range(this.#keys.overlay, {
      prefix: true,
      limit: 1,
      keysOnly: true,
    });
    return this.revision === undefined || revision < this.revision;
  }

  async #list(): Promise<void> {
    const { kvs, revision } = await this.#store.listAll(this.#keys.overlay);
    const hosts = new Map<string, StoredHost>();
    const networks = new Map<string, NetworkView>();
    const touched = nothingTouched(); // of no use: everything is
    for (const kv of kvs) this.#take({ hosts, networks }, { type: "put", kv }, () => touched);
    this.hosts = hosts;
    this.networks = networks;
    this.revision = undefined;
    this.#log.info("listed the store", { keys: kvs.length, revision: String(revision) });
    this.#known(revision);
    this.#listener.listed();
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const from = (this.revision ?? 0n) + 1n;
    for await (const { events, revision } of this.#store.watch(this.#keys.overlay, from, signal)) {
      if (this.away) this.#back();
      const touched = new Map<string, Touched>();
      const inNetwork = (name: string) => touched.getOrInsertComputed(name, nothingTouched);
      const hosts = new Set<string>();
      for (const event of events) {
        const host = this.#take(this, event, inNetwork);
        if (host !== undefined) hosts.add(host);
      }
      this.#known(revision);
      for (const [network, some] of touched) this.#listener.changed(network, some);
      for (const host of hosts) this.#listener.hostChanged(host);
    }
  }

  /** Takes one key into the maps. @returns the host that it is about, if it is about no network */
  #take(
    into: { hosts: Map<string, StoredHost>; networks: Map<string, NetworkView> },
    { type, kv }: WatchEvent,
    inNetwork: (network: string) => Touched,
  ): string | undefined {
    const [kind, first = "", host = "", attachment = ""] = kv.key.slice(this.#keys.overlay.length).split("/");
    if (kind === "hosts") {
      const value = valuePut<HostValue>(type, kv);
      if (value) into.hosts.set(first, { ...value, lease: kv.lease });
      else into.hosts.delete(first);
      return first;
    }
    if (kind !== "vteps" && kind !== "endpoints") return undefined;
    const network = into.networks.getOrInsertComputed(first, () => new NetworkView());
    if (kind === "vteps") {
      const value = valuePut<VtepValue>(type, kv);
      network.setVtep(host, value && { ...value, lease: kv.lease }, inNetwork(first));
    } else {
      const endpoint = valuePut<EndpointValue>(type, kv);
      const value = endpoint && { endpoint, modRevision: kv.modRevision };
      network.setEndpoint({ host, attachment }, value, inNetwork(first));
    }
    if (network.isEmpty) into.networks.delete(first);
    return undefined;
  }

  #known(revision: bigint): void {
    if (this.revision === undefined || revision > this.revision) this.revision = revision;
  }

  #lost(error: unknown): void {
    const reason = wordsOf(error);
    if (this.away?.reason !== reason) this.#log.warn("the store is away", { reason });
    this.away = { since: this.away?.since ?? new Date(), reason };
    this.#listener.reached();
  }

  #back(): void {
    this.#log.info("the store is watched", { revision: String(this.revision) });
    this.away = undefined;
    this.#listener.reached();
  }
}

const EMPTY = new NetworkView();

function valuePut<T extends object>(type: WatchEvent["type"], kv: KeyValue): T | undefined {
  return type === "put" ? decodeValue<T>(kv.value) : undefined;
}
