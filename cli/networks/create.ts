/** Makes a network: decides what is left open, asks the plugins whether they can, and writes its file. */
import { accessSync, constants, existsSync, mkdirSync } from "node:fs";
import { openRouteSocket } from "../../lib/rtnetlink/route-socket.ts";
import { networkStatus } from "../runtime/network.ts";
import { NETWORKS_DIR, type NetworkFile, parseNetworkList, readNetworks } from "../runtime/network-list.ts";
import type { Runtime } from "../runtime/plugin-request.ts";
import { networkPath, networkText, writeNetworkFile } from "./network-file.ts";
import { lockInTool } from "./network-lock.ts";
import { type NetworkWords, planNetwork } from "./plan.ts";
import { pluginList } from "./plugin-list.ts";

export interface CreateOptions {
  readonly directory: string;
  readonly runtime: Runtime;
  readonly labels: Readonly<Record<string, string>>;
  /** Write nothing. */
  readonly isDryRun: boolean;
}

/**
 * Two that are made at the same time get different subnets.
 * @throws Error where it cannot be; Failure where a plugin says that it could attach nobody
 */
export function createNetwork(words: NetworkWords, options: CreateOptions): NetworkFile {
  const { directory, runtime, labels, isDryRun } = options;
  if (!isDryRun) verifyWritable(directory);
  using _alone = lockInTool("networks");
  using host = openRouteSocket();
  const plan = planNetwork(words, { host, networks: networksIn(directory) });
  const text = networkText(plan.name, pluginList(plan), {
    driver: plan.driver,
    created: new Date().toISOString(),
    ...(Object.keys(labels).length > 0 && { labels }),
  });
  const network = parseNetworkList(text);
  if (!words.force) networkStatus(runtime, network);
  const file = isDryRun ? networkPath(directory, plan.name) : writeNetworkFile(directory, plan.name, text);
  return { ...network, file, text };
}

/**
 * Before any plugin is asked. The usual directory is made; another one that is not there may be mistyped, and
 * nobody would read it.
 * @throws Error
 */
function verifyWritable(directory: string): void {
  if (directory === NETWORKS_DIR) mkdirSync(directory, { recursive: true });
  else if (!existsSync(directory)) {
    throw new Error(`there is no directory ${directory} (NETCONFPATH says where)\nmkdir -p ${directory}`);
  }
  accessSync(directory, constants.W_OK);
}

/** None where there is no directory yet. */
export function networksIn(directory: string): readonly NetworkFile[] {
  try {
    return readNetworks(directory).networks;
  } catch {
    return [];
  }
}
