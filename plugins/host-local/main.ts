/**
 * host-local: leases addresses out of ranges that belong to this host alone.
 *
 *   ADD     lease the next free address of each set of ranges, or one that was asked for
 *   DEL     release what the attachment has, whatever the configuration says of ranges by now
 *   CHECK   the addresses of the result are leased to the attachment
 *   GC      release what this network no longer owns
 *   STATUS  each set of ranges has a free address
 *
 * Reference: https://www.cni.dev/plugins/current/ipam/host-local/
 */
import validate from "../../generated/validate/host-local.js";
import { staleAttachments } from "../../lib/cni/call.ts";
import { CniError } from "../../lib/cni/error.ts";
import { type Call, everyStep, type GcCall, type Plugin } from "../../lib/cni/plugin.ts";
import type { IpConfig, Result } from "../../lib/cni/result.ts";
import { ALL_VERSIONS } from "../../lib/cni/version.ts";
import { type Holder, readHolder } from "../../lib/ipam/lease-file.ts";
import {
  findLeaseStore,
  hasFreeAddress,
  type Lease,
  type LeaseStore,
  openLeaseStore,
} from "../../lib/ipam/lease-store.ts";
import { type Candidate, findRange, parseRangeSets } from "../../lib/ipam/ranges.ts";
import {
  cannotLease,
  isFull,
  leasedBefore,
  noneLeft,
  notAvailableText,
  notLeased,
} from "../../lib/ipam/refusal.ts";
import { refuseReserved, type Wanted, wantedAddresses } from "../../lib/ipam/request.ts";
import { readDns } from "../../lib/ipam/resolv-conf.ts";
import { parseRoutes } from "../../lib/ipam/routes.ts";
import { type Address, formatAddress, parseAddress } from "../../lib/netaddr/address.ts";
import { type Config, schema } from "./schema.ts";

const NAME = "host-local";
const DATA_DIR = schema.properties.ipam.properties.dataDir.default;

function add(call: Call<Config>): Result {
  const { config, containerId, resources, undo } = call;
  const wanted = wantedAddresses(call);
  const routes = parseRoutes(config.ipam?.routes ?? []);
  const dns = readDns(config.ipam?.resolvConf ?? "");

  const store = resources.use(openLeaseStore(leaseDirectory(config), containerId));
  undo.defer(() => store.rollBack());
  for (const each of wanted) refuseSecondLease(call, store, each);
  return { ips: wanted.map((each) => leaseAddress(call, store, each)), routes, dns };
}

function del(call: Call<Config>): void {
  const store = call.resources.use(findLeaseStore(leaseDirectory(call.config), call.containerId));
  if (store) everyStep(...leasesOf(call, store).map((lease) => () => store.release(lease.address)));
}

function check(call: Call<Config>): void {
  const { config, containerId, prevResult, resources } = call;
  const sets = parseRangeSets(config);
  const directory = leaseDirectory(config);
  const own = (prevResult?.ips ?? [])
    .map(({ address }) => address.address)
    .filter((address) => sets.some((set) => findRange(set, address)));
  for (const address of own) {
    const holder = readHolder(directory, formatAddress(address));
    if (holder && isOwner(call, holder)) continue;
    const state = holder ? `is leased to ${formatHolder(holder)}` : "is not leased";
    throw notLeased(NAME, containerId, `${formatAddress(address)} ${state}`);
  }
  if (own.length > 0) return;
  const store = resources.use(findLeaseStore(directory, containerId));
  if (!store || leasesOf(call, store).length === 0) throw notLeased(NAME, containerId);
}

function gc(call: GcCall<Config>): void {
  const store = call.resources.use(findLeaseStore(leaseDirectory(call.config)));
  if (!store) return;
  const containers = new Set(call.validAttachments.map(({ containerID }) => containerID));
  const leases = store.list(({ ifname }) => ifname !== "");
  const olderForm = store.list(({ containerId, ifname }) => containerId !== "" && ifname === "");
  const stale = [
    ...staleAttachments(call, leases),
    ...olderForm.filter(({ containerId }) => !containers.has(containerId)),
  ];
  everyStep(...stale.map((lease) => () => store.release(lease.address)));
}

function status({ config }: Call<Config>): void {
  const directory = leaseDirectory(config);
  parseRangeSets(config).forEach((set, index) => {
    if (!hasFreeAddress(directory, set, index)) throw isFull(set);
  });
}

function leaseAddress(call: Call<Config>, store: LeaseStore, wanted: Wanted): IpConfig {
  const { set, index, requested } = wanted;
  const leased = requested
    ? leaseRequested(call, store, { ...wanted, requested })
    : store.leaseNext(set, index, holderOf(call));
  if (!leased) throw noneLeft(set, index);
  const { subnet, gateway } = leased.range;
  return { address: { address: leased.address, length: subnet.length }, gateway };
}

function leaseRequested(
  call: Call<Config>,
  store: LeaseStore,
  wanted: Wanted & { requested: Address },
): Candidate | undefined {
  const { set, index, requested } = wanted;
  const range = findRange(set, requested);
  if (!range) return undefined;
  refuseReserved(requested, wanted);
  if (store.lease(requested, index, holderOf(call))) return { address: requested, range };
  const name = formatAddress(requested);
  const details = `it is leased to ${formatHolder(readHolder(leaseDirectory(call.config), name))}`;
  throw cannotLease(index, notAvailableText(name, set), { code: CniError.TRY_AGAIN_LATER, details });
}

/** An ADD for an attachment that has an address of the set already would lose track of one. */
function refuseSecondLease(call: Call<Config>, store: LeaseStore, { set, index }: Wanted): void {
  const lease = store
    .list((holder) => isOwner(call, holder))
    .find(({ address }) => findRange(set, parseAddress(address)));
  if (!lease) return;
  throw leasedBefore(index, { ...lease, where: `${leaseDirectory(call.config)}/${lease.address}` });
}

/** The attachment's own leases; where it has none, those of the older form that the container has. */
function leasesOf({ containerId, ifname }: Call<Config>, store: LeaseStore): Lease[] {
  const leases = store.list((holder) => holder.containerId === containerId);
  const own = leases.filter((lease) => lease.ifname === ifname);
  return own.length > 0 ? own : leases.filter((lease) => lease.ifname === "");
}

function isOwner({ containerId, ifname }: Call<Config>, holder: Holder): boolean {
  return holder.containerId === containerId && (holder.ifname === ifname || holder.ifname === "");
}

function holderOf({ containerId, ifname }: Call<Config>): Holder {
  return { containerId, ifname };
}

function formatHolder({ containerId, ifname }: Holder = { containerId: "", ifname: "" }): string {
  return [containerId, ifname].filter(Boolean).join(" ") || "nobody known";
}

function leaseDirectory({ name, ipam }: Config): string {
  return `${ipam?.dataDir || DATA_DIR}/${name}`;
}

export const hostLocalPlugin: Plugin<Config> = {
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
export default hostLocalPlugin;
