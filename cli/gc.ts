/** weft gc: removes what attachments that are no more have left behind. */
import type { Command } from "commander";
import { isSameAttachment } from "../lib/alias.ts";
import type { AttachmentName } from "../lib/state/record.ts";
import { collectAll, USUAL_PLUGINS } from "./doctor/collect.ts";
import { examine } from "./doctor/host.ts";
import { loadOwnPlugins } from "./doctor/own-plugins.ts";
import { EXIT_FAILED, Failure } from "./failure.ts";
import { HostView } from "./inventory/host-view.ts";
import { isUnseen, refuseBlind, whyUnseen } from "./inventory/unseen.ts";
import { lockAttachments } from "./networks/network-lock.ts";
import { gcNetwork } from "./runtime/network.ts";
import { findNetwork } from "./runtime/network-list.ts";
import { networkCommand, networksDirectory, runtimeOf } from "./runtime-command.ts";

export function command(): Command {
  return networkCommand({
    name: "gc",
    description: "remove what attachments that are no more have left behind",
    network: "[network]",
    more: `Of one network: runs DEL for every attachment whose namespace is gone, then GC on
every plugin (of version 1.1.0). Valid are the attachments with a result under
/var/lib/cni whose namespace exists; a plugin removes all others of the network.
Not for the network of a runtime that keeps its results elsewhere.

Without a network: the same on every network of this host, also on those that
have no file any more. Here an attachment counts as valid too where a record of
weft's leads to a namespace that exists, or an interface has its address.

Nothing that lives is taken away: not a container whose interface has another
name by now, nor one of which only the host's end of its pair can be seen. Where
no container's namespace can be seen, as in a pod without the host's mounts,
nothing is done (exit status 1).

  weft gc
  weft gc mynet`,
  }).action(gc);
}

async function gc(networkName: string | undefined): Promise<void> {
  using _settled = lockAttachments({ shared: false });
  if (networkName === undefined) await gcAll();
  else gcOne(networkName);
}

function gcOne(networkName: string): void {
  const network = findNetwork(networksDirectory(process.env), networkName);
  if (network.disableGC) {
    console.error(`weft: network "${networkName}" has disableGC: nothing was done`);
    return;
  }
  using view = HostView.open(networksDirectory(process.env));
  const attachments = view.attachments.filter((each) => each.network === networkName);
  refuseBlind(attachments);
  const isLiving = (name: AttachmentName) =>
    attachments.some((each) => isSameAttachment(each, name) && each.state !== "gone");
  for (const { containerId, ifname, netns } of gcNetwork(runtimeOf(process.env), network, isLiving)) {
    console.log(`removed ${containerId} ${ifname}: ${netns} is gone`);
  }
}

async function gcAll(): Promise<void> {
  using view = HostView.open(networksDirectory(process.env));
  refuseBlind(view.attachments);
  for (const each of view.attachments.filter(isUnseen)) {
    console.error(
      `weft: of ${each.container} (${each.ifname} on ${each.network}) ${whyUnseen(each)}: it stays`,
    );
  }
  const host = examine(view, runtimeOf(process.env));
  const lists = host.attachments.flatMap(({ list }) => list ?? []);
  const recorded = host.attachments.flatMap(({ records }) => records.map(({ plugin }) => plugin));
  const own = await loadOwnPlugins([...view.networks, ...lists], [...USUAL_PLUGINS, ...recorded]);
  const { removed, failures } = collectAll(host, own);
  for (const line of removed) console.log(`removed ${line}`);
  if (failures.length > 0) throw new Failure(EXIT_FAILED, failures.join("\n"));
  if (removed.length === 0) console.log("nothing was left behind");
}
