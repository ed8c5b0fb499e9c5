/**
 * The rules that concern an attachment: what its records say it has in the packet filters, whether that is
 * there, and what it does.
 */
import type { JsonObject } from "../../lib/cni/json.ts";
import { type Details as IsolationDetails, recordedIsolation } from "../../lib/isolate/isolate.ts";
import { isolationElements } from "../../lib/isolate/nftables.ts";
import { type Details as MasqueradeDetails, recordedMasquerade } from "../../lib/masquerade/masquerade.ts";
import { masqueradeElements } from "../../lib/masquerade/nftables.ts";
import { publishElements } from "../../lib/publish/nftables.ts";
import { type Details as PublicationDetails, recordedPublication } from "../../lib/publish/publish.ts";
import type { AttachmentRecord } from "../../lib/state/record.ts";
import { type Element, type Entries, elementName, ownerComment } from "../../lib/weft-table/element.ts";
import { entriesOf } from "../../lib/weft-table/table-life.ts";
import type { AttachmentView } from "./attachment.ts";
import { explain, type Topic } from "./explain.ts";
import { elementText, type FilterView } from "./filter.ts";
import { elementRuns } from "./port-runs.ts";

/** In the order in which they are told. */
const TOPICS: readonly Topic[] = ["masquerade", "ports", "isolation", "spoofing"];

/** One thing that rules do for an attachment. */
export interface RuleView {
  readonly topic: Topic;
  readonly says: string;
  /** Who keeps it. */
  readonly by: "nftables" | "iptables" | "firewalld" | "bridge";
  /** As nft writes them; none of what others than nftables keep. */
  readonly elements: readonly { readonly text: string; readonly isMissing: boolean }[];
}

/** Of attachments that weft has not made nothing is known. */
export function rulesOf(attachment: AttachmentView, filter: FilterView): RuleView[] {
  const held = new Map(filter.elements.map((element) => [elementName(element), element]));
  const recorded = attachment.records.flatMap((record) => {
    const { elements, shared } = entriesOf(record as AttachmentRecord<Entries>); // which looks through it
    return [...elements, ...shared];
  });
  const comment = ownerComment(attachment);
  const owned = filter.elements.filter((element) => element.comment === comment);
  const all = new Map<string, Element>();
  for (const element of [...recorded, ...owned]) all.set(elementName(element), element);
  const rules = new Map<string, RuleView & { elements: { text: string; isMissing: boolean }[] }>();
  const told = [...all].map(([name, element]) => ({
    ...(held.get(name) ?? element),
    isMissing: !held.has(name),
  }));
  for (const { whole, elements } of elementRuns(told)) {
    const { topic, says } = explain(whole);
    const rule = rules.getOrInsertComputed(says, () => ({ topic, says, by: "nftables", elements: [] }));
    const texts = elements.map((each) => ({ text: elementText(each), isMissing: each.isMissing }));
    rule.elements.push(...texts);
  }
  return [...rules.values(), ...attachment.records.flatMap(rulesElsewhere)].sort(
    (a, b) => TOPICS.indexOf(a.topic) - TOPICS.indexOf(b.topic),
  );
}

/** What of a record is not in our tables: in iptables, in firewalld, or a flag of a bridge's port. */
function rulesElsewhere(record: AttachmentRecord<JsonObject>): RuleView[] {
  const rules = new Map<string, RuleView>();
  const add = (by: RuleView["by"], topic: Topic, says: string) => {
    if (!rules.has(says)) rules.set(says, { topic, says, by, elements: [] });
  };
  for (const { whole } of elementRuns(iptablesElements(record))) {
    const { topic, says } = explain(whole);
    add("iptables", topic, says);
  }
  const { zone, port } = record.plugin === "firewall" ? record.details : {};
  if (typeof zone === "string")
    add("firewalld", "isolation", `Its addresses are in firewalld's zone ${zone}.`);
  if (typeof port === "string") {
    add("bridge", "isolation", `Other isolated ports of its bridge do not reach ${port}.`);
  }
  return [...rules.values()];
}

/** What our table would have for what iptables does: the two do the same. */
function iptablesElements(record: AttachmentRecord<JsonObject>): Element[] {
  // each of these plugins wrote its own details
  const of = <Details>() => record as unknown as AttachmentRecord<Details>;
  if (record.plugin === "masquerade") {
    const target = recordedMasquerade(of<MasqueradeDetails>());
    return target ? masqueradeElements(target) : [];
  }
  if (record.plugin === "portmap") {
    const publication = recordedPublication(of<PublicationDetails>());
    return publication ? publishElements(publication) : [];
  }
  if (record.plugin === "firewall") {
    const isolation = recordedIsolation(of<IsolationDetails>());
    return isolation ? isolationElements(isolation) : [];
  }
  return [];
}
