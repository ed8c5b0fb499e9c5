/**
 * Masquerading that changes hands with the reference plugin, while the container goes on: what takes over is
 * there before the other's goes, and connections that are known keep their translation meanwhile.
 */
import { hasNftables } from "../iptables/kernel-tables.ts";
import { parsePrefix } from "../netaddr/prefix.ts";
import { netfilterSocket } from "../netfilter/socket.ts";
import { type AttachmentRecord, removeRecord } from "../state/record.ts";
import { deleteElements } from "../weft-table/elements.ts";
import { lockTables } from "../weft-table/table-lock.ts";
import { addMasqueradeRules, deleteMasqueradeRules } from "./iptables.ts";
import type { Details } from "./masquerade.ts";
import { deleteReferenceRules } from "./nftables.ts";

/** Deletes what the reference made of a container whose masquerading is recorded as ours. */
export function replaceReferenceMasquerade(record: AttachmentRecord<Details>): void {
  if (hasNftables()) deleteReferenceRules(netfilterSocket(), record);
  if (record.details.backend === "nftables") deleteMasqueradeRules(record); // else they are ours
}

/** Makes the reference's rules, by iptables, and deletes ours; no record is left. */
export function handBackMasquerade(record: AttachmentRecord<Details>): void {
  const { via, overlay, addresses, elements = [] } = record.details;
  addMasqueradeRules({ ...record, via, overlay, addresses: addresses.map(parsePrefix) });
  using _lock = lockTables({ shared: true });
  deleteElements(netfilterSocket(), elements);
  removeRecord(record);
}
