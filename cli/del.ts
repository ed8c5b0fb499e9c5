/** weft del: detaches a container from a network. */
import type { Command } from "commander";
import { detachContainer } from "./networks/attach.ts";
import { findAttached, unknownAttachment } from "./networks/find-attached.ts";
import { delNetwork } from "./runtime/network.ts";
import { findNetwork } from "./runtime/network-list.ts";
import { attachmentCommand, networksDirectory, runtimeOf } from "./runtime-command.ts";

export function command(): Command {
  return attachmentCommand({
    name: "del",
    description: "detach a container from a network",
    more: `Runs DEL on every plugin of the network, last first, with the network and the
arguments as weft add had them. May be repeated; the container may be gone.

  weft del mynet blue`,
  }).action(del);
}

function del(networkName: string, name: string, options: { ifname?: string }): void {
  const attachment = unknownAttachment(name, options.ifname, process.env);
  const runtime = runtimeOf(process.env);
  const attached = findAttached(networkName, name, runtime).find(
    ({ ifname }) => ifname === attachment.ifname,
  );
  if (attached) {
    detachContainer(attached, runtime);
  } else {
    delNetwork(runtime, findNetwork(networksDirectory(process.env), networkName), attachment);
    console.error(
      `weft: no result of an ADD for ${attachment.netns} ${attachment.ifname}: ran DEL without one`,
    );
  }
}
