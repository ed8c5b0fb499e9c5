/**
 * Makes the kernel as the keepers want it: compares, and writes, in small parts, so that whatever else there
 * is to do is done in between, and no faster than a bound.
 */
import { formatAddress } from "../lib/netaddr/address.ts";
import { formatMac } from "../lib/netaddr/mac.ts";
import {
  type EntryKey,
  type EntryRefusal,
  type KernelEntries,
  programEntries,
  readEntries,
} from "../lib/overlay/kernel-entries.ts";
import type { RouteSocket } from "../lib/rtnetlink/route-socket.ts";
import type { Keeper } from "./keeper.ts";
import { type Log, wordsOf } from "./log.ts";
import type { Metrics } from "./metrics.ts";
import { letOthers, pause } from "./pause.ts";

/** Entries written at a time; the kernel takes some 10 µs for each. */
const BATCH_ENTRIES = 256;
/** From one such batch to the next: 50,000 entries a second at most. */
const BATCH_INTERVAL_MS = 5;
/** How long it goes on with reading or writing while others wait. */
const SLICE_MS = 5;
/** The kernel is compared that often whether or not anything happened. */
const COMPARE_INTERVAL_MS = 60_000;
/** The same while the kernel refuses something. */
const RETRY_INTERVAL_MS = 5_000;
/** From the end of a comparison to the next of the same network: events come in bursts. */
const COMPARE_PAUSE_MS = 50;
/** Up to as many entries that a comparison found are logged one by one; of more, their number. */
const LOGGED_ENTRIES_MAX = 100;

export class Reconciler {
  readonly keepers = new Map<string, Keeper>();
  /** For changes, and for dumps: a dump may be half read when something is to be written. */
  readonly #writing: RouteSocket;
  readonly #reading: RouteSocket;
  readonly #log: Log;
  readonly #metrics: Metrics;
  /** By performance.now(). */
  #nextBatchAt = 0;
  #wake: () => void = () => {};
  readonly #waiting = new Set<() => void>();

  constructor(
    sockets: { writing: RouteSocket; reading: RouteSocket },
    options: { log: Log; metrics: Metrics },
  ) {
    this.#writing = sockets.writing;
    this.#reading = sockets.reading;
    this.#log = options.log;
    this.#metrics = options.metrics;
  }

  /** Works until `signal` is aborted. Never throws. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const restMs = this.#nextBatchAt - performance.now();
      if (this.#isAnything("urgent") || this.#isAnything("bulk")) {
        if (restMs > 0) await pause(restMs, signal);
        else this.#writeBatch();
        await letOthers();
        continue;
      }
      const keeper = this.#nextToCompare();
      if (keeper) await this.#compare(keeper, signal);
      else await this.#sleep(signal);
    }
  }

  /** There is something to do. What has just changed is written before this returns, if the rate allows. */
  poke(): void {
    if (!this.#isAnything("urgent")) return;
    if (performance.now() >= this.#nextBatchAt) this.#writeBatch();
    this.#wake();
  }

  /** Has a network compared, or all. */
  compare(reason: string, network?: string): void {
    for (const keeper of network === undefined ? this.keepers.values() : [this.keepers.get(network)]) {
      if (keeper) keeper.compareFor ??= reason;
    }
    this.#wake();
  }

  /**
   * Waits until a network's entries are all written, but for those that the kernel refuses: one host's wrong
   * address is no other host's fault. @returns false when that took too long
   */
  async settles(network: string, timeoutMs: number): Promise<boolean> {
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const look = () => this.keepers.get(network)?.isSettled && resolve(true);
    const timer = setTimeout(() => resolve(false), timeoutMs);
    this.#waiting.add(look);
    try {
      look();
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(look);
    }
  }

  #isAnything(lane: "urgent" | "bulk"): boolean {
    for (const keeper of this.keepers.values()) if (keeper[lane].size > 0) return true;
    return false;
  }

  /** What has just changed comes before what a comparison found. */
  #writeBatch(): void {
    let rest = BATCH_ENTRIES;
    for (const lane of ["urgent", "bulk"] as const) {
      for (const keeper of this.keepers.values()) {
        if (rest > 0 && keeper[lane].size > 0) rest -= this.#write(keeper, lane, rest);
      }
    }
    this.#nextBatchAt = performance.now() + (BATCH_INTERVAL_MS * (BATCH_ENTRIES - rest)) / BATCH_ENTRIES;
    this.#tell();
  }

  #write(keeper: Keeper, lane: "urgent" | "bulk", countMax: number): number {
    const keys = keeper.take(lane, countMax);
    const { devices, desired, network } = keeper;
    let refusals: EntryRefusal[];
    try {
      refusals = programEntries(this.#writing, devices, { desired, keys });
    } catch (error) {
      this.#log.error("cannot write entries", { network, reason: wordsOf(error) });
      keeper.compareFor ??= "entries could not be written";
      return keys.length;
    }
    const wereRefused = keeper.refused.size > 0;
    keeper.written(keys, refusals);
    for (const entry of keys) {
      const verb = desired[entry.kind].has(entry.key) ? "replace" : "delete";
      this.#metrics.written(entry.kind, verb);
      const fields = { network, kind: entry.kind, entry: entry.key, ...placeOf(keeper, entry) };
      if (lane === "urgent") this.#log.info(`${verb} entry`, fields);
      else this.#log.debug(`${verb} entry`, fields);
    }
    for (const { kind, key, error } of refusals) {
      this.#metrics.refused();
      const fields = { network, kind, entry: key, reason: error.message };
      if (wereRefused) this.#log.debug("the kernel refuses an entry", fields);
      else this.#log.error("the kernel refuses an entry", fields);
    }
    return keys.length;
  }

  #nextToCompare(): Keeper | undefined {
    const now = performance.now();
    for (const keeper of this.keepers.values()) {
      if (!keeper.isKnown) continue;
      const sinceMs = now - (keeper.comparedAt ?? -Infinity);
      const intervalMs = keeper.refused.size > 0 ? RETRY_INTERVAL_MS : COMPARE_INTERVAL_MS;
      if (sinceMs >= intervalMs) keeper.compareFor ??= "interval";
      if (keeper.compareFor !== undefined && sinceMs >= COMPARE_PAUSE_MS) return keeper;
    }
    return undefined;
  }

  async #compare(keeper: Keeper, signal: AbortSignal): Promise<void> {
    const reason = keeper.compareFor ?? "";
    const { network } = keeper;
    const start = performance.now();
    keeper.beginComparison();
    try {
      const kernel = await this.#read(keeper, signal);
      keeper.comparedAt = performance.now();
      if (!kernel) return keeper.abandonComparison("the tables changed while they were read");
      const found = keeper.endComparison(kernel);
      this.#metrics.compared((performance.now() - start) / 1_000, found.length);
      this.#logFound(keeper, found, reason);
    } catch (error) {
      keeper.comparedAt = performance.now();
      keeper.abandonComparison("the tables could not be read");
      this.#log.warn("cannot compare", { network, reason: wordsOf(error) });
      await pause(COMPARE_PAUSE_MS, signal); // the device may be gone, and the event of that under way
    }
    this.#tell();
  }

  async #read(keeper: Keeper, signal: AbortSignal): Promise<KernelEntries | undefined> {
    const reading = readEntries(this.#reading, keeper.devices);
    let sliceEnd = performance.now() + SLICE_MS;
    for (;;) {
      const step = reading.next();
      if (step.done) return step.value;
      if (performance.now() < sliceEnd) continue;
      await letOthers();
      if (signal.aborted) return undefined;
      if (this.#isAnything("urgent") && performance.now() >= this.#nextBatchAt) this.#writeBatch();
      sliceEnd = performance.now() + SLICE_MS;
    }
  }

  #logFound(keeper: Keeper, found: readonly EntryKey[], reason: string): void {
    const { network, desired } = keeper;
    const verbOf = ({ kind, key }: EntryKey) => (desired[kind].has(key) ? "replace" : "delete");
    const replaced = found.filter((entry) => verbOf(entry) === "replace").length;
    const counts = { network, reason, replace: replaced, delete: found.length - replaced };
    if (found.length === 0) this.#log.debug("the kernel is as the store has it", counts);
    else this.#log.info("the kernel differs from the store", counts);
    if (found.length > LOGGED_ENTRIES_MAX) return;
    for (const entry of found) {
      const fields = { network, kind: entry.kind, entry: entry.key, ...placeOf(keeper, entry) };
      this.#log.info(`${verbOf(entry)} entry`, fields);
    }
  }

  async #sleep(signal: AbortSignal): Promise<void> {
    const now = performance.now();
    let dueMs = COMPARE_INTERVAL_MS;
    for (const { comparedAt = now, compareFor, refused } of this.keepers.values()) {
      const intervalMs = refused.size > 0 ? RETRY_INTERVAL_MS : COMPARE_INTERVAL_MS;
      dueMs = Math.min(dueMs, comparedAt + (compareFor === undefined ? intervalMs : COMPARE_PAUSE_MS) - now);
    }
    const stop = new AbortController();
    const end = () => stop.abort();
    this.#wake = end;
    signal.addEventListener("abort", end);
    await pause(Math.max(1, dueMs), stop.signal);
    signal.removeEventListener("abort", end);
    this.#wake = () => {};
  }

  #tell(): void {
    for (const look of this.#waiting) look();
  }
}

/** Where an entry leads to, for the log. */
function placeOf({ desired }: Keeper, { kind, key }: EntryKey): Record<string, string> {
  if (kind === "fdb") {
    const dst = desired.fdb.get(key)?.dst;
    return dst ? { vtep: formatAddress(dst) } : {};
  }
  if (kind === "routes") {
    const gateway = desired.routes.get(key)?.gateway;
    return gateway ? { via: formatAddress(gateway) } : {};
  }
  const mac = desired.neighbours.get(key)?.mac;
  return mac ? { mac: formatMac(mac) } : {};
}
