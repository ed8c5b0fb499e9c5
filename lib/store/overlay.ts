/**
 * A host's membership in the overlay networks, and its containers there. What is guarded against what, and
 * why, is in docs/overlay.md.
 *
 * An ADD writes its record first, then joins, then publishes. Leaving looks at the keys first, then at the
 * records, and deletes what has not been put again since: so it never takes what an ADD has begun to use.
 */
import { CniError } from "../cni/error.ts";
import type { KeyValue } from "../etcd/encoding.ts";
import { type Compare, deleteOp, modRevisionIs, putOp } from "../etcd/transaction.ts";
import { formatAddress } from "../netaddr/address.ts";
import { formatPrefix, parsePrefix } from "../netaddr/prefix.ts";
import { hasRecordsOf } from "../state/record.ts";
import { leaseSubnets, listSubnets } from "./host-subnets.ts";
import {
  attachmentKey,
  decodeValue,
  type EndpointValue,
  encodeValue,
  type NetworkValue,
  type VtepValue,
} from "./layout.ts";
import {
  ATTEMPTS,
  decodeNetwork,
  ensureNetwork,
  faultOfSettings,
  findKey,
  findNetwork,
  findOwnHost,
  removeEmptyNetwork,
  tooManyChanges,
  type WantedNetwork,
} from "./networks.ts";
import type { Store } from "./store.ts";

/** Whose records say that a host has containers in a network (lib/overlay/record.ts). */
const RECORDING_PLUGIN = "vxlan";
/** How much one transaction deletes: etcd takes 128 operations (--max-txn-ops). */
const DELETIONS_MAX = 100;

/** A container's interface. */
export interface AttachmentInput {
  readonly containerId: string;
  readonly ifname: string;
}

export interface JoinOutput {
  readonly network: NetworkValue;
  /** Mode routed: what this host has leased. */
  readonly subnets: readonly { readonly subnet: string; readonly gateway: string }[];
}

/** Joins of this process take turns in a network: two at once would lease two subnets. */
const joining = new Map<string, Promise<unknown>>();

interface JoinInput {
  readonly network: string;
  readonly wanted: WantedNetwork;
  /** Mode routed: subnets of this host that its containers have addresses of. */
  readonly used?: readonly string[];
}

/** Has the network be there, with this host's subnets in mode routed. @throws CniError 7, 11 */
export function joinNetwork(store: Store, input: JoinInput): Promise<JoinOutput> {
  const key = store.keys.network(input.network);
  const turn = (joining.get(key) ?? Promise.resolve()).then(() => join(store, input));
  const settled = turn
    .catch(() => undefined)
    .finally(() => joining.get(key) === settled && joining.delete(key));
  joining.set(key, settled);
  return turn;
}

async function join(store: Store, { network, wanted, used = [] }: JoinInput): Promise<JoinOutput> {
  await findOwnHost(store);
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const settings = await ensureNetwork(store, network, wanted);
    if (settings.mode === "bridged") return { network: settings, subnets: [] };
    const wantedSubnets = { pools: settings.subnets ?? [], used: used.map(parsePrefix) };
    const leased = await leaseSubnets(store, network, wantedSubnets);
    if (!leased) continue; // its last host left between the two
    const subnets = leased.map(({ subnet, gateway }) => ({
      subnet: formatPrefix(subnet),
      gateway: formatAddress(gateway),
    }));
    return { network: settings, subnets };
  }
  throw tooManyChanges(`network "${network}"`);
}

/**
 * Puts a container and how this host is reached; the latter goes with the agent's lease. A network that its
 * last host has just removed is put again. @throws CniError 11 where the agent is not registered
 */
export async function publishEndpoint(
  store: Store,
  input: AttachmentInput & {
    readonly network: string;
    /** As joinNetwork() gave them. */
    readonly settings: NetworkValue;
    readonly endpoint: EndpointValue;
    readonly vtep: VtepValue;
  },
): Promise<void> {
  const { client, keys, host, deadline } = store;
  const { network, settings, endpoint, vtep } = input;
  const wanted = { ...settings, mtuMax: settings.mtu };
  const networkKey = keys.network(network);
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const [networkKv, hostKv] = await Promise.all([findKey(store, networkKey), findOwnHost(store)]);
    if (!hostKv) throw notRegistered(host);
    if (!networkKv) {
      await ensureNetwork(store, network, wanted);
      continue;
    }
    const fault = faultOfSettings(network, decodeNetwork(network, networkKv.value), wanted);
    if (fault) throw fault;
    const { succeeded } = await client.txn(
      {
        compare: [networkKv, hostKv].map(({ key, modRevision }) => modRevisionIs(key, modRevision)),
        success: [
          putOp(keys.endpoint(network, host, attachmentKey(input)), encodeValue(endpoint)),
          putOp(keys.vtep(network, host), encodeValue(vtep), { lease: hostKv.lease }),
        ],
      },
      { deadline },
    );
    if (succeeded) return;
  }
  throw tooManyChanges(`network "${network}"`);
}

/** Removes a container; again is nothing. */
export async function withdrawEndpoint(
  { client, keys, host, deadline }: Store,
  input: AttachmentInput & { readonly network: string },
): Promise<void> {
  const key = keys.endpoint(input.network, host, attachmentKey(input));
  await client.deleteKeys(key, { deadline });
}

/**
 * Takes the host out of the network, if no record tells of a container of it there: its VTEP, its subnets,
 * what is left of its endpoints; and the network itself after its last host.
 * @param input.leaving an attachment whose record does not count: its DEL is under way
 * @returns whether the host is out
 */
export async function leaveNetwork(
  store: Store,
  input: { readonly network: string; readonly leaving?: AttachmentInput | undefined },
): Promise<boolean> {
  const { network, leaving } = input;
  await findOwnHost(store);
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const own = await listOwn(store, network);
    if (hasRecordsOf(RECORDING_PLUGIN, network, leaving)) return false;
    if (!(await deleteUnchanged(store, own))) continue;
    await removeEmptyNetwork(store, network);
    return true;
  }
  throw tooManyChanges(`network "${network}"`);
}

/** What a host has in a network, its VTEP last: until then others reach what is left. */
export async function listOwn(
  store: Store,
  network: string,
): Promise<{ readonly key: string; readonly modRevision: bigint }[]> {
  const { keys, host } = store;
  const vtepKey = keys.vtep(network, host);
  const vtep = await findKey(store, vtepKey);
  const subnets = await listSubnets(store, network);
  const endpoints = await listEndpoints(store, network);
  return [
    ...endpoints,
    ...subnets.filter((subnet) => subnet.host === host),
    { key: vtepKey, modRevision: vtep?.modRevision ?? 0n },
  ];
}

/** Deletes the keys, as long as none was put since it was read. @returns whether all are gone */
export async function deleteUnchanged(
  { client, deadline }: Store,
  all: readonly { readonly key: string; readonly modRevision: bigint }[],
  guards: readonly Compare[] = [],
): Promise<boolean> {
  for (let at = 0; at < all.length; at += DELETIONS_MAX) {
    const some = all.slice(at, at + DELETIONS_MAX);
    const compare = [...guards, ...some.map(({ key, modRevision }) => modRevisionIs(key, modRevision))];
    const request = { compare, success: some.map(({ key }) => deleteOp(key)) };
    const { succeeded } = await client.txn(request, { deadline });
    if (!succeeded) return false;
  }
  return true;
}

/** Of this host, in a network. */
export async function listEndpoints(
  { client, keys, host, deadline }: Store,
  network: string,
): Promise<(AttachmentInput & KeyValue)[]> {
  const start = keys.endpoints(network, host);
  const { kvs } = await client.listAll(start, { deadline });
  return kvs.map((kv) => {
    const [containerId = "", ifname = ""] = kv.key.slice(start.length).split(":");
    return { ...kv, containerId, ifname };
  });
}

/** @throws CniError 100 that says what the store lacks of a container */
export async function checkEndpoint(
  store: Store,
  input: AttachmentInput & { readonly network: string; readonly endpoint: EndpointValue },
): Promise<void> {
  const { keys, host } = store;
  const { network, endpoint } = input;
  const key = keys.endpoint(network, host, attachmentKey(input));
  const failed = (msg: string, details: string) => new CniError(CniError.CHECK_FAILED, msg, { details });
  const there = decodeValue<EndpointValue>((await findKey(store, key))?.value ?? "");
  if (!there) throw failed(`container ${input.containerId} is not in the store`, `there is no ${key}`);
  const text = ({ mac, addresses }: EndpointValue) => `${mac} ${[...addresses].sort().join(" ")}`;
  if (text(there) !== text(endpoint)) {
    const msg = `the store has container ${input.containerId} with ${text(there)}, not ${text(endpoint)}`;
    throw failed(msg, key);
  }
  if (await findKey(store, keys.vtep(network, host))) return;
  throw failed(
    `the other hosts of network "${network}" do not know this one`,
    `there is no ${keys.vtep(network, host)}: "weft agent --status" tells whether the agent is registered`,
  );
}

/** Removes what containers of this host that are not valid have in the network. */
export async function gcEndpoints(
  store: Store,
  input: { readonly network: string; readonly valid: readonly AttachmentInput[] },
): Promise<void> {
  await findOwnHost(store);
  const valid = new Set(input.valid.map(attachmentKey));
  const there = await listEndpoints(store, input.network);
  const stale = there.filter((endpoint) => !valid.has(attachmentKey(endpoint)));
  // One by one: of those that were put anew meanwhile nothing is deleted, and the others go all the same.
  for (const endpoint of stale) await deleteUnchanged(store, [endpoint]);
}

/**
 * Whether an ADD could join and publish: the store answers, the agent is registered, and the network, where
 * it is there, is as this host would have it. Whose the VNI is of one that is not there an ADD says, which
 * removes an empty network that has it. Changes nothing. @throws CniError 7, 11
 */
export async function probeNetwork(
  store: Store,
  { network, wanted }: { readonly network: string; readonly wanted: WantedNetwork },
): Promise<void> {
  const there = await findNetwork(store, network);
  const fault = there && faultOfSettings(network, there, wanted);
  if (fault) throw fault;
  if (!(await findOwnHost(store))) throw notRegistered(store.host);
}

function notRegistered(host: string): CniError {
  return new CniError(CniError.TRY_AGAIN_LATER, "the agent is not registered", {
    details: `host "${host}" has no key in the store: "weft agent --status" on it tells why`,
  });
}
