/**
 * A container's veth pair: one end in its namespace, the
 * other on the host under an alias that says whose it is.
 */
import { attachmentOf, isSameAttachment } from "./alias.ts";
import { CniError } from "./cni/error.ts";
import { randomMac } from "./netaddr/mac.ts";
import { NetlinkError, unlessMissing } from "./netlink/error.ts";
import type { Netns } from "./netns/netns.ts";
import {
  createVeth,
  deleteLinkIfThere,
  findLink,
  type Link,
  linkByIndex,
  listLinks,
} from "./rtnetlink/link.ts";
import type { RouteSocket } from "./rtnetlink/route-socket.ts";
import type { AttachmentName } from "./state/record.ts";

/** "veth" and eight random hexadecimal digits: two links in 2^32 share a name. */
export function randomVethName(): string {
  return `veth${crypto.getRandomValues(new Uint8Array(4)).toHex()}`;
}

export interface VethPair {
  /** Name of the end on the host. */
  readonly hostName: string;
  /** ifindex of the bridge that end becomes a port of. */
  readonly master?: number | undefined;
  /** Name of the other end, and the namespace it is in: the host's own when undefined. */
  readonly name: string;
  readonly netns?: Netns | undefined;
  readonly mac?: Uint8Array | undefined;
  /** Bytes; the kernel's default when undefined. */
  readonly mtu?: number | undefined;
  /** Whose the end on the host is. */
  readonly alias: string;
}

/**
 * Makes the pair in one message, both ends down. Both MACs are given, so that udev leaves them as they are
 * (addr_assign_type NET_ADDR_SET).
 */
export function createVethPair(host: RouteSocket, pair: VethPair): void {
  const { hostName, master, name, netns, mac = randomMac(), mtu, alias } = pair;
  try {
    createVeth(host, {
      name: hostName,
      master,
      mac: randomMac(),
      mtu,
      alias,
      peer: { name, netns, mac, mtu },
    });
  } catch (error) {
    if (!(error instanceof NetlinkError) || error.code !== "EXFULL") throw error;
    throw new CniError(CniError.INTERNAL, "the bridge is full: it takes no further port", { cause: error });
  }
}

/** The end on the host of a container's interface, if that is a veth whose other end is there. */
export function findHostEnd(host: RouteSocket, inside: Link): Link | undefined {
  if (inside.kind !== "veth" || inside.link === undefined) return undefined;
  const { link: index } = inside;
  const outside = unlessMissing(() => linkByIndex(host, index));
  return outside?.kind === "veth" && outside.link === inside.index ? outside : undefined;
}

/**
 * Deletes the attachment's pair, from whichever side it can be found: the container's interface, the
 * name in the record, the alias. An interface of that name which belongs to another attachment stays.
 */
export function deleteVethPair(
  { host, container }: { host: RouteSocket; container: RouteSocket | undefined },
  attachment: AttachmentName,
  hostName: string | undefined,
): void {
  const inside = container && findLink(container, attachment.ifname);
  if (container && inside?.kind === "veth" && !belongsToAnother(findHostEnd(host, inside), attachment)) {
    deleteLinkIfThere(container, inside.name);
    return;
  }
  const recorded = hostName === undefined ? undefined : findLink(host, hostName);
  const outside = recorded ?? findByAlias(host, attachment);
  if (outside?.kind === "veth" && !belongsToAnother(outside, attachment))
    deleteLinkIfThere(host, outside.name);
}

/** Every end on the host that says it is an attachment's of this network. */
export function listHostEnds(host: RouteSocket, network: string): (AttachmentName & { hostName: string })[] {
  return listLinks(host, { kind: "veth" }).flatMap((link) => {
    const attachment = attachmentOf(link);
    return attachment?.network === network ? { ...attachment, hostName: link.name } : [];
  });
}

/** The end on the host where no record tells its name, or somebody gave it another. */
function findByAlias(host: RouteSocket, attachment: AttachmentName): Link | undefined {
  const end = listHostEnds(host, attachment.network).find((it) => isSameAttachment(it, attachment));
  return end && findLink(host, end.hostName);
}

function belongsToAnother(link: Link | undefined, attachment: AttachmentName): boolean {
  const owner = link && attachmentOf(link);
  return owner !== undefined && !isSameAttachment(owner, attachment);
}
