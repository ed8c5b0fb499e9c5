/**
 * Mode routed: the subnets that a host leases of its network's pools, one of each. They stay until it leaves.
 */
import { CniError } from "../cni/error.ts";
import type { KeyValue } from "../etcd/encoding.ts";
import { absent, exists, getOp, modRevisionIs, putOp } from "../etcd/transaction.ts";
import { formatPrefix, type Prefix, parsePrefix, samePrefix } from "../netaddr/prefix.ts";
import { decodeValue, encodeValue, type SubnetPool, type SubnetValue } from "./layout.ts";
import { ATTEMPTS, tooManyChanges } from "./networks.ts";
import type { Store } from "./store.ts";
import { freeSubnet, type HostSubnet, isOfPool, type Pool, parsePools, withGateway } from "./subnet-pools.ts";

/** A subnet in the store. */
export interface LeasedSubnet {
  readonly subnet: Prefix;
  /** Undefined where another version of weft wrote it. */
  readonly host: string | undefined;
  readonly key: string;
  readonly modRevision: bigint;
}

/** What a host leases. */
interface Wanted {
  readonly pools: readonly SubnetPool[];
  /** What its containers have addresses of, whether or not the store still knows of it. */
  readonly used: readonly Prefix[];
}

/**
 * Leases a subnet of each pool, or what the host has leased of it already. Not for two at once of one host.
 * @returns undefined where the network is gone meanwhile
 * @throws CniError 11
 */
export async function leaseSubnets(
  store: Store,
  network: string,
  { pools, used }: Wanted,
): Promise<HostSubnet[] | undefined> {
  const leased: HostSubnet[] = [];
  for (const pool of parsePools(pools)) {
    const inUse = used.find((subnet) => isOfPool(pool, subnet));
    const subnet = await leaseSubnet(store, network, { pool, inUse });
    if (!subnet) return undefined;
    leased.push(withGateway(subnet));
  }
  return leased;
}

async function leaseSubnet(
  store: Store,
  network: string,
  { pool, inUse }: { pool: Pool; inUse: Prefix | undefined },
): Promise<Prefix | undefined> {
  const { client, keys, host, deadline } = store;
  const value = encodeValue({ host } satisfies SubnetValue);
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const there = await listSubnets(store, network);
    const taken = there.map((each) => each.subnet);
    const held = there.find((each) => each.host === host && isOfPool(pool, each.subnet));
    const subnet = inUse ?? held?.subnet ?? freeSubnet(pool, taken);
    if (!subnet) throw noneFree(pool);
    const own = there.find((each) => samePrefix(each.subnet, subnet));
    if (own && own.host !== host) throw leasedToAnother(subnet, own.host);
    const key = keys.subnet(network, formatPrefix(subnet));
    // Put again also where it is the host's own: who is about to release it compares when it was put.
    const condition = own ? modRevisionIs(key, own.modRevision) : absent(key);
    const networkKey = keys.network(network);
    const { succeeded, responses } = await client.txn(
      {
        compare: [condition, exists(networkKey)],
        success: [putOp(key, value)],
        failure: [getOp(networkKey)],
      },
      { deadline },
    );
    if (succeeded) return subnet;
    if (responses[0]?.kvs.length === 0) return undefined;
  }
  throw tooManyChanges(`the subnets of network "${network}"`);
}

/** All that hosts have leased of a network. */
export async function listSubnets(
  { client, keys, deadline }: Store,
  network: string,
): Promise<LeasedSubnet[]> {
  const start = keys.subnets(network);
  const { kvs } = await client.listAll(start, { deadline });
  return kvs.flatMap((kv) => parseLeased(kv, start) ?? []);
}

/** <start><address>-<length>; what is no prefix stands in nobody's way. */
function parseLeased({ key, value, modRevision }: KeyValue, start: string): LeasedSubnet | undefined {
  try {
    const subnet = parsePrefix(key.slice(start.length).replace("-", "/"));
    return { subnet, host: decodeValue<SubnetValue>(value)?.host, key, modRevision };
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function leasedToAnother(subnet: Prefix, host = "another version of weft"): CniError {
  const msg = `${formatPrefix(subnet)}, which containers of this host use, was leased to ${host} meanwhile`;
  return new CniError(CniError.TRY_AGAIN_LATER, msg, {
    details: "run DEL for this host's containers of the network; its next ADD leases another",
  });
}

function noneFree({ network, hostLength }: Pool): CniError {
  const msg = `no subnet of ${formatPrefix(network)} is free for this host`;
  return new CniError(CniError.TRY_AGAIN_LATER, msg, {
    details: `other hosts have leased all of /${hostLength}; "weft agent --forget HOST" releases those of a dead one`,
  });
}
