/** Pods of whichever runtime, by what it told the plugins in CNI_ARGS, which the results of ADD keep. */
import { isErrno } from "../../lib/sys/errno.ts";
import type { Attachment } from "../runtime/attachment.ts";
import { CACHE_DIR, type CachedAttachment, listAllCached } from "../runtime/result-cache.ts";
import { type Container, namespaceInode } from "./container.ts";

/** "namespace/pod", as the kubelet's runtimes say it; undefined where it is no pod's. */
export function podName(args: Attachment["args"]): string | undefined {
  const { K8S_POD_NAMESPACE: namespace, K8S_POD_NAME: name } = Object.fromEntries(args);
  return namespace && name ? `${namespace}/${name}` : undefined;
}

/** By that name; undefined where none of it is there. */
export function findPod(text: string, directory = CACHE_DIR): Container | undefined {
  if (!/^[^/]+\/[^/]+$/.test(text)) return undefined;
  const found = readable(directory).find(
    ({ args, netns }) => podName(args) === text && namespaceInode(netns) !== undefined,
  );
  return found && { name: text, id: found.containerId, netnsPath: found.netns, runtime: "cri" };
}

/** Nothing for who may not look. */
function readable(directory: string): CachedAttachment[] {
  try {
    return listAllCached(directory);
  } catch (error) {
    if (isErrno(error, "EACCES")) return [];
    throw error;
  }
}
