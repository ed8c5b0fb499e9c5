/** weft rules: what the packet filter does for each container, in sentences. */

import { Command } from "commander";
import { EXIT_FAILED } from "./failure.ts";
import type { AttachmentView } from "./inventory/attachment.ts";
import { type FilterView, readFilter } from "./inventory/filter.ts";
import { selectAttachments } from "./inventory/find.ts";
import { HostView, warnOfUnseen } from "./inventory/host-view.ts";
import { type RuleView, rulesOf } from "./inventory/rules.ts";
import { formatRules } from "./inventory/rules-text.ts";
import { networksDirectory } from "./runtime-command.ts";
import { jsonText } from "./terminal/json.ts";

interface Options {
  readonly json?: true;
}

export function command(): Command {
  const description = "what the packet filter does for each container, in sentences";
  return new Command("rules")
    .summary(description)
    .description(
      `${description}

What leaves with the host's address, which ports lead to it, whom it reaches and
who reaches it; with each, the elements of table inet weft behind it, as
nft list table inet weft shows them. What records tell of and is not there is
said to be missing: weft restore puts it back.

  weft rules
  weft rules web`,
    )
    .argument("[container|network]", "that alone")
    .option("--json", "as JSON: an object")
    .addHelpText("after", "\nExit status: 0 all is there, 1 not begun, 2 something is missing.")
    .action(rules);
}

function rules(name: string | undefined, { json }: Options): void {
  using view = HostView.openReadable(networksDirectory(process.env));
  const attachments = selectAttachments(view, name);
  const filter = readFilter();
  const explained = attachments.map((attachment) => ({ attachment, rules: rulesOf(attachment, filter) }));
  if (json) console.log(jsonText(toJson(filter, explained)));
  else for (const line of formatRules(filter, explained)) console.log(line);
  warnOfUnseen(view);
  const isMissing = explained.some((each) =>
    each.rules.some(({ elements }) => elements.some((element) => element.isMissing)),
  );
  if (isMissing) process.exitCode = EXIT_FAILED;
}

function toJson(
  { tables, userRules }: FilterView,
  explained: readonly { attachment: AttachmentView; rules: readonly RuleView[] }[],
) {
  return {
    tables,
    userRules,
    attachments: explained.map(({ attachment, rules }) => ({
      container: attachment.container,
      containerId: attachment.containerId,
      network: attachment.network,
      ifname: attachment.ifname,
      rules,
    })),
  };
}
