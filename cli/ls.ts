/** weft ls: the attachments of this host. */

import { Command } from "commander";
import { attachmentJson } from "./inventory/attachment-json.ts";
import { formatAttachments } from "./inventory/attachment-table.ts";
import { isLoopback, networkNames } from "./inventory/find.ts";
import { HostView, warnOfUnseen } from "./inventory/host-view.ts";
import { networksDirectory } from "./runtime-command.ts";
import { jsonText } from "./terminal/json.ts";

interface Options {
  readonly network?: string;
  readonly all?: true;
  readonly json?: true;
}

export function command(): Command {
  const description = "list the attachments: which container is on which network, and by what";
  return new Command("ls")
    .summary(description)
    .description(
      `${description}

One line an interface: the container, its network, its name there, its
addresses, the other end of its cable on the host (or the device below), the
bridge that is a port of, what of the host's ports leads to it, and whether it
is up. Known are those of weft's plugins and those of every runtime that keeps
results in /var/lib/cni/results. A narrow terminal has no room for the ports:
weft ports. Loopback, which some runtimes attach as cni-loopback, is left out.

  weft ls
  weft ls --network mynet --json`,
    )
    .option("-n, --network <name>", "those on this network alone")
    .option("-a, --all", "loopback's, too")
    .option("--json", "as JSON: a list of objects")
    .addHelpText("after", "\nExit status: 0 listed, also when there are none; 1 not begun.")
    .action(ls);
}

function ls({ network, all, json }: Options): void {
  using view = HostView.openReadable(networksDirectory(process.env));
  const attachments = view.attachments.filter((each) =>
    network === undefined ? all || !isLoopback(each) : each.network === network,
  );
  if (json) console.log(jsonText(attachments.map(attachmentJson)));
  else if (attachments.length > 0) console.log(formatAttachments(attachments));
  else console.log(network === undefined ? "no container is attached" : nothingOn(network, view));
  warnOfUnseen(view);
}

function nothingOn(network: string, view: HostView): string {
  const names = networkNames(view);
  if (names.includes(network)) return `no container is attached to "${network}"`;
  const there = names.length > 0 ? `there are ${names.join(", ")}` : "there is none";
  throw new Error(`no network "${network}": ${there}`);
}
