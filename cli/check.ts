/** weft check: whether an attachment is still as it was made. */
import type { Command } from "commander";
import { readAttachment } from "./runtime/attachment.ts";
import { checkNetwork } from "./runtime/network.ts";
import { parseNetworkList } from "./runtime/network-list.ts";
import { findCached } from "./runtime/result-cache.ts";
import { attachmentCommand, runtimeOf } from "./runtime-command.ts";
import { warnOfShadowedListeners } from "./shadowed-listeners.ts";

export function command(): Command {
  return attachmentCommand({
    name: "check",
    description: "whether an attachment is still as it was made",
    more: `Runs CHECK on every plugin of the network, with the result of weft add.
Needs a network of version 0.4.0 or later.

  weft check mynet blue`,
  }).action(check);
}

function check(networkName: string, netns: string, options: { ifname?: string }): void {
  const attachment = readAttachment(netns, options.ifname, process.env);
  const runtime = runtimeOf(process.env);
  const cached = findCached(runtime.cacheDirectory, networkName, attachment);
  if (!cached) {
    throw new Error(
      `"${netns}" is not on network "${networkName}" as ${attachment.ifname}: ${runtime.cacheDirectory} has no result of an ADD`,
    );
  }
  const network = parseNetworkList(cached.list);
  if (network.disableCheck)
    console.error(`weft: network "${networkName}" has disableCheck: nothing was checked`);
  else checkNetwork(runtime, network, cached);
  warnOfShadowedListeners(network, cached.capabilityArgs, cached.result);
}
