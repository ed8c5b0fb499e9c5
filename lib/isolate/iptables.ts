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
import { changeExistingTables, changeUsedTables, ensureRules, findMissingRule } from "../iptables/change.ts";
import { optionOf, type Rule } from "../iptables/rule.ts";
import type { Table } from "../iptables/table.ts";
import type { Address, Family } from "../netaddr/address.ts";
import type { AttachmentName } from "../state/record.ts";
import { deleteOutdated, deleteOwned, deleteUnneeded } from "./iptables-notes.ts";
import {
  ACCEPTED,
  addressRules,
  adminRule,
  bridgeRules,
  networkNote,
  ownerNote,
  ownerRules,
  publishedRule,
  STAGE_1,
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
    changeUsedTables(family, ["filter"], ({ filter }) => {
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
      const released = deleteOwned(filter, (rule) => rule.includes(note), addresses);
      deleteUnneeded(filter, released);
    });
  }
}

/** @throws CniError 100 that names the rule that is missing */
export function checkIsolateRules(isolation: Isolation): void {
  for (const family of FAMILIES) {
    if (!isolation.addresses.some((address) => address.family === family)) continue;
    const missing = findMissingRule(
      family,
      ["filter"],
      ({ filter }) => isolateRules(isolation, family, filter),
      { isNeeded: ({ filter }) => filter.policy("FORWARD") === "DROP" },
    );
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
