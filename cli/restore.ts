/**
 * weft restore: puts back what the attachments have in the packet filter, after somebody emptied it
 * (`nft flush ruleset`, `iptables -F`, `firewall-cmd --reload`).
 */
import { Command } from "commander";
import { CniError, toCniError } from "../lib/cni/error.ts";
import { hasNftables } from "../lib/iptables/kernel-tables.ts";
import { addMasqueradeRules, checkMasqueradeRules } from "../lib/masquerade/iptables.ts";
import { type Details as MasqueradeDetails, recordedMasquerade } from "../lib/masquerade/masquerade.ts";
import { netfilterSocket } from "../lib/netfilter/socket.ts";
import { type AttachmentName, type AttachmentRecord, listAllRecords } from "../lib/state/record.ts";
import { TABLES } from "../lib/weft-table/element.ts";
import { restoreTable } from "../lib/weft-table/restore.ts";
import { EXIT_FAILED, Failure } from "./failure.ts";

/** What of a plugin's can go without our tables: found by its record, checked, and added where it lacks. */
interface Rules {
  check(): void;
  add(): void;
}

// biome-ignore lint/suspicious/noExplicitAny: the key says whose details they are
type AnyRecord = AttachmentRecord<any>;

/** By the word that a record has for its plugin. */
const RULES: Readonly<Record<string, (record: AnyRecord) => Rules | undefined>> = {
  masquerade: (record: AttachmentRecord<MasqueradeDetails>) => {
    const target = recordedMasquerade(record);
    return target && { check: () => checkMasqueradeRules(target), add: () => addMasqueradeRules(target) };
  },
};

export function command(): Command {
  const description = "put back what somebody took from the packet filter";
  return new Command("restore")
    .summary(description)
    .description(
      `${description}

Compares nftables, iptables and firewalld with the records of all attachments
(/run/weft/attachments) and puts back what is missing: after nft flush ruleset,
iptables -F, firewall-cmd --reload. What is there stays as it is.

  weft restore`,
    )
    .addHelpText("after", "\nExit status: 0 all is there, 1 not begun, 2 something could not be put back.")
    .action(restore);
}

function restore(): void {
  const restored = new Map<string, string[]>();
  const failures: string[] = [];
  const attempt = (what: string, put: () => readonly AnyRecord[]) => {
    try {
      for (const record of put()) restored.getOrInsertComputed(nameOf(record), () => []).push(record.plugin);
    } catch (error) {
      failures.push(`${what}: ${wordsOf(error)}`);
    }
  };
  if (hasNftables()) {
    for (const table of TABLES) {
      attempt(`table ${table.family} ${table.name}`, () => restoreTable(netfilterSocket(), table));
    }
  }
  const records = listAllRecords();
  for (const record of records) {
    attempt(`${record.plugin} of ${nameOf(record)}`, () => (restoreRules(record) ? [record] : []));
  }
  for (const [name, plugins] of [...restored].sort()) {
    console.log(`restored ${name}: ${plugins.join(", ")}`);
  }
  if (failures.length > 0) throw new Failure(EXIT_FAILED, failures.join("\n"));
  if (restored.size === 0) console.log("nothing was missing");
}

/** @returns whether one was missing */
function restoreRules(record: AnyRecord): boolean {
  const rules = RULES[record.plugin]?.(record);
  if (!rules) return false;
  try {
    rules.check();
    return false;
  } catch (error) {
    if (!(error instanceof CniError) || error.code !== CniError.CHECK_FAILED) throw error;
  }
  rules.add();
  return true;
}

function nameOf({ network, containerId, ifname }: AttachmentName): string {
  return `${network} ${containerId} ${ifname}`;
}

function wordsOf(error: unknown): string {
  const { msg, details } = toCniError(error);
  return details === "" ? msg : `${msg}\n  ${details}`;
}
