/** Garbage collection on the networks of the host, also on those that have no file any more. */
import { CniError, toCniError } from "../../lib/cni/error.ts";
import { answerOf } from "../../lib/cni/plugin.ts";
import { atLeast } from "../../lib/cni/version.ts";
import type { AttachmentName } from "../../lib/state/record.ts";
import { delNetwork } from "../runtime/network.ts";
import type { NetworkList, PluginConfig } from "../runtime/network-list.ts";
import { newcomersOn } from "../runtime/newcomers.ts";
import { pluginConfig, pluginVariables, type Request, requestPlugin } from "../runtime/plugin-request.ts";
import { shell } from "../terminal/shell.ts";
import { type Attached, type Host, nameOf } from "./host.ts";
import { findLeftovers, findStrangers, isGone, type Leftover } from "./leftovers.ts";
import { findPluginFile, isThisExecutable, type OwnPlugins } from "./own-plugins.ts";

/** The command: of every network, also of those that have no file any more. */
export const COLLECT = shell`weft gc`;

/** The version that GC came with; ours speak it, whatever a network's file says. */
const GC_SINCE = "1.1.0";
/** Of a network that nobody knows how it was made: what may have left something by a container's name. */
export const USUAL_PLUGINS: readonly string[] = ["bridge", "portmap", "firewall", "host-local"];

/** Whatever the file says by now: rules of iptables are looked for where there may be some. */
const MASQUERADING = { ipMasq: true };

export interface Collection {
  /** What was done, a line each. */
  readonly removed: readonly string[];
  /** What could not be. */
  readonly failures: readonly string[];
}

/**
 * DEL for each attachment that is gone, then GC on each network. Attachments that nobody has told us of, but
 * whose addresses are in use, count as valid: their runtime keeps its results elsewhere.
 * @param network the one that is meant; all without
 */
export function collectAll(host: Host, own: OwnPlugins, network?: string): Collection {
  const isMeant = (name: string) => network === undefined || name === network;
  const removed: string[] = [];
  const failures: string[] = [];
  const attempt = (what: string, act: () => void) => {
    try {
      act();
      return true;
    } catch (error) {
      const { msg, details } = error instanceof CniError ? error : toCniError(error);
      failures.push(`${what}: ${msg}${details === "" ? "" : `\n  ${details}`}`);
      return false;
    }
  };
  for (const attached of host.attachments.filter((each) => isMeant(each.network) && isGone(each))) {
    const { cached, list } = attached;
    const isDone =
      !cached || !list || attempt(nameOf(attached), () => delNetwork(host.runtime, list, cached));
    if (isDone)
      removed.push(`${nameOf(attached)}: ${attached.namespace ? "its interface" : attached.netns} is gone`);
  }
  const before = findLeftovers(host);
  const strangers = findStrangers(host);
  for (const list of networksOf(host, before)) {
    if (list.disableGC || !isMeant(list.name)) continue;
    const known = validOn(host, list.name, strangers);
    for (const plugin of list.plugins) {
      attempt(`GC of ${plugin.type} on ${list.name}`, () => {
        const valid = [...known, ...namesOf(newcomersOn(list.name, host.attachments))];
        collect(host, own, { list, plugin, valid });
      });
    }
  }
  const after = findLeftovers(host).map(({ place, containerId }) => `${place} ${containerId}`);
  for (const { place, containerId } of before) {
    if (!after.includes(`${place} ${containerId}`))
      removed.push(`${place}${containerId && ` of ${containerId}`}`);
  }
  return { removed, failures };
}

/** As files and results have them; one that is known by its traces alone is made up. */
function networksOf({ view, attachments }: Host, leftovers: readonly Leftover[]): NetworkList[] {
  const lists = new Map<string, NetworkList>();
  for (const network of view.networks) lists.getOrInsert(network.name, network);
  for (const { list } of attachments) if (list) lists.getOrInsert(list.name, list);
  for (const { network, records } of attachments) {
    lists.getOrInsertComputed(network, () =>
      madeUp(
        network,
        records.map(({ plugin }) => plugin),
      ),
    );
  }
  for (const { network } of leftovers) lists.getOrInsertComputed(network, () => madeUp(network, []));
  return [...lists.values()].filter(({ name }) => name !== "");
}

function madeUp(name: string, types: readonly string[]): NetworkList {
  const plugins = [...new Set([...types, ...USUAL_PLUGINS])].map((type) => ({ type }));
  return { name, cniVersions: [GC_SINCE], disableCheck: false, disableGC: false, plugins, text: "" };
}

function validOn({ attachments }: Host, network: string, strangers: readonly Leftover[]) {
  const there = attachments.filter((attached: Attached) => !isGone(attached));
  return namesOf([...there, ...strangers].filter((each) => each.network === network));
}

/** As GC is told of them. */
function namesOf(attachments: readonly Omit<AttachmentName, "network">[]) {
  return attachments.map(({ containerId, ifname }) => ({ containerID: containerId, ifname }));
}

interface Collecting {
  readonly list: NetworkList;
  readonly plugin: PluginConfig;
  readonly valid: readonly object[];
}

function collect(host: Host, own: OwnPlugins, { list, plugin, valid }: Collecting): void {
  const keys = { "cni.dev/valid-attachments": valid, "cni.dev/attachments": valid };
  const request: Request & { command: "GC" } = {
    command: "GC",
    network: list.name,
    cniVersion: GC_SINCE,
    keys,
  };
  const file = findPluginFile(plugin.type, host.runtime.path);
  const called = own.get(plugin.type);
  if (called && (file === undefined || isThisExecutable(file))) {
    const stdin = JSON.stringify(pluginConfig({ ...plugin, ...MASQUERADING }, request));
    answerOf(called, { environment: pluginVariables(host.runtime, request), stdin, own });
  } else if (file !== undefined && atLeast(list.cniVersions.at(-1) ?? "", GC_SINCE)) {
    requestPlugin(host.runtime, plugin, request);
  }
}
