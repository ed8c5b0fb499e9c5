/** What is meant on the command line: who sends, to which address, and what. */
import {
  type Address,
  type Family,
  formatAddress,
  isLinkLocal,
  isLoopback,
  parseAddress,
} from "../../lib/netaddr/address.ts";
import type { LinkAddress } from "../../lib/rtnetlink/address.ts";
import { findStack } from "../inventory/find.ts";
import type { HostView } from "../inventory/host-view.ts";
import { IPPROTO, type Packet } from "./filter/packet.ts";
import type { Node, World } from "./node.ts";
import type { Origin, TraceQuestion } from "./trace.ts";

/** What is sent: "80", "53/udp", "ping". */
export interface Service {
  /** IPPROTO_*; undefined for a ping of whatever family. */
  readonly protocol: number | undefined;
  readonly port: number;
}

/** The first of the ephemeral ports (RFC 6335 §6). */
export const SOURCE_PORT = 49_152;
/** A SYN with the usual options; a ping of 56 bytes. */
const SMALL_PACKET = { 4: 60, 6: 80 } as const;
const PING_PACKET = { 4: 84, 6: 104 } as const;

/** @throws SyntaxError */
export function parseService(text: string | undefined): Service {
  if (text === undefined || text === "ping" || text === "icmp") return { protocol: undefined, port: 0 };
  const [, portText = "", name = "tcp"] = /^(\d+)(?:\/(tcp|udp|sctp))?$/.exec(text) ?? [];
  const port = Number(portText);
  if (portText === "" || port < 1 || port > 65_535) {
    throw new SyntaxError(`"${text}" is no port: 80, 53/udp, 7/sctp, or "ping"`);
  }
  return { protocol: IPPROTO[name as "tcp" | "udp" | "sctp"], port }; // as the expression has it
}

export interface EndpointOptions {
  readonly family?: Family | undefined;
  /** Bytes of the IP packet. */
  readonly size?: number | undefined;
  readonly dontFragment?: boolean | undefined;
}

/** @throws Error that says which names there are */
export function readQuestion(
  view: HostView,
  world: World,
  [from, to, service]: readonly [from: string, to: string, service: Service],
  options: EndpointOptions,
): TraceQuestion {
  refuseOtherFamily([from, to], options.family);
  const sender = findEnd(view, world, from);
  const target = findEnd(view, world, to);
  const family = options.family ?? sender.address?.family ?? target.address?.family;
  const destination = target.address ?? addressOf(target.node, sender.node, family, to);
  const source = sender.address ?? sourceTo(sender.node, destination, from);
  if (source.family !== destination.family) {
    throw new Error(
      `${formatAddress(source)} and ${formatAddress(destination)} are of two families: name addresses of one`,
    );
  }
  const origin: Origin = sender.node ? { node: sender.node } : { outside: source };
  return { origin, packet: firstPacket(source, destination, service, options) };
}

/** @throws Error where one of the names is an address that is not of the family asked for */
export function refuseOtherFamily(names: readonly string[], family: Family | undefined): void {
  if (family === undefined) return;
  const other = names.find((text) => (addressIn(text)?.family ?? family) !== family);
  if (other !== undefined) throw new Error(`--ipv${family}: ${other} is no address of IPv${family}`);
}

interface Found {
  readonly node: Node | undefined;
  readonly address: Address | undefined;
}

/** An address is whoever's has it; what nobody here has is outside. */
function findEnd(view: HostView, world: World, text: string): Found {
  const address = addressIn(text);
  if (address) return { node: world.ownerOf(address), address };
  return { node: world.nodeOf(findStack(view, text)), address: undefined };
}

function addressIn(text: string): Address | undefined {
  try {
    return parseAddress(text);
  } catch {
    return undefined;
  }
}

/** The address by which the sender reaches a container best: one on a link of its own, else the first. */
function addressOf(
  node: Node | undefined,
  sender: Node | undefined,
  family: Family | undefined,
  name: string,
): Address {
  const candidates = (node?.stack.addresses ?? []).filter(isUsable);
  const wanted = candidates.filter(
    ({ prefix }) => prefix.address.family === (family ?? prefix.address.family),
  );
  const near = wanted.find(({ prefix }) => {
    const route = sender?.lookUp({ destination: prefix.address });
    return typeof route === "object" && !route.gateway && route.prefixLength > 0;
  });
  const found = near ?? wanted[0];
  if (found) return found.prefix.address;
  const which = family === undefined ? "" : ` of IPv${family}`;
  const others =
    candidates.length > 0
      ? `; it has ${candidates.map(({ prefix }) => formatAddress(prefix.address)).join(", ")}`
      : "";
  throw new Error(`"${name}" has no address${which}${others}`);
}

function isUsable({ prefix: { address } }: LinkAddress): boolean {
  return !isLoopback(address) && !isLinkLocal(address);
}

/** As the kernel chooses it; where no route leads there, any of its own, so that it can be said so. */
function sourceTo(node: Node | undefined, destination: Address, name: string): Address {
  const route = node?.lookUp({ destination });
  if (typeof route === "object" && route.prefsrc) return route.prefsrc;
  const own = node?.stack.addresses.filter(
    (each) => isUsable(each) && each.prefix.address.family === destination.family,
  );
  const [first] = own ?? [];
  if (first) return first.prefix.address;
  throw new Error(`"${name}" has no address of IPv${destination.family} to send from`);
}

/** The first packet of a new connection. */
export function firstPacket(
  source: Address,
  destination: Address,
  { protocol, port }: Service,
  { size, dontFragment = false }: EndpointOptions,
): Packet {
  const { family } = destination;
  const isPing = protocol === undefined;
  return {
    source,
    destination,
    protocol: protocol ?? (family === 4 ? IPPROTO.icmp : IPPROTO.icmpv6),
    sourcePort: isPing ? 1 : SOURCE_PORT,
    destinationPort: port,
    isAnswer: false,
    ttl: 64,
    length: size ?? (isPing ? PING_PACKET : SMALL_PACKET)[family],
    dontFragment,
  };
}
