/** weft check: whether an attachment is still as it was made. */
import type { Command } from "commander";
import { findAttached, findUnkept, unknownAttachment } from "./networks/find-attached.ts";
import { unkeptWords } from "./networks/unkept.ts";
import { checkNetwork } from "./runtime/network.ts";
import { parseNetworkList } from "./runtime/network-list.ts";
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

function check(networkName: string, name: string, options: { ifname?: string }): void {
  const { ifname } = unknownAttachment(name, options.ifname, process.env);
  const runtime = runtimeOf(process.env);
  const attached = findAttached(networkName, name, runtime).find((each) => each.ifname === ifname);
  if (!attached) {
    const unkept = findUnkept(networkName, name, runtime).find((each) => each.ifname === ifname);
    if (unkept) throw new Error(unkeptWords(name, { network: networkName, ifname }));
    throw new Error(
      `"${name}" is not on network "${networkName}" as ${ifname}: ${runtime.cacheDirectory} has no result of an ADD`,
    );
  }
  const network = parseNetworkList(attached.list);
  if (network.disableCheck)
    console.error(`weft: network "${networkName}" has disableCheck: nothing was checked`);
  else checkNetwork(runtime, network, attached);
  warnOfShadowedListeners(network, attached.capabilityArgs, attached.result);
}
