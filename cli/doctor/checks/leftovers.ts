/** What is left of containers that are gone, as findings. */

import { attachmentOf } from "../../../lib/alias.ts";
import { type Connection, listConnections } from "../../../lib/conntrack/conntrack.ts";
import { type Address, formatAddress, sameAddress } from "../../../lib/netaddr/address.ts";
import { containsAddress } from "../../../lib/netaddr/prefix.ts";
import { netfilterSocket } from "../../../lib/netfilter/socket.ts";
import type { Link } from "../../../lib/rtnetlink/link.ts";
import { listDirectory } from "../../../lib/sys/file.ts";
import type { FaultId } from "../faults.ts";
import { type Finding, finding, shellWord } from "../finding.ts";
import { type Attached, type Host, nameOf } from "../host.ts";
import { findLeftovers, isGone, type Leftover } from "../leftovers.ts";
import { subnetsOf } from "./subnets.ts";

/** Of every network, also of those that have no file any more. */
const COLLECT = "weft gc";
const RECORDS_DIR = "/run/weft/attachments";
/** More than these are not looked through. */
const CONNECTIONS_MAX = 200_000;

const FAULTS_OF = {
  lease: "lease-orphaned",
  rule: "rule-orphaned",
  claim: "claim-orphaned",
} as const satisfies Record<Leftover["kind"], FaultId>;

export function checkLeftovers(host: Host): Finding[] {
  return [
    ...host.attachments.filter(isGone).map(gone),
    ...leftBehind(host),
    ...host.stack.links.filter(({ kind }) => kind === "veth").flatMap((link) => vethOrphaned(host, link)),
    ...connectionsStale(host),
    ...recordsDamaged(host),
  ];
}

function gone(attached: Attached): Finding {
  const { namespace, netns, ifname } = attached;
  const evidence = namespace ? `there is no ${ifname} in ${netns}` : `its namespace ${netns} is gone`;
  return finding("attachment-gone", { subject: nameOf(attached), evidence, remedy: COLLECT });
}

/** One finding a container and kind. */
function leftBehind(host: Host): Finding[] {
  const groups = Map.groupBy(
    findLeftovers(host),
    ({ kind, network, containerId }) => `${kind} ${network} ${containerId}`,
  );
  return [...groups.values()].flatMap(([first, ...others]) => {
    if (!first) return [];
    const { kind, network, containerId, place } = first;
    const more = others.length > 0 ? ` and ${others.length} more` : "";
    const whose = containerId === "" ? "nobody" : containerId;
    const evidence = `${place}${more}: of ${whose} on network ${network}, which is not there`;
    return finding(FAULTS_OF[kind], {
      subject: containerId || network,
      evidence,
      remedy: COLLECT,
    });
  });
}

/**
 * A pair both of whose ends are on the host, one in a bridge of containers, was to be a container's; or one
 * whose alias names an attachment that nothing else knows of, which may be alive all the same.
 */
function vethOrphaned(host: Host, link: Link): Finding[] {
  const { stack, view, attachments } = host;
  const peer = view.peerOf(stack, link);
  const remedy = `ip link delete ${link.name}`;
  const owner = attachmentOf(link);
  if (owner) {
    const attached = attachments.find(({ outside }) => outside?.index === link.index);
    if (attached && (attached.cached || attached.records.length > 0)) return [];
    const evidence = `its alias names ${owner.containerId} on network ${owner.network}, of which there is neither record nor result`;
    const isSafe = peer === undefined || peer.stack === stack;
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
  return [
    finding("veth-orphaned", { subject: link.name, evidence, remedy, isSafe: !isUsed && !peer.link.up }),
  ];
}

/** A client's packets of a connection that is known are led where its first one was. */
function connectionsStale(host: Host): Finding[] {
  const { stack, view } = host;
  if (Number(stack.sysctl("net/netfilter/nf_conntrack_count") ?? 0) > CONNECTIONS_MAX) return [];
  const live = new Set(
    view.stacks.flatMap(({ addresses }) => addresses.map(({ prefix }) => formatAddress(prefix.address))),
  );
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
    const family = text.includes(":") ? " -f ipv6" : "";
    return finding("connection-stale", {
      subject: text,
      evidence,
      remedy: `conntrack -D${family} --reply-src ${text}`,
    });
  });
}

/** A file that is not read is nobody's record: its attachment's others may be. */
function recordsDamaged({ attachments }: Host): Finding[] {
  const known = new Set(
    attachments.flatMap(({ records }) =>
      records.map(
        ({ network, containerId, ifname, plugin }) => `${network}/${containerId}:${ifname}:${plugin}`,
      ),
    ),
  );
  return listDirectory(RECORDS_DIR).flatMap((network) =>
    listDirectory(`${RECORDS_DIR}/${network}`)
      .filter((name) => !name.endsWith(":new") && !known.has(`${network}/${name}`) && !isHashed(name))
      .map((name) => {
        const path = `${RECORDS_DIR}/${network}/${name}`;
        return finding("record-damaged", {
          subject: path,
          evidence: "it is no record",
          remedy: `rm ${shellWord(path)}`,
        });
      }),
  );
}

/** The name of a record whose attachment's id is too long for a file's name. */
function isHashed(name: string): boolean {
  return /^[0-9a-f]{64}:/.test(name);
}
