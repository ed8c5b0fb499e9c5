/**
 * Ids of network namespaces: what one namespace calls another, as IFLA_LINK_NETNSID does.
 * linux/net_namespace.h, net/core/net_namespace.c.
 */
import { attributes } from "../netlink/attributes.ts";
import { NetlinkError } from "../netlink/error.ts";
import { messageCodec } from "../netlink/message.ts";
import { s32, struct, u8, u32 } from "../netlink/wire.ts";
import type { Netns } from "../netns/netns.ts";
import { AF_UNSPEC, type RouteSocket } from "./route-socket.ts";

const RTM_GETNSID = 90;
const NETNSA_NSID_NOT_ASSIGNED = -1;

/** struct rtgenmsg (linux/rtnetlink.h) */
export const rtgenmsg = struct({ family: u8 });

/** NETNSA_* */
export const namespaceIdAttributes = attributes("NETNSA", {
  nsid: [1, s32],
  pid: [2, u32],
  fd: [3, u32],
});

export const namespaceIdMessage = messageCodec(rtgenmsg, namespaceIdAttributes);

/**
 * What the namespace of the socket calls `netns`; undefined where it has no name for it, because no link
 * leads there. Equivalent to `ip netns list-id`.
 */
export function namespaceId(socket: RouteSocket, netns: Netns): number | undefined {
  const { nsid } = ask(socket, { fd: netns.fd });
  return nsid === NETNSA_NSID_NOT_ASSIGNED ? undefined : nsid;
}

/**
 * Whether the namespace that the socket's own calls `nsid` lives. One that nobody has any more keeps its id,
 * and its links their other ends, until the kernel has taken it down. True where the kernel cannot tell
 * (before Linux 4.20).
 */
export function isNamespaceAlive(socket: RouteSocket, nsid: number): boolean {
  try {
    ask(socket, { nsid });
    return true;
  } catch (error) {
    if (error instanceof NetlinkError && error.code === "ENOENT") return false;
    if (error instanceof NetlinkError && error.code === "EINVAL") return nsid >= 0;
    throw error;
  }
}

function ask(socket: RouteSocket, attributes: { fd: number } | { nsid: number }) {
  return socket.get({
    doing: "find the id of a namespace",
    name: "RTM_GETNSID",
    type: RTM_GETNSID,
    codec: namespaceIdMessage,
    header: { family: AF_UNSPEC },
    attributes,
  });
}
