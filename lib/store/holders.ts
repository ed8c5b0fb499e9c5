/** Who holds addresses, by host: what is found there, and how it is released. */
import type { KeyValue } from "../etcd/encoding.ts";
import { deleteOp, modRevisionIs } from "../etcd/transaction.ts";
import { type AddressValue, attachmentKey, decodeValue } from "./layout.ts";
import { machineId } from "./machine.ts";
import type { Store } from "./store.ts";

/** How many transactions are under way at once. */
const RELEASES_AT_ONCE = 16;

/** One interface of one container on a network; its host is the store's. */
export interface Holder {
  readonly network: string;
  readonly containerId: string;
  readonly ifname: string;
}

/** A claim under this host's name, as the store tells it. */
export interface Claim extends Holder {
  readonly address: string;
  /** Undefined where another version of weft wrote it. */
  readonly value: AddressValue | undefined;
  /** When it was claimed: an address that was claimed anew is another claim. */
  readonly revision: bigint;
}

/** The claims under this host's name; of a network; of an attachment. */
export async function listClaims(
  { client, keys, host, deadline }: Store,
  { network, containerId, ifname }: Partial<Holder> = {},
): Promise<Claim[]> {
  const attachment =
    containerId === undefined || ifname === undefined ? undefined : attachmentKey({ containerId, ifname });
  const start = keys.holders(host, network, attachment);
  const { kvs } = await client.listAll(start, { deadline });
  return kvs.flatMap((kv) => parseClaim(kv, keys.holders(host)) ?? []);
}

/** Of those what this machine claimed, and no other of its name. @throws CniError 7 without a machine-id */
export async function listOwnClaims(store: Store, holder?: Partial<Holder>): Promise<Claim[]> {
  const machine = machineId();
  return (await listClaims(store, holder)).filter(({ value }) => value?.machine === machine);
}

/** Releases them; one that is another's by now, or was claimed anew, stays. */
export async function releaseClaims(store: Store, claims: readonly Claim[]): Promise<void> {
  for (let at = 0; at < claims.length; at += RELEASES_AT_ONCE) {
    const some = claims.slice(at, at + RELEASES_AT_ONCE);
    const outcomes = await Promise.allSettled(some.map((claim) => releaseClaim(store, claim)));
    for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
  }
}

/** Both keys were put by one transaction, and so have one revision until either changes. */
async function releaseClaim({ client, keys, host, deadline }: Store, claim: Claim): Promise<void> {
  const { network, address, revision } = claim;
  const held = keys.address(network, address);
  const holder = keys.holders(host, network, attachmentKey(claim)) + address;
  const { succeeded } = await client.txn(
    {
      compare: [modRevisionIs(held, revision), modRevisionIs(holder, revision)],
      success: [deleteOp(held), deleteOp(holder)],
    },
    { deadline },
  );
  if (succeeded) return;
  // Released by another meanwhile; or somebody took the address by hand, and then this half is to go alone.
  await client.txn({ compare: [modRevisionIs(holder, revision)], success: [deleteOp(holder)] }, { deadline });
}

/** <start><network>/<containerId>:<ifname>/<address> */
function parseClaim({ key, value, modRevision }: KeyValue, start: string): Claim | undefined {
  const [network, attachment, address, surplus] = key.slice(start.length).split("/");
  const [containerId, ifname] = attachment?.split(":") ?? [];
  if (!network || !containerId || !ifname || !address || surplus !== undefined) return undefined;
  return {
    network,
    containerId,
    ifname,
    address,
    value: decodeValue<AddressValue>(value),
    revision: modRevision,
  };
}
