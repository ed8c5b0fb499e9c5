/**
 * The version of the specification a network is run in: the highest that its list, its plugins and we know.
 *
 * Reference: CNI spec 1.1 §1 "Version considerations".
 */
import { isObject } from "../../lib/cni/json.ts";
import type { NetworkList, PluginConfig } from "./network-list.ts";
import { type Runtime, requestPlugin } from "./plugin-request.ts";

/** A list of one version is run in that, and a plugin that does not know it says so. @throws Error */
export function negotiateVersion(runtime: Runtime, { name, cniVersions, plugins }: NetworkList): string {
  const latest = cniVersions.at(-1) ?? "";
  if (cniVersions.length === 1) return latest;
  const supported = supportedVersions(runtime, latest, { name, plugins });
  const common = cniVersions.findLast((version) =>
    supported.values().every((list) => list.includes(version)),
  );
  if (common !== undefined) return common;
  const each = [...supported].map(([type, list]) => `\n  plugin "${type}" speaks ${list.join(", ")}`);
  throw new Error(
    `network "${name}" allows ${cniVersions.join(", ")}, and no version suits all${each.join("")}`,
  );
}

/** By plugin type; the plugins that those delegate to count as well. */
function supportedVersions(
  runtime: Runtime,
  cniVersion: string,
  { name, plugins }: Pick<NetworkList, "name" | "plugins">,
): Map<string, readonly string[]> {
  const types = new Set(plugins.flatMap((plugin) => [plugin.type, ...delegateOf(plugin)]));
  const versions = [...types].map((type) => {
    const answer = requestPlugin(runtime, { type }, { command: "VERSION", network: name, cniVersion });
    const list = isObject(answer) ? answer["supportedVersions"] : undefined;
    return [type, Array.isArray(list) ? list.map(String) : []] as const;
  });
  return new Map(versions);
}

function delegateOf({ ipam }: PluginConfig): string[] {
  const type = isObject(ipam) ? ipam["type"] : undefined;
  return typeof type === "string" ? [type] : [];
}
