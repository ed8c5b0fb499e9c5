/**
 * weft restore: puts back what the attachments have in the packet filter, after somebody emptied it
 * (`nft flush ruleset`, `iptables -F`, `firewall-cmd --reload`).
 */
import { Command } from "commander";
import { toCniError } from "../lib/cni/error.ts";
import { hasNftables } from "../lib/iptables/kernel-tables.ts";
import { netfilterSocket } from "../lib/netfilter/socket.ts";
import { type AttachmentName, listAllRecords, listDamagedRecords } from "../lib/state/record.ts";
import { TABLES } from "../lib/weft-table/element.ts";
import { restoreTable } from "../lib/weft-table/restore.ts";
import { EXIT_FAILED, Failure } from "./failure.ts";
import { type AnyRecord, restoreRules } from "./restore-rules.ts";

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
  const restored = new Map<string, Set<string>>();
  const failures: string[] = [];
  const attempt = (put: () => readonly AnyRecord[], whose = "") => {
    try {
      for (const record of put()) {
        restored.getOrInsertComputed(nameOf(record), () => new Set()).add(record.plugin);
      }
    } catch (error) {
      failures.push(whose + wordsOf(error));
    }
  };
  if (hasNftables()) {
    for (const table of TABLES) attempt(() => restoreTable(netfilterSocket(), table));
  }
  for (const record of listAllRecords()) {
    attempt(() => (restoreRules(record) ? [record] : []), `${record.plugin} of ${nameOf(record)}: `);
  }
  for (const path of listDamagedRecords()) {
    failures.push(`${path} is no record: what it told of cannot be put back; weft doctor says more`);
  }
  for (const [name, plugins] of [...restored].sort()) {
    console.log(`restored ${name}: ${[...plugins].join(", ")}`);
  }
  if (failures.length > 0) throw new Failure(EXIT_FAILED, failures.join("\n"));
  if (restored.size === 0) console.log("nothing was missing");
}

function nameOf({ network, containerId, ifname }: AttachmentName): string {
  return `${network} ${containerId} ${ifname}`;
}

function wordsOf(error: unknown): string {
  const { msg, details } = toCniError(error);
  return details === "" ? msg : `${msg}\n  ${details}`;
}
