/**
 * Masquerading by iptables, in the reference's layout (plugins/pkg/ip/ipmasq_iptables_linux.go), so that
 * either side removes what the other made.
 */

import { CniError } from "../cni/error.ts";
import type { GcCall } from "../cni/plugin.ts";
import { masqueradeChain, networkMark, ownerComment } from "../iptables/chain-names.ts";
import {
  changeExistingTables,
  changeTables,
  ensureRules,
  findMissingRule,
  tablesOf,
} from "../iptables/change.ts";
import { optionOf, quoteWord, type Rule } from "../iptables/rule.ts";
import type { Table } from "../iptables/table.ts";
import { addressBits, type Family, formatAddress } from "../netaddr/address.ts";
import { formatPrefix, networkOf, type Prefix } from "../netaddr/prefix.ts";
import type { AttachmentName } from "../state/record.ts";
import type { MasqueradeTarget } from "./target.ts";

const FAMILIES = [4, 6] as const;
const MULTICAST = { 4: "224.0.0.0/4", 6: "ff00::/8" } as const;

/** The rules of one family; none where the container has no address of it. */
function masqueradeRules(target: MasqueradeTarget, family: Family): Rule[] {
  const chain = masqueradeChain(target);
  const comment = ownerComment("", target);
  const exemptions: Rule[] =
    target.overlay === undefined
      ? []
      : [
          {
            table: "nat",
            chain,
            text: `-o ${quoteWord(target.overlay)} ${comment} -j ACCEPT`,
            isFirst: true,
          },
        ];
  return target.addresses
    .filter(({ address }) => address.family === family)
    .flatMap((prefix): Rule[] => [
      ...exemptions,
      // Both interfaces of a container on one network share the chain: what is inside comes first.
      {
        table: "nat",
        chain,
        text: `-d ${formatPrefix(networkOf(prefix))} ${comment} -j ACCEPT`,
        isFirst: true,
      },
      { table: "nat", chain, text: `! -d ${MULTICAST[family]} ${comment} -j MASQUERADE` },
      { table: "nat", chain: "POSTROUTING", text: `-s ${hostPrefix(prefix)} ${comment} -j ${chain}` },
    ]);
}

/**
 * Masquerades what the addresses send out of their subnets and overlay, but for multicast. Again is nothing.
 */
export function addMasqueradeRules(target: MasqueradeTarget): void {
  for (const family of FAMILIES) {
    const rules = masqueradeRules(target, family);
    if (rules.length > 0) changeTables(family, ["nat"], (tables) => ensureRules(tables, rules));
  }
}

/**
 * Removes a container's masquerading on a network, found by its chain alone.
 * @param addresses what the interface had; without them what all interfaces of the container have there goes
 */
export function deleteMasqueradeRules(name: AttachmentName, addresses?: readonly Prefix[]): void {
  for (const family of FAMILIES) {
    changeExistingTables(family, ["nat"], ({ nat }) => deleteChain(nat, masqueradeChain(name), addresses));
  }
}

/** @throws CniError 100 that names the rule that is missing */
export function checkMasqueradeRules(target: MasqueradeTarget): void {
  for (const family of FAMILIES) {
    const rules = masqueradeRules(target, family);
    const missing = rules.length > 0 && findMissingRule(family, tablesOf(rules), () => rules);
    if (!missing) continue;
    throw new CniError(CniError.CHECK_FAILED, `masquerading of ${target.containerId} is gone`, {
      details: `no rule "${missing.text}" in chain ${missing.chain} of table ${missing.table}`,
    });
  }
}

/** Removes what belongs to this network's containers that are not valid, by the comments of the rules. */
export function deleteStaleMasqueradeRules(call: GcCall): void {
  const network = call.config.name;
  const valid = new Set(
    call.validAttachments.map(({ containerID }) => masqueradeChain({ network, containerId: containerID })),
  );
  for (const family of FAMILIES) {
    changeExistingTables(family, ["nat"], ({ nat }) => {
      for (const chain of chainsOf(nat, network)) if (!valid.has(chain)) deleteChain(nat, chain);
    });
  }
}

function deleteChain(nat: Table, chain: string, addresses?: readonly Prefix[]): void {
  const sources = addresses?.map(hostPrefix);
  nat.deleteRules("POSTROUTING", (rule) => {
    if (!rule.includes(chain)) return false;
    return sources === undefined || sources.includes(optionOf(rule, "-s") ?? "");
  });
  nat.deleteChain(chain);
}

/** The network's chains, known by the comments of their rules and of the jumps to them. */
function chainsOf(nat: Table, network: string): Set<string> {
  const mark = networkMark("", network);
  const jumps = nat.rules("POSTROUTING").filter((rule) => rule.includes(mark));
  const filled = nat.chains.filter(
    (chain) => chain.startsWith("CNI-") && nat.rules(chain).some((rule) => rule.includes(mark)),
  );
  return new Set([...filled, ...jumps.map((rule) => optionOf(rule, "-j") ?? "")]);
}

/** "10.9.0.2/32" */
function hostPrefix({ address }: Prefix): string {
  return `${formatAddress(address)}/${addressBits(address.family)}`;
}
