/** The host's interface to a container: its bridge, or the host's end of its pair. */
import { CniError } from "./cni/error.ts";
import type { Result } from "./cni/result.ts";
import { type Address, formatAddress } from "./netaddr/address.ts";
import { unlessMissing } from "./netlink/error.ts";
import { findLink, type Link, linkByIndex } from "./rtnetlink/link.ts";
import { routeTo } from "./rtnetlink/route.ts";
import type { RouteSocket } from "./rtnetlink/route-socket.ts";

/**
 * The interface that leads to the addresses: by the host's routes, if prevResult names it or names
 * none of the host; else what prevResult names, a bridge first. Equivalent to `ip route get ADDRESS`.
 * @throws CniError 7 when nothing leads there
 */
export function hostInterface(host: RouteSocket, prevResult: Result, addresses: readonly Address[]): Link {
  const names = hostNames(prevResult);
  for (const address of addresses) {
    const link = linkTo(host, address);
    if (link && (names.includes(link.name) || names.length === 0)) return link;
  }
  const links = linksOf(host, names);
  const link = links.find(({ kind }) => kind === "bridge") ?? links[0];
  if (link) return link;
  throw new CniError(
    CniError.INVALID_NETWORK_CONFIG,
    `no interface of this host leads to ${addresses.map(formatAddress).join(", ") || "the container"}`,
    { details: `prevResult names ${names.join(", ") || "none"}; a plugin before must connect the container` },
  );
}

/** The container's port of the bridge `via`: the one of those that prevResult names; undefined without. */
export function containerPort(host: RouteSocket, prevResult: Result, via: Link): Link | undefined {
  const names = hostNames(prevResult).filter((name) => name !== via.name);
  return linksOf(host, names).find(({ port, kind }) => port !== undefined && kind === "veth");
}

function hostNames({ interfaces = [] }: Result): string[] {
  return interfaces.filter(({ name, sandbox }) => name && !sandbox).map(({ name }) => name);
}

function linksOf(host: RouteSocket, names: readonly string[]): Link[] {
  return names.map((name) => findLink(host, name)).filter((link) => link !== undefined);
}

function linkTo(host: RouteSocket, address: Address): Link | undefined {
  const route = routeTo(host, address);
  if (!route || route.isLocal || route.oif === undefined) return undefined;
  const { oif } = route;
  return unlessMissing(() => linkByIndex(host, oif));
}
