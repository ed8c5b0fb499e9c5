/** Whose executables a runtime finds for plugins that weft has: its own, or another maker's. */
import { dirname } from "node:path";
import { plugins } from "../../../plugins.ts";
import type { NetworkFile } from "../../runtime/network-list.ts";
import { shell } from "../../terminal/shell.ts";
import { makerOf } from "../executable.ts";
import { type Finding, finding } from "../finding.ts";
import { type Host, nameOf } from "../host.ts";
import { findPluginFile, typesOf } from "../own-plugins.ts";
import { findSearchPath } from "../search-path.ts";

export function checkMakers(host: Host, networks: readonly NetworkFile[]): Finding[] {
  return [...networks.flatMap((network) => pluginsMixed(host, network)), ...pluginsShadowed(host, networks)];
}

/** Each does what it does with either, but what one made the other's CHECK, GC and DEL do not know. */
function pluginsMixed({ runtime, attachments }: Host, network: NetworkFile): Finding[] {
  const files = ownTypes([network]).flatMap((type) => findPluginFile(type, runtime.path) ?? []);
  const { weft = [], another = [] } = Object.groupBy(files, makerOf);
  const attached = attachments.find((each) => each.isOurs && each.network === network.name);
  const ours =
    weft.length > 0
      ? `${weft.join(", ")} of weft's`
      : attached && `weft's plugins have attached ${nameOf(attached)}`;
  if (another.length === 0 || ours === undefined) return [];
  const evidence = `${ours}, ${another.join(", ")} not`;
  return [finding("plugins-mixed", { subject: network.name, evidence, remedy: shell`weft migrate` })];
}

/** What a runtime finds first it runs: weft's may lie where it does not come to look. */
function pluginsShadowed({ runtime }: Host, networks: readonly NetworkFile[]): Finding[] {
  const search = findSearchPath(runtime);
  if (!search) return [];
  const shadowed = ownTypes(networks).flatMap((type) => {
    const found = findPluginFile(type, search.directories);
    const files = search.places.flatMap((place) => findPluginFile(type, [place]) ?? []);
    const own = files.find((file) => makerOf(file) === "weft");
    if (!found || !own || makerOf(found) === "weft") return [];
    return { type, found: dirname(found), own: dirname(own) };
  });
  return [...Map.groupBy(shadowed, ({ found }) => found)].map(([found, each]) => {
    const names = each.map(({ type }) => type).join(", ");
    const places = [...new Set(each.map(({ own }) => own))].join(", ");
    const evidence = `${names} there are found, and not weft's in ${places}: ${search.whose} looks in ${search.directories.join(", ")}`;
    const remedy = shell`CNI_PATH=${found} weft migrate`;
    return finding("plugin-shadowed", { subject: found, evidence, remedy });
  });
}

/** What the networks name that weft has, each once. */
function ownTypes(networks: readonly NetworkFile[]): string[] {
  return [...new Set(networks.flatMap(typesOf))].filter((type) => plugins.has(type));
}
