/**
 * Isolation by iptables; either side removes what the other made.
 *
 *     FORWARD → CNI-ISOLATION-STAGE-1 → CNI-ISOLATION-STAGE-2      what is dropped
 *             → CNI-FORWARD → CNI-ADMIN                            what is accepted
 *
 * The reference's rules do not say whose they are. So each attachment also notes its rules, with its name as
 * their comment, in CNI-FORWARD-OWNERS, which nothing leads to. A rule of a bridge goes with the last
 * attachment that notes it, in one step with the note, and DEL and GC need neither addresses nor records.
 */

import { CniError } from "../cni/error.ts";
import type { GcCall } from "../cni/plugin.ts";
import {
  changeExistingTables,
  changeTables,
  ensureRules,
  findMissingRule,
  readTables,
} from "../iptables/change.ts";
import { optionOf, type Rule, ruleKey } from "../iptables/rule.ts";
import type { Table } from "../iptables/table.ts";
import { type Address, type Family, parseAddress } from "../netaddr/address.ts";
import type { AttachmentName } from "../state/record.ts";
import {
  ACCEPTED,
  ADMIN_NOTE,
  addressRules,
  adminRule,
  bridgeRules,
  isOfBridge,
  isOfStages,
  networkNote,
  OWN_NOTE,
  OWNERS,
  ownerNote,
  ownerRules,
  publishedRule,
  STAGE_1,
  STAGE_2,
  STAGE_RULES,
  sortStage1,
  TO_ACCEPTED,
  TO_STAGE_1,
} from "./iptables-rules.ts";
import type { Isolation } from "./isolation.ts";

const FAMILIES = [4, 6] as const;

/** The rules of one family; none where the container has no address of it. */
function isolateRules(isolation: Isolation, family: Family, filter: Table): Rule[] {
  const addresses = isolation.addresses.filter((address) => address.family === family);
  if (addresses.length === 0) return [];
  const ofBridge = bridgeRules(isolation);
  const isStaged = ofBridge.some(({ chain }) => chain !== ACCEPTED);
  return [
    TO_ACCEPTED,
    ...(isStaged ? [TO_STAGE_1, ...STAGE_RULES] : []),
    adminRule(isolation),
    ...ofBridge.filter(({ chain }) => chain === ACCEPTED).map((rule) => ({ ...rule, isFirst: false })),
    ...addresses.flatMap(addressRules),
    ...(filter.policy("FORWARD") === "DROP" ? addresses.map(publishedRule) : []),
    ...ofBridge.filter(({ chain }) => chain !== ACCEPTED),
    ...ownerRules(isolation, addresses),
  ];
}

/** Isolates, in place of what the attachment had before. Again is nothing. */
export function addIsolateRules(isolation: Isolation): void {
  for (const family of FAMILIES) {
    if (!isolation.addresses.some((address) => address.family === family)) continue;
    changeTables(family, ["filter"], ({ filter }) => {
      const rules = isolateRules(isolation, family, filter);
      const released = deleteOutdated(filter, isolation, rules);
      filter.ensureChain(isolation.adminChain);
      keepStagesFirst(filter);
      ensureRules({ filter }, rules);
      deleteUnneeded(filter, released);
      if (filter.has(STAGE_1)) filter.replaceRules(STAGE_1, sortStage1(filter.rules(STAGE_1)));
    });
  }
}

/** What the attachment has noted and no longer has, and who had one of its addresses before. */
function deleteOutdated(filter: Table, owner: AttachmentName, rules: readonly Rule[]): readonly string[] {
  const wanted = new Set(rules.filter(({ chain }) => chain === OWNERS).map(({ text }) => ruleKey(text)));
  const note = ownerNote(owner);
  const sources = new Set(rules.map(({ chain, text }) => chain === OWNERS && optionOf(text, "-s")));
  return deleteOwned(filter, (rule) => {
    if (wanted.has(ruleKey(rule))) return false;
    return rule.includes(note) || sources.has(optionOf(rule, "-s") ?? "");
  });
}

/** Nothing is accepted before it was asked whether it is dropped: STAGE-1 comes before CNI-FORWARD. */
function keepStagesFirst(filter: Table): void {
  const targets = filter.rules("FORWARD").map((rule) => optionOf(rule, "-j"));
  const stage1 = targets.indexOf(STAGE_1);
  if (stage1 < 0 || stage1 < targets.indexOf(ACCEPTED)) return;
  filter.deleteJumps("FORWARD", STAGE_1);
  filter.ensureChain(ACCEPTED);
  ensureRules({ filter }, [TO_ACCEPTED, TO_STAGE_1]);
}

/**
 * Removes what an attachment has, by its notes; `addresses` are those of one that made none, because the
 * reference's plugin added it. After the last attachment of all, what they shared goes too, but never an
 * administrator's rule, nor anything that a container of the reference's may still need.
 */
export function deleteIsolateRules(
  owner: AttachmentName & { readonly addresses?: readonly Address[] },
): void {
  const note = ownerNote(owner);
  for (const family of FAMILIES) {
    const addresses = owner.addresses?.filter((address) => address.family === family);
    changeExistingTables(family, ["filter"], ({ filter }) => {
      deleteUnneeded(
        filter,
        deleteOwned(filter, (rule) => rule.includes(note), addresses),
      );
    });
  }
}

/** @throws CniError 100 that names the rule that is missing */
export function checkIsolateRules(isolation: Isolation): void {
  for (const family of FAMILIES) {
    if (!isolation.addresses.some((address) => address.family === family)) continue;
    const tables = readTables(family, ["filter"]);
    const missing = findMissingRule(family, isolateRules(isolation, family, tables.filter), tables);
    if (!missing) continue;
    throw new CniError(CniError.CHECK_FAILED, `the firewall's rules for ${isolation.containerId} are gone`, {
      details: `no rule "${missing.text}" in chain ${missing.chain} of table ${missing.table}`,
    });
  }
}

/**
 * Removes what this network's attachments that are not valid have, by their notes. What the reference's
 * plugin made says nothing of its owner and stays.
 */
export function deleteStaleIsolateRules(call: GcCall): void {
  const network = call.config.name;
  const valid = new Set(
    call.validAttachments.map(({ containerID, ifname }) =>
      optionOf(ownerNote({ network, ifname, containerId: containerID }), "--comment"),
    ),
  );
  for (const family of FAMILIES) {
    changeExistingTables(family, ["filter"], ({ filter }) => {
      const isStale = (rule: string) => {
        const owner = optionOf(rule, "--comment") ?? "";
        return owner.startsWith(networkNote(network)) && !valid.has(owner);
      };
      deleteUnneeded(filter, deleteOwned(filter, isStale));
    });
  }
}

/**
 * Deletes notes, and what is accepted of the addresses in them, and of others, unless they are noted again.
 * @returns the notes
 */
function deleteOwned(
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
function deleteUnneeded(filter: Table, released: readonly string[]): void {
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
