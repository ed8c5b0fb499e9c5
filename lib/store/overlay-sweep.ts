/**
 * What is left in the store of containers and hosts that are gone: of this host's containers without a
 * record, and of a host that an administrator declares dead.
 */
import { CniError } from "../cni/error.ts";
import { absent } from "../etcd/transaction.ts";
import { recordedAttachments } from "../state/record.ts";
import { listClaims, releaseClaims } from "./holders.ts";
import { ATTEMPTS, findKey, findOwnHost, removeEmptyNetwork, tooManyChanges } from "./networks.ts";
import { deleteUnchanged, leaveNetwork, listEndpoints, listOwn } from "./overlay.ts";
import type { Store } from "./store.ts";

/**
 * Removes this host's endpoints that no record tells of, and leaves networks in which it has none. For the
 * agent, once it is registered: where another machine has this host's name nothing is touched.
 * @returns how many endpoints were removed @throws CniError 7 there
 */
export async function sweepOverlay(store: Store): Promise<number> {
  if (!(await findOwnHost(store))) return 0;
  let removed = 0;
  for (const network of await listNetworks(store)) {
    const own = await listOwn(store, network);
    if (own.every(({ modRevision }) => modRevision === 0n)) continue;
    const endpoints = await listEndpoints(store, network); // before the records, as lib/store/sweep.ts has it
    const isRecorded = recordedAttachments(network);
    for (const endpoint of endpoints.filter((each) => !isRecorded(each))) {
      if (await deleteUnchanged(store, [endpoint])) removed++;
    }
    await leaveNetwork(store, { network });
  }
  return removed;
}

/** What a host had. */
export interface ForgottenHost {
  readonly addresses: number;
  /** Of its containers, with its subnets and VTEPs. */
  readonly keys: number;
  /** Networks that it was in. */
  readonly networks: readonly string[];
}

/**
 * Forgets a host that will not come back: all that it has in the store, its containers' addresses too. While
 * its containers run somewhere all the same, their addresses are given to others.
 * @throws CniError 11 while its agent is registered, unless forced
 */
export async function forgetHost(
  caller: Store,
  input: { readonly host: string; readonly force?: boolean },
): Promise<ForgottenHost> {
  const store: Store = { ...caller, host: input.host };
  await unregister(store, input);
  const networks: string[] = [];
  let keys = 0;
  for (const network of await listNetworks(store)) {
    const removed = await removeFrom(store, network);
    if (removed === 0) continue;
    networks.push(network);
    keys += removed;
    await removeEmptyNetwork(store, network);
  }
  const claims = await listClaims(store);
  await releaseClaims(store, claims);
  return { addresses: claims.length, keys, networks };
}

async function unregister(
  { client, keys, host, deadline }: Store,
  { force = false }: { force?: boolean | undefined },
): Promise<void> {
  const key = keys.host(host);
  if (force) await client.deleteKeys(key, { deadline });
  if ((await client.range(key, { deadline, keysOnly: true })).kvs.length === 0) return;
  throw new CniError(CniError.TRY_AGAIN_LATER, `host "${host}" has a registered agent`, {
    details: "stop it, and wait until it is forgotten: its lease expires after the agent's --grace",
  });
}

/** Whatever the host has in a network. @returns how many keys that was */
async function removeFrom(store: Store, network: string): Promise<number> {
  const hostKey = store.keys.host(store.host);
  let removed = 0;
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const own = (await listOwn(store, network)).filter(({ modRevision }) => modRevision > 0n);
    if (own.length === 0) return removed;
    removed = own.length;
    // An agent that registers now has come back to life: what it has stays from here on.
    if (await deleteUnchanged(store, own, [absent(hostKey)])) return removed;
    if (await findKey(store, hostKey)) throw cameBack(store.host);
  }
  throw tooManyChanges(`what host "${store.host}" has in network "${network}"`);
}

async function listNetworks({ client, keys, deadline }: Store): Promise<string[]> {
  const { kvs } = await client.listAll(keys.networks, { deadline });
  return kvs.map(({ key }) => key.slice(keys.networks.length));
}

function cameBack(host: string): CniError {
  return new CniError(CniError.TRY_AGAIN_LATER, `host "${host}" has registered again`, {
    details: "only a part of what it had was removed; its agent puts that back, but for subnets",
  });
}
