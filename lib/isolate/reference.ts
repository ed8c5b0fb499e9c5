/**
 * The firewall's rules that change hands with the reference plugin, while the container goes on: what takes
 * over is there before the other's goes.
 */
import { changeExistingTables } from "../iptables/change.ts";
import { hasNftables } from "../iptables/kernel-tables.ts";
import { ruleKey } from "../iptables/rule.ts";
import { parseAddress } from "../netaddr/address.ts";
import { netfilterSocket } from "../netfilter/socket.ts";
import { type AttachmentRecord, removeRecord } from "../state/record.ts";
import { releaseElements } from "../weft-table/shared-elements.ts";
import { addIsolateRules, deleteIsolateRules } from "./iptables.ts";
import { ACCEPTED, OWNERS, ownerNote, publishedRule } from "./iptables-rules.ts";
import type { Details } from "./isolate.ts";
import type { Isolation } from "./isolation.ts";

const FAMILIES = [4, 6] as const;

/** Deletes what the reference made of a container whose isolation is recorded as ours. */
export function replaceReferenceIsolation(record: AttachmentRecord<Details>): void {
  const { backend, addresses } = record.details;
  if (backend === "iptables") return; // they are ours
  deleteIsolateRules({ ...record, addresses: addresses.map(parseAddress) });
}

/**
 * Makes the reference's rules, by iptables, and deletes ours; no record is left, nor a note of whose they
 * are. A port that was isolated stays so.
 */
export function handBackIsolation(record: AttachmentRecord<Details>, isolation: Isolation): void {
  const { zone, shared = [] } = record.details;
  if (zone === undefined || record.details.backend) addIsolateRules(isolation);
  if (hasNftables()) releaseElements(netfilterSocket(), shared, record);
  forgetNotes(isolation);
  removeRecord(record);
}

/** And what the reference does not accept: it would never delete that. */
function forgetNotes(isolation: Isolation): void {
  const note = ownerNote(isolation);
  const published = new Set(isolation.addresses.map((address) => ruleKey(publishedRule(address).text)));
  for (const family of FAMILIES) {
    changeExistingTables(family, ["filter"], ({ filter }) => {
      filter.deleteRules(ACCEPTED, (rule) => published.has(ruleKey(rule)));
      filter.deleteRules(OWNERS, (rule) => rule.includes(note));
      if (filter.rules(OWNERS).length === 0) filter.deleteChain(OWNERS);
    });
  }
}
