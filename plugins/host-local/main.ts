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
import { CniError, invalidConfig } from "../../lib/cni/error.ts";
import { type Call, everyStep, type GcCall, type Plugin } from "../../lib/cni/plugin.ts";
import type { Dns, IpConfig, Result } from "../../lib/cni/result.ts";
import { ALL_VERSIONS } from "../../lib/cni/version.ts";
import { type Holder, readHolder } from "../../lib/ipam/lease-file.ts";
import {
  findLeaseStore,
  hasFreeAddress,
  type Lease,
  type LeaseStore,
  openLeaseStore,
} from "../../lib/ipam/lease-store.ts";
import {
  type Candidate,
  findRange,
  formatRangeSet,
  isReserved,
  parseRangeSets,
  type RangeSet,
} from "../../lib/ipam/ranges.ts";
import { parseRoutes } from "../../lib/ipam/routes.ts";
import { type Address, formatAddress, parseAddress, sameAddress } from "../../lib/netaddr/address.ts";
import { parsePrefix } from "../../lib/netaddr/prefix.ts";
import { isErrno } from "../../lib/sys/errno.ts";
import { readTextFile } from "../../lib/sys/file.ts";
import { parseResolvConf } from "./resolv-conf.ts";
import { type Config, schema } from "./schema.ts";

const DATA_DIR = schema.properties.ipam.properties.dataDir.default;
const REMEDY = "every address is leased: add a range, or run GC to release what is no longer used";

/** What an ADD is to lease of a set of ranges: the address asked for, or else the next. */
interface Wanted {
  readonly set: RangeSet;
  readonly index: number;
  readonly requested: Address | undefined;
}

function add(call: Call<Config>): Result {
  const { config, containerId, resources, undo } = call;
  const wanted = assignRequests(requestedAddresses(call), parseRangeSets(config));
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
  const text = `host-local: Failed to find address added by container ${containerId}`;
  for (const address of own) {
    const holder = readHolder(directory, formatAddress(address));
    if (holder && isOwner(call, holder)) continue;
    const state = holder ? `is leased to ${formatHolder(holder)}` : "is not leased";
    throw new CniError(CniError.CHECK_FAILED, text, { details: `${formatAddress(address)} ${state}` });
  }
  if (own.length > 0) return;
  const store = resources.use(findLeaseStore(directory, containerId));
  if (!store || leasesOf(call, store).length === 0) throw new CniError(CniError.CHECK_FAILED, text);
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
    if (hasFreeAddress(directory, set, index)) return;
    throw new CniError(
      CniError.NOT_AVAILABLE,
      `no IP addresses available in range set: ${formatRangeSet(set)}`,
      { details: REMEDY },
    );
  });
}

function leaseAddress(call: Call<Config>, store: LeaseStore, wanted: Wanted): IpConfig {
  const { set, index, requested } = wanted;
  const leased = requested
    ? leaseRequested(call, store, { ...wanted, requested })
    : store.leaseNext(set, index, holderOf(call));
  if (!leased) {
    const text = `no IP addresses available in range set: ${formatRangeSet(set)}`;
    throw cannotLease(index, text, { code: CniError.TRY_AGAIN_LATER, details: REMEDY });
  }
  const { subnet, gateway } = leased.range;
  return { address: { address: leased.address, length: subnet.length }, gateway };
}

function leaseRequested(
  call: Call<Config>,
  store: LeaseStore,
  { set, index, requested }: Wanted & { requested: Address },
): Candidate | undefined {
  const range = findRange(set, requested);
  if (!range) return undefined;
  const name = formatAddress(requested);
  if (sameAddress(requested, range.gateway)) {
    throw cannotLease(index, `requested ip ${name} is subnet's gateway`, { details: "ask for another" });
  }
  const text = `requested IP address ${name} is not available in range set ${formatRangeSet(set)}`;
  if (isReserved(range, requested)) {
    throw cannotLease(index, text, { details: "it is the subnet's network or broadcast address" });
  }
  if (store.lease(requested, index, holderOf(call))) return { address: requested, range };
  const details = `it is leased to ${formatHolder(readHolder(leaseDirectory(call.config), name))}`;
  throw cannotLease(index, text, { code: CniError.TRY_AGAIN_LATER, details });
}

/** An ADD for an attachment that has an address of the set already would lose track of one. */
function refuseSecondLease(call: Call<Config>, store: LeaseStore, { set, index }: Wanted): void {
  const lease = store
    .list((holder) => isOwner(call, holder))
    .find(({ address }) => findRange(set, parseAddress(address)));
  if (!lease) return;
  const { address, containerId } = lease;
  const text = `${address} has been allocated to ${containerId}, duplicate allocation is not allowed`;
  const details = `"${leaseDirectory(call.config)}/${address}" says so; run DEL first`;
  throw cannotLease(index, text, { code: CniError.INVALID_ENVIRONMENT, details });
}

/** Gives each set the first of the addresses that is in it. @throws CniError when one is left over */
function assignRequests(addresses: readonly Address[], sets: readonly RangeSet[]): readonly Wanted[] {
  const rest = [...addresses];
  const wanted = sets.map((set, index) => {
    const at = rest.findIndex((address) => findRange(set, address));
    return { set, index, requested: at < 0 ? undefined : rest.splice(at, 1)[0] };
  });
  if (rest.length === 0) return wanted;
  const text = `failed to allocate all requested IPs: ${rest.map(formatAddress).join(" ")}`;
  throw invalidConfig(text, `each set of ranges gives one address: ${sets.map(formatRangeSet).join("; ")}`);
}

/** Each address once, of CNI_ARGS, the convention and the capability. @throws CniError that names the key */
function requestedAddresses({ args, config }: Call<Config>): Address[] {
  const texts = [
    ...(args["IP"] ? [{ key: "IP in CNI_ARGS", text: args["IP"] }] : []),
    ...config.args.cni.ips.map((text, i) => ({ key: `args.cni.ips[${i}]`, text })),
    ...config.runtimeConfig.ips.map((text, i) => ({ key: `runtimeConfig.ips[${i}]`, text })),
  ];
  const addresses = texts.map(({ key, text }) => {
    try {
      return text.includes("/") ? parsePrefix(text).address : parseAddress(text);
    } catch (cause) {
      throw invalidConfig(
        `invalid IP address ${text}`,
        `${key}: ${cause instanceof Error ? cause.message : cause}`,
      );
    }
  });
  return addresses.filter((address, i) => addresses.findIndex((other) => sameAddress(other, address)) === i);
}

function readDns(path: string): Dns | undefined {
  if (path === "") return undefined;
  try {
    return parseResolvConf(readTextFile(path));
  } catch (error) {
    if (!isErrno(error)) throw error;
    throw invalidConfig(error.message, 'set "ipam.resolvConf" to a file in the form of /etc/resolv.conf');
  }
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

function cannotLease(
  setIndex: number,
  text: string,
  { code = CniError.INVALID_NETWORK_CONFIG, details }: { code?: number; details: string },
): CniError {
  return new CniError(code, `failed to allocate for range ${setIndex}: ${text}`, { details });
}

export const hostLocalPlugin: Plugin<Config> = {
  name: "host-local",
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
