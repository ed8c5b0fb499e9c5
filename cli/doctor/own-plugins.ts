/**
 * Weft's own plugins, asked in this process what another would be started for: the answers are the same, with
 * the same checks.
 */
import { findPlugin } from "../../lib/cni/delegate.ts";
import type { Command } from "../../lib/cni/environment.ts";
import { CniError, toCniError } from "../../lib/cni/error.ts";
import { answerOf, type Plugin } from "../../lib/cni/plugin.ts";
import { findFile, isSameFile } from "../../lib/sys/file.ts";
import { plugins } from "../../plugins.ts";
import type { NetworkList, PluginConfig } from "../runtime/network-list.ts";
import { pluginConfig, pluginVariables, type Request, type Runtime } from "../runtime/plugin-request.ts";
import { ipamOf } from "./host.ts";

export type OwnPlugins = ReadonlyMap<string, Plugin>;

/** Those that the networks name, and `more`. */
export async function loadOwnPlugins(
  networks: readonly NetworkList[],
  more: readonly string[] = [],
): Promise<OwnPlugins> {
  const types = new Set([...networks.flatMap(typesOf), ...more]);
  const loaded = new Map<string, Plugin>();
  for (const type of types) {
    const load = plugins.get(type);
    if (load) loaded.set(type, (await load()).default);
  }
  return loaded;
}

/** What a network's plugins are, and those that they ask for addresses. */
export function typesOf({ plugins }: NetworkList): string[] {
  return [...new Set(plugins.flatMap((plugin) => [plugin.type, ...ipamTypeOf(plugin)]))];
}

function ipamTypeOf(plugin: PluginConfig): string[] {
  const { type } = ipamOf(plugin);
  return typeof type === "string" && type !== "" ? [type] : [];
}

/** The file that a runtime would run; undefined where there is none. */
export function findPluginFile(type: string, path: readonly string[]): string | undefined {
  try {
    return findPlugin(type, path);
  } catch (error) {
    if (error instanceof CniError) return undefined;
    throw error;
  }
}

/** Whether a file is this executable, under whichever name. */
export function isThisExecutable(file: string): boolean {
  return isSameFile(findFile(file), findFile("/proc/self/exe"));
}

/**
 * Runs a command of the plugin as a runtime would, where what a runtime finds is this executable.
 * @returns what it refused with; undefined where it did not, or is not ours to ask
 */
export function refusalOf(
  runtime: Runtime,
  own: OwnPlugins,
  { plugin, request }: { plugin: PluginConfig; request: Request & { command: Command } },
): CniError | undefined {
  const file = findPluginFile(plugin.type, runtime.path);
  const called = own.get(plugin.type);
  if (!called || file === undefined || !isThisExecutable(file)) return undefined;
  const stdin = JSON.stringify(pluginConfig(plugin, request));
  try {
    answerOf(called, { environment: pluginVariables(runtime, request), stdin, own });
    return undefined;
  } catch (error) {
    return toCniError(error);
  }
}
