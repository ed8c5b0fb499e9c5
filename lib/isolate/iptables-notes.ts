/**
 * Whose rules are whose: what goes when an attachment's notes go, in lib/isolate/iptables.ts's layout.
 *
 * A note is a rule in CNI-FORWARD-OWNERS with the attachment's name as its comment: "-s ADDRESS -i BRIDGE"
 * for each address, and each rule of the bridge as it stands in its chain.
 */

import { optionOf, type Rule, ruleKey } from "../iptables/rule.ts";
import type { Table } from "../iptables/table.ts";
import { type Address, parseAddress } from "../netaddr/address.ts";
import type { AttachmentName } from "../state/record.ts";
import {
  ACCEPTED,
  ADMIN_NOTE,
  addressRules,
  isOfBridge,
  isOfStages,
  OWN_NOTE,
  OWNERS,
  ownerNote,
  publishedRule,
  STAGE_1,
  STAGE_2,
} from "./iptables-rules.ts";

/** What the attachment has noted and no longer has, and who had one of its addresses before. */
export function deleteOutdated(
  filter: Table,
  owner: AttachmentName,
  rules: readonly Rule[],
): readonly string[] {
  const wanted = new Set(rules.filter(({ chain }) => chain === OWNERS).map(({ text }) => ruleKey(text)));
  const note = ownerNote(owner);
  const sources = new Set(rules.map(({ chain, text }) => chain === OWNERS && optionOf(text, "-s")));
  return deleteOwned(filter, (rule) => {
    if (wanted.has(ruleKey(rule))) return false;
    return rule.includes(note) || sources.has(optionOf(rule, "-s") ?? "");
  });
}

/**
 * Deletes notes, and what is accepted of the addresses in them, and of others, unless they are noted again.
 * @returns the notes
 */
export function deleteOwned(
  filter: Table,
  isUnwanted: (note: string) => boolean,
  addresses: readonly Address[] = [],
): readonly string[] {
  const released = filter.rules(OWNERS).filter(isUnwanted);
  filter.deleteRules(OWNERS, isUnwanted);
  const noted = new Set(sourcesOf(filter.rules(OWNERS)));
  const rules = [...addresses, ...sourcesOf(released).map(addressOf)]
    .flatMap((address) => [...addressRules(address), publishedRule(address)])
    .filter(({ text }) => !noted.has(optionOf(text, "-s") ?? optionOf(text, "-d") ?? ""));
  const keys = new Set(rules.map(({ text }) => ruleKey(text)));
  filter.deleteRules(ACCEPTED, (rule) => keys.size > 0 && keys.has(ruleKey(rule)));
  return released;
}

/**
 * Deletes the rules of bridges that nobody notes any longer; then the chains that hold nothing of anybody.
 * While there are containers without a note, the reference's or those of lost notes, only what was released
 * goes, and of that only what the reference's cannot need.
 */
export function deleteUnneeded(filter: Table, released: readonly string[]): void {
  const notes = filter.rules(OWNERS);
  const noted = new Set(notes.map(bridgeKey));
  const releasedKeys = new Set(released.map(bridgeKey));
  const known = new Set(sourcesOf(notes));
  const hasUnknown = sourcesOf(filter.rules(ACCEPTED)).some((source) => !known.has(source));
  for (const chain of [STAGE_1, STAGE_2, ACCEPTED]) {
    filter.deleteRules(chain, (rule) => {
      const isOurs = rule.includes(OWN_NOTE);
      if (!isOfBridge(rule) || (chain === ACCEPTED && !isOurs)) return false;
      const key = bridgeKey(rule);
      return !noted.has(key) && (!hasUnknown || (isOurs && releasedKeys.has(key)));
    });
  }
  if (notes.length === 0) filter.deleteChain(OWNERS);
  if ([STAGE_1, STAGE_2].every((chain) => filter.rules(chain).every(isOfStages))) {
    filter.deleteJumps("FORWARD", STAGE_1);
    for (const chain of [STAGE_1, STAGE_2]) filter.deleteChain(chain);
  }
  deleteEmptyAccepted(filter);
}

/** CNI-FORWARD with nothing but the jump to the administrator's chain goes, and that chain if it is empty. */
function deleteEmptyAccepted(filter: Table): void {
  const rules = filter.rules(ACCEPTED);
  if (!rules.every((rule) => rule.includes(ADMIN_NOTE))) return;
  const adminChains = rules.map((rule) => optionOf(rule, "-j") ?? "");
  filter.deleteJumps("FORWARD", ACCEPTED);
  filter.deleteChain(ACCEPTED);
  if (filter.has(ACCEPTED)) return;
  for (const chain of adminChains) if (filter.rules(chain).length === 0) filter.deleteChain(chain);
}

/** What a rule of a bridge and the notes of it have in common. */
function bridgeKey(text: string): string {
  return ruleKey(text, { without: "--comment" });
}

function sourcesOf(rules: readonly string[]): string[] {
  return rules.flatMap((rule) => optionOf(rule, "-s") ?? []);
}

/** "10.9.0.2/32" */
function addressOf(prefix: string): Address {
  return parseAddress(prefix.slice(0, prefix.indexOf("/")));
}
