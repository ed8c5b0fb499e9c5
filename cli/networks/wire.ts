/** The network that a macvlan's or an ipvlan's parent is on, as far as this host knows it. */
import type { Address } from "../../lib/netaddr/address.ts";
import { containsAddress, type Prefix } from "../../lib/netaddr/prefix.ts";
import { listAddresses } from "../../lib/rtnetlink/address.ts";
import { findLink, linkByIndex, listLinks } from "../../lib/rtnetlink/link.ts";
import { listMainRoutes } from "../../lib/rtnetlink/route.ts";
import type { RouteSocket } from "../../lib/rtnetlink/route-socket.ts";
import { nearestName } from "../containers/nearest.ts";
import type { DriverOptions } from "./driver-options.ts";

const SUB_INTERFACE = /^(.+)\.(\d+)$/;
const VLAN_ID_MAX = 4_094;

/** Where no parent is named it is the interface of the default route, as the plugins have it. */
export function withParent(options: DriverOptions, host: RouteSocket): DriverOptions {
  const parent = options.parent ?? interfaceOfDefaultRoute(host);
  return { ...options, ...(parent !== undefined && { parent }) };
}

/**
 * The parent that is asked for is there, or is a VLAN to be made on an interface that is.
 * @throws Error that says what is wrong with it
 */
export function verifyParent({ parent, vlan }: DriverOptions, host: RouteSocket): void {
  if (parent === undefined || findLink(host, parent)) return;
  const [, base = parent, id] = SUB_INTERFACE.exec(parent) ?? [];
  if (!findLink(host, base)) throw missingInterface(base, host);
  if (Number(id) < 1 || Number(id) > VLAN_ID_MAX) {
    throw new SyntaxError(`--opt parent=${parent}: there is no VLAN ${id}, they are 1 to ${VLAN_ID_MAX}`);
  }
  if (vlan !== undefined) {
    throw new SyntaxError(`--opt parent=${parent} has a VLAN already: leave out --opt vlan=${vlan}`);
  }
}

/** No interface has a larger MTU than the one below it. @throws SyntaxError */
export function verifyMtuOn({ parent, mtu }: DriverOptions, host: RouteSocket): void {
  if (parent === undefined || mtu === undefined) return;
  const [, base = parent] = SUB_INTERFACE.exec(parent) ?? [];
  const link = findLink(host, parent) ?? findLink(host, base);
  if (!link || mtu <= link.mtu) return;
  throw new SyntaxError(`--opt mtu=${mtu} is above that of ${link.name}, which is ${link.mtu}`);
}

function missingInterface(name: string, host: RouteSocket): Error {
  const names = listLinks(host)
    .map((link) => link.name)
    .filter((each) => each !== "lo");
  const nearest = nearestName(name, names);
  const question = nearest === undefined ? "" : `; did you mean ${nearest}?`;
  const there = names.length > 0 ? `there are ${names.join(", ")}` : "there is none but lo";
  return new Error(`no interface "${name}" on this host: ${there}${question}`);
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
