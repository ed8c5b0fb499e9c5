/** VLANs of a bridge port: one untagged (an access port), or several tagged (a trunk). */
import { type CniError, invalidConfig } from "./cni/error.ts";
import {
  addBridgeVlans,
  type BridgeVlan,
  deleteBridgeVlans,
  listBridgeVlans,
} from "./rtnetlink/bridge-vlan.ts";
import { type Link, linkByName } from "./rtnetlink/link.ts";
import type { RouteSocket } from "./rtnetlink/route-socket.ts";

/** 0 and 4095 are reserved (IEEE 802.1Q). */
const VLAN_ID_MAX = 4_094;

/** An element of `vlanTrunk`: a range, one VLAN, or both. */
export interface VlanTrunk {
  readonly minID?: number | undefined;
  readonly maxID?: number | undefined;
  readonly id?: number | undefined;
}

export interface PortVlans {
  /** VLAN of untagged frames; 0 is none. */
  readonly access: number;
  /** VLANs of tagged frames, ascending. */
  readonly trunk: readonly number[];
  /** Leave the bridge's default VLAN as well. */
  readonly preserveDefault: boolean;
}

/** The VLANs of a trunk, ascending, each once. @throws CniError 7 */
export function parseVlanTrunk(elements: readonly VlanTrunk[]): number[] {
  const vlanIds = new Set<number>();
  for (const { minID, maxID, id } of elements) {
    if (minID === undefined && maxID !== undefined) throw half("minID");
    if (minID !== undefined && maxID === undefined) throw half("maxID");
    if (minID !== undefined && maxID !== undefined) {
      checkVlanId(minID, "minID");
      checkVlanId(maxID, "maxID");
      if (minID > maxID) throw invalidConfig("minID is greater than maxID in trunk parameter");
      for (let vlanId = minID; vlanId <= maxID; vlanId++) vlanIds.add(vlanId);
    }
    if (id !== undefined) {
      checkVlanId(id, "id");
      vlanIds.add(id);
    }
  }
  return [...vlanIds].sort((a, b) => a - b);
}

function checkVlanId(vlanId: number, key: string): void {
  if (vlanId >= 1 && vlanId <= VLAN_ID_MAX) return;
  throw invalidConfig(
    `incorrect trunk ${key} parameter`,
    `"vlanTrunk": ${key} is ${vlanId}, must be 1 to ${VLAN_ID_MAX}`,
  );
}

function half(missing: string): CniError {
  return invalidConfig(`minID and maxID should be configured simultaneously, ${missing} is missing`);
}

export function hasVlans({ access, trunk }: PortVlans): boolean {
  return access !== 0 || trunk.length > 0;
}

/** Equivalent to `bridge vlan add dev NAME vid N [pvid untagged]`, and to `del` for the default VLAN. */
export function setPortVlans(host: RouteSocket, name: string, vlans: PortVlans): void {
  const wanted = portVlans(vlans);
  if (wanted.length === 0) return; // the port stays as the bridge made it
  const port = linkByName(host, name);
  if (!vlans.preserveDefault) {
    const wantedIds = new Set(wanted.map(({ vlanId }) => vlanId));
    const others = heldVlans(host, port).filter(({ vlanId }) => !wantedIds.has(vlanId));
    deleteBridgeVlans(
      host,
      port,
      others.map(({ vlanId }) => vlanId),
    );
  }
  addBridgeVlans(host, port, wanted);
}

/** The VLANs that a port should have and has not; what else it has does not matter. */
export function missingPortVlans(host: RouteSocket, port: Link, vlans: PortVlans): number[] {
  const wanted = portVlans(vlans);
  if (wanted.length === 0) return [];
  const held = heldVlans(host, port);
  const isHeld = (vlan: BridgeVlan) =>
    held.some((it) => it.vlanId === vlan.vlanId && it.pvid === vlan.pvid && it.untagged === vlan.untagged);
  return wanted.filter((vlan) => !isHeld(vlan)).map(({ vlanId }) => vlanId);
}

function portVlans({ access, trunk }: PortVlans): BridgeVlan[] {
  if (access !== 0) return [{ vlanId: access, pvid: true, untagged: true }];
  return trunk.map((vlanId) => ({ vlanId, pvid: false, untagged: false }));
}

function heldVlans(host: RouteSocket, port: Link): BridgeVlan[] {
  return listBridgeVlans(host).get(port.index) ?? [];
}
