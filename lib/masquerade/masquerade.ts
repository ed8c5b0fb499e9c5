/** ipMasq, for bridge and ptp: a container's traffic leaves the host under the host's address. */

import { attachmentName } from "../alias.ts";
import { type AskedBackend, type Backend, checkBackendAvailable, chooseBackend } from "../backend.ts";
import type { NetConf } from "../cni/config.ts";
import { type Call, everyStep, type GcCall } from "../cni/plugin.ts";
import type { IpConfig } from "../cni/result.ts";
import { requirePrograms } from "../iptables/change.ts";
import { hasNftables } from "../iptables/kernel-tables.ts";
import { formatPrefix, parsePrefix } from "../netaddr/prefix.ts";
import { netfilterSocket } from "../netfilter/socket.ts";
import { ownRecords } from "../own-records.ts";
import { type AttachmentRecord, hasRecords, removeRecord } from "../state/record.ts";
import type { Entries } from "../weft-table/element.ts";
import {
  addElements,
  checkElements,
  deleteElements,
  deleteOwned,
  deleteStale,
} from "../weft-table/elements.ts";
import { WEFT_TABLE } from "../weft-table/ruleset.ts";
import { lockTables, prepareTable } from "../weft-table/table-lock.ts";
import {
  addMasqueradeRules,
  checkMasqueradeRules,
  deleteMasqueradeRules,
  deleteStaleMasqueradeRules,
} from "./iptables.ts";
import { deleteReferenceRules, masqueradeElements } from "./nftables.ts";
import type { MasqueradeTarget } from "./target.ts";

const SETS = ["masq4", "masq6", "overlay4", "overlay6"];

/** What such a record tells. */
export interface Details extends Entries {
  readonly backend: Backend;
  readonly via: string;
  readonly overlay?: string | undefined;
  readonly addresses: readonly string[];
}

/** Beside the plugin's own: the addresses are known only after the interface was made. */
const RECORDS = ownRecords<Details>("masquerade");

/** What a configuration asks for. */
export interface MasqueradeConfig {
  readonly ipMasq: boolean;
  readonly ipMasqBackend?: AskedBackend | undefined;
}

type MasqueradeCall = Call<NetConf & MasqueradeConfig>;

/** Where a container is: behind which interface of the host, or also beside which device of an overlay. */
export type MasqueradeVia = string | Pick<MasqueradeTarget, "via" | "overlay">;

/** Masquerades the addresses of a container behind `place`. Undone when ADD fails. */
export function addMasquerade(
  call: MasqueradeCall,
  place: MasqueradeVia,
  ips: readonly IpConfig[] = [],
): void {
  if (!call.config.ipMasq || ips.length === 0) return;
  const backend = backendOf(call);
  const target = targetOf(call, place, ips);
  const { via, overlay } = target;
  const elements = backend === "nftables" ? masqueradeElements(target) : [];
  const addresses = target.addresses.map(formatPrefix);
  const details: Details = { backend, via, overlay, addresses, elements };
  if (backend === "nftables") prepareTable(call, netfilterSocket(), WEFT_TABLE);
  else requirePrograms("nat"); // nor could its undoing do without
  RECORDS.write(call, details, deleteRecorded);
  if (backend === "nftables") addElements(netfilterSocket(), elements, target);
  else addMasqueradeRules(target);
}

/** As the record says; without one, what there is under the attachment's name, ours and the reference's. */
export function deleteMasquerade(call: MasqueradeCall): void {
  const record = RECORDS.find(call);
  if (record) deleteRecorded(record);
  else if (call.config.ipMasq && !hasRecords(attachmentName(call))) deleteUnrecorded(call);
}

/** @throws CniError 100 that says what is missing */
export function checkMasquerade(
  call: MasqueradeCall,
  place: MasqueradeVia,
  ips: readonly IpConfig[] = [],
): void {
  if (!call.config.ipMasq || ips.length === 0) return;
  const backend = RECORDS.find(call)?.details.backend ?? backendOf(call);
  const target = targetOf(call, place, ips);
  if (backend === "nftables") checkElements(netfilterSocket(), masqueradeElements(target));
  else checkMasqueradeRules(target);
}

/** @throws CniError 50 unless the host can masquerade as it is asked to */
export function checkMasqueradeAvailable(call: MasqueradeCall): void {
  if (call.config.ipMasq) checkBackendAvailable(backendOf(call));
}

/** GC: a step for each attachment that the network no longer owns, and for what no record tells of. */
export function staleMasqueradeSteps(call: GcCall & MasqueradeCall): (() => void)[] {
  return [
    ...RECORDS.staleSteps(call, deleteRecorded),
    () => hasNftables() && deleteStale(call, netfilterSocket(), { sets: SETS }),
    () => call.config.ipMasq && deleteStaleMasqueradeRules(call),
  ];
}

/** What an attachment has in iptables, as its record tells; undefined where it has nothing there. */
export function recordedMasquerade(record: AttachmentRecord<Details>): MasqueradeTarget | undefined {
  const { backend, via, overlay, addresses } = record.details;
  return backend === "iptables"
    ? { ...record, via, overlay, addresses: addresses.map(parsePrefix) }
    : undefined;
}

function deleteRecorded(record: AttachmentRecord<Details>): void {
  const { backend, addresses, elements = [] } = record.details;
  using _lock = lockTables({ shared: true });
  if (backend === "nftables") deleteElements(netfilterSocket(), elements);
  else {
    requirePrograms("nat");
    deleteMasqueradeRules(record, addresses.map(parsePrefix));
  }
  removeRecord(record);
}

function deleteUnrecorded(call: MasqueradeCall): void {
  const name = attachmentName(call);
  everyStep(
    () => hasNftables() && deleteOwned(netfilterSocket(), name, { sets: SETS }),
    () => hasNftables() && deleteReferenceRules(netfilterSocket(), name),
    () => deleteMasqueradeRules(name),
  );
}

function backendOf({ config }: MasqueradeCall): Backend {
  return chooseBackend(config.ipMasqBackend, { needsForwardAccept: false });
}

function targetOf(call: Call, place: MasqueradeVia, ips: readonly IpConfig[]): MasqueradeTarget {
  const { via, overlay } = typeof place === "string" ? { via: place } : place;
  return { ...attachmentName(call), via, overlay, addresses: ips.map(({ address }) => address) };
}
