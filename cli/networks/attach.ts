/** Attaches containers to networks, and detaches them: for add, del, check, connect, disconnect and run. */

import type { Variables } from "../../lib/cni/environment.ts";
import type { JsonObject } from "../../lib/cni/json.ts";
import { type Netns, NetnsError, openNetns } from "../../lib/netns/netns.ts";
import { findLink, listLinks } from "../../lib/rtnetlink/link.ts";
import { openRouteSocket } from "../../lib/rtnetlink/route-socket.ts";
import { type AttachmentName, hasRecords } from "../../lib/state/record.ts";
import { type Container, HOST, namespaceInode } from "../containers/container.ts";
import { EXIT_FAILED, Failure } from "../failure.ts";
import { type Attachment, readAttachment } from "../runtime/attachment.ts";
import { addNetwork, delNetwork } from "../runtime/network.ts";
import { type NetworkFile, parseNetworkList } from "../runtime/network-list.ts";
import type { Runtime } from "../runtime/plugin-request.ts";
import { type CachedAttachment, findCached, listCached } from "../runtime/result-cache.ts";
import { type AttachmentWords, unheeded, withRequest } from "./attachment-request.ts";
import { lockAttachments, lockNetwork } from "./network-lock.ts";
import { unkeptOn, unkeptWords } from "./unkept.ts";

/** Docker's and Kubernetes' names of interfaces. */
const IFNAME_START = "eth";

/**
 * What the plugins are told of the container: the id that its runtime told them, so that all its attachments
 * bear one; cnitool's where it has no runtime.
 */
export function attachmentFor(
  container: Container,
  ifname: string | undefined,
  variables: Variables,
): Attachment {
  const attachment = readAttachment(container.netnsPath, ifname, variables);
  const isRuntimes = ["containerd", "cri", "podman"].includes(container.runtime);
  return isRuntimes ? { ...attachment, containerId: container.id } : attachment;
}

export interface Attached {
  /** With what was asked for. */
  readonly attachment: Attachment;
  /** Of the last plugin. */
  readonly result: JsonObject;
}

/**
 * Runs ADD. What is there already is not this ADD's, and stays.
 * @throws Error before anything was begun; Failure for a plugin's
 */
export function attachContainer(
  container: Container,
  network: NetworkFile,
  { attachment, words, runtime }: { attachment: Attachment; words: AttachmentWords; runtime: Runtime },
): Attached {
  const { ifname } = attachment;
  refuseHost(container);
  using _uncollected = lockAttachments({ shared: true });
  using _kept = lockNetwork(network, { shared: true });
  if (findCached(runtime.cacheDirectory, network.name, attachment)) {
    throw new Error(
      `"${container.name}" is on network "${network.name}" already, as ${ifname}: weft network disconnect takes it off, or choose another --ifname`,
    );
  }
  const isLoopback = ifname === "lo" && network.plugins.some(({ type }) => type === "loopback");
  if (!isLoopback) refuseExistingInterface(container, { ...attachment, network: network.name });
  const asked = withRequest(attachment, words, network);
  const result = addNetwork(runtime, network, asked);
  const missing = unheeded(words, result, ifname);
  if (missing.length === 0) return { attachment: asked, result };
  delNetwork(runtime, network, asked);
  throw new Failure(
    EXIT_FAILED,
    `network "${network.name}" does not give ${missing.join(" and ")}: its plugins take no such wish; DEL was run`,
  );
}

/** Runs DEL with what the ADD was run with, and forgets it. */
export function detachContainer(attached: CachedAttachment, runtime: Runtime): void {
  delNetwork(runtime, parseNetworkList(attached.list), attached);
}

/**
 * A container is on a network once, unless another interface is asked for by its name.
 * @throws Error that says as which interface
 */
export function refuseSecond(network: string, container: Container, runtime: Runtime): void {
  const { name } = container;
  const [kept] = attachmentsOn(network, container, runtime);
  if (kept) {
    throw new Error(
      `"${name}" is on network "${network}" already, as ${kept.ifname}: --ifname names another interface`,
    );
  }
  const { containerId } = attachmentFor(container, undefined, {});
  const [unkept] = unkeptOn(network, container, { containerId, runtime });
  if (unkept) throw new Error(unkeptWords(name, { network, ifname: unkept.ifname }));
}

/** The container's attachments to the network, by whichever runtime they were made. */
export function attachmentsOn(network: string, container: Container, runtime: Runtime): CachedAttachment[] {
  const { containerId } = attachmentFor(container, undefined, {});
  const inode = namespaceInode(container.netnsPath);
  return listCached(runtime.cacheDirectory, network)
    .filter(
      (cached) =>
        cached.containerId === containerId || (inode !== undefined && namespaceInode(cached.netns) === inode),
    )
    .map((cached) => ({ ...cached, netns: cached.netns || container.netnsPath })); // libcni kept none once
}

/** The first of eth0, eth1 … that the container has not. */
export function nextInterface(container: Container): string {
  refuseHost(container);
  using netns = openSandbox(container.netnsPath);
  using socket = openRouteSocket(netns);
  const names = listLinks(socket).flatMap(({ name, altnames }) => [name, ...altnames]);
  for (let number = 0; ; number++) {
    if (!names.includes(`${IFNAME_START}${number}`)) return `${IFNAME_START}${number}`;
  }
}

function refuseHost({ name, netnsPath }: Container): void {
  if (namespaceInode(netnsPath) !== namespaceInode(HOST.netnsPath)) return;
  throw new Error(`"${name}" is in the host's own network namespace: there is nothing to attach`);
}

/** What is there already is not this ADD's, and the DEL after a failure would take it away. */
function refuseExistingInterface({ name, netnsPath }: Container, attachment: AttachmentName): void {
  const { ifname } = attachment;
  using opened = openSandbox(netnsPath);
  using socket = openRouteSocket(opened);
  if (!findLink(socket, ifname)) return;
  if (hasRecords(attachment)) throw new Error(unkeptWords(name, attachment));
  throw new Error(`"${name}" has an interface ${ifname} already: choose another --ifname`);
}

function openSandbox(path: string): Netns {
  try {
    return openNetns(path);
  } catch (error) {
    if (!(error instanceof NetnsError) || !error.missing) throw error;
    throw new Error(`${error.message}; ip netns add NAME makes one`);
  }
}
