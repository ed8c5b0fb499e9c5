/** weft inspect: a container's or a network's whole state, from the kernel. */

import { readFileSync } from "node:fs";
import { Command, Option } from "commander";
import type { Link } from "../lib/rtnetlink/link.ts";
import type { AttachmentView } from "./inventory/attachment.ts";
import { containerJson } from "./inventory/container-json.ts";
import { type ContainerView, formatContainer } from "./inventory/container-text.ts";
import { readFilter } from "./inventory/filter.ts";
import { findByAddress, findByHostLink, findGone, findStack, isNetwork } from "./inventory/find.ts";
import { HostView, warnOfUnseen } from "./inventory/host-view.ts";
import { viewInterface } from "./inventory/interface.ts";
import { rulesOf } from "./inventory/rules.ts";
import type { Stack } from "./inventory/stack.ts";
import { showNetworks } from "./network-list.ts";
import { summaryOf } from "./networks/summary.ts";
import { networksDirectory } from "./runtime-command.ts";
import { jsonText } from "./terminal/json.ts";
import { printable } from "./terminal/printable.ts";

interface Options {
  readonly type?: "container" | "network";
  readonly json?: true;
}

export function command(): Command {
  const description = "a container's interfaces and what is at their other ends, or a network";
  return new Command("inspect")
    .summary(description)
    .description(
      `${description}

A container is named as weft ls does, by its id, a pid, a name or path of a
namespace, an address, or by its veth on the host: which container is behind
veth1a2b? A network is named by its bridge as well.
Shown is each interface: its way out (the veth on the host, the bridge, the
uplink), MAC, MTU, addresses, routes, published ports, rules and counters.

  weft inspect web
  weft inspect veth1a2b3c4d
  weft inspect mynet`,
    )
    .argument("<container|network>", "or a veth of the host")
    .addOption(new Option("--type <type>", "what the name is of").choices(["container", "network"]))
    .option("--json", "as JSON: an object")
    .addHelpText("after", "\nExit status: 0 shown; 1 not begun, or there is no such thing.")
    .action(inspect);
}

function inspect(name: string, { type, json }: Options): void {
  using view = HostView.openReadable(networksDirectory(process.env));
  const network = type === "container" ? undefined : networkMeant(view, name);
  if (type === "network" || network !== undefined) {
    showNetworks([network ?? name], { json });
    return;
  }
  const container = findMeant(view, name);
  if (json) console.log(jsonText(containerJson(container)));
  else for (const line of formatContainer(container)) console.log(line);
  warnOfUnseen(view);
}

/** By its own name, or by its bridge on the host. */
function networkMeant(view: HostView, name: string): string | undefined {
  if (isNetwork(view, name)) return name;
  return view.networks.find((network) => summaryOf(network).bridge === name)?.name;
}

function findMeant(view: HostView, name: string): ContainerView {
  const lost = findGone(view, name);
  const [gone] = lost;
  if (gone) return { name: gone.container, namespace: undefined, programs: [], interfaces: [], lost };
  const stack = findByHostLink(view, name) ?? findByAddress(view, name) ?? findStack(view, name);
  return viewContainer(view, stack);
}

function viewContainer(view: HostView, stack: Stack): ContainerView {
  const filter = readFilter();
  return {
    name: view.nameOf(stack),
    namespace: stack.namespace,
    lost: attachmentsIn(view, stack).filter(({ state }) => state === "gone"),
    programs: stack.namespace.pids.flatMap((pid) => programOf(pid) ?? []),
    interfaces: byImportance(view, stack).map((link) => {
      const each = viewInterface(view, { stack, link });
      return { ...each, rules: each.attachment ? rulesOf(each.attachment, filter) : [] };
    }),
  };
}

/** Those of attachments first, loopback last. */
function byImportance(view: HostView, stack: Stack): Link[] {
  const own = attachmentsIn(view, stack);
  const rank = ({ name }: Link) => (name === "lo" ? 2 : Number(!own.some(({ ifname }) => ifname === name)));
  return [...stack.links].sort((a, b) => rank(a) - rank(b) || a.index - b.index);
}

function attachmentsIn({ attachments }: HostView, { namespace }: Stack): AttachmentView[] {
  return attachments.filter((each) => each.namespace?.inode === namespace.inode);
}

/** "1234 (nginx)"; undefined where the process has ended. */
function programOf(pid: number): string | undefined {
  try {
    return `${pid} (${printable(readFileSync(`/proc/${pid}/comm`, "utf8").trim())})`;
  } catch {
    return undefined;
  }
}
