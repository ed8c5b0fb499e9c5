/** The host as the containers' router: that it forwards, that it knows its way to them, and to the world. */
import { type Address, formatAddress, sameAddress } from "../../../lib/netaddr/address.ts";
import { containsAddress, formatPrefix, samePrefix } from "../../../lib/netaddr/prefix.ts";
import type { Link } from "../../../lib/rtnetlink/link.ts";
import type { Route } from "../../../lib/rtnetlink/route.ts";
import { lookUpRoute, ROUTE_TYPES, type RouteFound } from "../../../lib/rtnetlink/route-lookup.ts";
import { setting, settingName } from "../../inventory/setting.ts";
import type { Stack } from "../../inventory/stack.ts";
import { allOf, type ShellCommand, shell } from "../../terminal/shell.ts";
import { type Finding, finding } from "../finding.ts";
import {
  type Attached,
  type Host,
  hostSideOf,
  inContainer,
  isRoutedByHost,
  nameOf,
  promisedAddresses,
} from "../host.ts";

/** linux/rtnetlink.h */
const RTPROT_RA = 9;
/** Routes that lead nowhere, by what `ip route` calls them. */
const REFUSING: Readonly<Record<number, string>> = {
  [ROUTE_TYPES.blackhole]: "blackhole",
  [ROUTE_TYPES.unreachable]: "unreachable",
  [ROUTE_TYPES.prohibit]: "prohibit",
};

export function checkForwarding(host: Host): Finding[] {
  return [
    ...forwardingOff(host, 4),
    ...forwardingOff(host, 6),
    ...routerAdvertisements(host),
    ...host.attachments.flatMap((attached) => waysTo(host, attached)),
    ...rpFilterOfHost(host),
    ...host.attachments.flatMap(rpFilterOfContainer),
  ];
}

/** IPv4 asks the host, and the interface that a packet comes by; IPv6 the host alone. */
function forwardingOff(host: Host, family: 4 | 6): Finding[] {
  const { stack } = host;
  const routed = host.attachments.filter((attached) => isRoutedByHost(host, attached, family));
  const [first] = routed;
  if (!first) return [];
  const who =
    routed.length === 1 ? `the gateway of ${nameOf(first)}` : `the gateway of ${routed.length} containers`;
  const off = (key: string, subject: string) => {
    if (stack.sysctl(key) !== "0") return [];
    const evidence = `${settingName(key)} is 0, and this host is ${who}`;
    return [finding("forwarding-off", { subject, evidence, remedy: setting(key, 1) })];
  };
  if (family === 6) return off("net/ipv6/conf/all/forwarding", "IPv6");
  const general = off("net/ipv4/ip_forward", "IPv4");
  if (general.length > 0) return general;
  const sides = routed.flatMap((attached) => hostSideOf(host, attached)?.name ?? []);
  const uplinks = defaultRoutes(stack, 4).flatMap((route) => linkOf(stack, route)?.name ?? []);
  return [...new Set([...sides, ...uplinks])].flatMap((name) =>
    off(`net/ipv4/conf/${name}/forwarding`, name),
  );
}

/** A forwarding host ignores routers' advertisements unless accept_ra is 2, and its route runs out. */
function routerAdvertisements({ stack }: Host): Finding[] {
  if (stack.sysctl("net/ipv6/conf/all/forwarding") !== "1") return [];
  return defaultRoutes(stack, 6)
    .filter(({ protocol }) => protocol === RTPROT_RA)
    .flatMap((route) => {
      const name = linkOf(stack, route)?.name;
      const key = `net/ipv6/conf/${name}/accept_ra`;
      if (name === undefined || stack.sysctl(key) !== "1") return [];
      const evidence = `its default route came from a router, this host forwards, and ${settingName(key)} is 1, not 2`;
      return finding("router-advertisements-ignored", {
        subject: name,
        evidence,
        remedy: setting(key, 2),
      });
    });
}

/** Whether the host sends to the container by the interface that leads there. */
function waysTo(host: Host, attached: Attached): Finding[] {
  const { stack } = host;
  const side = hostSideOf(host, attached);
  if (!side?.up || !attached.inside) return [];
  const has = attached.inside.stack.addressesOf(attached.inside.link);
  return promisedAddresses(attached).flatMap(({ address: prefix }) => {
    const { address } = prefix;
    const isThere = has.some((each) => each.prefix.address.value === address.value);
    if (!isThere || !isRoutedByHost(host, attached, address.family)) return [];
    const way = lookUpRoute(stack.socket, { destination: address });
    if (typeof way !== "string" && way.type === ROUTE_TYPES.unicast && way.oif === side.index) return [];
    return wrongWay(host, attached, { side, address, way });
  });
}

interface Way {
  readonly side: Link;
  readonly address: Address;
  readonly way: RouteFound | string;
}

function wrongWay({ stack }: Host, attached: Attached, { side, address, way }: Way): Finding[] {
  const subject = nameOf(attached);
  const text = formatAddress(address);
  const remedy = shell`ip route replace ${text} dev ${side.name}`;
  const isInTable = stack.routes.some(({ dst, oif }) => oif === side.index && containsAddress(dst, address));
  const refusal = typeof way === "string" ? way : REFUSING[way.type];
  if (typeof way !== "string" && way.type === ROUTE_TYPES.local) {
    return heldByHost(stack, attached, { side, address, way });
  }
  if (refusal !== undefined && isInTable) {
    // The route is there, and a rule comes before it, or a route that leads nowhere.
    const evidence = `${text} is behind ${side.name}, and a rule or a route of this host forbids it (${refusal})`;
    return [finding("route-elsewhere", { subject, evidence, remedy: showing(text) })];
  }
  if (typeof way === "string" || way.oif === undefined || way.prefixLength === 0) {
    const evidence = `no route of this host leads to ${text}, which is behind ${side.name}`;
    return [finding("host-route-missing", { subject, evidence, remedy })];
  }
  const other = stack.link(way.oif)?.name ?? `interface ${way.oif}`;
  const by = formatPrefix({ address, length: way.prefixLength });
  const evidence = `${text} is behind ${side.name}, but this host sends it by ${other} (route to ${by})`;
  return [finding("route-elsewhere", { subject, evidence, remedy })];
}

/** Table local comes first: no other route leads there while the host has the address itself. */
function heldByHost(stack: Stack, attached: Attached, { side, address }: Way): Finding[] {
  const text = formatAddress(address);
  const held = stack.addresses.find(({ prefix }) => sameAddress(prefix.address, address));
  const link = held && stack.link(held.ifindex);
  if (!held || !link) {
    const evidence = `${text} is behind ${side.name}, and a route of this host's table local takes it for its own`;
    return [finding("route-elsewhere", { subject: nameOf(attached), evidence, remedy: showing(text) })];
  }
  if (link.index === side.index && side.kind === "bridge") return []; // seen among those on the bridge
  const evidence = `${link.name} of this host has it, and it was given to ${nameOf(attached)}`;
  const remedy = shell`ip address del ${formatPrefix(held.prefix)} dev ${link.name}`;
  return [finding("address-conflict", { subject: text, evidence, remedy })];
}

function showing(address: string): ShellCommand {
  return allOf(shell`ip rule show`, shell`ip route show table all match ${address}`);
}

/**
 * Strict filtering (RFC 3704) drops what comes by an interface that the answer would not leave by: what
 * clients beyond a second uplink's gateway send to published ports.
 */
function rpFilterOfHost({ stack, attachments }: Host): Finding[] {
  if (!attachments.some(({ ports }) => ports.length > 0)) return [];
  const [best, ...others] = defaultRoutes(stack, 4);
  const links = new Set(others.map(({ oif }) => oif).filter((oif) => oif !== undefined && oif !== best?.oif));
  return [...links].flatMap((index) => {
    const link = index === undefined ? undefined : stack.link(index);
    if (!link || !isStrict(stack, link)) return [];
    const preferred = best && linkOf(stack, best)?.name;
    const evidence = `rp_filter of ${link.name} is 1, but answers to clients beyond its gateway leave by ${preferred}`;
    const remedy = setting(`net/ipv4/conf/${link.name}/rp_filter`, 2);
    return finding("rp-filter", { subject: link.name, evidence, remedy });
  });
}

/** The same in a container with several interfaces: a published port leads to one that is not its way out. */
function rpFilterOfContainer(attached: Attached): Finding[] {
  const { inside, ports } = attached;
  if (!inside || ports.length === 0) return [];
  const { stack, link } = inside;
  const [best] = defaultRoutes(stack, 4);
  if (!best || best.oif === link.index || !isStrict(stack, link)) return [];
  const out = linkOf(stack, best)?.name;
  const evidence = `its port ${ports[0]?.hostPort} leads to ${link.name}, whose rp_filter is 1, but it answers by ${out}`;
  const remedy = inContainer(attached, setting(`net/ipv4/conf/${link.name}/rp_filter`, 2));
  return [finding("rp-filter", { subject: nameOf(attached), evidence, remedy })];
}

/** The stricter of the interface's own and that of all (Documentation/networking/ip-sysctl.rst). */
function isStrict(stack: Stack, { name }: Link): boolean {
  const modes = ["all", name].map((each) => Number(stack.sysctl(`net/ipv4/conf/${each}/rp_filter`) ?? 0));
  return Math.max(...modes) === 1;
}

/** Those of one family, the preferred one first. */
function defaultRoutes(stack: Stack, family: 4 | 6): Route[] {
  const anywhere = { address: { family, value: 0n }, length: 0 } as const;
  return stack.routes
    .filter(({ dst }) => samePrefix(dst, anywhere))
    .sort((a, b) => (a.priority ?? 0) - (b.priority ?? 0));
}

function linkOf(stack: Stack, { oif }: Route): Link | undefined {
  return oif === undefined ? undefined : stack.link(oif);
}
