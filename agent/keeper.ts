/**
 * Keeps one network's entries: what this host's kernel has to have for the others, what of it is still to be
 * written, and what the kernel would not take.
 */
import {
  changedKeys,
  differences,
  type EntryKey,
  type EntryRefusal,
  type KernelEntries,
} from "../lib/overlay/kernel-entries.ts";
import { entriesFor, type OverlayDevices, type PeerEntries } from "../lib/overlay/peers.ts";
import type { NetworkView, Touched } from "./network-view.ts";

export class Keeper {
  readonly network: string;
  readonly devices: OverlayDevices;
  readonly #host: string;
  desired: PeerEntries = { fdb: new Map(), neighbours: new Map(), routes: new Map(), faults: [] };
  /** The store says something of the network; until then the kernel keeps what it has. */
  isKnown = false;
  /** Why the kernel's entries are to be compared; undefined when they are not. */
  compareFor: string | undefined;
  /** When they last were as desired, by performance.now(). */
  comparedAt: number | undefined;
  /** What the kernel refused, by entry. */
  readonly refused = new Map<string, string>();
  /** To be written: what has just changed, and before that what a comparison found. */
  readonly urgent = new Map<string, EntryKey>();
  readonly bulk = new Map<string, EntryKey>();
  /** Names of what has changed since a comparison began; what it then finds of them is no surprise. */
  #changedMeanwhile: Set<string> | undefined;

  constructor(network: string, devices: OverlayDevices, host: string) {
    this.network = network;
    this.devices = devices;
    this.#host = host;
  }

  /**
   * The whole view has changed, or may have. One without any host, though this one is in the network, is of a
   * store that has lost its data, or has not yet been told.
   */
  rebuild(view: NetworkView): void {
    this.isKnown = view.vteps.size > 0;
    if (this.isKnown) this.desired = entriesFor(this.devices, this.#host, view);
  }

  /** A part of the view has changed: has what that means written next. @returns how many entries it means */
  update(view: NetworkView, touched: Touched): number {
    if (!this.isKnown || view.vteps.size === 0) {
      this.rebuild(view); // who is known again is to be compared
      return 0;
    }
    const keys = this.devices.mode === "routed" ? this.#updateAll(view) : this.#updatePart(view, touched);
    this.#note(keys);
    for (const entry of keys) this.urgent.set(textOf(entry), entry);
    return keys.length;
  }

  /** A host is one route and little else: all of them take no time. */
  #updateAll(view: NetworkView): EntryKey[] {
    const before = this.desired;
    this.rebuild(view);
    return changedKeys(before, this.desired);
  }

  #updatePart(view: NetworkView, touched: Touched): EntryKey[] {
    const { names } = touched;
    const part = entriesFor(this.devices, this.#host, view.about(touched));
    // a value that cannot be read is told of as long as it is there
    if (part.faults.length + this.desired.faults.length > 0) return this.#updateAll(view);
    const entries = only(part, names);
    const keys = changedKeys(only(this.desired, names), entries);
    for (const { kind, key } of keys) copyEntry(kind, key, entries, this.desired);
    return keys;
  }

  /** A comparison begins: the kernel is read. */
  beginComparison(): void {
    this.compareFor = undefined;
    this.#changedMeanwhile = new Set();
  }

  /** The kernel has been read: has what differs written. @returns what differs, of which nobody knew */
  endComparison(kernel: KernelEntries): EntryKey[] {
    const meanwhile = this.#changedMeanwhile;
    this.#changedMeanwhile = undefined;
    const found = differences(this.desired, kernel).filter((entry) => !meanwhile?.has(textOf(entry)));
    for (const entry of found) this.bulk.set(textOf(entry), entry);
    const differing = new Set(found.map(textOf));
    for (const text of this.refused.keys()) if (!differing.has(text)) this.refused.delete(text);
    return found;
  }

  /** The kernel could not be read to the end. */
  abandonComparison(reason: string): void {
    this.#changedMeanwhile = undefined;
    this.compareFor ??= reason;
  }

  /** Somebody else changed these entries in the kernel: has them written again. */
  mend(keys: readonly EntryKey[]): void {
    for (const entry of keys) this.urgent.set(textOf(entry), entry);
  }

  /** Takes what is to be written next, at most so many. */
  take(lane: "urgent" | "bulk", countMax: number): EntryKey[] {
    const taken: EntryKey[] = [];
    for (const [text, entry] of this[lane]) {
      if (taken.length === countMax) break;
      taken.push(entry);
      this[lane].delete(text);
    }
    return taken;
  }

  /** These were written, but for what the kernel refused. */
  written(keys: readonly EntryKey[], refusals: readonly EntryRefusal[]): void {
    this.#note(keys);
    if (this.refused.size > 0) for (const entry of keys) this.refused.delete(textOf(entry));
    for (const { error, ...entry } of refusals) this.refused.set(textOf(entry), error.message);
  }

  #note(keys: readonly EntryKey[]): void {
    if (this.#changedMeanwhile) for (const entry of keys) this.#changedMeanwhile.add(textOf(entry));
  }

  /** Whether the kernel has been asked for everything, as far as is known. */
  get isSettled(): boolean {
    const isWritten = this.urgent.size === 0 && this.bulk.size === 0;
    const isCompared = this.comparedAt !== undefined && this.compareFor === undefined;
    return this.isKnown && isWritten && isCompared && !this.#changedMeanwhile;
  }

  /** Whether it also took everything. */
  get isInStep(): boolean {
    return this.isSettled && this.refused.size === 0;
  }
}

function textOf({ kind, key }: EntryKey): string {
  return `${kind} ${key}`;
}

/** Those of such names. No MAC is an address. */
function only({ fdb, neighbours }: PeerEntries, names: ReadonlySet<string>): PeerEntries {
  const some: PeerEntries = { fdb: new Map(), neighbours: new Map(), routes: new Map(), faults: [] };
  for (const name of names) {
    const entry = fdb.get(name);
    if (entry) some.fdb.set(name, entry);
    const neighbour = neighbours.get(name);
    if (neighbour) some.neighbours.set(name, neighbour);
  }
  return some;
}

function copyEntry(kind: EntryKey["kind"], key: string, from: PeerEntries, to: PeerEntries): void {
  // One kind at a time: both maps hold the same.
  const source = from[kind] as Map<string, unknown>;
  const target = to[kind] as Map<string, unknown>; // see above
  const entry = source.get(key);
  if (entry === undefined) target.delete(key);
  else target.set(key, entry);
}
