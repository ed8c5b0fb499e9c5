/**
 * The container's port of its bridge, for containers that must not reach each other: what passes between two
 * ports is seen by no packet filter unless br_netfilter shows it the bridge's frames, so the bridge itself has
 * to keep them apart. Where it does show them, the filter's rules do, and the port is left as it is: an isolated
 * one would not let the container reach its own published port by way of the host.
 */
import { failed } from "../interface.ts";
import { findLink, type Link, setLink } from "../rtnetlink/link.ts";
import type { RouteSocket } from "../rtnetlink/route-socket.ts";
import { readSysctl } from "../sysctl.ts";

/** Whether the packet filters see what is bridged, of both families: a neighbour has an IPv6 address anyway. */
export function areFramesFiltered(): boolean {
  return (
    readSysctl("net/bridge/bridge-nf-call-iptables") === "1" &&
    readSysctl("net/bridge/bridge-nf-call-ip6tables") === "1"
  );
}

/** Equivalent to `ip link set PORT type bridge_slave isolated on`. */
export function isolatePort(host: RouteSocket, port: string): void {
  setLink(host, { name: port }, { port: { isolated: 1 } });
}

/** The reverse, where the port is still there. */
export function joinPort(host: RouteSocket, port: string): void {
  const link = findLink(host, port);
  if (link?.port?.isolated === 1) setLink(host, link, { port: { isolated: 0 } });
}

/** @throws CniError 100 */
export function checkPortIsolated({ name, port }: Link): void {
  if (port?.isolated !== 1) throw failed(`Interface ${name} has isolation off, not on`);
}
