/**
 * The five verbs of a runtime: what each means for a whole list of plugins.
 *
 * Reference: CNI spec 1.1 §3 "Execution of Network Configurations"; libcni's api.go.
 */
import { findPlugin } from "../../lib/cni/delegate.ts";
import { CniError } from "../../lib/cni/error.ts";
import type { JsonObject } from "../../lib/cni/json.ts";
import { parseResult, type Result, resultJson } from "../../lib/cni/result.ts";
import { atLeast } from "../../lib/cni/version.ts";
import { findNetns, NetnsError } from "../../lib/netns/netns.ts";
import { EXIT_FAILED, Failure } from "../failure.ts";
import type { Attachment } from "./attachment.ts";
import { negotiateVersion } from "./negotiation.ts";
import { type NetworkList, type PluginConfig, parseNetworkList } from "./network-list.ts";
import { pluginFailure, type Request, type Runtime, requestPlugin } from "./plugin-request.ts";
import { type CachedAttachment, findCached, listCached, removeCached, writeCached } from "./result-cache.ts";

/**
 * Runs ADD on every plugin, each with the result of the one before, and keeps the last. When one fails, DEL
 * is run on all, so that nothing is left.
 * @returns the result, in the version it was negotiated in
 */
export function addNetwork(runtime: Runtime, network: NetworkList, attachment: Attachment): JsonObject {
  const { name, plugins, text } = network;
  for (const { type } of plugins) findPlugin(type, runtime.path); // before there is anything to take back
  const cniVersion = negotiateVersion(runtime, network);
  const request = { network: name, cniVersion, attachment };
  try {
    let prevResult: Result = {};
    for (const [i, plugin] of plugins.entries()) {
      prevResult = addPlugin(runtime, plugin, { ...request, command: "ADD", ...(i > 0 && { prevResult }) });
    }
    const result = resultJson(prevResult, cniVersion);
    writeCached(runtime.cacheDirectory, { ...attachment, network: name, list: text, result });
    return result;
  } catch (error) {
    const failures = failuresOf(
      plugins
        .toReversed()
        .map((plugin) => () => requestPlugin(runtime, plugin, { ...request, command: "DEL" })),
    );
    const undone =
      failures.length === 0 ? "DEL was run on every plugin: nothing is left" : "DEL failed as well:";
    throw new Failure(EXIT_FAILED, [error, undone, ...failures].map(messageOf).join("\n"), { cause: error });
  }
}

/** Runs DEL on every plugin, last first, and forgets the result. Stops at the first that fails. */
export function delNetwork(runtime: Runtime, network: NetworkList, attachment: Attachment): void {
  const { name, plugins } = network;
  const cniVersion = negotiateVersion(runtime, network);
  const cached = findCached(runtime.cacheDirectory, name, attachment);
  const prevResult =
    cached && atLeast(cniVersion, "0.4.0") ? readCachedResult(cached, cniVersion) : undefined;
  for (const plugin of plugins.toReversed()) {
    requestPlugin(runtime, plugin, { command: "DEL", network: name, cniVersion, attachment, prevResult });
  }
  removeCached(runtime.cacheDirectory, name, attachment);
}

/** Runs CHECK on every plugin with the result of the ADD. Stops at the first that fails. */
export function checkNetwork(runtime: Runtime, network: NetworkList, attachment: CachedAttachment): void {
  const cniVersion = negotiateVersion(runtime, network);
  requireVersion(network, cniVersion, { command: "CHECK", since: "0.4.0" });
  const prevResult = readCachedResult(attachment, cniVersion);
  for (const plugin of network.plugins) {
    requestPlugin(runtime, plugin, {
      command: "CHECK",
      network: network.name,
      cniVersion,
      attachment,
      prevResult,
    });
  }
}

/**
 * Runs DEL for each attachment whose namespace is gone, then GC on every plugin, the others being valid.
 * @returns those whose namespace was gone
 */
export function gcNetwork(runtime: Runtime, network: NetworkList): CachedAttachment[] {
  const { name, plugins } = network;
  const cniVersion = negotiateVersion(runtime, network);
  const { stale = [], valid = [] } = Object.groupBy(listCached(runtime.cacheDirectory, name), ({ netns }) =>
    isGone(netns) ? "stale" : "valid",
  );
  const list = valid.map(({ containerId, ifname }) => ({ containerID: containerId, ifname }));
  // The second key is that of an early text of the specification; libcni sends both.
  const keys = { "cni.dev/valid-attachments": list, "cni.dev/attachments": list };
  const collecting = atLeast(cniVersion, "1.1.0") ? plugins : [];
  runEach([
    ...stale.map((attachment) => () => delNetwork(runtime, parseNetworkList(attachment.list), attachment)),
    ...collecting.map(
      (plugin) => () => requestPlugin(runtime, plugin, { command: "GC", network: name, cniVersion, keys }),
    ),
  ]);
  return stale;
}

/** Asks every plugin whether it can serve an ADD. */
export function networkStatus(runtime: Runtime, network: NetworkList): void {
  const cniVersion = negotiateVersion(runtime, network);
  requireVersion(network, cniVersion, { command: "STATUS", since: "1.1.0" });
  runEach(
    network.plugins.map(
      (plugin) => () =>
        requestPlugin(runtime, plugin, { command: "STATUS", network: network.name, cniVersion }),
    ),
  );
}

function addPlugin(runtime: Runtime, plugin: PluginConfig, request: Request): Result {
  const answer = requestPlugin(runtime, plugin, request);
  try {
    return parseResult(answer, request.cniVersion);
  } catch (cause) {
    const error = new CniError(CniError.DECODING_FAILURE, "it returned no valid result", { cause });
    throw pluginFailure(plugin, "ADD", error);
  }
}

/** undefined where it cannot be read: DEL works without it, and CHECK's plugins say that it is missing. */
function readCachedResult({ result }: CachedAttachment, cniVersion: string): Result | undefined {
  try {
    return parseResult(result, cniVersion);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function requireVersion(
  { name }: NetworkList,
  cniVersion: string,
  { command, since }: { command: string; since: string },
): void {
  if (atLeast(cniVersion, since)) return;
  throw new Error(`network "${name}" is of version ${cniVersion}, and ${command} came with ${since}`);
}

/** Whether there was a namespace of which nothing is left; false for one that cannot be looked at. */
function isGone(netns: string): boolean {
  if (netns === "") return false;
  try {
    const found = findNetns(netns);
    found?.[Symbol.dispose]();
    return found === undefined;
  } catch (error) {
    if (error instanceof NetnsError) return false;
    throw error;
  }
}

/** Runs all, whatever any of them throws. @throws Failure with everything that was said */
function runEach(steps: readonly (() => unknown)[]): void {
  const failures = failuresOf(steps);
  if (failures.length > 0) throw new Failure(EXIT_FAILED, failures.map(messageOf).join("\n"));
}

function failuresOf(steps: readonly (() => unknown)[]): unknown[] {
  return steps.flatMap((step) => {
    try {
      step();
      return [];
    } catch (error) {
      return [error];
    }
  });
}

function messageOf(said: unknown): string {
  return said instanceof Error ? said.message : String(said);
}
