/**
 * The container's port of its bridge, for containers that must not reach each other. No packet filter sees
 * what passes between two ports, unless br_netfilter shows it the bridge's frames; so the bridge has to keep
 * them apart. Where the filter does see them its rules do that, and the port is left as it is: from an
 * isolated one the container could not reach a port that its neighbour publishes.
 */
import { failed } from "../interface.ts";
import { findLink, type Link, setLink } from "../rtnetlink/link.ts";
import type { RouteSocket } from "../rtnetlink/route-socket.ts";
import { readSysctl } from "../sysctl.ts";

/** Whether packet filters see what is bridged, of both families: every neighbour has an IPv6 address. */
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

/** @throws CniError 100 where ADD isolated a port that the filter would keep apart by now */
export function checkPortJoined(host: RouteSocket, name: string): void {
  if (findLink(host, name)?.port?.isolated !== 1) return;
  const since =
    "bridged packets are filtered since ADD: from here the container reaches no port of a neighbour";
  throw failed(`Interface ${name} has isolation on, not off`, new Error(since));
}
