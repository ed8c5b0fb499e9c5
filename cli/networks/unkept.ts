/**
 * Attachments that weft's records tell of, and of which no result was kept here: ADD was cut off, by a kill
 * or a full disk, or goes on just now, or was run by a runtime that keeps its results elsewhere.
 */
import { type AttachmentName, listNetworkRecords } from "../../lib/state/record.ts";
import { type Container, namespaceInode } from "../containers/container.ts";
import type { Attachment } from "../runtime/attachment.ts";
import type { Runtime } from "../runtime/plugin-request.ts";
import { findCached } from "../runtime/result-cache.ts";

/** The container's on the network, by whichever runtime they were made. */
export function unkeptOn(
  network: string,
  { netnsPath }: Pick<Container, "netnsPath">,
  { containerId, runtime }: { containerId: string; runtime: Runtime },
): Attachment[] {
  const inode = namespaceInode(netnsPath);
  const records = listNetworkRecords<unknown>(network).filter(
    (record) =>
      record.containerId === containerId || (inode !== undefined && namespaceInode(record.netns) === inode),
  );
  return [...Map.groupBy(records, (record) => `${record.containerId}:${record.ifname}`).values()]
    .flatMap(([first]) => first ?? [])
    .map(({ containerId, ifname, netns }) => ({
      containerId,
      ifname,
      netns: netns || netnsPath,
      args: [],
      capabilityArgs: {},
    }))
    .filter((attachment) => !findCached(runtime.cacheDirectory, network, attachment))
    .sort((a, b) => (a.ifname < b.ifname ? -1 : 1));
}

/** Why such an attachment is not to be relied on, and what to do. */
export function unkeptWords(
  container: string,
  { network, ifname }: Omit<AttachmentName, "containerId">,
): string {
  const reason = "no result of that is kept: its ADD was cut off, or another runtime ran it";
  return `"${container}" is on network "${network}" already, as ${ifname}, and ${reason}
weft network disconnect takes it off; --ifname says which interface`;
}
