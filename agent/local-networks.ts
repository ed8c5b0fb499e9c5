/**
 * The overlay networks that this host is in: what the records of its containers say, and the devices that
 * the kernel has for them.
 */
import { networkAlias } from "../lib/alias.ts";
import { type EtcdSettings, readEtcdSettings } from "../lib/etcd/settings.ts";
import { parseAddress } from "../lib/netaddr/address.ts";
import type { OverlayDevices } from "../lib/overlay/peers.ts";
import {
  listOverlayRecords,
  type OverlayDetails,
  type OverlayRecord,
  type UnderlayKeys,
  VXLAN_PLUGIN,
} from "../lib/overlay/record.ts";
import { findLink, type Link } from "../lib/rtnetlink/link.ts";
import type { RouteSocket } from "../lib/rtnetlink/route-socket.ts";
import { findRecord } from "../lib/state/record.ts";
import { attachmentKey, type EndpointValue, type OverlayMode } from "../lib/store/layout.ts";
import { isSameStore } from "../lib/store/protocol.ts";
import { wordsOf } from "./log.ts";

/** A network, as the records of this host have it. */
export interface LocalNetwork {
  readonly name: string;
  readonly vni: number;
  readonly mode: OverlayMode;
  /** Names of the devices. */
  readonly device: string;
  readonly bridge: string;
  readonly underlay: UnderlayKeys;
  /** Mode routed: this host's subnets. */
  readonly subnets: readonly { readonly subnet: string; readonly gateway: string }[];
  /** Its containers here, by attachment; those whose ADD has got as far as their addresses. */
  readonly endpoints: ReadonlyMap<string, EndpointValue>;
}

/** Its devices as they are now. */
export interface NetworkLinks {
  readonly vxlan: Link | undefined;
  readonly bridge: Link | undefined;
}

/** The networks of this store, by name, and what is wrong with those that cannot be told. */
export function findLocalNetworks(settings: EtcdSettings): {
  networks: Map<string, LocalNetwork>;
  faults: string[];
} {
  const records = Map.groupBy(listOverlayRecords(), ({ network }) => network);
  const networks = new Map<string, LocalNetwork>();
  const faults: string[] = [];
  for (const [name, all] of records) {
    const own = all.filter((record) => isOfStore(record, settings, faults));
    const [first] = own;
    if (first) networks.set(name, networkOf(name, first, own));
  }
  return { networks, faults: [...new Set(faults)] };
}

function isOfStore({ network, details }: OverlayRecord, settings: EtcdSettings, faults: string[]): boolean {
  if (!details.etcd) return false;
  try {
    if (isSameStore(readEtcdSettings(details.etcd, "etcd"), settings)) return true;
    faults.push(`network "${network}" is of another store: no agent serves it`);
  } catch (error) {
    faults.push(`network "${network}": ${wordsOf(error)}`);
  }
  return false;
}

function networkOf(name: string, first: OverlayRecord, records: readonly OverlayRecord[]): LocalNetwork {
  const { vni, mode, device, bridge, dev, local } = first.details;
  const endpoints = new Map<string, EndpointValue>();
  for (const record of records) {
    const endpoint = endpointOf(record);
    if (endpoint) endpoints.set(attachmentKey(record), endpoint);
  }
  const subnets = records.find(({ details }) => details.subnets)?.details.subnets ?? [];
  return { name, vni, mode, device, bridge, underlay: { dev, local }, subnets, endpoints };
}

/** A container of this host, as its record is now. */
export function findRecordedEndpoint(network: string, attachment: string): EndpointValue | undefined {
  const [containerId = "", ifname = ""] = attachment.split(":");
  const record = findRecord<OverlayDetails>({ plugin: VXLAN_PLUGIN, network, containerId, ifname });
  return record && endpointOf(record);
}

/** Undefined until its ADD has got as far as its addresses. */
function endpointOf({
  details: { mac, addresses },
}: Pick<OverlayRecord, "details">): EndpointValue | undefined {
  return mac !== undefined && addresses ? { mac, addresses } : undefined;
}

/** Only what weft made for this network counts: a name may be anybody's. */
export function findNetworkLinks(socket: RouteSocket, network: LocalNetwork): NetworkLinks {
  const own = (name: string, kind: string): Link | undefined => {
    const link = findLink(socket, name);
    return link?.kind === kind && link.alias === networkAlias(network.name) ? link : undefined;
  };
  return { vxlan: own(network.device, "vxlan"), bridge: own(network.bridge, "bridge") };
}

/** What is wrong with the devices, as a sentence; undefined where entries can be kept on them. */
export function faultOfLinks(
  { device, bridge: bridgeName, mode }: LocalNetwork,
  { vxlan, bridge }: NetworkLinks,
): string | undefined {
  const remedy = "the next ADD makes it";
  if (!vxlan) return `the VXLAN device "${device}" is gone: ${remedy}`;
  if (!bridge) return `the bridge "${bridgeName}" is gone: remove the network's containers of this host`;
  if (mode === "bridged" && vxlan.master !== bridge.index) return `"${device}" is no port of "${bridgeName}"`;
  return undefined;
}

/** Devices that are there but down: that is somebody's wish, who has to take it back. */
export function downLinks({ vxlan, bridge }: NetworkLinks): string[] {
  return [vxlan, bridge].flatMap((link) => (link && !link.up ? [link.name] : []));
}

/** Where the entries of a network go; undefined where there is no such place. */
export function devicesOf(
  network: LocalNetwork,
  { vxlan, bridge }: NetworkLinks,
): OverlayDevices | undefined {
  if (!vxlan || !bridge) return undefined;
  const gateways = network.subnets.map(({ gateway }) => parseAddress(gateway));
  return { mode: network.mode, vxlan: vxlan.index, bridge: bridge.index, gateways };
}
