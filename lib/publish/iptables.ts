/**
 * Published ports by iptables, in the layout of the reference (plugins/meta/portmap/portmap_iptables.go), so
 * that either side removes what the other made. Ours alone are the guard, because route_localnet, which lets
 * 127.0.0.1 be published, would let neighbours of the interface reach what listens there, or speak as it;
 * and what is sent to ::1 is left to the host, because no answer could come back.
 */

import { CniError } from "../cni/error.ts";
import type { GcCall } from "../cni/plugin.ts";
import { comment, networkMark, ownerComment, publishChain } from "../iptables/chain-names.ts";
import {
  changeExistingTables,
  changeTables,
  ensureRules,
  findMissingRule,
  type Tables,
  tablesOf,
} from "../iptables/change.ts";
import { optionOf, quoteWord, type Rule } from "../iptables/rule.ts";
import type { Table } from "../iptables/table.ts";
import { addressBits, type Family, formatAddress, isUnspecified } from "../netaddr/address.ts";
import { formatPrefix, networkOf, type Prefix } from "../netaddr/prefix.ts";
import type { AttachmentName } from "../state/record.ts";
import type { Publication, PublishedPort } from "./publication.ts";

const FAMILIES = [4, 6] as const;
const DNAT_CHAIN = "CNI-HOSTPORT-DNAT";
const SETMARK_CHAIN = "CNI-HOSTPORT-SETMARK";
const MASQ_CHAIN = "CNI-HOSTPORT-MASQ";
/** What the match "multiport" holds (linux/netfilter/xt_multiport.h XT_MULTI_PORTS). */
const MULTIPORT_MAX = 15;

const TO_HOST: Omit<Rule, "chain"> = { table: "nat", text: `-m addrtype --dst-type LOCAL -j ${DNAT_CHAIN}` };
const TO_MASQ: Rule = {
  table: "nat",
  chain: "POSTROUTING",
  text: `${comment("CNI portfwd requiring masquerade")} -j ${MASQ_CHAIN}`,
  isFirst: true,
};
const GUARD_NOTE = comment("weft portmap: 127.0.0.0/8 stays on the host");
const GUARDS = ["-d", "-s"].map((end): Rule => {
  const text = `${end} 127.0.0.0/8 ! -i lo ${GUARD_NOTE} -j DROP`;
  return { table: "raw", chain: "PREROUTING", text, isFirst: true };
});
const LOOPBACK_NOTE = comment("weft portmap: no answer comes back to ::1");
const NOT_LOOPBACK: Rule = {
  table: "nat",
  chain: DNAT_CHAIN,
  text: `-d ::1/128 ${LOOPBACK_NOTE} -j RETURN`,
  isFirst: true,
};

/** The rules of one family, none where the container has no address of it; the guards come first. */
function publishRules(publication: Publication, family: Family): Rule[] {
  const prefix = publication.addresses.find(({ address }) => address.family === family);
  if (!prefix) return [];
  return [
    ...(family === 4 && publication.snat ? GUARDS : []),
    ...(family === 6 ? [NOT_LOOPBACK] : []),
    ...masqueradeRules(publication),
    { ...TO_HOST, chain: "PREROUTING" },
    { ...TO_HOST, chain: "OUTPUT" },
    ...containerRules(publication, prefix),
    ...entryRules(publication, family),
  ];
}

/** What masquerades the packets that a container's rules mark; of nobody where somebody else's chain does. */
function masqueradeRules({ snat, externalSetMarkChain, markMasqBit }: Publication): Rule[] {
  if (!snat || externalSetMarkChain !== undefined) return [];
  const mark = `0x${(2 ** markMasqBit).toString(16)}`;
  const note = comment("CNI portfwd masquerade mark");
  return [
    { table: "nat", chain: SETMARK_CHAIN, text: `${note} -j MARK --set-xmark ${mark}/${mark}` },
    { table: "nat", chain: MASQ_CHAIN, text: `-m mark --mark ${mark}/${mark} -j MASQUERADE` },
    TO_MASQ,
  ];
}

/** The jumps to the container's chain, for each protocol and 15 ports; with those of the other family. */
function entryRules(publication: Publication, family: Family): Rule[] {
  const conditions = family === 4 ? publication.conditionsV4 : publication.conditionsV6;
  const words = (conditions ?? []).map((word) => ` ${quoteWord(word)}`).join("");
  const note = ownerComment("dnat ", publication);
  const protocols = new Set(publication.ports.map(({ protocol }) => protocol));
  return [...protocols].flatMap((protocol) => {
    const ports = publication.ports.filter((port) => port.protocol === protocol);
    return inGroups(ports, MULTIPORT_MAX).map((group): Rule => {
      const match = `-p ${protocol} ${note} -m multiport --dports ${group.map((port) => port.hostPort).join()}`;
      return { table: "nat", chain: DNAT_CHAIN, text: `${match}${words} -j ${publishChain(publication)}` };
    });
  });
}

/** The container's own chain: which packets are to be masqueraded, and where each port leads. */
function containerRules(publication: Publication, prefix: Prefix): Rule[] {
  const chain = publishChain(publication);
  const { family } = prefix.address;
  const texts = publication.ports
    .filter(({ hostIp }) => hostIp === undefined || hostIp.family === family)
    .flatMap((port) => {
      const match = `${hostMatch(port)}-p ${port.protocol} -m ${port.protocol} --dport ${port.hostPort}`;
      const marked = markedSources(publication, prefix).map((source) => {
        return `${source}${match} -j ${publication.externalSetMarkChain ?? SETMARK_CHAIN}`;
      });
      return [...marked, `${match} -j DNAT --to-destination ${destination(prefix, port)}`];
    });
  return texts.map((text) => ({ table: "nat", chain, text }));
}

/** Whose connections get the host's address: the subnet's, else answered directly, and the host's own. */
function markedSources({ snat, masqAll }: Publication, prefix: Prefix): string[] {
  if (!snat) return [];
  if (masqAll) return [""];
  const subnet = `-s ${formatPrefix(networkOf(prefix))} `;
  return prefix.address.family === 4 ? [subnet, "-s 127.0.0.1/32 "] : [subnet];
}

function hostMatch({ hostIp }: PublishedPort): string {
  if (hostIp === undefined || isUnspecified(hostIp)) return "";
  return `-d ${formatAddress(hostIp)}/${addressBits(hostIp.family)} `;
}

function destination({ address }: Prefix, { containerPort }: PublishedPort): string {
  const text = formatAddress(address);
  return address.family === 4 ? `${text}:${containerPort}` : `[${text}]:${containerPort}`;
}

/** Publishes the ports, in place of what was published for the container before. Again is nothing. */
export function addPublishRules(publication: Publication): void {
  if (publication.ports.length === 0) return;
  for (const family of FAMILIES) {
    const rules = publishRules(publication, family);
    if (rules.length === 0) continue;
    const names = publication.snat && family === 4 ? (["raw", "nat"] as const) : (["nat"] as const);
    const change = (tables: Tables<"nat">) => {
      requireMarkChain(tables.nat, publication);
      const chain = publishChain(publication);
      const entries = rules.filter((rule) => rule.chain === DNAT_CHAIN).map(({ text }) => text);
      const isStale = (rule: string) => optionOf(rule, "-j") === chain && !entries.includes(rule);
      tables.nat.replaceRules(
        chain,
        rules.filter((rule) => rule.chain === chain).map(({ text }) => text),
      );
      tables.nat.deleteRules(DNAT_CHAIN, (rule) => rule.includes(chain) && isStale(rule));
      ensureRules(
        tables,
        rules.filter((rule) => rule.chain !== chain),
      );
    };
    const { externalSetMarkChain: markChain } = publication;
    const target = markChain === undefined ? undefined : ({ table: "nat", chain: markChain } as const);
    changeTables<"raw" | "nat">(family, names, change, { target });
  }
}

/** @throws CniError 11: whoever makes the chain, such as kube-proxy, has not done so yet */
function requireMarkChain(nat: Table, { snat, externalSetMarkChain }: Publication): void {
  if (!snat || externalSetMarkChain === undefined || nat.has(externalSetMarkChain)) return;
  throw new CniError(CniError.TRY_AGAIN_LATER, `no chain "${externalSetMarkChain}" in iptables' table nat`, {
    details: "externalSetMarkChain names it, and who makes it (kube-proxy, for KUBE-MARK-MASQ) has not yet",
  });
}

/** @throws CniError 100 that names the rule that is missing */
export function checkPublishRules(publication: Publication): void {
  if (publication.ports.length === 0) return;
  for (const family of FAMILIES) {
    const rules = publishRules(publication, family);
    const missing = rules.length > 0 && findMissingRule(family, tablesOf(rules), () => rules);
    if (!missing) continue;
    throw new CniError(CniError.CHECK_FAILED, `a published port of ${publication.containerId} is closed`, {
      details: `no rule "${missing.text}" in chain ${missing.chain} of table ${missing.table}`,
    });
  }
}

/** Removes what is published for a container, found by its chain; after the last of all, what they shared. */
export function deletePublishRules(name: AttachmentName): void {
  const own = publishChain(name);
  deleteChains(() => [own]);
}

/** Removes what is published for this network's containers that are not valid, by the rules' comments. */
export function deleteStalePublishRules(call: GcCall): void {
  const network = call.config.name;
  const mark = networkMark("dnat ", network);
  const valid = new Set(
    call.validAttachments.map(({ containerID }) => publishChain({ network, containerId: containerID })),
  );
  deleteChains((nat) => {
    const entries = nat.rules(DNAT_CHAIN).filter((rule) => rule.includes(mark));
    return entries.map((rule) => optionOf(rule, "-j") ?? "").filter((chain) => !valid.has(chain));
  });
}

function deleteChains(find: (nat: Table) => readonly string[]): void {
  for (const family of FAMILIES) {
    changeExistingTables(family, ["nat", "raw"], ({ nat, raw }) => {
      for (const chain of find(nat)) {
        nat.deleteJumps(DNAT_CHAIN, chain);
        nat.deleteChain(chain);
      }
      const isUnused = nat.rules(DNAT_CHAIN).every((rule) => rule.includes(LOOPBACK_NOTE));
      if (isUnused) deleteSharedRules(nat, raw);
    });
  }
}

/** What the reference leaves for ever; somebody else may use SETMARK. */
function deleteSharedRules(nat: Table, raw: Table): void {
  for (const chain of ["PREROUTING", "OUTPUT"]) nat.deleteJumps(chain, DNAT_CHAIN);
  nat.deleteChain(DNAT_CHAIN);
  raw.deleteRules("PREROUTING", (rule) => rule.includes(GUARD_NOTE));
  if (nat.isReferenced(SETMARK_CHAIN)) return;
  nat.deleteChain(SETMARK_CHAIN);
  nat.deleteJumps(TO_MASQ.chain, MASQ_CHAIN);
  nat.deleteChain(MASQ_CHAIN);
}

/** What the reference does not have of the shared rules: for a node that is handed back to it. */
export function deleteOwnSharedRules(): void {
  for (const family of FAMILIES) {
    changeExistingTables(family, ["nat", "raw"], ({ nat, raw }) => {
      raw.deleteRules("PREROUTING", (rule) => rule.includes(GUARD_NOTE));
      nat.deleteRules(DNAT_CHAIN, (rule) => rule.includes(LOOPBACK_NOTE));
    });
  }
}

function inGroups<T>(list: readonly T[], size: number): T[][] {
  const groups: T[][] = [];
  for (let from = 0; from < list.length; from += size) groups.push(list.slice(from, from + size));
  return groups;
}
