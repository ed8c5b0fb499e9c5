/**
 * Mode routed: each host has subnets of its own, and routes to those of the others.
 *
 *     container ─ bridge ─ (forwarded here) ─ vx7 ═ VXLAN ═ vx7 ─ (forwarded there) ─ bridge ─ container
 *
 * The VXLAN device is no port of the bridge. It has the gateways' addresses too, as /32 and /128, so that
 * what the host sends there itself, or masquerades, has a source that the other hosts can answer. The entries
 * for the other hosts are peers.ts, and the agent's.
 */
import { invalidConfig } from "../cni/error.ts";
import type { Call } from "../cni/plugin.ts";
import type { Result, Route } from "../cni/result.ts";
import { type Address, formatAddress } from "../netaddr/address.ts";
import { containsAddress, formatPrefix, hostPrefix, type Prefix } from "../netaddr/prefix.ts";
import { unlessExisting } from "../netlink/error.ts";
import { addAddress, listAddresses } from "../rtnetlink/address.ts";
import type { Link } from "../rtnetlink/link.ts";
import type { RouteSocket } from "../rtnetlink/route-socket.ts";
import type { OverlayMode, SubnetPool } from "../store/layout.ts";
import { parsePools } from "../store/subnet-pools.ts";
import { isErrno } from "../sys/errno.ts";
import { writeSysctlIfPresent } from "../sysctl.ts";
import { hashedMac } from "./mac.ts";

/** What leases addresses out of a host's subnets. */
const IPAM = "host-local";
/** Its keys that say where from. */
const RANGE_KEYS = ["ranges", "subnet", "rangeStart", "rangeEnd"];

interface RoutedConfig {
  readonly mode: OverlayMode;
  readonly subnets: readonly SubnetPool[];
  readonly etcd?: object | undefined;
  readonly ipam: object & { readonly type?: string };
  readonly runtimeConfig: object;
  readonly portIsolation?: boolean;
}

/** This host's own address in a subnet of its own. */
export interface OwnSubnet {
  readonly subnet: Prefix;
  readonly gateway: Address;
}

/** @throws CniError 7 that names the key which does not go with the mode */
export function verifyMode(config: RoutedConfig): void {
  const { mode, subnets, etcd, ipam, runtimeConfig, portIsolation } = config;
  if (mode !== "routed") {
    if (subnets.length === 0) return;
    throw invalidConfig('"subnets" is for "mode": "routed"', 'remove it, and set the addresses in "ipam"');
  }
  if (!etcd) {
    throw invalidConfig(
      '"mode": "routed" needs "etcd"',
      "the store has the hosts' subnets, and their agents the routes",
    );
  }
  parsePools(subnets);
  if (portIsolation) {
    const details = 'it would hold on this host only: use plugin firewall with "ingressPolicy": "isolated"';
    throw invalidConfig('"portIsolation" is not for "mode": "routed"', details);
  }
  if (ipam.type !== IPAM) {
    const msg = `"mode": "routed" needs "ipam" of type "${IPAM}", not ${JSON.stringify(ipam.type ?? "")}`;
    throw invalidConfig(msg, "it leases addresses out of the subnets of this host");
  }
  const own = RANGE_KEYS.find((key) => key in ipam);
  const ranges = own ? `ipam.${own}` : "ipRanges" in runtimeConfig ? "runtimeConfig.ipRanges" : undefined;
  if (ranges) throw invalidConfig(`"${ranges}" is not for "mode": "routed"`, 'remove it: "subnets" says it');
}

/** @throws CniError 7 for a pool that holds this host's own address: the way to the others would be lost */
export function verifyPoolsBeside(local: Address, subnets: readonly SubnetPool[]): void {
  if (subnets.length === 0) return;
  const index = parsePools(subnets).findIndex(({ network }) => containsAddress(network, local));
  if (index < 0) return;
  const msg = `invalid "subnets[${index}].subnet": it holds ${formatAddress(local)}, this host's own address`;
  throw invalidConfig(msg, "choose addresses that nobody has");
}

/**
 * The MAC of this host's VXLAN device: the same after a reboot, and no other host's. Locally administered.
 */
export function routedMac(host: string, vni: number): Uint8Array {
  return hashedMac(`weft vtep ${vni} ${host}`);
}

/** The call as the IPAM plugin gets it: with the host's subnets for its ranges. */
export function withSubnets<C extends Call>(call: C, subnets: readonly OwnSubnet[]): C {
  const ranges = subnets.map(({ subnet, gateway }) => [
    { subnet: formatPrefix(subnet), gateway: formatAddress(gateway) },
  ]);
  const ipam = { ...call.config.ipam, ranges };
  const given: Record<string, unknown> = JSON.parse(call.stdin); // an object, or there were no call
  for (const key of Object.keys(given)) if (key.toLowerCase() === "ipam") delete given[key];
  return { ...call, config: { ...call.config, ipam }, stdin: JSON.stringify({ ...given, ipam }) };
}

/** An IPAM result with the routes to the other hosts' subnets, which the default route may not lead to. */
export function withPoolRoutes<R extends Pick<Result, "ips" | "routes">>(
  result: R,
  pools: readonly SubnetPool[],
): R & { readonly routes: readonly Route[] } {
  const routes = [...(result.routes ?? [])];
  for (const { network } of parsePools(pools)) {
    const { family } = network.address;
    const gw = result.ips?.find((ip) => ip.gateway?.family === family)?.gateway;
    const isThere = routes.some(({ dst }) => formatPrefix(dst) === formatPrefix(network));
    if (gw && !isThere) routes.push({ dst: network, gw });
  }
  return { ...result, routes };
}

/**
 * Equivalent to `ip addr add GATEWAY/32 dev vx7`, for each that is not there; those of IPv6 stay when it goes
 * down. @returns whether one was missing
 */
export function addressDevice(host: RouteSocket, device: Link, subnets: readonly OwnSubnet[]): boolean {
  keepAddresses(device);
  const missing = missingAddresses(host, device, subnets);
  for (const prefix of missing) {
    // Nobody else on this network may have it; the bridge of this host does.
    unlessExisting(() => addAddress(host, device, prefix, { nodad: true, noprefixroute: true }));
  }
  return missing.length > 0;
}

/** Of the addresses that the VXLAN device has to have. */
export function missingAddresses(host: RouteSocket, device: Link, subnets: readonly OwnSubnet[]): Prefix[] {
  const held = listAddresses(host, device).map(({ prefix }) => formatPrefix(prefix));
  return subnets
    .map(({ gateway }) => hostPrefix(gateway))
    .filter((each) => !held.includes(formatPrefix(each)));
}

/** An agent in a container may not write there; it puts them back when they are gone. */
function keepAddresses({ name }: Link): void {
  try {
    writeSysctlIfPresent(`net/ipv6/conf/${name}/keep_addr_on_down`, "1");
  } catch (error) {
    if (!isErrno(error, "EROFS")) throw error;
  }
}
