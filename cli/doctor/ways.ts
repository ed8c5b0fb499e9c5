/**
 * The ways that packets of containers are to go: of each network to the uplink, to a neighbour, from the
 * uplink and the host to each published port, and from the host to each container. Each is followed as `weft
 * trace` does.
 */
import {
  type Address,
  type Family,
  formatAddress,
  isLinkLocal,
  parseAddress,
  sameAddress,
} from "../../lib/netaddr/address.ts";
import { parsePrefix } from "../../lib/netaddr/prefix.ts";
import { parseService, readQuestion } from "../trace/endpoints.ts";
import { World } from "../trace/node.ts";
import { type Leg, type TraceResult, trace } from "../trace/trace.ts";
import { type Attached, type Host, isRoutedByHost, isSet } from "./host.ts";

/** What a container asks of the world: a port that somebody may have closed is as good as any. */
const WEB = "443";
const PING = "ping";
const LOCALHOST = "127.0.0.1";
/** Of the ways of one kind. */
const WAYS_MAX = 32;

/** Of networks for documentation (RFC 5737, RFC 3849): it stands for all that is beyond this host. */
const BEYOND = { 4: parseAddress("198.51.100.1"), 6: parseAddress("2001:db8::1") } as const;

interface Uplink {
  readonly gateway: Address;
  /** The host's own address there. */
  readonly own: Address;
}

interface Surroundings {
  readonly host: Host;
  readonly family: Family;
  readonly uplink: Uplink | undefined;
}

export interface Way {
  readonly attached: Attached;
  readonly from: string;
  readonly to: Address;
  readonly port: string;
  /** "from 10.9.0.2 to the uplink" */
  readonly course: string;
  /** It is to end in the container. */
  readonly isInward?: true;
  /** Who is at its other end. */
  readonly neighbour?: Attached;
}

export interface Followed {
  readonly way: Way;
  readonly result: TraceResult;
}

/** The one on which it does not get through. */
export function droppedLeg({ there, back }: TraceResult): Leg | undefined {
  return [there, back].find((leg) => leg?.verdict === "dropped");
}

/** Of one network, and of one family. */
export interface NetworkWays {
  readonly network: string;
  readonly family: Family;
  /** Whether this host has a default route. */
  readonly hasDefault: boolean;
  /** To the uplink; none where nothing is to leave the host, as is so of ports. */
  readonly outward: readonly Followed[];
  readonly sideways: readonly Followed[];
  /** To published ports. */
  readonly inward: readonly Followed[];
  /** From this host, as a kubelet probes. */
  readonly local: readonly Followed[];
}

export function followWays(host: Host): NetworkWays[] {
  const up = host.attachments.filter(({ state }) => state === "up");
  if (up.length === 0) return [];
  const world = new World(host.view);
  return ([4, 6] as const).flatMap((family) => {
    const surroundings = { host, family, uplink: uplinkOf(host, family) };
    const hasDefault = host.stack.routes.some(({ dst }) => dst.length === 0 && dst.address.family === family);
    const mine = up.filter((attached) => isRoutedByHost(host, attached, family));
    return [...Map.groupBy(mine, ({ network }) => network)].map(([network, attachments]) => {
      const isInternal = attachments.some((attached) => firewallOf(attached)?.["internal"] === true);
      const followed = (waysOf: typeof toUplink) =>
        waysOf(surroundings, attachments)
          .slice(0, WAYS_MAX)
          .map((way) => ({ way, result: follow(world, host, way) }));
      const outward = isInternal ? [] : followed(toUplink);
      const inward = isInternal ? [] : followed(toPorts);
      const [sideways, local] = [followed(toNeighbours), followed(fromHost)];
      return { network, family, hasDefault, outward, sideways, inward, local };
    });
  });
}

function follow(world: World, { view }: Host, { from, to, port }: Way): TraceResult {
  const words = [from, formatAddress(to), parseService(port)] as const;
  return trace(world, readQuestion(view, world, words, {}));
}

function uplinkOf({ stack }: Host, family: Family): Uplink | undefined {
  const route = stack.routes.find(({ dst, gateway }) => dst.length === 0 && gateway?.family === family);
  const { gateway, oif } = route ?? {};
  if (!gateway || isLinkLocal(gateway) || oif === undefined) return undefined;
  const own = stack.addresses.find(
    ({ prefix, ifindex }) =>
      ifindex === oif && prefix.address.family === family && !isLinkLocal(prefix.address),
  );
  return own && { gateway, own: own.prefix.address };
}

function toUplink({ uplink, family }: Surroundings, attachments: readonly Attached[]): Way[] {
  const to = uplink?.gateway ?? BEYOND[family];
  const where = uplink ? "the uplink" : "what is beyond this host";
  return attachments.flatMap((attached) => {
    const from = addressOf(attached, family);
    if (from === undefined) return [];
    return { attached, from, to, port: WEB, course: `from ${from} to ${where}` };
  });
}

/** Of each to the next. */
function toNeighbours({ family }: Surroundings, attachments: readonly Attached[]): Way[] {
  return attachments.flatMap((attached, at) => {
    const next = attachments[(at + 1) % attachments.length];
    const from = addressOf(attached, family);
    const to = next && next !== attached && areNeighbours(attached, next) && addressOf(next, family);
    if (!from || !to) return [];
    const course = `from ${from} to its neighbour ${to}`;
    return { attached, from, to: parseAddress(to), port: PING, course, neighbour: next };
  });
}

/** From the uplink to each, and from this host to the first: to 127.0.0.1, for ::1 is not published. */
function toPorts({ uplink, family }: Surroundings, attachments: readonly Attached[]): Way[] {
  const published = attachments.flatMap((attached) =>
    attached.ports
      .filter(({ hostIP, protocol }) => hostIP === "" && protocol !== "sctp")
      .map(({ hostPort, protocol }) => ({ attached, hostPort, port: `${hostPort}/${protocol}` })),
  );
  const waysFrom = (place: string, ends: Pick<Way, "from" | "to">, ports: typeof published): Way[] =>
    ports.map(({ hostPort, ...port }) => {
      return { ...port, ...ends, course: `from ${place} to port ${hostPort}`, isInward: true };
    });
  const local = { from: "host", to: parseAddress(LOCALHOST) };
  const outer = uplink && { from: formatAddress(uplink.gateway), to: uplink.own };
  return [
    ...(family === 4 ? waysFrom("this host", local, published.slice(0, 1)) : []),
    ...(outer ? waysFrom("the uplink", outer, published) : []),
  ];
}

function fromHost({ family }: Surroundings, attachments: readonly Attached[]): Way[] {
  return attachments.flatMap((attached) => {
    const to = addressOf(attached, family);
    if (to === undefined) return [];
    const course = `from this host to ${to}`;
    return { attached, from: "host", to: parseAddress(to), port: WEB, course };
  });
}

function firewallOf({ list }: Attached) {
  return list?.plugins.find(({ type }) => type === "firewall");
}

/** Whether they are to reach each other by a bridge. */
function areNeighbours(one: Attached, other: Attached): boolean {
  if (one.bridge === undefined || one.bridge !== other.bridge) return false;
  const firewall = firewallOf(one);
  const isApart = firewall?.["icc"] === false || firewall?.["ingressPolicy"] === "isolated";
  return !isApart && !isSet(one.main, "portIsolation");
}

/** The first that is in use: one that duplicate detection still holds back answers nobody. */
function addressOf({ addresses, inside }: Attached, family: Family): string | undefined {
  const held = (inside?.stack.addressesOf(inside.link) ?? []).filter(
    ({ tentative, optimistic, dadFailed }) => dadFailed || (tentative && !optimistic),
  );
  const isHeld = (address: Address) => held.some(({ prefix }) => sameAddress(prefix.address, address));
  const prefix = addresses
    .map(parsePrefix)
    .find(({ address }) => address.family === family && !isHeld(address));
  return prefix && formatAddress(prefix.address);
}
