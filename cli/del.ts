/** weft del: detaches a network namespace from a network. */
import type { Command } from "commander";
import { readAttachment } from "./runtime/attachment.ts";
import { delNetwork } from "./runtime/network.ts";
import { findNetwork, parseNetworkList } from "./runtime/network-list.ts";
import { findCached } from "./runtime/result-cache.ts";
import { attachmentCommand, networksDirectory, runtimeOf } from "./runtime-command.ts";

export function command(): Command {
  return attachmentCommand({
    name: "del",
    description: "detach a network namespace from a network",
    more: `Runs DEL on every plugin of the network, last first, with the network and the
arguments as weft add had them. May be repeated; the namespace may be gone.

  weft del mynet blue`,
  }).action(del);
}

function del(networkName: string, netns: string, options: { ifname?: string }): void {
  const attachment = readAttachment(netns, options.ifname, process.env);
  const runtime = runtimeOf(process.env);
  const cached = findCached(runtime.cacheDirectory, networkName, attachment);
  if (cached) {
    delNetwork(runtime, parseNetworkList(cached.list), cached);
  } else {
    delNetwork(runtime, findNetwork(networksDirectory(process.env), networkName), attachment);
    console.error(
      `weft: no result of an ADD for ${attachment.netns} ${attachment.ifname}: ran DEL without one`,
    );
  }
}
