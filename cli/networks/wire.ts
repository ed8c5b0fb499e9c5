/** The network that a macvlan's or an ipvlan's parent is on, as far as this host knows it. */
import type { Address } from "../../lib/netaddr/address.ts";
import { containsAddress, type Prefix } from "../../lib/netaddr/prefix.ts";
import { listAddresses } from "../../lib/rtnetlink/address.ts";
import { findLink, linkByIndex } from "../../lib/rtnetlink/link.ts";
import { listMainRoutes } from "../../lib/rtnetlink/route.ts";
import type { RouteSocket } from "../../lib/rtnetlink/route-socket.ts";
import type { DriverOptions } from "./driver-options.ts";

/** Where no parent is named it is the interface of the default route, as the plugins have it. */
export function withParent(options: DriverOptions, host: RouteSocket): DriverOptions {
  const parent = options.parent ?? interfaceOfDefaultRoute(host);
  return { ...options, ...(parent !== undefined && { parent }) };
}

/** The parent, with its VLAN. */
export function parentOf({ parent, vlan }: DriverOptions): string | undefined {
  return parent !== undefined && vlan !== undefined ? `${parent}.${vlan}` : parent;
}

/**
 * The router of the subnet, where this host has its default route by it, and the host's own addresses there,
 * which no container may get.
 */
export function wireThere(
  host: RouteSocket,
  parent: string,
  subnet: Prefix,
): { gateway: Address | undefined; ownAddresses: Address[] } {
  const link = findLink(host, parent);
  if (!link) return { gateway: undefined, ownAddresses: [] };
  const isInside = (address: Address | undefined) =>
    address !== undefined && containsAddress(subnet, address);
  const routes = listMainRoutes(host, subnet.address.family).filter(({ oif }) => oif === link.index);
  return {
    gateway: routes.find(({ dst, gateway }) => dst.length === 0 && isInside(gateway))?.gateway,
    ownAddresses: listAddresses(host, link)
      .map(({ prefix }) => prefix.address)
      .filter(isInside),
  };
}

function interfaceOfDefaultRoute(host: RouteSocket): string | undefined {
  const route = ([4, 6] as const)
    .flatMap((family) => listMainRoutes(host, family))
    .find(({ dst, oif }) => dst.length === 0 && oif !== undefined);
  return route?.oif === undefined ? undefined : linkByIndex(host, route.oif).name;
}
