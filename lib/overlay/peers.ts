/**
 * What the store's view of a network means for the kernel of one of its hosts: which forwarding entries,
 * neighbours and routes it has to have for the containers of the others. Nothing is read or changed here.
 *
 * Mode bridged, for each remote container:
 *
 *     bridge fdb replace MAC dev VXLAN self master extern_learn dst VTEP
 *     ip neigh replace ADDRESS lladdr MAC dev BRIDGE nud noarp extern_learn proto 193
 *
 * Mode routed, for each remote host and family:
 *
 *     bridge fdb replace VXLAN-MAC dev VXLAN self permanent dst VTEP
 *     ip neigh replace GATEWAY lladdr VXLAN-MAC dev VXLAN nud permanent proto 193
 *     ip route replace SUBNET via GATEWAY dev VXLAN onlink src OWN-GATEWAY proto 193
 */
import { type Address, type Family, formatAddress, parseAddress } from "../netaddr/address.ts";
import { formatMac, isUnicastMac, parseMac } from "../netaddr/mac.ts";
import { formatPrefix, networkOf, parsePrefix } from "../netaddr/prefix.ts";
import {
  type FdbEntry,
  type Neighbour,
  NTF_EXT_LEARNED,
  NTF_MASTER,
  NTF_SELF,
  NUD_NOARP,
  NUD_PERMANENT,
} from "../rtnetlink/neighbour.ts";
import type { Route } from "../rtnetlink/route.ts";
import type { EndpointValue, OverlayMode, VtepValue } from "../store/layout.ts";

/** Who made a neighbour or a route, as `proto` shows it (linux/rtnetlink.h RTPROT_*): no routing daemon. */
export const OVERLAY_PROTOCOL = 193;

/** A network's devices on this host. */
export interface OverlayDevices {
  readonly mode: OverlayMode;
  /** ifindex */
  readonly vxlan: number;
  /** ifindex; neighbours are its in mode bridged. */
  readonly bridge: number;
  /** Mode routed: this host's gateways, the source of what it sends itself. */
  readonly gateways: readonly Address[];
}

/** An endpoint as it is in the store. */
export interface StoredEndpoint extends EndpointValue {
  readonly host: string;
  /** Of its key: of two that have one MAC or address the later one counts. */
  readonly modRevision: bigint;
}

/** One network in the store. */
export interface OverlayView {
  /** By host. One that is forgotten has none, and nothing leads to it. */
  readonly vteps: ReadonlyMap<string, VtepValue>;
  /** Unneeded in mode routed. */
  readonly endpoints: Iterable<StoredEndpoint>;
}

/** Entries as the kernel takes them, each by the text of its MAC, address or prefix. */
export interface PeerEntries {
  readonly fdb: Map<string, FdbEntry>;
  readonly neighbours: Map<string, Neighbour>;
  readonly routes: Map<string, Route>;
  /** What of the store could not be read, as sentences. */
  readonly faults: string[];
}

/**
 * All entries that a host has to have for the others. What this host's own containers have never leads
 * elsewhere; of two remote ones with one MAC or address the later one counts: a container that moved while
 * its former host was away.
 */
export function entriesFor(devices: OverlayDevices, ownHost: string, view: OverlayView): PeerEntries {
  const entries = noEntries();
  if (devices.mode === "routed") {
    for (const [host, vtep] of view.vteps) {
      if (host !== ownHost) addTo(entries, entriesOfHost(devices, host, vtep));
    }
    return entries;
  }
  const own = { macs: new Set<string>(), addresses: new Set<string>() };
  const remote: StoredEndpoint[] = [];
  for (const endpoint of view.endpoints) {
    if (endpoint.host !== ownHost) remote.push(endpoint);
    else {
      own.macs.add(endpoint.mac);
      for (const address of endpoint.addresses) own.addresses.add(address);
    }
  }
  remote.sort((a, b) => (a.modRevision < b.modRevision ? -1 : 1));
  for (const endpoint of remote) {
    const vtep = view.vteps.get(endpoint.host);
    if (vtep) addTo(entries, entriesOfEndpoint(devices, endpoint, vtep));
  }
  for (const mac of own.macs) entries.fdb.delete(mac);
  for (const address of own.addresses) entries.neighbours.delete(address);
  return entries;
}

/** Mode bridged: what one remote container needs. */
export function entriesOfEndpoint(
  { vxlan, bridge }: Pick<OverlayDevices, "vxlan" | "bridge">,
  { host, mac: macText, addresses }: Omit<StoredEndpoint, "modRevision">,
  vtep: VtepValue,
): PeerEntries {
  return reading(`endpoint ${macText} of host ${host}`, (entries) => {
    const mac = parseUnicastMac(macText);
    const flags = NTF_SELF | NTF_MASTER | NTF_EXT_LEARNED;
    // the device's table takes what is permanent, and the bridge's asks for no more than extern_learn
    const state = NUD_NOARP | NUD_PERMANENT;
    const dst = parseAddress(vtep.address);
    entries.fdb.set(formatMac(mac), { ifindex: vxlan, mac, flags, state, dst });
    for (const text of addresses) {
      const address = parseAddress(text);
      entries.neighbours.set(formatAddress(address), {
        ifindex: bridge,
        address,
        mac,
        state: NUD_NOARP,
        flags: NTF_EXT_LEARNED,
        protocol: OVERLAY_PROTOCOL,
      });
    }
  });
}

/** Mode routed: what one remote host needs. */
export function entriesOfHost(
  { vxlan, gateways }: Pick<OverlayDevices, "vxlan" | "gateways">,
  host: string,
  { address, mac: macText, subnets = [] }: VtepValue,
): PeerEntries {
  return reading(`vtep of host ${host}`, (entries) => {
    if (macText === undefined) return; // of a network of mode bridged, which this key is left of
    const mac = parseUnicastMac(macText);
    const state = NUD_PERMANENT;
    const dst = parseAddress(address);
    entries.fdb.set(formatMac(mac), { ifindex: vxlan, mac, flags: NTF_SELF, state, dst });
    for (const each of subnets) {
      const subnet = networkOf(parsePrefix(each.subnet));
      const gateway = parseAddress(each.gateway);
      const neighbour = { ifindex: vxlan, address: gateway, mac, state, protocol: OVERLAY_PROTOCOL };
      entries.neighbours.set(formatAddress(gateway), neighbour);
      entries.routes.set(formatPrefix(subnet), {
        dst: subnet,
        gateway,
        oif: vxlan,
        onlink: true,
        prefsrc: ofFamily(gateways, subnet.address.family),
        protocol: OVERLAY_PROTOCOL,
      });
    }
  });
}

function ofFamily(addresses: readonly Address[], family: Family): Address | undefined {
  return addresses.find((address) => address.family === family);
}

/** One value of the store: whole, or a fault. Whoever wrote it, the other hosts' entries do not suffer. */
function reading(what: string, read: (entries: PeerEntries) => void): PeerEntries {
  const entries = noEntries();
  try {
    read(entries);
    return entries;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    return { ...noEntries(), faults: [`${what}: ${reason}`] };
  }
}

function parseUnicastMac(text: string): Uint8Array {
  const mac = parseMac(text);
  if (isUnicastMac(mac)) return mac;
  throw new SyntaxError(`Cannot use ${text} as a MAC address: no interface can have it`);
}

function noEntries(): PeerEntries {
  return { fdb: new Map(), neighbours: new Map(), routes: new Map(), faults: [] };
}

function addTo(all: PeerEntries, some: PeerEntries): void {
  for (const [key, entry] of some.fdb) all.fdb.set(key, entry);
  for (const [key, entry] of some.neighbours) all.neighbours.set(key, entry);
  for (const [key, entry] of some.routes) all.routes.set(key, entry);
  all.faults.push(...some.faults);
}
