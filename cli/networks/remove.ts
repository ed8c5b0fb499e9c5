/** Takes a network away: what its plugins have made for it, its leases, and its file. */
import { rmSync } from "node:fs";
import { gcNetwork } from "../runtime/network.ts";
import type { NetworkFile } from "../runtime/network-list.ts";
import type { Runtime } from "../runtime/plugin-request.ts";
import { listCached } from "../runtime/result-cache.ts";
import { detachContainer } from "./attach.ts";
import { leaseDirectories, leasesOf } from "./leases.ts";
import { makingOf } from "./network-file.ts";

/**
 * What attachments that are gone have left goes by DEL, what no attachment is named for by GC, such as the
 * bridge; the file goes last, so that after a kill it can be done again.
 * @throws Failure for a plugin's; the network stays
 */
export function removeNetwork(network: NetworkFile, runtime: Runtime): void {
  for (const attached of listCached(runtime.cacheDirectory, network.name)) detachContainer(attached, runtime);
  gcNetwork(runtime, network);
  removeLeases(network);
  rmSync(network.file);
}

/** @throws Error for a file that somebody else wrote */
export function refuseForeign(network: NetworkFile): void {
  if (makingOf(network)) return;
  throw new Error(
    `network "${network.name}" was not made by weft network create: whoever wrote ${network.file} removes it`,
  );
}

/** Where the next lease was to be looked for is nothing to a network of that name that is made anew. */
function removeLeases(network: NetworkFile): void {
  if (leasesOf(network) !== 0) return;
  for (const directory of leaseDirectories(network)) rmSync(directory, { recursive: true, force: true });
}
