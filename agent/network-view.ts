/** What the store says of one network: how its hosts are reached, and their containers. */
import { formatAddress, parseAddress } from "../lib/netaddr/address.ts";
import { formatMac, parseMac } from "../lib/netaddr/mac.ts";
import type { OverlayView, StoredEndpoint } from "../lib/overlay/peers.ts";
import type { EndpointValue, VtepValue } from "../lib/store/layout.ts";

/** A VTEP with the lease it hangs on. */
export interface StoredVtep extends VtepValue {
  readonly lease: string;
}

/** What a change in the store may change in the kernel. */
export interface Touched {
  /** MACs and addresses, as text. */
  readonly names: Set<string>;
  /** Hosts whose VTEP has changed. */
  readonly hosts: Set<string>;
  /** Containers that are gone. */
  readonly gone: { readonly host: string; readonly attachment: string }[];
}

export function nothingTouched(): Touched {
  return { names: new Set(), hosts: new Set(), gone: [] };
}

export class NetworkView implements OverlayView {
  readonly vteps = new Map<string, StoredVtep>();
  /** By "<host>/<attachment>". */
  readonly #endpoints = new Map<string, StoredEndpoint>();
  readonly #byHost = new Map<string, Set<StoredEndpoint>>();
  /** By each of their MACs and addresses: usually one, two while a container moves. */
  readonly #byName = new Map<string, Set<StoredEndpoint>>();

  get endpoints(): Iterable<StoredEndpoint> {
    return this.#endpoints.values();
  }

  get endpointCount(): number {
    return this.#endpoints.size;
  }

  get isEmpty(): boolean {
    return this.vteps.size === 0 && this.#endpoints.size === 0;
  }

  findEndpoint(host: string, attachment: string): StoredEndpoint | undefined {
    return this.#endpoints.get(`${host}/${attachment}`);
  }

  /** Puts a host's VTEP, or takes it away. */
  setVtep(host: string, vtep: StoredVtep | undefined, touched: Touched): void {
    if (isSameVtep(this.vteps.get(host), vtep)) {
      if (vtep) this.vteps.set(host, vtep); // another lease
      return;
    }
    if (vtep) this.vteps.set(host, vtep);
    else this.vteps.delete(host);
    touched.hosts.add(host);
    for (const endpoint of this.#byHost.get(host) ?? []) touch(touched, endpoint);
  }

  /** Puts a container, or takes it away. */
  setEndpoint(
    key: { host: string; attachment: string },
    value: { endpoint: EndpointValue; modRevision: bigint } | undefined,
    touched: Touched,
  ): void {
    const id = `${key.host}/${key.attachment}`;
    const before = this.#endpoints.get(id);
    if (before) {
      for (const name of namesOf(before)) removeFrom(this.#byName, name, before);
      removeFrom(this.#byHost, key.host, before);
      this.#endpoints.delete(id);
      touch(touched, before);
    }
    if (!value) {
      touched.gone.push(key);
      return;
    }
    const { endpoint, modRevision } = value;
    const after = normalised({ ...endpoint, host: key.host, modRevision });
    this.#endpoints.set(id, after);
    for (const name of namesOf(after)) addTo(this.#byName, name, after);
    addTo(this.#byHost, key.host, after);
    touch(touched, after);
  }

  /** Only what has to do with these: as much of the view as decides on their entries. */
  about({ names, hosts }: Pick<Touched, "names" | "hosts">): OverlayView {
    const endpoints = new Set<StoredEndpoint>();
    for (const name of names) {
      for (const endpoint of this.#byName.get(name) ?? []) endpoints.add(endpoint);
    }
    const vteps = new Map<string, VtepValue>();
    for (const host of [...hosts, ...[...endpoints].map((endpoint) => endpoint.host)]) {
      const vtep = this.vteps.get(host);
      if (vtep) vteps.set(host, vtep);
    }
    return { vteps, endpoints };
  }
}

function isSameVtep(a: StoredVtep | undefined, b: StoredVtep | undefined): boolean {
  const text = (vtep: StoredVtep | undefined) =>
    vtep && JSON.stringify([vtep.address, vtep.mac, vtep.subnets]);
  return text(a) === text(b);
}

/** MACs and addresses as they are written in entries; what is none stays, and is told of where it is used. */
function normalised(endpoint: StoredEndpoint): StoredEndpoint {
  const { mac, addresses } = endpoint;
  try {
    return {
      ...endpoint,
      mac: formatMac(parseMac(mac)),
      addresses: addresses.map((address) => formatAddress(parseAddress(address))),
    };
  } catch {
    const texts = Array.isArray(addresses) ? addresses.map(String) : [];
    return { ...endpoint, mac: String(mac), addresses: texts };
  }
}

function namesOf({ mac, addresses }: StoredEndpoint): string[] {
  return [mac, ...addresses];
}

function touch(touched: Touched, endpoint: StoredEndpoint): void {
  for (const name of namesOf(endpoint)) touched.names.add(name);
}

function addTo<K, V>(sets: Map<K, Set<V>>, key: K, value: V): void {
  sets.getOrInsertComputed(key, () => new Set()).add(value);
}

function removeFrom<K, V>(sets: Map<K, Set<V>>, key: K, value: V): void {
  const set = sets.get(key);
  set?.delete(value);
  if (set?.size === 0) sets.delete(key);
}
