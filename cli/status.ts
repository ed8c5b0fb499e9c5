/** weft status: whether a network can take another container. */
import type { Command } from "commander";
import { networkStatus } from "./runtime/network.ts";
import { findNetwork } from "./runtime/network-list.ts";
import { networkCommand, networksDirectory, runtimeOf } from "./runtime-command.ts";

export function command(): Command {
  return networkCommand({
    name: "status",
    description: "whether a network can take another container",
    more: `Runs STATUS on every plugin of the network (of version 1.1.0) and says nothing
when all are ready.

  weft status mynet && echo ready`,
  }).action((networkName: string) =>
    networkStatus(runtimeOf(process.env), findNetwork(networksDirectory(process.env), networkName)),
  );
}
