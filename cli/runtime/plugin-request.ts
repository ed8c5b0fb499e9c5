/**
 * One command to one plugin of a network: configuration and variables derived as the specification says.
 *
 * Reference: CNI spec 1.1 §3 "Deriving request configuration from plugin configuration".
 */
import { execute, findPlugin } from "../../lib/cni/delegate.ts";
import type { Command, Variables } from "../../lib/cni/environment.ts";
import { toCniError } from "../../lib/cni/error.ts";
import { isObject, type JsonObject } from "../../lib/cni/json.ts";
import { type Result, resultJson } from "../../lib/cni/result.ts";
import { EXIT_FAILED, Failure } from "../failure.ts";
import type { Attachment } from "./attachment.ts";
import type { PluginConfig } from "./network-list.ts";

/** Where plugins are, what they inherit, and where results are kept. */
export interface Runtime {
  /** CNI_PATH. */
  readonly path: readonly string[];
  readonly environment: Variables;
  readonly cacheDirectory: string;
}

export interface Request {
  readonly command: Command | "VERSION";
  readonly network: string;
  readonly cniVersion: string;
  /** None for GC, STATUS and VERSION. */
  readonly attachment?: Attachment;
  readonly prevResult?: Result | undefined;
  /** Further keys. */
  readonly keys?: JsonObject;
}

/**
 * @returns what the plugin printed: a value where that is JSON, else the text
 * @throws Failure with what the plugin said
 */
export function requestPlugin(runtime: Runtime, plugin: PluginConfig, request: Request): unknown {
  try {
    const file = findPlugin(plugin.type, runtime.path);
    return execute(file, pluginVariables(runtime, request), JSON.stringify(pluginConfig(plugin, request)));
  } catch (error) {
    throw pluginFailure(plugin, request.command, error);
  }
}

/** A plugin's refusal in its own words: a line, and indented below it the details. */
export function pluginFailure({ type }: PluginConfig, command: string, cause: unknown): Failure {
  const { code, msg, details } = toCniError(cause);
  const below = details === "" ? "" : `\n  ${details}`;
  return new Failure(EXIT_FAILED, `plugin "${type}" failed ${command} with code ${code}: ${msg}${below}`, {
    cause,
  });
}

/** What the plugin reads on stdin. */
export function pluginConfig(
  { capabilities, ...plugin }: PluginConfig,
  { network, cniVersion, attachment, prevResult, keys }: Request,
): JsonObject {
  const declared = (name: string) => isObject(capabilities) && capabilities[name] === true;
  const asked = Object.entries(attachment?.capabilityArgs ?? {}).filter(([name]) => declared(name));
  return {
    ...plugin,
    name: network,
    cniVersion,
    ...(asked.length > 0 && { runtimeConfig: Object.fromEntries(asked) }),
    ...(prevResult && { prevResult: resultJson(prevResult, cniVersion) }),
    ...keys,
  };
}

/** Variables without a value are set all the same: one of ours must not reach the plugin in their place. */
export function pluginVariables({ path, environment }: Runtime, { command, attachment }: Request): Variables {
  return {
    ...environment,
    CNI_COMMAND: command,
    CNI_PATH: path.join(":"),
    CNI_CONTAINERID: attachment?.containerId ?? "",
    CNI_NETNS: attachment?.netns ?? "",
    CNI_IFNAME: attachment?.ifname ?? "",
    CNI_ARGS: attachment?.args.map((pair) => pair.join("=")).join(";") ?? "",
  };
}
