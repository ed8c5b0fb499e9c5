/**
 * macspoofchk: a bridge's port takes frames from the container's own MAC alone. Elements of `table bridge
 * weft`; the reference makes two chains and a rule a container, in `table bridge nat`.
 */
import { attachmentName } from "./alias.ts";
import type { NetConf } from "./cni/config.ts";
import type { Call, GcCall } from "./cni/plugin.ts";
import { hasNftables } from "./iptables/kernel-tables.ts";
import { formatMac } from "./netaddr/mac.ts";
import { type NetfilterSocket, netfilterSocket } from "./netfilter/socket.ts";
import { deleteRules } from "./nftables/delete-rules.ts";
import { ownRecords } from "./own-records.ts";
import { type AttachmentName, type AttachmentRecord, hasRecords, removeRecord } from "./state/record.ts";
import type { Element, Entries } from "./weft-table/element.ts";
import {
  addElements,
  checkElements,
  deleteElements,
  deleteOwned,
  deleteStale,
} from "./weft-table/elements.ts";
import { BRIDGE_TABLE } from "./weft-table/ruleset.ts";
import { lockTables, prepareTable } from "./weft-table/table-lock.ts";

const RECORDS = ownRecords<Entries>("macspoofchk");
const SETS = ["checked", "macs"];
const REFERENCE_TABLE = { family: "bridge", name: "nat" } as const;

/** What a configuration asks for. */
export interface SpoofCheckConfig {
  readonly macspoofchk: boolean;
}

type SpoofCheckCall = Call<NetConf & SpoofCheckConfig>;

/** Checks the frames that come in by `port`. Undone when ADD fails. */
export function addSpoofCheck(call: SpoofCheckCall, port: string, mac: Uint8Array): void {
  if (!call.config.macspoofchk) return;
  const elements = spoofCheckElements(port, mac);
  prepareTable(call, netfilterSocket(), BRIDGE_TABLE);
  RECORDS.write(call, { elements }, deleteRecorded);
  addElements(netfilterSocket(), elements, attachmentName(call));
}

/** As the record says; without one, what there is under the attachment's name, ours and the reference's. */
export function deleteSpoofCheck(call: SpoofCheckCall): void {
  const name = attachmentName(call);
  const record = RECORDS.find(call);
  if (record) deleteRecorded(record);
  else if (call.config.macspoofchk && !hasRecords(name)) {
    deleteOwned(netfilterSocket(), name, { sets: SETS });
    deleteReferenceRules(netfilterSocket(), name);
  }
}

/** @throws CniError 100 that says what is missing */
export function checkSpoofCheck(call: SpoofCheckCall, port: string, mac: Uint8Array): void {
  if (call.config.macspoofchk) checkElements(netfilterSocket(), spoofCheckElements(port, mac));
}

/** GC: a step for each attachment that the network no longer owns, and for what no record tells of. */
export function staleSpoofCheckSteps(call: GcCall): (() => void)[] {
  return [
    ...RECORDS.staleSteps(call, deleteRecorded),
    () => hasNftables() && deleteStale(call, netfilterSocket(), { sets: SETS }),
  ];
}

function spoofCheckElements(port: string, mac: Uint8Array): Element[] {
  return [
    { set: "checked", key: [port] },
    { set: "macs", key: [port, formatMac(mac)] },
  ];
}

function deleteRecorded(record: AttachmentRecord<Entries>): void {
  using _lock = lockTables({ shared: true });
  deleteElements(netfilterSocket(), record.details.elements ?? []);
  removeRecord(record);
}

/** Deletes what the reference made for the attachment. */
export function deleteReferenceRules(
  socket: NetfilterSocket,
  { containerId, ifname }: Omit<AttachmentName, "network">,
): void {
  const chain = `cni-br-iface-${containerId}-${ifname}`;
  const isOurs = (comment: string) => comment === `macspoofchk-${containerId}-${ifname}`;
  deleteRules(socket, REFERENCE_TABLE, isOurs, [chain, `${chain}-mac`]);
}
