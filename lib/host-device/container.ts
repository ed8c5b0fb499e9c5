/** The namespaces that devices of the host are in, and which link in there is an attachment's. */
import type { Call } from "../cni/plugin.ts";
import { findNetns, netnsInode } from "../netns/netns.ts";
import { type Link, listLinks } from "../rtnetlink/link.ts";
import { openRouteSocket, type RouteSocket } from "../rtnetlink/route-socket.ts";
import { likeness } from "./device.ts";
import { type DeviceRecord, listOtherRecords } from "./record.ts";

export interface Container {
  readonly socket: RouteSocket;
  readonly netnsInode: string;
}

/** The namespace at a path; undefined where there is none. */
export function openContainer({ resources }: Call, path: string): Container | undefined {
  const netns = resources.use(findNetns(path));
  return netns && { socket: resources.use(openRouteSocket(netns)), netnsInode: netnsInode(netns) };
}

/** The namespace of the record, as the call or the record has its path; undefined once it is gone. */
export function openRecorded(call: Call, { netns, details }: DeviceRecord): Container | undefined {
  const paths = new Set([call.netnsPath, netns]);
  for (const path of paths) {
    const container = openContainer(call, path);
    if (container?.netnsInode === details.netnsInode) return container;
  }
  return undefined;
}

/**
 * The device in its container, under whatever name: the link that is most like it, unless that is as much
 * like the device of another attachment there. VLANs of one card have one MAC, and names come again.
 */
export function findInside({ socket, netnsInode }: Container, record: DeviceRecord): Link | undefined {
  const others = listOtherRecords(record).filter(({ details }) => details.netnsInode === netnsInode);
  let found: Link | undefined;
  let most = 0;
  for (const link of listLinks(socket)) {
    const like = likeness(link, record);
    if (like <= most || others.some((other) => likeness(link, other) >= like)) continue;
    [found, most] = [link, like];
  }
  return found;
}
