/**
 * Whether this host's part of a store is swept: what it holds there is what records tell of (sweep.ts).
 *
 *     /run/weft/stores/<hash of the store>/swept    since when, by its time; gone with the boot
 *
 * Whoever leaves something behind in a store that is away removes the file.
 */
import { nowNs } from "../sys/clock.ts";
import { isErrno } from "../sys/errno.ts";
import { findFile, listDirectory, makeDirectory, removeFile, replaceFile } from "../sys/file.ts";
import * as libc from "../sys/libc.ts";
import type { StoreIdentity } from "./protocol.ts";

const STORES_DIR = "/run/weft/stores";
const SWEPT = "swept";
/** What an ADD asked for that did not wait for the answer may be carried out after a sweep. */
const SWEPT_FOR_NS = 600_000_000_000n;

/** Whether a sweep is due. */
export function isSweepDue(store: StoreIdentity): boolean {
  const since = findFile(`${storeDirectory(store)}/${SWEPT}`)?.mtimeNs;
  if (since === undefined) return true;
  const ageNs = nowNs() - since;
  return ageNs < 0n || ageNs > SWEPT_FOR_NS;
}

/** There may be something in the store that no record tells of. Also ends a sweep that is under way. */
export function forgetSwept(store: StoreIdentity): void {
  const directory = storeDirectory(store);
  for (const name of listDirectory(directory)) removeFile(`${directory}/${name}`);
}

/** A sweep that is under way. */
export interface Sweep extends Disposable {
  /** It is done, unless something was left behind meanwhile. */
  done(): void;
}

export function beginSweep(store: StoreIdentity): Sweep {
  const directory = storeDirectory(store);
  const begun = `${directory}/${SWEPT}.${crypto.randomUUID()}`;
  makeDirectory(directory);
  for (const name of listDirectory(directory)) removeAbandoned(`${directory}/${name}`);
  replaceFile(begun, `${store.prefix} ${store.host} ${store.endpoints.join(" ")}\n`, 0o600);
  return {
    done() {
      try {
        libc.rename(begun, `${directory}/${SWEPT}`);
      } catch (error) {
        if (!isErrno(error, "ENOENT")) throw error; // forgetSwept()
      }
    },
    [Symbol.dispose]: () => void removeFile(begun),
  };
}

/** Of a sweep that was killed; and what says that one is due again says nothing when it is gone. */
function removeAbandoned(path: string): void {
  const since = findFile(path)?.mtimeNs;
  if (since !== undefined && nowNs() - since > SWEPT_FOR_NS) removeFile(path);
}

/** Names of hosts and prefixes are not names of files. */
function storeDirectory({ endpoints, prefix, host }: StoreIdentity): string {
  const text = JSON.stringify([[...endpoints].sort(), prefix, host]);
  return `${STORES_DIR}/${new Bun.CryptoHasher("sha256").update(text).digest("hex").slice(0, 32)}`;
}
