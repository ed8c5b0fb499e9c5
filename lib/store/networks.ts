/**
 * Overlay networks in the store: what their hosts agree on, and whose a VNI is. Both keys come in one
 * transaction with the first host, and go in one when there is no host left.
 */
import { CniError, invalidConfig } from "../cni/error.ts";
import type { KeyValue } from "../etcd/encoding.ts";
import { absent, deleteOp, emptyPrefix, getOp, modRevisionIs, putOp } from "../etcd/transaction.ts";
import {
  decodeValue,
  encodeValue,
  type HostValue,
  LAYOUT_VERSION,
  type NetworkValue,
  type VniValue,
} from "./layout.ts";
import { machineId } from "./machine.ts";
import type { Store } from "./store.ts";

/** How often others may change the same keys before that is an error. */
export const ATTEMPTS = 20;

/** What a host asks for: the network's settings, but of the MTU what it can carry. */
export interface WantedNetwork extends Omit<NetworkValue, "mtu"> {
  /** Bytes; 0 for what fits. */
  readonly mtu: number;
  /** The most that this host's underlay carries. */
  readonly mtuMax: number;
}

/**
 * Has the network be there. @returns its settings, the first host's
 * @throws CniError 7 where it is there with others, or the VNI is another network's
 */
export async function ensureNetwork(
  store: Store,
  network: string,
  wanted: WantedNetwork,
): Promise<NetworkValue> {
  const { client, keys, deadline } = store;
  const { mtuMax, ...settings } = wanted;
  const value: NetworkValue = { ...settings, mtu: wanted.mtu || mtuMax };
  const networkKey = keys.network(network);
  const vniKey = keys.vni(wanted.vni);
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const { succeeded, responses } = await client.txn(
      {
        compare: [absent(networkKey), absent(vniKey)],
        success: [
          putOp(networkKey, encodeValue(value)),
          putOp(vniKey, encodeValue({ network } satisfies VniValue)),
        ],
        failure: [getOp(networkKey), getOp(vniKey)],
      },
      { deadline },
    );
    if (succeeded) return value;
    const [networkKv, vniKv] = responses.map(({ kvs }) => kvs[0]);
    if (networkKv) {
      const there = decodeNetwork(network, networkKv.value);
      const fault = faultOfSettings(network, there, wanted);
      if (!fault) return there;
      if (!(await removeEmptyNetwork(store, network))) throw fault;
    } else if (vniKv) {
      const owner = decodeValue<VniValue>(vniKv.value)?.network;
      if (owner === undefined || !(await removeEmptyNetwork(store, owner, vniKv.key))) {
        throw vniTaken(wanted.vni, owner);
      }
    }
  }
  throw tooManyChanges(`network "${network}"`);
}

/**
 * Removes a network that has no host, no subnet and no container any more.
 * @param vniKey one that names the network, where the network itself may have been removed by hand
 * @returns false where it stays, because it is in use
 */
export async function removeEmptyNetwork(store: Store, network: string, vniKey?: string): Promise<boolean> {
  const { client, keys, deadline } = store;
  const networkKey = keys.network(network);
  const networkKv = await findKey(store, networkKey);
  const namedKv = vniKey === undefined ? undefined : await findKey(store, vniKey);
  const there = networkKv && decodeValue<NetworkValue>(networkKv.value);
  if (networkKv && !there) return false; // another version's: who knows what that has beside it
  if (!networkKv && !namedKv) return true;
  const vniKeys = new Set([there && keys.vni(there.vni), namedKv?.key]);
  const { succeeded } = await client.txn(
    {
      compare: [
        modRevisionIs(networkKey, networkKv?.modRevision ?? 0n),
        ...(namedKv ? [modRevisionIs(namedKv.key, namedKv.modRevision)] : []),
        emptyPrefix(keys.vteps(network)),
        emptyPrefix(keys.subnets(network)),
        emptyPrefix(keys.endpoints(network)),
      ],
      success: [deleteOp(networkKey), ...[...vniKeys].flatMap((key) => (key ? deleteOp(key) : []))],
    },
    { deadline },
  );
  if (succeeded) return true;
  // Or it has been removed, by this very transaction if its answer was lost, and may be another one by now.
  const now = await findKey(store, networkKey);
  return now?.modRevision !== networkKv?.modRevision;
}

/**
 * The network's settings; undefined where there is none. @throws CniError 7 that tells of another version's
 */
export async function findNetwork(store: Store, network: string): Promise<NetworkValue | undefined> {
  const kv = await findKey(store, store.keys.network(network));
  return kv && decodeNetwork(network, kv.value);
}

/** One key, or undefined. */
export async function findKey({ client, deadline }: Store, key: string): Promise<KeyValue | undefined> {
  const { kvs } = await client.range(key, { deadline });
  return kvs[0];
}

/**
 * The key that says that this host's agent lives; undefined where it is away. Nothing may be changed under a
 * name that another machine has: it would be that one's.
 * @throws CniError 7 where one has it
 */
export async function findOwnHost(store: Store): Promise<KeyValue | undefined> {
  const kv = await findKey(store, store.keys.host(store.host));
  const machine = machineId();
  if (!kv || decodeValue<HostValue>(kv.value)?.machine === machine) return kv;
  throw invalidConfig(
    `host "${store.host}" is another machine, whose agent lives`,
    'give one of them another name by "host" in /etc/weft/etcd.json',
  );
}

/** What keeps the host out of a network like this, or undefined. */
export function faultOfSettings(
  network: string,
  there: NetworkValue,
  wanted: WantedNetwork,
): CniError | undefined {
  const pools = ({ subnets = [] }: Pick<NetworkValue, "subnets">) =>
    subnets.map(({ subnet, hostLength }) => `${subnet} by /${hostLength}`).join(", ");
  const compared = [
    { key: "vni", has: there.vni, asks: wanted.vni },
    { key: "mode", has: `"${there.mode}"`, asks: `"${wanted.mode}"` },
    { key: "port", has: there.port, asks: wanted.port },
    { key: "subnets", has: pools(there), asks: pools(wanted) },
    { key: "mtu", has: there.mtu, asks: wanted.mtu || there.mtu },
  ];
  const differing = compared.find(({ has, asks }) => has !== asks);
  if (differing) {
    const { key, has, asks } = differing;
    const msg = `network "${network}" has "${key}": ${has}, not ${asks}`;
    return invalidConfig(msg, "all hosts of a network need the same, and its first host has set it");
  }
  if (there.family !== wanted.family) {
    const msg = `the hosts of network "${network}" reach each other by IPv${there.family}, and this host's underlay is IPv${wanted.family}`;
    return invalidConfig(msg, `name an interface or an address of IPv${there.family} by "dev" or "local"`);
  }
  if (there.mtu <= wanted.mtuMax) return undefined;
  const msg = `network "${network}" has an MTU that cannot fit: ${there.mtu} bytes, and this host's underlay carries ${wanted.mtuMax}`;
  return invalidConfig(
    msg,
    `raise the MTU of the underlay here, or set "mtu": ${wanted.mtuMax} on all hosts`,
  );
}

function vniTaken(vni: number, owner: string | undefined): CniError {
  const whose = owner === undefined ? "a network of another version of weft" : `network "${owner}"`;
  return invalidConfig(`VNI ${vni} is in use by ${whose}`, 'choose another "vni"');
}

/** @throws CniError 7 where another version of weft wrote it */
export function decodeNetwork(network: string, text: string): NetworkValue {
  const value = decodeValue<NetworkValue>(text);
  if (value) return value;
  const msg = `network "${network}" is in the store in a form that is not version ${LAYOUT_VERSION}`;
  throw invalidConfig(msg, "another version of weft wrote it: use one version on all hosts, or another name");
}

export function tooManyChanges(what: string): CniError {
  return new CniError(CniError.TRY_AGAIN_LATER, `${what} kept changing in the store`, {
    details: `${ATTEMPTS} tries`,
  });
}
