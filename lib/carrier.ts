/**
 * When the two ends of a veth pair can be used: the kernel's worker takes note of the carrier of each by
 * itself.
 */
import { CniError } from "./cni/error.ts";
import type { IpConfig } from "./cni/result.ts";
import { awaitFindable } from "./neighbour-discovery.ts";
import { inNetns } from "./netns/netns.ts";
import { awaitRunning, type Link } from "./rtnetlink/link.ts";
import type { RouteSocket } from "./rtnetlink/route-socket.ts";
import type { Sandbox } from "./sandbox.ts";

/** A veth has carrier as soon as both ends are up; the worker takes note within a second. */
const TIMEOUT_MS = 2_000;

/**
 * Waits until the link has carrier, and its bridge knows. Of the namespace the process runs in.
 * @throws CniError 999 when it has none
 */
export function awaitCarrier(socket: RouteSocket, name: string, { what = "interface" } = {}): Link {
  const link = awaitRunning(socket, name, TIMEOUT_MS);
  if (link) return link;
  throw new CniError(CniError.INTERNAL, `${what} in error state: "${name}" has no carrier`);
}

/**
 * Waits until the container's end sends, and neighbours find it: without carrier it gets nothing that is sent
 * to a multicast group. It may take a second where both ends happen to have the same ifindex
 * (net/core/link_watch.c, linkwatch_urgent_event); since Linux 6.8 looking at a link is enough.
 */
export function awaitContainer(
  { container, netns }: Sandbox,
  { name }: Link,
  ips: readonly IpConfig[],
): void {
  inNetns(netns, () => {
    const link = awaitCarrier(container, name);
    awaitFindable(
      container,
      link,
      ips.map(({ address }) => address.address),
    );
  });
}
