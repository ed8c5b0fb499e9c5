/**
 * A network: a configuration list, found by its name in a directory such as /etc/cni/net.d.
 *
 * Reference: CNI spec 1.1 §1 "Configuration format"; libcni's conf.go for the files and their order.
 */
import { readdirSync, readFileSync } from "node:fs";
import { extname, join } from "node:path";
import { isIdentifier } from "../../lib/cni/environment.ts";
import { isObject, type JsonObject, shown } from "../../lib/cni/json.ts";
import { ALL_VERSIONS } from "../../lib/cni/version.ts";

export interface NetworkList {
  readonly name: string;
  /** Those of cniVersion and cniVersions that are known, ascending; at least one. */
  readonly cniVersions: readonly string[];
  readonly disableCheck: boolean;
  readonly disableGC: boolean;
  /** At least one. */
  readonly plugins: readonly PluginConfig[];
  /** The same as JSON: what the cache keeps of it. */
  readonly text: string;
}

export type PluginConfig = JsonObject & { readonly type: string };

/** Where every runtime looks for networks unless it is told. */
export const NETWORKS_DIR = "/etc/cni/net.d";
/** A list without a version is of the first there was. */
const UNVERSIONED = "0.1.0";

/** The first list of that name; of a file that cannot be read only when there is none. @throws Error */
export function findNetwork(directory: string, name: string): NetworkFile {
  const { networks, unreadable } = readNetworks(directory);
  const found = networks.find((network) => network.name === name);
  if (found) return found;
  const others = networks.map((network) => network.name);
  const problems = unreadable.map(({ file, reason }) => `\n  ${file}: ${reason}`);
  const there = others.length > 0 ? `it has ${others.join(", ")}` : "it has none (NETCONFPATH says where)";
  throw new Error(`no network "${name}" in ${directory}: ${there}${problems.join("")}`);
}

/** A list, and the file that it was read from. */
export interface NetworkFile extends NetworkList {
  readonly file: string;
}

export interface UnreadableFile {
  readonly file: string;
  readonly reason: string;
}

/**
 * Every list of a directory, in the order in which they are looked for: of several with one name the first
 * counts. @throws Error where the directory cannot be read
 */
export function readNetworks(directory: string): {
  networks: NetworkFile[];
  unreadable: UnreadableFile[];
} {
  const networks: NetworkFile[] = [];
  const unreadable: UnreadableFile[] = [];
  for (const name of configFiles(directory)) {
    const file = join(directory, name);
    try {
      networks.push({ ...parseNetworkList(readFileSync(file, "utf8"), directory), file });
    } catch (error) {
      unreadable.push({ file, reason: error instanceof Error ? error.message : String(error) });
    }
  }
  return { networks, unreadable };
}

/**
 * Reads a list, or a single plugin's configuration, which is a list of one.
 * @param directory where a list may have plugins in files of their own, in a directory of its name
 * @throws SyntaxError
 */
export function parseNetworkList(text: string, directory?: string): NetworkList {
  const given = parseObject(text);
  const isSingle = "type" in given && !("plugins" in given);
  const { name, cniVersion, plugins: inlined = [] } = isSingle ? { ...given, plugins: [given] } : given;
  if (typeof name !== "string" || !isIdentifier(name)) throw wrong("name", name, "letters, digits, _ . -");
  if (!Array.isArray(inlined)) throw wrong("plugins", inlined, "a list of plugins");
  const isComplete = isSingle || directory === undefined || readFlag(given, "loadOnlyInlinedPlugins");
  const plugins = [...inlined, ...(isComplete ? [] : pluginsIn(join(directory, name)))];
  return {
    name,
    cniVersions: readVersions(given),
    disableCheck: readFlag(given, "disableCheck"),
    disableGC: readFlag(given, "disableGC"),
    plugins: readPlugins(plugins),
    text: JSON.stringify(isSingle ? { name, cniVersion, plugins } : { ...given, plugins }),
  };
}

/** Lists before single configurations, each in the order of their names. */
function configFiles(directory: string): string[] {
  let names: string[];
  try {
    names = readdirSync(directory).sort();
  } catch (error) {
    const { message } = error as Error; // readdirSync throws no other
    throw new Error(`cannot read networks: ${message} (NETCONFPATH says where)`);
  }
  const having = (...extensions: string[]) => names.filter((name) => extensions.includes(extname(name)));
  return [...having(".conflist"), ...having(".conf", ".json")];
}

function pluginsIn(folder: string): JsonObject[] {
  let names: string[];
  try {
    names = readdirSync(folder).sort();
  } catch {
    return [];
  }
  return names
    .filter((name) => extname(name) === ".conf")
    .map((name) => parseObject(readFileSync(join(folder, name), "utf8")));
}

function readPlugins(plugins: readonly unknown[]): PluginConfig[] {
  if (plugins.length === 0) {
    throw new SyntaxError('"plugins" is missing: a list of plugins; of one alone it is "type"');
  }
  return plugins.map((plugin, i) => {
    const type = isObject(plugin) ? plugin["type"] : undefined;
    if (typeof type !== "string" || type === "") throw wrong(`plugins[${i}].type`, type, "a plugin's name");
    return plugin as PluginConfig; // it has a type
  });
}

function readVersions({ cniVersion, cniVersions = [] }: JsonObject): string[] {
  if (!Array.isArray(cniVersions)) throw wrong("cniVersions", cniVersions, "a list of versions");
  const given: unknown[] = [...cniVersions, cniVersion].filter(
    (version) => version !== undefined && version !== "",
  );
  if (given.length === 0) return [UNVERSIONED];
  const known = ALL_VERSIONS.filter((version) => given.includes(version));
  if (known.length === 0) throw wrong("cniVersion", given.join(", "), `one of ${ALL_VERSIONS.join(", ")}`);
  return known;
}

function readFlag(json: JsonObject, key: string): boolean {
  const value = json[key] ?? false;
  const flag = typeof value === "string" ? { true: true, false: false }[value.toLowerCase()] : value;
  if (typeof flag !== "boolean") throw wrong(key, value, "true or false");
  return flag;
}

function parseObject(text: string): JsonObject {
  const json: unknown = JSON.parse(text);
  if (!isObject(json)) throw new SyntaxError("not a JSON object");
  return json;
}

function wrong(key: string, value: unknown, expected: string): SyntaxError {
  return new SyntaxError(
    value === undefined ? `"${key}" is missing: ${expected}` : `"${key}" is ${shown(value)}, not ${expected}`,
  );
}
