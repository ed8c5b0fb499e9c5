/** What attachments have in the packet filter, compared with their records, and what else decides there. */
import { hasNftables } from "../../../lib/iptables/kernel-tables.ts";
import { areFramesFiltered } from "../../../lib/isolate/bridge-port.ts";
import { netfilterSocket } from "../../../lib/netfilter/socket.ts";
import { findTableComment } from "../../../lib/nftables/query.ts";
import { type AttachmentName, listAllRecords } from "../../../lib/state/record.ts";
import { TABLES } from "../../../lib/weft-table/element.ts";
import { findMissing } from "../../../lib/weft-table/restore.ts";
import { findStrangers } from "../../../lib/weft-table/strangers.ts";
import { missingRules } from "../../restore-rules.ts";
import { allOf, type ShellCommand, shell } from "../../terminal/shell.ts";
import { ruleText } from "../../trace/filter/rule-text.ts";
import { type Finding, finding } from "../finding.ts";
import { type Attached, type Host, isSet, nameOf } from "../host.ts";

const OUR_COMMENT = /^weft \d+$/;

export function checkRules(host: Host): Finding[] {
  const foreign = foreignTables();
  return [
    ...foreign,
    // where the table is somebody else's nothing can be put back
    ...(foreign.length === 0 ? rulesMissing(host) : []),
    ...(foreign.length === 0 ? foreignRules() : []),
    ...host.attachments.flatMap((attached) => isolationDiffers(host, attached)),
  ];
}

function foreignTables(): Finding[] {
  if (!hasNftables()) return [];
  return TABLES.flatMap((table) => {
    const comment = findTableComment(netfilterSocket(), table);
    if (comment === undefined || OUR_COMMENT.test(comment)) return [];
    const subject = `table ${table.family} ${table.name}`;
    const evidence = comment === "" ? "it has no comment of weft's" : `its comment is "${comment}"`;
    const remedy = allOf(shell`nft delete table ${table.family} ${table.name}`, shell`weft restore`);
    return finding("table-foreign", { subject, evidence, remedy });
  });
}

/** What somebody put beside weft's rules decides before them, and ends with the table. */
function foreignRules(): Finding[] {
  if (!hasNftables()) return [];
  return TABLES.flatMap((table) =>
    findStrangers(netfilterSocket(), table).map((stranger) => {
      const place = [table.family, table.name, stranger.chain];
      const subject = `table ${table.family} ${table.name}`;
      const found = (evidence: string, remedy: ShellCommand) =>
        finding("rule-foreign", { subject, evidence, remedy });
      if (stranger.kind === "chain")
        return found(
          `chain ${stranger.chain} is not weft's, and packets come to it`,
          allOf(shell`nft flush chain ${place}`, shell`nft delete chain ${place}`),
        );
      if (stranger.kind === "policy")
        return found(
          `the policy of chain ${stranger.chain} is drop`,
          shell`nft add chain ${place} ${"{ policy accept; }"}`,
        );
      const { chain, handle, expressions } = stranger;
      return found(
        `"${ruleText(expressions)}" (handle ${handle} of chain ${chain}) is not weft's: chain user is for rules of one's own`,
        shell`nft delete rule ${place} handle ${String(handle)}`,
      );
    }),
  );
}

function rulesMissing({ attachments }: Host): Finding[] {
  const lacking = new Map<string, { name: AttachmentName; words: Set<string> }>();
  const note = ({ network, containerId, ifname }: AttachmentName, missing: string) => {
    const name = { network, containerId, ifname };
    lacking.getOrInsertComputed(JSON.stringify(name), () => ({ name, words: new Set() })).words.add(missing);
  };
  if (hasNftables()) {
    for (const table of TABLES) {
      for (const { record, missing } of findMissing(netfilterSocket(), table)) note(record, missing);
    }
  }
  for (const record of listAllRecords()) {
    const missing = missingRules(record);
    if (missing !== undefined) note(record, missing);
  }
  return [...lacking.values()].map(({ name, words }) => {
    const attached = attachments.find(
      ({ network, containerId, ifname }) =>
        network === name.network && containerId === name.containerId && ifname === name.ifname,
    );
    const subject = attached ? nameOf(attached) : `${name.containerId} (${name.ifname} on ${name.network})`;
    return finding("rules-missing", {
      subject,
      evidence: [...words].join("; "),
      remedy: shell`weft restore`,
    });
  });
}

/**
 * What passes between two ports of a bridge no packet filter sees, unless br_netfilter shows it: then the
 * ports have to be isolated, and otherwise they must not be, or a neighbour's published port is not reached.
 */
function isolationDiffers({ stack }: Host, attached: Attached): Finding[] {
  const { outside, list } = attached;
  const isOnBridge = outside?.master !== undefined && stack.link(outside.master)?.kind === "bridge";
  if (!list || !isOnBridge) return [];
  const { isWanted, why } = wantedIsolation(attached);
  if ((outside.port?.isolated === 1) === isWanted) return [];
  const evidence = `${outside.name} is ${isWanted ? "not " : ""}isolated, ${why}`;
  const remedy = shell`ip link set ${outside.name} type bridge_slave isolated ${isWanted ? "on" : "off"}`;
  return [finding("isolation-differs", { subject: nameOf(attached), evidence, remedy })];
}

function wantedIsolation({ list, records, main }: Attached): { isWanted: boolean; why: string } {
  if (isSet(main, "portIsolation")) return { isWanted: true, why: 'and the network has "portIsolation"' };
  const firewall = list?.plugins.find(({ type }) => type === "firewall");
  const isSeparating = firewall?.["ingressPolicy"] === "isolated" || firewall?.["icc"] === false;
  const isOurs = records.some(({ plugin }) => plugin === "firewall");
  if (!isSeparating || !isOurs) return { isWanted: false, why: "and nothing in the network asks for it" };
  return areFramesFiltered()
    ? { isWanted: false, why: "though the packet filter sees bridged packets since ADD" }
    : { isWanted: true, why: "and the packet filter does not see bridged packets (br_netfilter)" };
}
