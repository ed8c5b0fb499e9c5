/** What an attachment's host has in the store, from what plugin vxlan knows of it: membership.ts says how. */
import type { Call } from "../cni/plugin.ts";
import type { IpConfig, Result } from "../cni/result.ts";
import { type EtcdSettings, findEtcdSettings, readEtcdSettings } from "../etcd/settings.ts";
import { formatAddress, parseAddress } from "../netaddr/address.ts";
import { formatMac } from "../netaddr/mac.ts";
import { formatPrefix, parsePrefix } from "../netaddr/prefix.ts";
import type { Link } from "../rtnetlink/link.ts";
import type { EndpointValue } from "../store/layout.ts";
import { type HostPart, type OverlayConfig, wantedNetwork } from "./configuration.ts";
import { joinOverlay, type Membership, publishContainer } from "./membership.ts";
import { extendOverlayRecord, findOverlayRecord, listOverlayRecords, type OverlayDetails } from "./record.ts";
import { type OwnSubnet, withSubnets } from "./routed.ts";

type OverlayCall = Call<OverlayConfig>;

/** ADD, CHECK, STATUS: where the store is; undefined for a network without. @throws CniError 7 */
export function etcdSettings({ etcd }: OverlayConfig): EtcdSettings | undefined {
  return etcd && readEtcdSettings(etcd, "etcd");
}

/**
 * DEL and GC: the store in which the container was added, reached as the configuration says now, or as it was
 * then; undefined also where nobody can tell any more.
 */
export function formerEtcdSettings(call: OverlayCall): EtcdSettings | undefined {
  const known =
    findOverlayRecord(call) ?? listOverlayRecords(call.config.name).find(({ details }) => details.etcd);
  const { etcd } = call.config;
  if (!known) return findEtcdSettings(etcd ? [etcd] : [], "etcd");
  const { prefix: _, host: __, ...reach } = etcd ?? {};
  const { etcd: former } = known.details;
  return former && findEtcdSettings([{ ...former, ...reach }, former], "etcd");
}

/** Has this host be in the network. Undone when ADD fails. */
export function joinWith(call: OverlayCall, settings: EtcdSettings, part: HostPart): Membership {
  const isRouted = call.config.mode === "routed";
  const used = isRouted ? usedSubnets(call.config.name) : [];
  const membership = joinOverlay(call, settings, { wanted: wantedNetwork(call.config, part), used });
  if (isRouted) extendOverlayRecord(call, { subnets: textsOf(membership.subnets) });
  return membership;
}

/** Those that containers of this host have addresses of. */
function usedSubnets(network: string): string[] {
  const other = listOverlayRecords(network).find(({ details }) => details.subnets);
  return (other?.details.subnets ?? []).map(({ subnet }) => subnet);
}

/** Tells the others of the container. Undone when ADD fails. */
export function publishResult(
  call: OverlayCall,
  settings: EtcdSettings,
  { membership, part, device, inside, ips }: PublishedPart,
): void {
  const endpoint = endpointOf(inside, ips);
  extendOverlayRecord(call, endpoint);
  const subnets = textsOf(membership.subnets);
  const vtep = {
    address: formatAddress(part.underlay.local),
    ...(call.config.mode === "routed" && { mac: formatMac(device.mac), subnets }),
  };
  publishContainer(call, settings, { membership, ...endpoint, vtep });
}

/** What is published. */
export interface PublishedPart {
  readonly membership: Membership;
  readonly part: HostPart;
  /** The VXLAN device. */
  readonly device: Link;
  /** MAC of the container's interface. */
  readonly inside: string;
  readonly ips: readonly IpConfig[] | undefined;
}

/** A container as the store has it. */
export function endpointOf(mac: string, ips: Result["ips"] = []): EndpointValue {
  return { mac, addresses: ips.map(({ address }) => formatAddress(address.address)) };
}

/**
 * The call as IPAM and the bridge get it. In mode routed: with this host's own subnets, of which it is the
 * gateway; those that were just leased, else as the records have them.
 */
export function localCall<C extends OverlayCall>(call: C, leased?: readonly OwnSubnet[]): C {
  const { config } = call;
  if (config.mode !== "routed") return call;
  const subnets = leased ?? recordedSubnets(call);
  // no addresses were leased here yet, and none are to be had without: IPAM has nothing to say
  const ipam = subnets || call.command !== "STATUS" ? config.ipam : { type: "" };
  const routed = { ...call, config: { ...config, ipam, isGateway: true } };
  return subnets ? withSubnets(routed, subnets) : routed;
}

/** Mode routed: this host's subnets, as the records have them. */
export function recordedSubnets(call: OverlayCall): OwnSubnet[] | undefined {
  const own = findOverlayRecord(call) ?? listOverlayRecords(call.config.name)[0];
  return own?.details.subnets?.map(({ subnet, gateway }) => ({
    subnet: parsePrefix(subnet),
    gateway: parseAddress(gateway),
  }));
}

function textsOf(subnets: readonly OwnSubnet[]): NonNullable<OverlayDetails["subnets"]> {
  return subnets.map(({ subnet, gateway }) => ({
    subnet: formatPrefix(subnet),
    gateway: formatAddress(gateway),
  }));
}
