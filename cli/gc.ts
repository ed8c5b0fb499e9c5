/** weft gc: removes what attachments that are no more have left behind. */
import type { Command } from "commander";
import { gcNetwork } from "./runtime/network.ts";
import { findNetwork } from "./runtime/network-list.ts";
import { networkCommand, networksDirectory, runtimeOf } from "./runtime-command.ts";

export function command(): Command {
  return networkCommand({
    name: "gc",
    description: "remove what attachments that are no more have left behind",
    more: `Runs DEL for every attachment whose namespace is gone, then GC on every plugin
of the network (of version 1.1.0). Valid are the attachments with a result under
/var/lib/cni whose namespace exists; a plugin removes all others of the network.
Not for the network of a runtime that keeps its results elsewhere.

  weft gc mynet`,
  }).action(gc);
}

function gc(networkName: string): void {
  const network = findNetwork(networksDirectory(process.env), networkName);
  if (network.disableGC) {
    console.error(`weft: network "${networkName}" has disableGC: nothing was done`);
    return;
  }
  for (const { containerId, ifname, netns } of gcNetwork(runtimeOf(process.env), network)) {
    console.log(`removed ${containerId} ${ifname}: ${netns} is gone`);
  }
}
