/**
 * The underlay: the network that the hosts of an overlay reach each other by, and this host's address in it.
 */
import { networkAlias } from "../alias.ts";
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
import { listRoutes, type Route, routeTo } from "../rtnetlink/route.ts";
import type { RouteSocket } from "../rtnetlink/route-socket.ts";
import type { UnderlayKeys } from "./record.ts";

/** lo, in every namespace (include/net/flow.h). */
const LOOPBACK_IFINDEX = 1;

/** This host in the underlay. */
export interface Underlay {
  /** The interface that has the address, or that the way out to the others leads by. */
  readonly link: Link;
  /** Where the other hosts send to. */
  readonly local: Address;
  /** Bytes that a packet may have on the way out. */
  readonly mtu: number;
}

/** What else is known. */
export interface Known {
  /** Of the other hosts' addresses. */
  readonly family?: Family | undefined;
  readonly remotes?: readonly Address[] | undefined;
  /** What the network's VXLAN device sends from: it stays, as long as the host has it where it is to be. */
  readonly current?: Address | undefined;
}

/** A way out of the host. */
interface Way {
  readonly family: Family;
  readonly oifs: readonly number[];
  /** What the host sends from on it. */
  readonly prefsrc: Address | undefined;
  /** Bytes: the metric of the route. */
  readonly mtu: number | undefined;
}

/** @throws CniError 7 for addresses that no host can have */
export function verifyUnderlay({ local }: UnderlayKeys): void {
  if (local) parseLocal(local);
}

/**
 * Finds this host's address: by `local`, else on `dev`, else that of the route to the others. Of IPv4 before
 * IPv6 where neither is asked for.
 * @throws CniError 7 that names the key
 */
export function findUnderlay(
  host: RouteSocket,
  { dev = "", local = "" }: UnderlayKeys,
  known: Known = {},
): Underlay {
  const link = dev === "" ? undefined : requireLink(host, dev);
  if (local !== "") return byLocal(host, { text: local, link }, known);
  const family = known.family ?? known.current?.family;
  if (!link) return byRoute(host, { ...known, family });
  const found = choose(listAddresses(host, link), { ...known, family });
  if (!found) throw noAddress(link, family);
  return { link, local: found.prefix.address, mtu: link.mtu };
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
  const isNone = [isMulticast, isUnspecified, isLoopback, isLinkLocal].some((is) => is(address));
  if (!text.includes("/") && isNone) {
    throw invalidConfig(`invalid "local": ${text} is no address that other hosts can send to`);
  }
  return prefix;
}

/** Without `dev` the interfaces that weft made do not count: every host has a gateway's address. */
function byLocal(
  host: RouteSocket,
  { text, link: dev }: { text: string; link: Link | undefined },
  known: Known,
): Underlay {
  const wanted = parseLocal(text);
  const { family } = wanted.address;
  if (known.family !== undefined && known.family !== family) {
    const details = `the addresses of the other hosts are IPv${known.family}`;
    throw invalidConfig(`invalid "local": ${text} is IPv${family}`, details);
  }
  const within = listAddresses(host, dev).filter(({ prefix }) => containsAddress(wanted, prefix.address));
  const links = dev
    ? [dev]
    : linksOf(host, within).filter(({ alias }) => !alias.startsWith(networkAlias("")));
  const held = within.filter(({ ifindex }) => links.some(({ index }) => index === ifindex));
  const found = choose(held, known);
  if (!found) {
    const where = dev ? `"${dev.name}"` : "this host";
    throw invalidConfig(`invalid "local": ${where} has no address ${text.includes("/") ? "in " : ""}${text}`);
  }
  const local = found.prefix.address;
  const told = [known.current, ...(known.remotes ?? [])].some((each) => each && sameAddress(each, local));
  if (!told) refuseAmbiguous(held, { text, local, links });
  const link = links.find(({ index }) => index === found.ifindex) ?? linkByIndex(host, found.ifindex);
  // what carries nothing itself says nothing of the way out
  const hasWire = link.index !== LOOPBACK_IFINDEX && link.kind !== "dummy";
  const way = hasWire ? undefined : defaultWay(host, family);
  return { link, local, mtu: way ? mtuOfWay(host, way) : link.mtu };
}

function linksOf(host: RouteSocket, addresses: readonly LinkAddress[]): Link[] {
  const indices = new Set(addresses.map(({ ifindex }) => ifindex));
  return [...indices].flatMap((ifindex) => unlessMissing(() => linkByIndex(host, ifindex)) ?? []);
}

/** Which of several interfaces came first is chance, and another one after the next boot. */
function refuseAmbiguous(
  held: readonly LinkAddress[],
  { text, local, links }: { text: string; local: Address; links: readonly Link[] },
): void {
  const usable = held.filter(isUsable);
  const named = links.flatMap(({ index, name }) => {
    const own = usable.filter(({ ifindex }) => ifindex === index).map(({ prefix }) => prefix.address);
    const shown = own.find((address) => sameAddress(address, local)) ?? own[0];
    return shown ? [{ name, address: formatAddress(shown) }] : [];
  });
  if (new Set(named.map(({ address }) => address)).size < 2) return;
  const all = named.map(({ name, address }) => `"${name}" (${address})`).join(", ");
  throw invalidConfig(
    `invalid "local": several interfaces have an address in ${text}: ${all}`,
    'set "dev" as well, or a smaller subnet',
  );
}

function byRoute(host: RouteSocket, known: Known): Underlay {
  const { family, remotes = [] } = known;
  const way = wayToOne(host, withoutOwn(host, remotes)) ?? defaultWay(host, family);
  if (!way) {
    const kept = keptAnywhere(host, known);
    if (kept) return kept;
    const [remote] = remotes;
    const where = remote ? `route to ${formatAddress(remote)}` : "default route";
    const details = 'set "dev" to the interface to use, or "local" to its address';
    throw invalidConfig(`this host has no ${where}`, details);
  }
  const { oifs, prefsrc } = way;
  const held = listAddresses(host).filter(
    ({ ifindex, prefix }) => oifs.includes(ifindex) || (prefsrc && sameAddress(prefix.address, prefsrc)),
  );
  const found = choose(held, { ...known, family: way.family }, way);
  const index = oifs.find((oif) => oif === found?.ifindex) ?? oifs[0] ?? 0; // a way has one
  const link = linkByIndex(host, index);
  if (!found) throw noAddress(link, way.family);
  return { link, local: found.prefix.address, mtu: mtuOfWay(host, way) };
}

/** A route may be away for a moment, while its router or the host's DHCP client starts again. */
function keptAnywhere(host: RouteSocket, { family, current }: Known): Underlay | undefined {
  if (!current || (family !== undefined && family !== current.family)) return undefined;
  const found = listAddresses(host).find(({ prefix }) => sameAddress(prefix.address, current));
  const link = found && linkByIndex(host, found.ifindex);
  return link && { link, local: current, mtu: link.mtu };
}

/** The way to the first that can be reached. */
function wayToOne(host: RouteSocket, remotes: readonly Address[]): Way | undefined {
  for (const remote of remotes) {
    const route = routeTo(host, remote);
    const match = route && routeTo(host, remote, { isMatch: true }); // it has all ways, and the metric
    if (!match) continue;
    const oifs = oifsOf(match);
    if (oifs.length > 0) return { family: remote.family, oifs, prefsrc: route.prefsrc, mtu: match.mtu };
  }
  return undefined;
}

/** The default route of the least metric. */
function defaultWay(host: RouteSocket, family: Family | undefined): Way | undefined {
  for (const each of [4, 6] as const) {
    if (family !== undefined && family !== each) continue;
    const all = unlessMissing(() => listRoutes(host, { family: each })) ?? [];
    const routes = all.filter((route) => route.dst.length === 0 && oifsOf(route).length > 0);
    const [first] = routes.sort((a, b) => (a.priority ?? 0) - (b.priority ?? 0));
    if (first) return { family: each, oifs: oifsOf(first), prefsrc: first.prefsrc, mtu: first.mtu };
  }
  return undefined;
}

function oifsOf({ oif, oifs }: Pick<Route, "oif" | "oifs">): readonly number[] {
  return oifs ?? (oif === undefined ? [] : [oif]);
}

/** Bytes that a packet may have on a way: the least of the metric and the interfaces' MTUs, if it has any. */
export function mtuOfWay(host: RouteSocket, way: Pick<Route, "oif" | "oifs" | "mtu">): number {
  const links = oifsOf(way).flatMap((oif) => unlessMissing(() => linkByIndex(host, oif)) ?? []);
  return Math.min(way.mtu || Number.POSITIVE_INFINITY, ...links.map(({ mtu }) => mtu));
}

/**
 * Of several addresses the one that is used already; else the one that the others have listed, that lasts,
 * that the host sends from, and that it has had longest: one that moves between hosts comes later.
 */
function choose(
  held: readonly LinkAddress[],
  { family, remotes = [], current }: Known,
  { oifs = [], prefsrc }: Partial<Way> = {},
): LinkAddress | undefined {
  const isOne = (wanted: Address | undefined) => (each: LinkAddress) =>
    wanted !== undefined && sameAddress(each.prefix.address, wanted);
  const kept = family === undefined || current?.family === family ? held.find(isOne(current)) : undefined;
  if (kept && !kept.dadFailed) return kept;
  const usable = held.filter(isUsable);
  const ofFamily = (wanted: Family) => usable.filter(({ prefix }) => prefix.address.family === wanted);
  const ipv4 = family === 6 ? [] : ofFamily(4);
  // the kernel lists IPv6 addresses from the newest on
  let rest = ipv4.length > 0 || family === 4 ? ipv4 : ofFamily(6).toReversed();
  const preferences: ((each: LinkAddress) => boolean)[] = [
    (each) => remotes.some((remote) => isOne(remote)(each)),
    ({ deprecated, temporary }) => !deprecated && !temporary,
    isOne(prefsrc),
    ({ ifindex }) => ifindex === oifs[0],
  ];
  for (const isPreferred of preferences) {
    const preferred = rest.filter(isPreferred);
    if (preferred.length > 0) rest = preferred;
  }
  return rest[0];
}

function noAddress({ name }: Link, family: Family | undefined): CniError {
  const what = family === undefined ? "address" : `IPv${family} address`;
  return invalidConfig(`"${name}" has no ${what} that other hosts can send to`, 'set "dev" or "local"');
}

function isUsable({ prefix: { address }, tentative, optimistic, dadFailed }: LinkAddress): boolean {
  return (!tentative || optimistic) && !dadFailed && !isLinkLocal(address) && !isLoopback(address);
}
