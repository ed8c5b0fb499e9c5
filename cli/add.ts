/** weft add: attaches a network namespace to a network. */
import type { Command } from "commander";
import { type Netns, NetnsError, openNetns } from "../lib/netns/netns.ts";
import { findLink } from "../lib/rtnetlink/link.ts";
import { openRouteSocket } from "../lib/rtnetlink/route-socket.ts";
import { type Attachment, readAttachment } from "./runtime/attachment.ts";
import { addNetwork } from "./runtime/network.ts";
import { findNetwork } from "./runtime/network-list.ts";
import { findCached } from "./runtime/result-cache.ts";
import { attachmentCommand, networksDirectory, runtimeOf } from "./runtime-command.ts";
import { warnOfShadowedListeners } from "./shadowed-listeners.ts";

export function command(): Command {
  return attachmentCommand({
    name: "add",
    description: "attach a network namespace to a network",
    more: `Runs ADD on every plugin of the network and prints the last one's result.
When one fails, DEL is run on all of them, so that nothing is left.

  ip netns add blue
  weft add mynet blue

Ports of the host lead to the container, as docker run --publish 8080:80 has it,
where a plugin of the network has the capability portMappings (portmap):

  CAP_ARGS='{"portMappings":
    [{"hostPort":8080,"containerPort":80,"protocol":"tcp"}]}' weft add mynet blue`,
  }).action(add);
}

function add(networkName: string, netns: string, options: { ifname?: string }): void {
  const network = findNetwork(networksDirectory(process.env), networkName);
  const attachment = readAttachment(netns, options.ifname, process.env);
  const runtime = runtimeOf(process.env);
  if (findCached(runtime.cacheDirectory, network.name, attachment)) {
    throw new Error(
      `"${netns}" is on network "${network.name}" already, as ${attachment.ifname}: run weft del first, or choose another --ifname`,
    );
  }
  refuseExistingInterface(attachment);
  const result = addNetwork(runtime, network, attachment);
  console.log(JSON.stringify(result, null, 4));
  warnOfShadowedListeners(network, attachment.capabilityArgs, result);
}

/** What is there already is not this ADD's, and the DEL after a failure would take it away. */
function refuseExistingInterface({ netns, ifname }: Attachment): void {
  if (ifname === "lo") return;
  using opened = openSandbox(netns);
  using socket = openRouteSocket(opened);
  if (!findLink(socket, ifname)) return;
  throw new Error(`"${netns}" has an interface ${ifname} already: choose another --ifname`);
}

function openSandbox(path: string): Netns {
  try {
    return openNetns(path);
  } catch (error) {
    if (!(error instanceof NetnsError) || !error.missing) throw error;
    throw new Error(`${error.message}; ip netns add NAME makes one`);
  }
}
