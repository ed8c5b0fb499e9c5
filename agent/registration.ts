/**
 * This host in the store: that its agent lives, how it is reached, and which containers it has. The first two
 * hang on a lease, whose time to live is the grace after which a dead host is forgotten.
 */
import type { EtcdClient } from "../lib/etcd/client.ts";
import { type Compare, exists, modRevisionIs, putOp } from "../lib/etcd/transaction.ts";
import {
  decodeValue,
  type EndpointValue,
  encodeValue,
  type HostValue,
  type StoreKeys,
  type VtepValue,
} from "../lib/store/layout.ts";
import { type Log, wordsOf } from "./log.ts";
import { pause } from "./pause.ts";
import type { View } from "./view.ts";

/** The lease is kept alive three times in its life, and at least this often. */
const KEEP_ALIVE_MAX_MS = 30_000;
/** Between two tries while the store is away or another machine has our name. */
const RETRY_MS = 1_000;
/** After which a container that records tell of is put: its ADD, or its DEL, is not at work any more. */
const OWN_SETTLE_MS = 2_000;

/** What this host has in a network. */
export interface OwnNetwork {
  readonly name: string;
  /** Undefined while its device or address is not there. */
  readonly vtep: VtepValue | undefined;
  /** By attachment. */
  readonly endpoints: ReadonlyMap<string, EndpointValue>;
}

export interface RegistrationOptions {
  readonly host: string;
  readonly self: HostValue;
  /** Seconds. */
  readonly graceS: number;
  readonly log: Log;
  /** What there is to be registered. */
  readonly networks: () => readonly OwnNetwork[];
  /** Whether the container is there now: a DEL may have gone around this agent. */
  readonly isThere: (network: string, attachment: string, endpoint: EndpointValue) => boolean;
}

export class Registration {
  readonly #client: EtcdClient;
  readonly #keys: StoreKeys;
  readonly #view: View;
  readonly #options: RegistrationOptions;
  #lease: string | undefined;
  #hostRevision = 0n;
  /** Why the host is not registered; undefined when it is. */
  fault: string | undefined = "not yet registered";
  /** Since when a container of ours is missing in the store, by key. */
  readonly #missingSince = new Map<string, number>();
  #wake: () => void = () => {};

  constructor(client: EtcdClient, keys: StoreKeys, view: View, options: RegistrationOptions) {
    this.#client = client;
    this.#keys = keys;
    this.#view = view;
    this.#options = options;
  }

  get lease(): string | undefined {
    return this.#lease;
  }

  /** Looks at once whether all is as it should be. */
  poke(): void {
    this.#wake();
  }

  /** Works until `signal` is aborted. Never throws. */
  async run(signal: AbortSignal): Promise<void> {
    const { graceS, log } = this.#options;
    const keepAliveMs = Math.min((graceS * 1_000) / 3, KEEP_ALIVE_MAX_MS);
    while (!signal.aborted) {
      let waitMs = RETRY_MS;
      try {
        await this.#register();
        if (this.fault !== undefined)
          log.info("registered", { host: this.#options.host, lease: this.#lease });
        this.fault = undefined;
        waitMs = (await this.#putOwn()) ? keepAliveMs : OWN_SETTLE_MS;
      } catch (error) {
        const reason = wordsOf(error);
        if (this.fault !== reason && !signal.aborted) log.warn("this host is not registered", { reason });
        this.fault = reason;
      }
      await this.#sleep(Math.min(waitMs, keepAliveMs), signal);
    }
  }

  /** Has the lease live, and the host's key hang on it. @throws Error, EtcdError */
  async #register(): Promise<void> {
    const { host, self, graceS, log } = this.#options;
    if (this.#lease !== undefined && (await this.#client.keepAlive(this.#lease)) === 0) {
      log.warn("the lease is gone: this host was forgotten", { lease: this.#lease });
      this.#lease = undefined;
    }
    const key = this.#keys.host(host);
    const [found] = (await this.#client.range(key)).kvs;
    const value = decodeValue<HostValue>(found?.value ?? "");
    if (value && value.machine !== self.machine) throw otherMachine(host);
    if (this.#isSuperseded(value, found?.lease)) throw otherBoot(host);
    this.#lease ??= await this.#client.grantLease(graceS);
    this.#hostRevision = found?.modRevision ?? 0n;
    if (found?.lease === this.#lease && value?.bootId === self.bootId) return;
    const { succeeded, revision } = await this.#client.txn({
      compare: [modRevisionIs(key, this.#hostRevision)],
      success: [putOp(key, encodeValue(self), { lease: this.#lease })],
    });
    if (!succeeded) throw new Error("the host's key changed meanwhile");
    this.#hostRevision = revision;
  }

  /** A second machine made from the same image has our name and our machine-id, but was booted by itself. */
  #isSuperseded(value: HostValue | undefined, lease: string | undefined): boolean {
    if (this.#lease === undefined || lease === this.#lease || value === undefined) return false;
    return value.bootId !== this.#options.self.bootId;
  }

  /** Puts what is missing in the store or other there. @returns whether nothing has to be waited for */
  async #putOwn(): Promise<boolean> {
    if (this.#view.revision === undefined) return false;
    let isAll = true;
    for (const network of this.#options.networks()) {
      if (!(await this.#putVtep(network))) {
        isAll = false; // the network is not there, and may come back with an ADD somewhere
        continue;
      }
      for (const [attachment, endpoint] of network.endpoints) {
        isAll = (await this.#putEndpoint(network.name, attachment, endpoint)) && isAll;
      }
    }
    return isAll;
  }

  /** @returns false where it could not be put */
  async #putVtep({ name, vtep }: OwnNetwork): Promise<boolean> {
    const { host, log } = this.#options;
    const found = this.#view.network(name).vteps.get(host);
    if (!vtep || (found && found.lease === this.#lease && isSameValue(found, vtep))) return true;
    const key = this.#keys.vtep(name, host);
    const isPut = await this.#put(name, key, encodeValue(vtep), { lease: this.#lease ?? "" });
    if (isPut) log.info("put vtep", { network: name, address: vtep.address });
    return isPut;
  }

  /** @returns false while it is not yet time */
  async #putEndpoint(network: string, attachment: string, endpoint: EndpointValue): Promise<boolean> {
    const { host, log } = this.#options;
    const key = this.#keys.endpoint(network, host, attachment);
    const found = this.#view.network(network).findEndpoint(host, attachment);
    if (found && isSameValue(found, endpoint)) {
      this.#missingSince.delete(key);
      return true;
    }
    const now = performance.now();
    const since = this.#missingSince.getOrInsertComputed(key, () => now);
    if (now - since < OWN_SETTLE_MS) return false;
    this.#missingSince.delete(key);
    if (!this.#options.isThere(network, attachment, endpoint)) return true;
    if (await this.#put(network, key, encodeValue(endpoint), {})) {
      log.info("put endpoint", { network, attachment, mac: endpoint.mac, addresses: endpoint.addresses });
    }
    return true;
  }

  /** As long as the network is there, and the host is ours. @returns whether it was put */
  async #put(network: string, key: string, value: string, options: { lease?: string }): Promise<boolean> {
    const compare: Compare[] = [
      exists(this.#keys.network(network)),
      modRevisionIs(this.#keys.host(this.#options.host), this.#hostRevision),
    ];
    return (await this.#client.txn({ compare, success: [putOp(key, value, options)] })).succeeded;
  }

  /** What of this host is not in the store as it should be, as sentences. */
  faults(): string[] {
    const faults = this.fault === undefined ? [] : [`not registered: ${this.fault}`];
    for (const { name, vtep, endpoints } of this.#options.networks()) {
      const view = this.#view.network(name);
      const found = view.vteps.get(this.#options.host);
      if (vtep && !(found && isSameValue(found, vtep))) {
        faults.push(`network "${name}": how this host is reached is not in the store`);
      }
      const missing = [...endpoints.keys()].filter(
        (attachment) => !view.findEndpoint(this.#options.host, attachment),
      );
      if (missing.length > 0) {
        faults.push(`network "${name}": ${missing.length} containers of this host are not in the store`);
      }
    }
    return faults;
  }

  async #sleep(durationMs: number, signal: AbortSignal): Promise<void> {
    const stop = new AbortController();
    const end = () => stop.abort();
    this.#wake = end;
    signal.addEventListener("abort", end);
    await pause(durationMs, stop.signal);
    signal.removeEventListener("abort", end);
    this.#wake = () => {};
  }
}

function otherMachine(host: string): Error {
  const remedy = 'give one of them another name by "host" in /etc/weft/etcd.json';
  return new Error(`host "${host}" is another machine, whose agent lives: ${remedy}`);
}

function otherBoot(host: string): Error {
  const remedy = "two machines have one machine-id: give one another (systemd-machine-id-setup)";
  return new Error(`host "${host}" was registered by another agent: ${remedy}`);
}

/** Whether one of the store's says the same. */
function isSameValue(
  found: Partial<VtepValue & EndpointValue>,
  own: Partial<VtepValue & EndpointValue>,
): boolean {
  const text = ({ address, mac, subnets, addresses }: typeof found) =>
    JSON.stringify([address, mac, subnets, addresses]);
  return text(found) === text(own);
}
