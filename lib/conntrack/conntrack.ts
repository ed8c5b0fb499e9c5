/** Connections that the kernel tracks: listed and forgotten. linux/netfilter/nfnetlink_conntrack.h. */
import { type Address, type Family, sameAddress } from "../netaddr/address.ts";
import { type NetfilterSocket, NFPROTO_IPV4, NFPROTO_IPV6, nfgenmsg } from "../netfilter/socket.ts";
import { attributes, nested } from "../netlink/attributes.ts";
import { NetlinkError, unlessMissing } from "../netlink/error.ts";
import { messageCodec } from "../netlink/message.ts";
import { address, be16, be32, u8, u32 } from "../netlink/wire.ts";

const NFNL_SUBSYS_CTNETLINK = 1;
const IPCTNL_MSG_CT_GET = 1;
const IPCTNL_MSG_CT_DELETE = 2;

/** linux/in.h IPPROTO_*: those that have ports, and by their names. */
export const PROTOCOL_NUMBERS = {
  tcp: 6,
  udp: 17,
  sctp: 132,
} as const;
export type PortProtocol = keyof typeof PROTOCOL_NUMBERS;

const FAMILIES = {
  4: NFPROTO_IPV4,
  6: NFPROTO_IPV6,
} as const;

/** What a dump is filtered by: the bits of CTA_FILTER_*_FLAGS (net/netfilter/nf_internals.h, since 5.8). */
const BY = {
  source: 1 << 0,
  destination: 1 << 1,
  protocol: 1 << 3,
  destinationPort: 1 << 5,
} as const;

/** CTA_IP_* */
export const ipAttributes = attributes("CTA_IP", {
  v4Src: [1, address],
  v4Dst: [2, address],
  v6Src: [3, address],
  v6Dst: [4, address],
});

/** CTA_PROTO_* */
export const protoAttributes = attributes("CTA_PROTO", {
  num: [1, u8],
  srcPort: [2, be16],
  dstPort: [3, be16],
});

/** CTA_TUPLE_* */
export const tupleAttributes = attributes("CTA_TUPLE", {
  ip: [1, nested(ipAttributes)],
  proto: [2, nested(protoAttributes)],
  zone: [3, be16],
});

/** CTA_FILTER_*, in the host's byte order. */
export const filterAttributes = attributes("CTA_FILTER", {
  origFlags: [1, u32],
  replyFlags: [2, u32],
});

/** CTA_* */
export const conntrackAttributes = attributes("CTA", {
  tupleOrig: [1, nested(tupleAttributes)],
  tupleReply: [2, nested(tupleAttributes)],
  id: [12, be32],
  zone: [18, be16],
  filter: [25, nested(filterAttributes)],
});

export const conntrackMessage = messageCodec(nfgenmsg, conntrackAttributes);

type Message = ReturnType<typeof conntrackMessage.read>;
type Attributes = Parameters<typeof conntrackMessage.write>[2];
type Tuple = NonNullable<Message["tupleOrig"]>;

/** A connection: as its first packet was, and who answers, which is the container where it was led to one. */
export interface Connection {
  readonly protocol: number;
  readonly source: Address;
  readonly destination: Address;
  readonly destinationPort: number;
  readonly replySource: Address;
  /** What deleteConnections() says to the kernel. */
  readonly message: Message;
}

/** All that is given must agree. */
export interface ConnectionFilter {
  /** One: the kernel filters both at once by nothing (EOPNOTSUPP). */
  readonly family: Family;
  readonly protocol?: PortProtocol;
  readonly destination?: Address;
  /** Filtered by the kernel only where the protocol is given. */
  readonly destinationPort?: number;
  readonly replySource?: Address;
}

/**
 * Equivalent to `conntrack -L -f FAMILY -p PROTOCOL --orig-dst … --orig-port-dst … --reply-src …`, of
 * protocols with ports. The kernel filters; one before 5.8 sends all. One without conntrack has none.
 */
export function listConnections(socket: NetfilterSocket, filter: ConnectionFilter): Connection[] {
  const header = { family: FAMILIES[filter.family] };
  const list = (attributes: Attributes) =>
    socket.dump({
      doing: "list connections",
      name: "IPCTNL_MSG_CT_GET",
      type: (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_GET,
      codec: conntrackMessage,
      header,
      attributes,
    });
  const messages = unlessUnsupported(() => list(filterOf(filter))) ?? unlessUnsupported(() => list({}));
  const connections: Connection[] = [];
  for (const message of messages ?? []) {
    const connection = connectionOf(message);
    if (connection && agrees(connection, filter)) connections.push(connection);
  }
  return connections;
}

/** Equivalent to `conntrack -D …` of each. One that has ended meanwhile is no error. */
export function deleteConnections(socket: NetfilterSocket, connections: readonly Connection[]): void {
  const requests = connections.map(({ message: { family, tupleOrig, id, zone } }) => ({
    doing: "delete a connection",
    name: "IPCTNL_MSG_CT_DELETE",
    type: (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_DELETE,
    codec: conntrackMessage,
    header: { family },
    attributes: { tupleOrig, id, zone },
  }));
  unlessMissing(() => socket.change(...requests));
}

/** Not by IPv6 addresses: the kernel, at least up to 6.18, takes those that do not agree. */
function filterOf({
  family,
  protocol,
  destination,
  destinationPort,
  replySource,
}: ConnectionFilter): Attributes {
  const [v4Dst, v4Src] = family === 4 ? [destination, replySource] : [];
  const num = protocol && PROTOCOL_NUMBERS[protocol];
  const dstPort = protocol && destinationPort;
  const origFlags =
    (v4Dst ? BY.destination : 0) | (num ? BY.protocol : 0) | (dstPort === undefined ? 0 : BY.destinationPort);
  return {
    tupleOrig: { ip: { v4Dst }, proto: { num, dstPort } },
    tupleReply: { ip: { v4Src }, proto: {} },
    filter: { origFlags, replyFlags: v4Src ? BY.source : 0 },
  };
}

function connectionOf(message: Message): Connection | undefined {
  const { tupleOrig, tupleReply } = message;
  const { num: protocol, dstPort: destinationPort } = tupleOrig?.proto ?? {};
  const [source, destination] = endsOf(tupleOrig);
  const [replySource] = endsOf(tupleReply);
  if (protocol === undefined || destinationPort === undefined) return undefined;
  if (!source || !destination || !replySource) return undefined;
  return { protocol, source, destination, destinationPort, replySource, message };
}

function endsOf(tuple: Tuple | undefined): [source: Address | undefined, destination: Address | undefined] {
  const { v4Src, v4Dst, v6Src, v6Dst } = tuple?.ip ?? {};
  return [v4Src ?? v6Src, v4Dst ?? v6Dst];
}

function agrees(connection: Connection, filter: ConnectionFilter): boolean {
  const { protocol, destination, destinationPort, replySource } = filter;
  return (
    connection.destination.family === filter.family &&
    (!protocol || connection.protocol === PROTOCOL_NUMBERS[protocol]) &&
    (!destination || sameAddress(connection.destination, destination)) &&
    (destinationPort === undefined || connection.destinationPort === destinationPort) &&
    (!replySource || sameAddress(connection.replySource, replySource))
  );
}

/** A kernel answers EINVAL where it has no ctnetlink, and ctnetlink EINVAL or EOPNOTSUPP to what it lacks. */
function unlessUnsupported<T>(ask: () => T): T | undefined {
  try {
    return ask();
  } catch (error) {
    if (error instanceof NetlinkError && (error.code === "EINVAL" || error.code === "EOPNOTSUPP")) {
      return undefined;
    }
    throw error;
  }
}
