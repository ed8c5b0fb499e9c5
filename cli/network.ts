/** weft network: networks, as `docker network` has them, in files that every runtime reads. */
import { Command } from "commander";
import { connectCommand, disconnectCommand } from "./network-connect.ts";
import { createCommand } from "./network-create.ts";
import { inspectCommand, lsCommand } from "./network-list.ts";
import { pruneCommand, rmCommand } from "./network-remove.ts";

export function command(): Command {
  const description = "make, list and remove networks; connect containers to them";
  const network = new Command("network")
    .summary(description)
    .description(
      `${description}

  weft network create blue
  weft network connect blue web
  weft network ls`,
    )
    .addHelpText("after", "\nweft network COMMAND --help says more, and has an example.")
    .showHelpAfterError("(--help says more)");
  const commands = [
    createCommand(),
    lsCommand(),
    inspectCommand(),
    rmCommand(),
    pruneCommand(),
    connectCommand(),
    disconnectCommand(),
  ];
  for (const each of commands) network.addCommand(each);
  return network;
}
