/**
 * The underlay: the network that the hosts of an overlay reach each other by, and this host's address in it.
 */
import { CniError, invalidConfig } from "../cni/error.ts";
import {
  type Address,
  type Family,
  formatAddress,
  isLinkLocal,
  isLoopback,
  isMulticast,
  isUnspecified,
  parseAddress,
  sameAddress,
} from "../netaddr/address.ts";
import { containsAddress, hostPrefix, type Prefix, parsePrefix } from "../netaddr/prefix.ts";
import { unlessMissing } from "../netlink/error.ts";
import { type LinkAddress, listAddresses } from "../rtnetlink/address.ts";
import { findLink, type Link, linkByIndex } from "../rtnetlink/link.ts";
import { listRoutes, routeTo } from "../rtnetlink/route.ts";
import type { RouteSocket } from "../rtnetlink/route-socket.ts";
import type { UnderlayKeys } from "./record.ts";

/** This host in the underlay. */
export interface Underlay {
  /** The interface that has the address. */
  readonly link: Link;
  /** Where the other hosts send to. */
  readonly local: Address;
}

/** What else is known of the others. */
export interface Others {
  /** Their family, where that is known. */
  readonly family?: Family | undefined;
  readonly remotes?: readonly Address[] | undefined;
}

/** @throws CniError 7 for addresses that no host can have */
export function verifyUnderlay({ local }: UnderlayKeys): void {
  if (local) parseLocal(local);
}

/**
 * Finds this host's address: by `local`, else on `dev`, else that of the route to the others. Of several of
 * an interface the first counts, of IPv4 before IPv6 where neither is asked for.
 * @throws CniError 7 that names the key
 */
export function findUnderlay(
  host: RouteSocket,
  { dev = "", local = "" }: UnderlayKeys,
  others: Others = {},
): Underlay {
  const link = dev === "" ? undefined : requireLink(host, dev);
  if (local !== "") return underlayOf(host, parseLocal(local), { text: local, link, family: others.family });
  if (link) return { link, local: firstAddress(host, link, others.family) };
  return byRoute(host, others);
}

/** The addresses, but for those that are this host's own: one list serves all hosts. */
export function withoutOwn(host: RouteSocket, remotes: readonly Address[]): Address[] {
  const held = listAddresses(host).map(({ prefix }) => prefix.address);
  return remotes.filter((remote) => !held.some((address) => sameAddress(address, remote)));
}

function requireLink(host: RouteSocket, dev: string): Link {
  const link = findLink(host, dev);
  if (!link) throw invalidConfig(`invalid "dev": no interface "${dev}" on this host`);
  return link;
}

/** An address, or a subnet that it is in. @throws CniError 7 */
function parseLocal(text: string): Prefix {
  let prefix: Prefix;
  try {
    prefix = text.includes("/") ? parsePrefix(text) : hostPrefix(parseAddress(text));
  } catch (cause) {
    throw new CniError(CniError.INVALID_NETWORK_CONFIG, `invalid "local": ${JSON.stringify(text)}`, {
      cause,
    });
  }
  const { address } = prefix;
  if (!text.includes("/") && (isMulticast(address) || isUnspecified(address) || isLoopback(address))) {
    throw invalidConfig(`invalid "local": ${text} is no address that other hosts can send to`);
  }
  return prefix;
}

function underlayOf(
  host: RouteSocket,
  wanted: Prefix,
  { text, link, family }: { text: string; link: Link | undefined; family: Family | undefined },
): Underlay {
  if (family !== undefined && family !== wanted.address.family) {
    const details = `the addresses of the other hosts are IPv${family}`;
    throw invalidConfig(`invalid "local": ${text} is IPv${wanted.address.family}`, details);
  }
  const candidates = listAddresses(host, link).filter(
    (each) => isUsable(each) && containsAddress(wanted, each.prefix.address),
  );
  const [found] = candidates;
  if (found) return { link: link ?? linkByIndex(host, found.ifindex), local: found.prefix.address };
  const where = link ? `"${link.name}"` : "this host";
  throw invalidConfig(`invalid "local": ${where} has no address ${text.includes("/") ? "in " : ""}${text}`);
}

function byRoute(host: RouteSocket, { family, remotes = [] }: Others): Underlay {
  for (const remote of withoutOwn(host, remotes)) {
    const route = routeTo(host, remote);
    if (route?.oif === undefined) continue;
    const link = linkByIndex(host, route.oif);
    return { link, local: route.prefsrc ?? firstAddress(host, link, remote.family) };
  }
  for (const each of [4, 6] as const) {
    if (family !== undefined && family !== each) continue;
    const all = unlessMissing(() => listRoutes(host, { family: each })) ?? [];
    const routes = all.filter(({ dst, oif }) => dst.length === 0 && oif !== undefined);
    const [first] = routes.sort((a, b) => (a.priority ?? 0) - (b.priority ?? 0));
    if (first?.oif === undefined) continue;
    const link = linkByIndex(host, first.oif);
    return { link, local: first.prefsrc ?? firstAddress(host, link, each) };
  }
  const [remote] = remotes;
  const where = remote ? `route to ${formatAddress(remote)}` : "default route";
  throw invalidConfig(
    `this host has no ${where}`,
    'set "dev" to the interface to use, or "local" to its address',
  );
}

function firstAddress(host: RouteSocket, link: Link, family: Family | undefined): Address {
  const usable = listAddresses(host, link).filter(isUsable);
  for (const each of [4, 6] as const) {
    if (family !== undefined && family !== each) continue;
    const found = usable.find(({ prefix }) => prefix.address.family === each);
    if (found) return found.prefix.address;
  }
  const what = family === undefined ? "address" : `IPv${family} address`;
  throw invalidConfig(`"${link.name}" has no ${what} that other hosts can send to`, 'set "dev" or "local"');
}

function isUsable({ prefix: { address }, tentative, optimistic, dadFailed }: LinkAddress): boolean {
  return (!tentative || optimistic) && !dadFailed && !isLinkLocal(address) && !isLoopback(address);
}
