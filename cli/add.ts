/** weft add: attaches a container to a network. */
import type { Command } from "commander";
import { warnOfAbsentAddresses } from "./absent-addresses.ts";
import { collect } from "./collect-option.ts";
import { findContainer } from "./containers/find.ts";
import { attachContainer, attachmentFor } from "./networks/attach.ts";
import { findNetwork } from "./runtime/network-list.ts";
import { attachmentCommand, networksDirectory, runtimeOf } from "./runtime-command.ts";
import { warnOfShadowedListeners } from "./shadowed-listeners.ts";

interface Options {
  readonly ifname?: string;
  readonly ip?: string[];
  readonly mac?: string;
  readonly publish?: string[];
}

export function command(): Command {
  return attachmentCommand({
    name: "add",
    description: "attach a container to a network",
    more: `Runs ADD on every plugin of the network and prints the last one's result.
When one fails, DEL is run on all of them, so that nothing is left.

  ip netns add blue
  weft add mynet blue --publish 8080:80`,
  })
    .option("--ip <address>", "address to have, one of each family", collect)
    .option("--mac <address>", "MAC to have")
    .option("-p, --publish <ports>", "[address:]port:port[/udp] of host and container", collect)
    .action(add);
}

function add(networkName: string, name: string, { ifname, ...words }: Options): void {
  const network = findNetwork(networksDirectory(process.env), networkName);
  const container = findContainer(name);
  const { attachment, result } = attachContainer(container, network, {
    attachment: attachmentFor(container, ifname, process.env),
    words,
    runtime: runtimeOf(process.env),
  });
  console.log(JSON.stringify(result, null, 4));
  warnOfShadowedListeners(network, attachment.capabilityArgs, result);
  warnOfAbsentAddresses(network, attachment.capabilityArgs);
}
