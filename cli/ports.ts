/** weft ports: which ports of this host lead to which container. */

import { Command } from "commander";
import { EXIT_FAILED } from "./failure.ts";
import { readFilter } from "./inventory/filter.ts";
import { selectAttachments } from "./inventory/find.ts";
import { HostView, warnOfUnseen } from "./inventory/host-view.ts";
import { listPorts } from "./inventory/ports.ts";
import { formatPorts } from "./inventory/ports-table.ts";
import { missingRules } from "./restore-rules.ts";
import { networksDirectory } from "./runtime-command.ts";
import { jsonText } from "./terminal/json.ts";

interface Options {
  readonly json?: true;
}

export function command(): Command {
  const description = "which ports of this host lead to which container";
  return new Command("ports")
    .summary(description)
    .description(
      `${description}

One line a published port, or a run of them: the address of the host that it is
published on, where it leads, who has the rules for it, and whether they are
there. "no such address" is what no interface of the host has: an address that
is yet to come. "unknown" are ports of other plugins than weft's.

  weft ports
  weft ports web --json`,
    )
    .argument("[container|network]", "that alone")
    .option("--json", "as JSON: a list of objects")
    .addHelpText(
      "after",
      "\nExit status: 0 no rule is missing, or there are no ports; 1 not begun;\n2 rules are missing.",
    )
    .action(ports);
}

function ports(name: string | undefined, { json }: Options): void {
  using view = HostView.openReadable(networksDirectory(process.env));
  const found = listPorts(selectAttachments(view, name), {
    addresses: view.host.addresses.map(({ prefix }) => prefix.address),
    filter: readFilter(),
    isLacking: (record) => missingRules(record) !== undefined,
  });
  const isMissing = found.some(({ state }) => state === "missing");
  if (json) console.log(jsonText(found));
  else if (found.length > 0) console.log(formatPorts(found));
  else console.log(`no port of this host leads to ${name === undefined ? "a container" : `"${name}"`}`);
  if (isMissing) console.error("weft: rules of published ports are missing; weft restore puts them back");
  warnOfUnseen(view);
  if (isMissing) process.exitCode = EXIT_FAILED;
}
