/** weft gc: removes what attachments that are no more have left behind. */
import type { Command } from "commander";
import { collectAll, USUAL_PLUGINS } from "./doctor/collect.ts";
import { examine } from "./doctor/host.ts";
import { loadOwnPlugins } from "./doctor/own-plugins.ts";
import { EXIT_FAILED, Failure } from "./failure.ts";
import { HostView } from "./inventory/host-view.ts";
import { isUnseen, refuseBlind, whyUnseen } from "./inventory/unseen.ts";
import { lockAttachments } from "./networks/network-lock.ts";
import { findNetwork } from "./runtime/network-list.ts";
import { networkCommand, networksDirectory, runtimeOf } from "./runtime-command.ts";

export function command(): Command {
  return networkCommand({
    name: "gc",
    description: "remove what attachments that are no more have left behind",
    network: "[network]",
    more: `Runs DEL for every attachment whose namespace or interface is gone, then GC on
every plugin (of version 1.1.0) of every network of this host, also of those
that have no file any more; with a name, of that network. Valid is an attachment
of which a result under /var/lib/cni, or a record of weft's, leads to a
namespace that exists, or whose address an interface has; a plugin removes all
others.

Nothing that lives is taken away: not a container whose interface has another
name by now, nor one of which only the host's end of its pair can be seen. Where
no container's namespace can be seen, as in a pod without the host's mounts,
nothing is done (exit status 1). What is attached while it runs stays.

  weft gc
  weft gc mynet`,
  }).action(gc);
}

async function gc(networkName: string | undefined): Promise<void> {
  using _settled = lockAttachments({ shared: false });
  if (networkName !== undefined && findNetwork(networksDirectory(process.env), networkName).disableGC) {
    console.error(`weft: network "${networkName}" has disableGC: nothing was done`);
    return;
  }
  using view = HostView.open(networksDirectory(process.env));
  const attachments = view.attachments.filter(
    ({ network }) => networkName === undefined || network === networkName,
  );
  refuseBlind(attachments);
  for (const each of attachments.filter(isUnseen)) {
    console.error(
      `weft: of ${each.container} (${each.ifname} on ${each.network}) ${whyUnseen(each)}: it stays`,
    );
  }
  const host = examine(view, runtimeOf(process.env));
  const lists = host.attachments.flatMap(({ list }) => list ?? []);
  const recorded = host.attachments.flatMap(({ records }) => records.map(({ plugin }) => plugin));
  const own = await loadOwnPlugins([...view.networks, ...lists], [...USUAL_PLUGINS, ...recorded]);
  const { removed, failures } = collectAll(host, own, networkName);
  for (const line of removed) console.log(`removed ${line}`);
  if (failures.length > 0) throw new Failure(EXIT_FAILED, failures.join("\n"));
  if (removed.length === 0) console.log("nothing was left behind");
}
