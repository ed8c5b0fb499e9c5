/** The networks' files, and the plugins they name: that they are there, of one make, and accept the file. */
import { dirname } from "node:path";
import { isObject } from "../../../lib/cni/json.ts";
import { ALL_VERSIONS, versionsFrom } from "../../../lib/cni/version.ts";
import { version } from "../../../package.json" with { type: "json" };
import { firstVersions, plugins } from "../../../plugins.ts";
import type { NetworkFile, PluginConfig, UnreadableFile } from "../../runtime/network-list.ts";
import { requestPlugin } from "../../runtime/plugin-request.ts";
import { allOf, type ShellCommand, shell } from "../../terminal/shell.ts";
import { makerOf, versionOf } from "../executable.ts";
import { editing, type Finding, finding } from "../finding.ts";
import { type Host, ipamOf } from "../host.ts";
import { findPluginFile, isThisExecutable, type OwnPlugins, refusalOf, typesOf } from "../own-plugins.ts";
import { INSTALL_DIR } from "../search-path.ts";
import { checkMakers } from "./makers.ts";

/** Plugins of the reference that weft does not have. */
const REFERENCE_ONLY: readonly string[] = ["bandwidth", "dhcp", "sbr", "tuning", "vrf"];
/** STATUS looks at the whole configuration, and changes nothing. */
const STATUS_SINCE = "1.1.0";

/** @param found what the other checks have found */
export function checkPlugins(host: Host, own: OwnPlugins, found: readonly Finding[]): Finding[] {
  const networks = inForce(host);
  return [
    ...host.view.unreadable.map(unreadable),
    ...networksTwice(host),
    ...networks.flatMap((network) => pluginsMissing(host, network)),
    ...checkMakers(host, networks),
    ...otherVersions(host, networks),
    ...networks.flatMap((network) => versionRefused(host, network)),
    ...networks
      .filter((network) => !isExplained(network, found))
      .flatMap((network) => networkRefused(host, own, network)),
  ];
}

/** A version that nobody knows is the file's as well. */
function unreadable({ file, reason }: UnreadableFile): Finding {
  if (reason.startsWith('"cniVersion"')) {
    return finding("version-refused", { subject: file, evidence: reason, remedy: editing(file) });
  }
  const remedy = shell`mv ${file} ${file}.unreadable`;
  return finding("network-unreadable", { subject: file, evidence: reason, remedy });
}

/** Of several files of one network the first. */
function inForce({ view }: Host): NetworkFile[] {
  const { networks } = view;
  return networks.filter(({ name }, at) => networks.findIndex((network) => network.name === name) === at);
}

function networksTwice(host: Host): Finding[] {
  return host.view.networks.flatMap(({ name, file }) => {
    const first = inForce(host).find((network) => network.name === name);
    if (!first || first.file === file) return [];
    const evidence = `${first.file} and ${file} are both of network ${name}: the first counts`;
    return finding("network-twice", {
      subject: name,
      evidence,
      remedy: shell`mv ${file} ${file}.unused`,
    });
  });
}

function fileOf({ runtime }: Host, type: string): string | undefined {
  return findPluginFile(type, runtime.path);
}

function pluginsMissing(host: Host, network: NetworkFile): Finding[] {
  const { path } = host.runtime;
  const directory = path.at(-1) ?? INSTALL_DIR;
  return typesOf(network)
    .filter((type) => fileOf(host, type) === undefined)
    .map((type) => {
      const evidence = `no plugin "${type}" in ${path.join(":")}`;
      return finding("plugin-missing", {
        subject: network.name,
        evidence,
        remedy: installing(type, directory),
      });
    });
}

function installing(type: string, directory: string): ShellCommand {
  if (plugins.has(type)) return shell`weft install --to ${directory}`;
  if (!REFERENCE_ONLY.includes(type)) return shell`install -m 755 ${type} ${directory}`;
  return allOf(
    shell`apt-get install containernetworking-plugins`,
    shell`cp /usr/lib/cni/${type} ${directory}`,
  );
}

function otherVersions(host: Host, networks: readonly NetworkFile[]): Finding[] {
  const files = new Set(networks.flatMap(typesOf).flatMap((type) => fileOf(host, type) ?? []));
  return [...files]
    .filter((file) => !isThisExecutable(file) && makerOf(file) === "weft")
    .flatMap((file) => {
      const other = versionOf(file);
      if (other === undefined || other === version) return [];
      const evidence = `it is of version ${other}, and this is ${version}`;
      const remedy = shell`weft install --to ${dirname(file)}`;
      return finding("plugin-version", { subject: file, evidence, remedy });
    });
}

function versionRefused(host: Host, network: NetworkFile): Finding[] {
  const { name, cniVersions, file } = network;
  const spoken = typesOf(network)
    .filter((type) => fileOf(host, type) !== undefined)
    .map((type) => ({ type, versions: versionsSpoken(host, network, type) }));
  if (cniVersions.some((each) => spoken.every(({ versions }) => versions.includes(each)))) return [];
  const worst =
    spoken.find(({ versions }) => !cniVersions.some((each) => versions.includes(each))) ?? spoken[0];
  if (!worst) return [];
  const evidence = `it is of ${cniVersions.join(", ")}, and ${worst.type} speaks ${worst.versions.join(", ")}`;
  const remedy = isReplaceable(host, worst.type) ? shell`weft migrate` : editing(file);
  return [finding("version-refused", { subject: name, evidence, remedy })];
}

/** Whether it is another's plugin that weft has as well. */
function isReplaceable(host: Host, type: string): boolean {
  const file = fileOf(host, type);
  return file !== undefined && plugins.has(type) && makerOf(file) === "another";
}

/** Ours are known; others are asked. */
function versionsSpoken(host: Host, { name, cniVersions }: NetworkFile, type: string): readonly string[] {
  const file = fileOf(host, type);
  if (file !== undefined && plugins.has(type) && isThisExecutable(file)) {
    const first = firstVersions.get(type);
    return first === undefined ? ALL_VERSIONS : versionsFrom(first);
  }
  const cniVersion = cniVersions.at(-1) ?? "1.0.0";
  try {
    const answer = requestPlugin(host.runtime, { type }, { command: "VERSION", network: name, cniVersion });
    const list = isObject(answer) ? answer["supportedVersions"] : undefined;
    return Array.isArray(list) ? list.map(String) : [];
  } catch {
    return [];
  }
}

/** Whether STATUS would say once more what is known already. */
function isExplained({ name, plugins: [main] }: NetworkFile, found: readonly Finding[]): boolean {
  const bridge = main?.["bridge"];
  return found.some(
    ({ subject, severity }) => severity === "error" && (subject === name || subject === bridge),
  );
}

function networkRefused(host: Host, own: OwnPlugins, network: NetworkFile): Finding[] {
  const { name, file, plugins: list } = network;
  return list.flatMap((plugin) => {
    if (!knowsStatus(host, network, plugin)) return [];
    const request = { command: "STATUS", network: name, cniVersion: STATUS_SINCE } as const;
    const refusal = refusalOf(host.runtime, own, { plugin, request });
    if (!refusal) return [];
    const details = refusal.details === "" ? "" : ` (${refusal.details})`;
    const evidence = `plugin ${plugin.type} answers STATUS with ${refusal.code}: ${refusal.msg}${details}`;
    return finding("network-refused", { subject: name, evidence, remedy: editing(file) });
  });
}

/** Another's IPAM plugin is asked as well, and does only in a network of that version. */
function knowsStatus(host: Host, { cniVersions }: NetworkFile, plugin: PluginConfig): boolean {
  if (cniVersions.includes(STATUS_SINCE)) return true;
  const { type } = ipamOf(plugin);
  const ipam = typeof type === "string" && type !== "" ? fileOf(host, type) : undefined;
  return ipam === undefined || isThisExecutable(ipam);
}
