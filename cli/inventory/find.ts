/** What a word on the command line means: a container, seen in the host's view. */

import { namespaceInode } from "../containers/container.ts";
import { findContainer } from "../containers/find.ts";
import type { AttachmentView } from "./attachment.ts";
import type { HostView } from "./host-view.ts";
import type { Stack } from "./stack.ts";

/**
 * The stack that is meant by "host", a container's name or id, a namespace's name or path, a pid.
 * @throws Error that says which there are
 */
export function findStack(view: HostView, text: string): Stack {
  const attachment = findByName(view, text);
  const known = attachment && view.stackOf(attachment.namespace);
  if (known) return known;
  const byName = view.stacks.find((stack) => stack.name === text || stack.namespace.paths.includes(text));
  if (byName) return byName;
  const { netnsPath, name } = findContainer(text);
  const inode = namespaceInode(netnsPath);
  if (inode === undefined)
    throw new Error(`"${name}" has no network namespace any more: ${netnsPath} is gone`);
  const stack = view.stackOf({ inode: BigInt(inode) });
  if (stack) return stack;
  throw new Error(`cannot open the network namespace of "${name}" (${netnsPath}): run as root`);
}

/** Some runtimes have a plugin set it up, as the network cni-loopback: nobody asks for it. */
export function isLoopback({ ifname }: Pick<AttachmentView, "ifname">): boolean {
  return ifname === "lo";
}

/**
 * The attachments of a container or to a network; where no name is given all of them, but for loopback's.
 * @throws Error that says which there are
 */
export function selectAttachments(view: HostView, name: string | undefined): readonly AttachmentView[] {
  const attachments = view.attachments.filter((each) => !isLoopback(each));
  if (name === undefined) return attachments;
  const ofNetwork = view.attachments.filter(({ network }) => network === name);
  if (ofNetwork.length > 0 || isNetwork(view, name)) return ofNetwork;
  const gone = findGone(view, name);
  if (gone.length > 0) return gone;
  const { namespace } = findStackOrTellNetworks(view, name);
  return attachments.filter((each) => each.namespace?.inode === namespace.inode);
}

function findStackOrTellNetworks(view: HostView, name: string): Stack {
  try {
    return findStack(view, name);
  } catch (error) {
    const names = networkNames(view);
    if (names.length === 0 || !(error instanceof Error)) throw error;
    throw new Error(`${error.message}\nnor is it a network: there are ${names.join(", ")}`, { cause: error });
  }
}

/** Of every network that there is, or that somebody was attached to. */
export function networkNames({ networks, attachments }: HostView): string[] {
  return [
    ...new Set([...networks.map(({ name }) => name), ...attachments.map(({ network }) => network)]),
  ].sort();
}

/** Whether there is a network of that name: in a file, or as somebody was attached to it. */
export function isNetwork(view: HostView, name: string): boolean {
  return networkNames(view).includes(name);
}

/**
 * The container whose veth on the host is meant; undefined where that is no name of one.
 * @throws Error where this user may not look into it
 */
export function findByHostLink(view: HostView, name: string): Stack | undefined {
  const link = view.host.link(name);
  if (link?.kind !== "veth" || view.stacks.some((stack) => stack.name === name)) return undefined;
  const stack = view.peerOf(view.host, link)?.stack;
  if (stack || view.unopened.length === 0) return stack;
  throw new Error(`${name} leads into a network namespace that cannot be opened: run as root`);
}

/** The container that has the address; undefined where none has, or several. */
export function findByAddress(view: HostView, address: string): Stack | undefined {
  const having = view.attachments.filter(({ addresses }) =>
    addresses.some((prefix) => prefix.split("/")[0] === address),
  );
  const stacks = new Set(having.map(({ namespace }) => view.stackOf(namespace)));
  return stacks.size === 1 ? [...stacks][0] : undefined;
}

/** The attachments of the container that is meant where its namespace is gone; none where it is not. */
export function findGone(view: HostView, text: string): readonly AttachmentView[] {
  const found = findByName(view, text);
  if (!found || found.namespace || view.stacks.some(({ name }) => name === text)) return [];
  const isThere = found.netns !== "" && namespaceInode(found.netns) !== undefined;
  if (isThere || found.state !== "gone") return []; // not to be opened
  return view.attachments.filter(({ containerId }) => containerId === found.containerId);
}

/** The first attachment of the container that is meant, by its name, or by its id or an id's beginning. */
export function findByName({ attachments }: HostView, text: string): AttachmentView | undefined {
  return (
    attachments.find(({ container }) => container === text) ??
    attachments.find(({ containerId }) => containerId === text) ??
    onlyOne(
      attachments.filter(({ containerId }) => text.length >= 4 && containerId.startsWith(text)),
      text,
    )
  );
}

function onlyOne(found: readonly AttachmentView[], text: string): AttachmentView | undefined {
  const told = new Set(found.map(({ containerId, container }) => `${containerId} (${container})`));
  if (told.size <= 1) return found[0];
  throw new Error(`"${text}" is the beginning of several ids: ${[...told].join(", ")}`);
}
