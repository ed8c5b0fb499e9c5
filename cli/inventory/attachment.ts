/**
 * The attachments of this host: which interface of which container is on which network.
 *
 * What is known of one comes from three places that may each be missing: weft's records (/run/weft), the
 * results that libcni and runtimes keep (/var/lib/cni), and the kernel's links with our alias.
 */
import { existsSync } from "node:fs";
import { attachmentOf, isSameAttachment } from "../../lib/alias.ts";
import { isObject, type JsonObject } from "../../lib/cni/json.ts";
import { isLinkLocal } from "../../lib/netaddr/address.ts";
import { formatMac } from "../../lib/netaddr/mac.ts";
import { formatPrefix } from "../../lib/netaddr/prefix.ts";
import type { Link } from "../../lib/rtnetlink/link.ts";
import { type AttachmentName, type AttachmentRecord, listAllRecords } from "../../lib/state/record.ts";
import { isErrno } from "../../lib/sys/errno.ts";
import { CACHE_DIR, type CachedAttachment, listAllCached } from "../runtime/result-cache.ts";
import { containerName } from "./container-name.ts";
import { compareTexts, type Namespace } from "./namespaces.ts";
import type { Peers, Port } from "./peers.ts";
import type { Stack } from "./stack.ts";
import { isPlaceHidden, isUnseen } from "./unseen.ts";

export interface AttachmentView {
  readonly network: string;
  readonly containerId: string;
  readonly ifname: string;
  /** As people know it. */
  readonly container: string;
  /** Where the container is; undefined when it is gone. */
  readonly namespace: Namespace | undefined;
  /** CNI_NETNS of the ADD; "" where nobody kept it. */
  readonly netns: string;
  /** Types, in the order in which they ran. */
  readonly plugins: readonly string[];
  /** With prefix lengths; the kernel's, or where the interface is gone those of the result. */
  readonly addresses: readonly string[];
  readonly mac: string | undefined;
  /** IFLA_INFO_KIND of the container's interface: "veth". */
  readonly kind: string | undefined;
  /** What the container calls it by now, where that is not `ifname`. */
  readonly renamed?: string | undefined;
  /** The veth's other end, or the device below a macvlan or ipvlan. */
  readonly hostLink: { readonly name: string; readonly index: number } | undefined;
  /** The bridge that the veth's other end is a port of. */
  readonly bridge: string | undefined;
  readonly ports: readonly PublishedPort[];
  readonly state: AttachmentState;
  /** Made by weft's plugins. */
  readonly isOurs: boolean;
  /** Of weft's plugins, one each. */
  readonly records: readonly AttachmentRecord<JsonObject>[];
}

/**
 * "gone": its namespace or its interface is not there, as is seen from here. Where only the host's end of
 * its pair is seen, that is what is up or down; "unknown" where nothing is that could tell.
 */
export type AttachmentState = "up" | "down" | "gone" | "unknown";

export interface PublishedPort {
  readonly hostPort: number;
  readonly containerPort: number;
  readonly protocol: string;
  /** "" for any. */
  readonly hostIP: string;
}

/** Plugins that make a pair, whose end on the host goes with the other. */
const OF_PAIRS: readonly string[] = ["bridge", "ptp", "vxlan"];

/** Where weft's records are, for people. */
const RECORDS_DIR = "/run/weft/attachments";

/** What may be known of an attachment before the kernel is asked. */
interface Known {
  readonly name: AttachmentName;
  readonly records: AttachmentRecord<JsonObject>[];
  cached?: CachedAttachment;
  /** The link that bears its alias. */
  labelled?: Port;
}

/** What was read of all of them, before any namespace was opened. */
export interface AttachmentSources {
  readonly records: readonly AttachmentRecord<JsonObject>[];
  readonly cached: readonly CachedAttachment[];
  /** Directories of which this user may read nothing. */
  readonly hidden?: readonly string[];
  /** Paths of namespaces that this user may not open. */
  readonly closed?: readonly string[];
}

/** @throws ErrnoError where this user may not read them */
export function readAttachmentSources(): AttachmentSources {
  return { records: listAllRecords<JsonObject>(), cached: listAllCached(CACHE_DIR) };
}

/** Without what this user may not read. */
export function readOpenAttachmentSources(): AttachmentSources {
  const hidden: string[] = [];
  const unlessHidden = <T>(directory: string, list: () => readonly T[]): readonly T[] => {
    try {
      return list();
    } catch (error) {
      if (!isErrno(error, "EACCES")) throw error;
      hidden.push(directory);
      return [];
    }
  };
  return {
    records: unlessHidden(RECORDS_DIR, () => listAllRecords<JsonObject>()),
    cached: unlessHidden(CACHE_DIR, () => listAllCached(CACHE_DIR)),
    hidden,
  };
}

/** Every attachment, by network, then by container. */
export function readAttachments(
  stacks: readonly Stack[],
  peers: Peers,
  sources: AttachmentSources = readAttachmentSources(),
): AttachmentView[] {
  const views = [...merge(stacks, peers, sources).values()].map((known) => viewOf(known, stacks, peers));
  const isBlind = views.some(isUnseen);
  return views
    .map((view) => (isInDoubt(view, sources, { isBlind }) ? { ...view, state: "unknown" as const } : view))
    .sort(
      (a, b) =>
        compareTexts(a.network, b.network) ||
        compareTexts(a.container, b.container) ||
        compareTexts(a.ifname, b.ifname),
    );
}

function merge(
  stacks: readonly Stack[],
  peers: Peers,
  { records, cached }: AttachmentSources,
): Map<string, Known> {
  const known = new Map<string, Known>();
  const of = ({ network, containerId, ifname }: AttachmentName) =>
    known.getOrInsertComputed(`${network}/${containerId}/${ifname}`, () => ({
      name: { network, containerId, ifname },
      records: [],
    }));
  for (const record of records) of(record).records.push(record);
  for (const each of cached) of(each).cached = each;
  for (const stack of stacks) {
    for (const link of stack.links) {
      const owner = attachmentOf(link);
      if (owner && isOfThisHost({ stack, link }, owner, peers)) of(owner).labelled = { stack, link };
    }
  }
  return known;
}

/**
 * An alias counts on the host's own links, and on a container's end of one of them: a namespace may play
 * another host, whose links have aliases of their own.
 */
function isOfThisHost({ stack, link }: Port, { ifname }: AttachmentName, peers: Peers): boolean {
  if (stack.namespace.isHost) return true;
  return link.name === ifname && peers.peerOf(stack, link)?.stack.namespace.isHost === true;
}

function viewOf(known: Known, stacks: readonly Stack[], peers: Peers): AttachmentView {
  const { name, records, cached, labelled } = known;
  const netns = cached?.netns || records.find((record) => record.netns !== "")?.netns || "";
  const ownEnd = hostEndOf(known, stacks);
  const inside = insideOf(known, { netns, ownEnd }, stacks, peers);
  const stack = inside?.stack ?? stacks.find(({ namespace }) => isAt(namespace, netns));
  const hostEnd = inside ? peers.peerOf(inside.stack, inside.link) : (ownEnd ?? labelled);
  const master = hostEnd?.link.master === undefined ? undefined : hostEnd.stack.link(hostEnd.link.master);
  const isHidden = !inside && ownEnd !== undefined && peers.isHidden(ownEnd.stack, ownEnd.link);
  return {
    ...name,
    container: containerName({ ...name, args: cached?.args ?? [], namespace: stack?.namespace, netns }),
    namespace: stack?.namespace,
    netns,
    plugins: pluginsOf(known),
    addresses: inside ? addressesOf(inside) : resultAddresses(cached),
    mac: inside ? formatMac(inside.link.mac) : resultMac(cached, name.ifname),
    kind: inside?.link.kind,
    renamed: inside && inside.link.name !== name.ifname ? inside.link.name : undefined,
    hostLink: hostEnd && { name: hostEnd.link.name, index: hostEnd.link.index },
    bridge: master?.kind === "bridge" ? master.name : undefined,
    ports: portsOf(known),
    state: stateOf(inside?.link ?? (isHidden ? ownEnd.link : undefined)),
    isOurs: records.length > 0 || labelled !== undefined,
    records,
  };
}

/** The host's end of its pair: by its alias, or as the result has it where another made it. */
function hostEndOf({ cached, labelled }: Known, stacks: readonly Stack[]): Port | undefined {
  if (labelled) return isVethOfHost(labelled) ? labelled : undefined;
  const stack = stacks.find(({ namespace }) => namespace.isHost);
  const { interfaces } = cached?.result ?? {};
  if (!stack || !Array.isArray(interfaces)) return undefined;
  const links = interfaces
    .filter((each) => isObject(each) && !each["sandbox"])
    .map(({ name }) => stack.link(String(name)))
    .filter((link) => link !== undefined);
  return links.map((link) => ({ stack, link })).find(isVethOfHost);
}

function isVethOfHost({ stack, link }: Port): boolean {
  return stack.namespace.isHost && link.kind === "veth";
}

/**
 * The interface in the container: in the namespace at the path, or at the other end of its pair. A container
 * may have given it another name.
 */
function insideOf(
  known: Known,
  { netns, ownEnd }: { netns: string; ownEnd: Port | undefined },
  stacks: readonly Stack[],
  peers: Peers,
): Port | undefined {
  const { name, labelled } = known;
  const stack = stacks.find(({ namespace }) => isAt(namespace, netns));
  const link = stack?.link(name.ifname);
  if (stack && link) return { stack, link };
  const peer = ownEnd && peers.peerOf(ownEnd.stack, ownEnd.link);
  if (peer && (peer.link.name === name.ifname || !peer.stack.namespace.isHost)) return peer;
  if (labelled?.link.name === name.ifname) return labelled;
  const renamed = stack?.links.find((each) => isRenamed(known, { stack, link: each }));
  return stack && renamed && { stack, link: renamed };
}

/** By its alias; another's plugin gives none, and then by its addresses. */
function isRenamed({ name, cached }: Known, { stack, link }: Port): boolean {
  const owner = attachmentOf(link);
  if (owner) return isSameAttachment(owner, name);
  const given = resultAddresses(cached);
  return addressesOf({ stack, link }).some((address) => given.includes(address));
}

/** Whether the path leads to the namespace. */
export function isAt({ paths }: Namespace, netns: string): boolean {
  return netns !== "" && paths.includes(netns.replace(/^\/var\/run\//, "/run/"));
}

function stateOf(link: Link | undefined): AttachmentState {
  if (!link) return "gone";
  return link.up && (link.running || link.name === "lo") ? "up" : "down";
}

/**
 * Whether nothing says that it is gone but that its namespace is not seen at its path: that is no proof for
 * who may not open it, or sees other mounts or processes than those who made it. A pair goes with its
 * container.
 */
function isInDoubt(
  { state, namespace, netns, plugins, records }: AttachmentView,
  { closed = [] }: AttachmentSources,
  { isBlind }: { isBlind: boolean },
): boolean {
  if (state !== "gone" || namespace || netns === "") return false;
  if (closed.includes(netns.replace(/^\/var\/run\//, "/run/"))) return true;
  if (records.length > 0 && isPlaceHidden(netns)) return true;
  // a file where a namespace is bound in other mounts is empty in these
  return (isBlind || existsSync(netns)) && !plugins.some((plugin) => OF_PAIRS.includes(plugin));
}

function addressesOf({ stack, link }: Port): string[] {
  return stack
    .addressesOf(link)
    .filter(({ prefix }) => !(prefix.address.family === 6 && isLinkLocal(prefix.address)))
    .map(({ prefix }) => formatPrefix(prefix));
}

/** Of the cached list, else of the records; a record of a part of a plugin is not a plugin's. */
function pluginsOf({ cached, records }: Known): string[] {
  const PARTS = ["masquerade", "host-access", "macspoofchk"];
  const listed = cached && typesOf(cached.list);
  if (listed && listed.length > 0) return listed;
  return records.map(({ plugin }) => plugin).filter((plugin) => !PARTS.includes(plugin));
}

function typesOf(list: string): string[] {
  try {
    const { plugins } = JSON.parse(list) as { plugins?: { type?: unknown }[] }; // libcni parsed it before
    return plugins?.map(({ type }) => String(type)) ?? [];
  } catch {
    return [];
  }
}

function resultAddresses(cached: CachedAttachment | undefined): string[] {
  const { ips, ip4, ip6 } = cached?.result ?? {};
  const listed = Array.isArray(ips) ? ips.map((ip) => (isObject(ip) ? ip["address"] : undefined)) : [];
  const old = [ip4, ip6].map((ip) => (isObject(ip) ? ip["ip"] : undefined));
  return [...listed, ...old].filter((text) => typeof text === "string");
}

function resultMac(cached: CachedAttachment | undefined, ifname: string): string | undefined {
  const { interfaces } = cached?.result ?? {};
  if (!Array.isArray(interfaces)) return undefined;
  const own = interfaces.find((it) => isObject(it) && it["name"] === ifname && it["sandbox"]);
  return typeof own?.mac === "string" ? own.mac : undefined;
}

/** As portmap has published them, else as they were asked for. */
function portsOf({ records, cached }: Known): PublishedPort[] {
  const published = records.find(({ plugin }) => plugin === "portmap")?.details["portMappings"];
  const mappings = published ?? cached?.capabilityArgs["portMappings"];
  if (!Array.isArray(mappings)) return [];
  return mappings.filter(isObject).map(({ hostPort, containerPort, protocol, hostIP }) => ({
    hostPort: Number(hostPort),
    containerPort: Number(containerPort),
    protocol: typeof protocol === "string" && protocol !== "" ? protocol.toLowerCase() : "tcp",
    hostIP: typeof hostIP === "string" ? hostIP : "",
  }));
}
