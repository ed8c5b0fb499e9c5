/**
 * What etcd-ipam keeps on the host of an attachment: that there is one, and which store has its addresses.
 * A claim is this host's as long as there is a record of the attachment (sweep.ts).
 */
import { attachmentName } from "../alias.ts";
import { staleAttachments } from "../cni/call.ts";
import type { NetConf } from "../cni/config.ts";
import type { Call, GcCall } from "../cni/plugin.ts";
import { type EtcdKeys, type EtcdSettings, findEtcdSettings, readEtcdSettings } from "../etcd/settings.ts";
import {
  type AttachmentRecord,
  findRecord,
  listRecords,
  removeRecord,
  writeRecord,
} from "../state/record.ts";
import { identityOf, isSameStore, type StoreIdentity } from "./protocol.ts";
import { forgetSwept } from "./swept.ts";

const PLUGIN = "etcd-ipam";
/** Where the configuration has the store. */
const KEY = "ipam.etcd";

interface LeaseDetails {
  /** As the configuration had them, without a password. */
  readonly etcd: EtcdKeys;
  /** What they were, with /etc/weft/etcd.json and the host's name at that time. */
  readonly store: StoreIdentity;
}

export type LeaseRecord = AttachmentRecord<LeaseDetails>;

interface LeaseConf extends NetConf {
  readonly ipam?: { readonly type?: string; readonly etcd?: EtcdKeys };
}

/** The attachment's, of an ADD before this call. */
export function findLeaseRecord(call: Call): LeaseRecord | undefined {
  return findRecord<LeaseDetails>({ plugin: PLUGIN, ...attachmentName(call) });
}

/** GC: those of attachments that are not valid any more. */
export function staleLeaseRecords(call: GcCall): LeaseRecord[] {
  return staleAttachments(call, listRecords<LeaseDetails>(PLUGIN, call.config.name));
}

/** ADD: says that the attachment lives. When ADD fails, and perhaps nobody knows how, it is not said. */
export function recordLease(call: Call<LeaseConf>, store: EtcdSettings): void {
  const { password: _, ...etcd } = call.config.ipam?.etcd ?? {};
  const name = attachmentName(call);
  const details: LeaseDetails = { etcd, store: identityOf(store) };
  const record = { plugin: PLUGIN, ...name, netns: call.netnsPath, details };
  call.undo.defer(() => abandonLease(record));
  writeRecord(record);
}

/** What the attachment may hold is for the sweep from here on. */
export function abandonLease(record: LeaseRecord): void {
  removeRecord(record);
  forgetSwept(record.details.store);
}

/**
 * The store that has the attachment's addresses: the one of its ADD, reached as the configuration says now.
 * @throws CniError 7 that names the key
 */
export function leaseStore({ config }: Call<LeaseConf>, record: LeaseRecord | undefined): EtcdSettings {
  return readEtcdSettings(keysOf(config, record), KEY);
}

/** DEL: the same, or as it was reached then; undefined where neither configuration nor record lead to one. */
export function findLeaseStore(
  { config }: Call<LeaseConf>,
  record: LeaseRecord | undefined,
): EtcdSettings | undefined {
  const former = record ? [keysOf({}, record)] : [];
  return findEtcdSettings([keysOf(config, record), ...former], KEY);
}

function keysOf({ ipam }: Pick<LeaseConf, "ipam">, record: LeaseRecord | undefined): EtcdKeys {
  const keys = ipam?.etcd ?? {};
  if (!record) return keys;
  const { etcd, store } = record.details;
  return { ...etcd, ...keys, prefix: store.prefix, host: store.host };
}

/** GC: the store of the configuration, and others that records of the network lead to. */
export function leaseStores(call: Call<LeaseConf>): EtcdSettings[] {
  const records = listRecords<LeaseDetails>(PLUGIN, call.config.name);
  const stores: EtcdSettings[] = [];
  for (const record of [undefined, ...records]) {
    const store = findLeaseStore(call, record);
    if (store && !stores.some((other) => isSameStore(other, store))) stores.push(store);
  }
  return stores;
}
