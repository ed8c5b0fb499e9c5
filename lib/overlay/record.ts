/**
 * The record of a container's attachment to an overlay: what plugin vxlan writes before it touches anything,
 * what its DEL and GC go by, and what the agent and the sweep of the store know of this host.
 */
import { attachmentName } from "../alias.ts";
import type { Call } from "../cni/plugin.ts";
import type { EtcdKeys } from "../etcd/settings.ts";
import {
  type AttachmentRecord,
  findRecord,
  listAllRecords,
  listRecords,
  updateRecord,
} from "../state/record.ts";
import type { OverlayMode } from "../store/layout.ts";

/** Whose records they are. */
export const VXLAN_PLUGIN = "vxlan";

/** What the configuration says of the address that the other hosts send to. */
export interface UnderlayKeys {
  /** Interface of this host. */
  readonly dev?: string | undefined;
  /** Address of this host, or a subnet that it is in. */
  readonly local?: string | undefined;
}

/** What such a record keeps. Its network is the record's own. */
export interface OverlayDetails extends UnderlayKeys {
  /** The veth's end on the host. */
  readonly hostName: string;
  readonly vni: number;
  readonly mode: OverlayMode;
  /** UDP. */
  readonly port: number;
  /** Names of the network's devices on this host. */
  readonly device: string;
  readonly bridge: string;
  /** `etcd` of the configuration without user and password; undefined for a network without a store. */
  readonly etcd?: EtcdKeys | undefined;
  /** Of the container, for its endpoint in the store; undefined until IPAM has answered. */
  readonly mac?: string | undefined;
  /** Without prefix length. */
  readonly addresses?: readonly string[] | undefined;
  /** Mode routed: the subnets that this host has leased, each with its own address in it. */
  readonly subnets?: readonly { readonly subnet: string; readonly gateway: string }[] | undefined;
}

export type OverlayRecord = AttachmentRecord<OverlayDetails>;

/** The call's own, or undefined where it is lost or not yet written. */
export function findOverlayRecord(call: Call): OverlayRecord | undefined {
  return findRecord<OverlayDetails>({ plugin: VXLAN_PLUGIN, ...attachmentName(call) });
}

/** ADD: notes what it has come to know. */
export function extendOverlayRecord(call: Call, more: Partial<OverlayDetails>): void {
  const record = findOverlayRecord(call);
  if (record) updateRecord({ ...record, details: { ...record.details, ...more } });
}

/** Of one network of this host, or of all. */
export function listOverlayRecords(network?: string): OverlayRecord[] {
  if (network !== undefined) return listRecords<OverlayDetails>(VXLAN_PLUGIN, network);
  return listAllRecords<OverlayDetails>().filter(({ plugin }) => plugin === VXLAN_PLUGIN);
}
