/**
 * etcd-ipam: leases addresses out of ranges that all hosts of a cluster share, and keeps them in etcd.
 *
 *   ADD     lease a free address of each set of ranges, or one that was asked for
 *   DEL     release what the attachment has; where etcd is away, leave it to the sweep
 *   CHECK   the addresses of the result are leased to the attachment
 *   GC      release what this host no longer owns of this network
 *   STATUS  etcd answers, and each set of ranges has a free address
 *
 * Reference: https://www.cni.dev/plugins/current/ipam/host-local/ for the configuration
 */
import validate from "../../generated/validate/etcd-ipam.js";
import { CniError, recoded } from "../../lib/cni/error.ts";
import { type Call, everyStep, type GcCall, type Plugin } from "../../lib/cni/plugin.ts";
import type { IpConfig, Result } from "../../lib/cni/result.ts";
import { ALL_VERSIONS } from "../../lib/cni/version.ts";
import type { EtcdSettings } from "../../lib/etcd/settings.ts";
import { findRange, parseRangeSets, type RangeSet, rangeKeysOf } from "../../lib/ipam/ranges.ts";
import { isFull, notLeased } from "../../lib/ipam/refusal.ts";
import { refuseReserved, wantedAddresses } from "../../lib/ipam/request.ts";
import { readDns } from "../../lib/ipam/resolv-conf.ts";
import { parseRoutes } from "../../lib/ipam/routes.ts";
import { formatAddress, parseAddress } from "../../lib/netaddr/address.ts";
import { removeRecord } from "../../lib/state/record.ts";
import { askStore } from "../../lib/store/ask.ts";
import type { Holder } from "../../lib/store/holders.ts";
import { type AddressValue, formatHolder } from "../../lib/store/layout.ts";
import {
  abandonLease,
  findLeaseRecord,
  findLeaseStore,
  leaseStore,
  leaseStores,
  recordLease,
  staleLeaseRecords,
} from "../../lib/store/lease-record.ts";
import { machineId } from "../../lib/store/machine.ts";
import { isStoreAway } from "../../lib/store/protocol.ts";
import { forgetSwept } from "../../lib/store/swept.ts";
import { type Config, schema } from "./schema.ts";

const NAME = "etcd-ipam";

function add(call: Call<Config>): Result {
  const { config, undo } = call;
  const wanted = wantedAddresses(call);
  for (const each of wanted) if (each.requested) refuseReserved(each.requested, each);
  const routes = parseRoutes(config.ipam?.routes ?? []);
  const dns = readDns(config.ipam?.resolvConf ?? "");

  const earlier = findLeaseRecord(call);
  const store = leaseStore(call, earlier);
  if (!earlier) recordLease(call, store); // first: what no record tells of is swept
  const attempt = crypto.randomUUID();
  const { addresses } = askStore(store, "claimAddresses", {
    ...holderOf(call),
    sets: wanted.map(({ set }) => rangeKeysOf(set)),
    requested: wanted.map(({ requested }) => (requested ? formatAddress(requested) : null)),
    attempt,
    isRepeated: earlier !== undefined,
  });
  undo.defer(() => void isReleased(call, store, attempt)); // what is not, the sweep does
  return { ips: wanted.map(({ set }, index) => ipConfig(set, addresses[index])), routes, dns };
}

function del(call: Call<Config>): void {
  const record = findLeaseRecord(call);
  const store = findLeaseStore(call, record);
  const released = store !== undefined && isReleased(call, store);
  if (released && record) removeRecord(record);
  else if (record) abandonLease(record);
  else if (store && !released) forgetSwept(store);
}

function check(call: Call<Config>): void {
  const { config, containerId, prevResult } = call;
  const sets = parseRangeSets(config);
  const store = leaseStore(call, findLeaseRecord(call));
  const own = (prevResult?.ips ?? [])
    .map(({ address }) => address.address)
    .filter((address) => sets.some((set) => findRange(set, address)));
  const addresses = own.map(formatAddress);
  const { held, holders } = askStore(store, "readHolders", { ...holderOf(call), addresses });
  for (const [at, address] of addresses.entries()) {
    const holder = holders[at];
    if (holder && isOwner(call, store, holder)) continue;
    const state = holder ? `is leased to ${formatHolder(holder)}` : "is not leased";
    throw notLeased(NAME, containerId, `${address} ${state}`);
  }
  if (own.length === 0 && held.length === 0) throw notLeased(NAME, containerId);
}

function gc(call: GcCall<Config>): void {
  const { config, validAttachments: valid } = call;
  const stores = leaseStores(call);
  const stale = staleLeaseRecords(call);
  everyStep(
    ...stores.map(
      (store) => () => void askStore(store, "releaseStaleAddresses", { network: config.name, valid }),
    ),
    ...stale.map((record) => () => abandonLease(record)),
    () => void leaseStore(call, undefined), // what is of no record could not be released without it
  );
}

function status(call: Call<Config>): void {
  const sets = parseRangeSets(call.config);
  recoded(CniError.NOT_AVAILABLE, machineId);
  const input = { network: call.config.name, sets: sets.map(rangeKeysOf) };
  try {
    const { index } = askStore(leaseStore(call, undefined), "findFullSet", input);
    const full = index === null ? undefined : sets[index];
    if (full) throw isFull(full);
  } catch (error) {
    if (!(error instanceof CniError && isStoreAway(error))) throw error;
    throw new CniError(CniError.NOT_AVAILABLE_AFFECTED, error.msg, { details: error.details });
  }
}

function ipConfig(set: RangeSet, name = ""): IpConfig {
  const address = parseAddress(name);
  const range = findRange(set, address);
  if (!range) throw new Error(`the store gave ${name}, which is in no range`);
  return { address: { address, length: range.subnet.length }, gateway: range.gateway };
}

/** Releases what the attachment holds, or what one attempt got. @returns false where the store did not */
function isReleased(call: Call<Config>, store: EtcdSettings, attempt?: string): boolean {
  try {
    askStore(store, "releaseAddresses", { ...holderOf(call), ...(attempt && { attempt }) });
    return true;
  } catch (error) {
    if (error instanceof CniError) return false;
    throw error;
  }
}

function holderOf(call: Call<Config>): Holder {
  const { config, containerId, ifname } = call;
  return { network: config.name, containerId, ifname };
}

function isOwner(
  { containerId, ifname }: Call<Config>,
  { host }: EtcdSettings,
  holder: AddressValue,
): boolean {
  return holder.host === host && holder.containerId === containerId && holder.ifname === ifname;
}

export const etcdIpamPlugin: Plugin<Config> = {
  name: NAME,
  versions: ALL_VERSIONS,
  schema,
  validate,
  argKeys: ["IP"],
  add,
  del,
  check,
  gc,
  status,
};
export default etcdIpamPlugin;
