/**
 * Ports that are published on an address which this host does not have. A plugin takes them, as the address
 * may come later, with keepalived for one; the tool says it.
 */
import type { JsonObject } from "../lib/cni/json.ts";
import { type Address, formatAddress } from "../lib/netaddr/address.ts";
import { listAddresses } from "../lib/rtnetlink/address.ts";
import { openRouteSocket } from "../lib/rtnetlink/route-socket.ts";
import { isOwnAddress } from "./inventory/own-address.ts";
import type { NetworkList } from "./runtime/network-list.ts";
import { type HostPort, publishedPorts } from "./shadowed-listeners.ts";

/** Says on stderr which addresses an attachment's ports are published on, and nobody has. */
export function warnOfAbsentAddresses(network: NetworkList, capabilityArgs: JsonObject): void {
  const ports = publishedPorts(network, capabilityArgs);
  if (!ports.some(({ hostIp }) => hostIp !== undefined)) return;
  using host = openRouteSocket();
  const present = listAddresses(host).map(({ prefix }) => prefix.address);
  const absent = new Set(findAbsent(ports, present).map(formatAddress));
  for (const address of absent) {
    console.error(
      `weft: no interface of this host has ${address}: what is published on it is not reached before one has`,
    );
  }
}

export function findAbsent(ports: readonly HostPort[], present: readonly Address[]): Address[] {
  return ports
    .flatMap(({ hostIp }) => (hostIp === undefined ? [] : [hostIp]))
    .filter((address) => !isOwnAddress(address, present));
}
