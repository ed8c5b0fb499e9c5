/** What the plugins themselves say of attachments: CHECK, where no finding explains it already. */
import { parseResult, type Result } from "../../../lib/cni/result.ts";
import { atLeast } from "../../../lib/cni/version.ts";
import type { PluginConfig } from "../../runtime/network-list.ts";
import { type Finding, finding } from "../finding.ts";
import { type Attached, type Host, nameOf, pathOf } from "../host.ts";
import { type OwnPlugins, refusalOf } from "../own-plugins.ts";
import { reattaching } from "../reattaching.ts";
import { unexplained } from "../unexplained.ts";

/** A result of an earlier version says too little. */
const CHECK_SINCE = "0.4.0";
const VERSION = "1.1.0";

/** @param found what the other checks have found */
export function checkAttachments(host: Host, own: OwnPlugins, found: readonly Finding[]): Finding[] {
  return [...unexplained(host, found)].flatMap((attached) => differs(host, own, attached));
}

function differs(host: Host, own: OwnPlugins, attached: Attached): Finding[] {
  const { cached, list, network, isOurs, inside } = attached;
  const isCheckable = list && !list.disableCheck && atLeast(list.cniVersions.at(-1) ?? "", CHECK_SINCE);
  if (!cached || !isCheckable || !isOurs || !inside) return [];
  // CHECK looks for it where its ADD has put it
  if (pathOf(attached) !== attached.netns) return [];
  const prevResult = resultOf(attached);
  const check = (plugin: PluginConfig) => {
    const request = {
      command: "CHECK",
      network,
      cniVersion: VERSION,
      attachment: cached,
      prevResult,
    } as const;
    return refusalOf(host.runtime, own, { plugin, request });
  };
  for (const plugin of list.plugins) {
    const refusal = check(plugin);
    if (!refusal) continue;
    const details = refusal.details === "" ? "" : ` (${refusal.details})`;
    const evidence = `plugin ${plugin.type} answers CHECK with ${refusal.code}: ${refusal.msg}${details}`;
    const remedy = reattaching(attached);
    return [finding("attachment-differs", { subject: nameOf(attached), evidence, remedy })];
  }
  return [];
}

function resultOf({ cached }: Attached): Result | undefined {
  try {
    return cached && parseResult(cached.result, String(cached.result["cniVersion"] ?? VERSION));
  } catch {
    return undefined; // CHECK says that there is none
  }
}
