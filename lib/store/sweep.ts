/**
 * Releases what this host holds in a store and no record of it tells of. An ADD writes its record before it
 * claims anything, so what was claimed before the records were looked at, and has none, is of an attachment
 * that is gone: its DEL did not reach the store, or the machine was started anew.
 */
import { recordedAttachments } from "../state/record.ts";
import { type Holder, listOwnClaims, releaseClaims } from "./holders.ts";
import type { Store } from "./store.ts";
import { beginSweep, isSweepDue } from "./swept.ts";

/** How much of an operation's time a sweep before it may take. */
const SHARE = 0.5;

/** The sweep that is under way in this process. */
let sweeping: Promise<void> | undefined;

/** Sweeps where that is due. What fails is due again: the operation that comes next is what was asked for. */
export async function sweepWhenDue(store: Store): Promise<void> {
  if (!isSweepDue(store.settings)) return;
  const now = performance.now();
  const deadline = now + SHARE * (store.deadline - now);
  sweeping ??= sweep({ ...store, deadline }).then(finished, finished);
  await sweeping;
}

function finished(): void {
  sweeping = undefined;
}

/** Sweeps the claims of addresses. @returns how many were released @throws EtcdError */
export async function sweep(store: Store): Promise<number> {
  using sweep = beginSweep(store.settings);
  const claims = await listOwnClaims(store); // first: a record that is written later is of a later claim
  const isRecorded = recordLookup();
  const stale = claims.filter((claim) => !isRecorded(claim));
  await releaseClaims(store, stale);
  sweep.done();
  return stale.length;
}

/** Says of holders whether there are records of their attachments, and reads each network's once. */
function recordLookup(): (holder: Holder) => boolean {
  const networks = new Map<string, ReturnType<typeof recordedAttachments>>();
  return (holder) => {
    const isRecorded = networks.get(holder.network) ?? recordedAttachments(holder.network);
    networks.set(holder.network, isRecorded);
    return isRecorded(holder);
  };
}
