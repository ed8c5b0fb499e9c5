/**
 * Published ports that change hands with the reference plugin, while the container goes on: what takes over
 * is there before the other's goes, and no connection is forgotten.
 */
import { hasNftables } from "../iptables/kernel-tables.ts";
import { netfilterSocket } from "../netfilter/socket.ts";
import { type AttachmentRecord, listAllRecords, removeRecord } from "../state/record.ts";
import { deleteElements } from "../weft-table/elements.ts";
import { lockTables } from "../weft-table/table-lock.ts";
import { forsakeRouteLocalnet } from "./host-settings.ts";
import { addPublishRules, deleteOwnSharedRules, deletePublishRules } from "./iptables.ts";
import { deleteReferenceRules } from "./nftables.ts";
import { claimsOf, lockPorts, releasePorts } from "./port-claims.ts";
import type { Publication } from "./publication.ts";
import type { Details } from "./publish.ts";

/** Deletes what the reference made of a container whose ports are recorded as ours. */
export function replaceReferencePublication(record: AttachmentRecord<Details>): void {
  if (hasNftables()) deleteReferenceRules(netfilterSocket(), record);
  if (record.details.backend === "nftables") deletePublishRules(record); // else they are ours
}

/**
 * Makes the reference's rules, by iptables, and deletes ours; no record is left. What the host's settings are
 * stays: the reference's rules need them.
 */
export function handBackPublication(record: AttachmentRecord<Details>, publication: Publication): void {
  addPublishRules(publication);
  using _tables = lockTables({ shared: true });
  deleteElements(netfilterSocket(), record.details.elements ?? []);
  using _ports = lockPorts();
  releasePorts(claimsOf(publication), publication);
  forsakeRouteLocalnet(publication);
  removeRecord(record);
  const isLast = listAllRecords().every(({ plugin }) => plugin !== record.plugin);
  if (isLast) deleteOwnSharedRules();
}
