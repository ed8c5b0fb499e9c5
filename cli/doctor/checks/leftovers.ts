/** What is left of containers that are gone, as findings. */

import { attachmentOf, isSameAttachment } from "../../../lib/alias.ts";
import { type Connection, listConnections } from "../../../lib/conntrack/conntrack.ts";
import { type Address, formatAddress, sameAddress } from "../../../lib/netaddr/address.ts";
import { containsAddress } from "../../../lib/netaddr/prefix.ts";
import { netfilterSocket } from "../../../lib/netfilter/socket.ts";
import type { Link } from "../../../lib/rtnetlink/link.ts";
import { attachmentFileName, listDamagedRecords } from "../../../lib/state/record.ts";
import { isUnseen, whyUnseen } from "../../inventory/unseen.ts";
import { isNamedByPath } from "../../runtime/attachment.ts";
import { allOf, shell } from "../../terminal/shell.ts";
import { COLLECT } from "../collect.ts";
import type { FaultId } from "../faults.ts";
import { type Finding, finding } from "../finding.ts";
import { type Attached, type Host, inContainer, nameOf, pathOf, promisedAddresses } from "../host.ts";
import { findLeftovers, isBlind, isGone, type Leftover } from "../leftovers.ts";
import { reattaching } from "../reattaching.ts";
import { subnetsOf } from "./subnets.ts";

/** Of the host's end of a pair, as weft's plugins and the reference's give it. */
const GENERATED_NAME = /^veth[0-9a-f]{8}$/;
/** More than these are not looked through. */
const CONNECTIONS_MAX = 200_000;

const FAULTS_OF = {
  lease: "lease-orphaned",
  rule: "rule-orphaned",
  claim: "claim-orphaned",
} as const satisfies Record<Leftover["kind"], FaultId>;

export function checkLeftovers(host: Host): Finding[] {
  return [
    ...gone(host.attachments.filter(isGone)),
    ...unseen(host.attachments.filter(isUnseen)),
    ...host.attachments.flatMap(unfinished),
    ...host.attachments.flatMap(renamedInside),
    ...leftBehind(host),
    ...host.stack.links.filter(({ kind }) => kind === "veth").flatMap((link) => vethOrphaned(host, link)),
    ...connectionsStale(host),
    ...recordsDamaged(host),
  ];
}

/**
 * Made by weft or cnitool, which keep the result of every ADD that comes to its end; other runtimes may keep
 * it where nobody looks.
 */
function unfinished(attached: Attached): Finding[] {
  const { cached, records, namespace, network, netns, ifname, containerId } = attached;
  const isKept = cached !== undefined || !isNamedByPath(containerId);
  if (isKept || records.length === 0 || namespace === undefined || netns === "") return [];
  const plugins = [...new Set(records.map(({ plugin }) => plugin))].sort().join(", ");
  const evidence = `${plugins} recorded it, and there is no result: ADD was cut off, or goes on just now`;
  const remedy = shell`weft del ${network} ${netns} --ifname ${ifname}`;
  return [finding("attachment-unfinished", { subject: nameOf(attached), evidence, remedy })];
}

/** One finding for all: one command collects them. */
function gone(attachments: readonly Attached[]): Finding[] {
  const [first] = attachments;
  if (!first) return [];
  const { namespace, netns, ifname } = first;
  const evidence = namespace ? `there is no ${ifname} in ${netns}` : `its namespace ${netns} is gone`;
  const subject = andMore(nameOf(first), attachments.length);
  return [finding("attachment-gone", { subject, evidence, remedy: COLLECT })];
}

/** One finding for all: who sees them can tell the rest. */
function unseen(attachments: readonly Attached[]): Finding[] {
  const [first] = attachments;
  if (!first) return [];
  const subject = andMore(nameOf(first), attachments.length);
  const remedy = shell`nsenter --target 1 --mount --pid weft doctor`;
  return [finding("container-unseen", { subject, evidence: whyUnseen(first), remedy })];
}

/** It lives, and nothing of it is looked for by its new name. */
function renamedInside(attached: Attached): Finding[] {
  const { renamed, ifname } = attached;
  if (renamed === undefined) return [];
  const evidence = `there is no ${ifname} in ${pathOf(attached)}, and ${renamed} there is its interface`;
  const remedy = inContainer(attached, shell`ip link set ${renamed} name ${ifname}`);
  return [finding("interface-renamed", { subject: nameOf(attached), evidence, remedy })];
}

/** One finding a kind. */
function leftBehind(host: Host): Finding[] {
  return [...Map.groupBy(findLeftovers(host), ({ kind }) => kind)].flatMap(([kind, leftovers]) => {
    const [first] = leftovers;
    if (!first) return [];
    const { network, containerId, place } = first;
    const whose = containerId === "" ? "nobody" : containerId;
    const evidence = `${andMore(place, leftovers.length)}: of ${whose} on network ${network}, which is not there`;
    const containers = new Set(leftovers.map((each) => `${each.network} ${each.containerId}`)).size;
    const subject = andMore(containerId || network, containers);
    return finding(FAULTS_OF[kind], { subject, evidence, remedy: COLLECT });
  });
}

function andMore(first: string, count: number): string {
  return count > 1 ? `${first} and ${count - 1} more` : first;
}

/**
 * A pair both of whose ends are on the host, one in a bridge of containers, was to be a container's; or one
 * whose alias names an attachment that nothing else knows of, which may be alive all the same.
 */
function vethOrphaned(host: Host, link: Link): Finding[] {
  const { stack, view, attachments } = host;
  const peer = view.peerOf(stack, link);
  const remedy = shell`ip link delete ${link.name}`;
  const owner = attachmentOf(link);
  if (owner) {
    const attached = attachments.find((each) => isSameAttachment(each, owner));
    if (attached && (attached.cached || attached.records.length > 0)) return [];
    if (!peer && !view.isHidden(stack, link)) return []; // the kernel is about to take it down
    const evidence = `its alias names ${owner.containerId} on network ${owner.network}, of which there is neither record nor result`;
    const isSafe = peer?.stack === stack;
    return [finding("veth-orphaned", { subject: link.name, evidence, remedy, isSafe })];
  }
  const isOfNetworks = attachments.some(
    ({ outside }) => outside?.master !== undefined && outside.master === link.master,
  );
  if (!isOfNetworks || peer?.stack !== stack || peer.link.master !== undefined) return [];
  const isUsed = stack
    .addressesOf(peer.link)
    .some(({ prefix }) => prefix.length > 0 && prefix.address.family === 4);
  const evidence = `it is in the bridge of containers, and its other end ${peer.link.name} is on the host as well`;
  // an administrator gives other names
  const isSafe = GENERATED_NAME.test(link.name) && !isUsed && !peer.link.up;
  return [finding("veth-orphaned", { subject: link.name, evidence, remedy, isSafe })];
}

/** A client's packets of a connection that is known are led where its first one was. */
function connectionsStale(host: Host): Finding[] {
  const { stack, view } = host;
  if (Number(stack.sysctl("net/netfilter/nf_conntrack_count") ?? 0) > CONNECTIONS_MAX) return [];
  if (isBlind(host)) return [];
  // one that lost its address is told of as such
  const promised = host.attachments
    .filter((attached) => !isGone(attached))
    .flatMap((attached) => promisedAddresses(attached).map(({ address }) => address.address));
  const held = view.stacks.flatMap(({ addresses }) => addresses.map(({ prefix }) => prefix.address));
  const live = new Set([...promised, ...held].map(formatAddress));
  const subnets = view.networks.flatMap((network) => subnetsOf(network));
  const isStale = ({ destination, replySource }: Connection) =>
    !sameAddress(destination, replySource) &&
    subnets.some((subnet) => containsAddress(subnet, replySource)) &&
    !live.has(formatAddress(replySource));
  const stale = ([4, 6] as const).flatMap((family) =>
    listConnections(netfilterSocket(), { family }).filter(isStale),
  );
  return [...Map.groupBy(stale, ({ replySource }) => formatAddress(replySource))].map(([text, some]) => {
    const to = some.map(({ destination }) => destination).find((each): each is Address => each !== undefined);
    const evidence = `${some.length} to ${to ? formatAddress(to) : "this host"} lead to ${text}, which no container has`;
    const family = text.includes(":") ? ["-f", "ipv6"] : [];
    return finding("connection-stale", {
      subject: text,
      evidence,
      remedy: shell`conntrack -D ${family} --reply-src ${text}`,
    });
  });
}

/**
 * A file that cannot be read tells DEL and restore nothing. Where its container lives, the record comes back
 * with another ADD alone.
 */
function recordsDamaged(host: Host): Finding[] {
  return listDamagedRecords().map((path) => {
    const [network = "", name = ""] = path.split("/").slice(-2);
    const attached = host.attachments.find(
      (each) => each.network === network && name.startsWith(attachmentFileName(each, "")),
    );
    const rm = shell`rm ${path}`;
    if (!attached || (attached.state === "gone" && !isBlind(host)))
      return finding("record-damaged", { subject: path, evidence: "it is no record", remedy: rm });
    const evidence = `it is no record, and ${nameOf(attached)} lives`;
    const remedy = allOf(rm, reattaching(attached));
    return finding("record-damaged", { subject: path, evidence, remedy, isSafe: false });
  });
}
