/** An attachment that was made, by what a user calls its container, also where that is gone. */
import type { Variables } from "../../lib/cni/environment.ts";
import { type Container, namespaceInode } from "../containers/container.ts";
import { findContainer, named, processMeant, processNamespace } from "../containers/find.ts";
import type { HostView } from "../inventory/host-view.ts";
import type { Attachment } from "../runtime/attachment.ts";
import type { Runtime } from "../runtime/plugin-request.ts";
import { type CachedAttachment, listCached } from "../runtime/result-cache.ts";
import { attachmentFor, attachmentsOn } from "./attach.ts";
import { unkeptOn } from "./unkept.ts";

/** Of an id, that is enough to mean it. */
const ID_LENGTH_MIN = 6;

/** The container's attachments to the network; of one that is gone by its id, or the beginning of that. */
export function findAttached(network: string, text: string, runtime: Runtime): CachedAttachment[] {
  const container = tryFinding(text);
  if (container) return attachmentsOn(network, container, runtime);
  const { containerId } = attachmentFor(goneContainer(text), undefined, {});
  return listCached(runtime.cacheDirectory, network).filter(
    (cached) => cached.containerId === containerId || isIdOf(text, cached.containerId),
  );
}

/** Those of a container that lives of which there are weft's records, and no result was kept here. */
export function findUnkept(network: string, text: string, runtime: Runtime): Attachment[] {
  const container = tryFinding(text);
  if (!container) return [];
  const { containerId } = attachmentFor(container, undefined, {});
  return unkeptOn(network, container, { containerId, runtime });
}

/** The same by whatever there is of them, also of a container that is gone. */
export function findRecorded(view: HostView, network: string, text: string): Attachment[] {
  const container = tryFinding(text);
  const inode = container && namespaceInode(container.netnsPath);
  return view.attachments
    .filter((each) => each.network === network)
    .filter((each) =>
      inode === undefined
        ? each.container === text || isIdOf(text, each.containerId)
        : String(each.namespace?.inode) === inode,
    )
    .map(({ containerId, ifname, netns }) => ({ containerId, ifname, netns, args: [], capabilityArgs: {} }));
}

/** What an attachment of that container is called, though nothing is known of it, nor of the container. */
export function unknownAttachment(
  text: string,
  ifname: string | undefined,
  variables: Variables,
): Attachment {
  return attachmentFor(tryFinding(text) ?? goneContainer(text), ifname, variables);
}

/** As findContainer() named it while it was there: a process, or a namespace of `ip netns`. */
function goneContainer(text: string): Container {
  const pid = processMeant(text);
  return pid === undefined ? named(text) : processNamespace(pid);
}

/** ctr and nerdctl put containerd's namespace before the id. */
function isIdOf(text: string, containerId: string): boolean {
  if (text === containerId || containerId.endsWith(`-${text}`)) return true;
  return text.length >= ID_LENGTH_MIN && (containerId.startsWith(text) || containerId.includes(`-${text}`));
}

function tryFinding(text: string): Container | undefined {
  try {
    return findContainer(text);
  } catch (error) {
    if (error instanceof SyntaxError) throw error;
    return undefined;
  }
}
