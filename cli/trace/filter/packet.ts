/** The packet that is followed: the first of a new connection, or the first answer to it. */
import { type Address, addressBytes, type Family, formatAddress } from "../../../lib/netaddr/address.ts";
import { type KnownBytes, networkNumber } from "./known-bytes.ts";

/** linux/in.h IPPROTO_* */
export const IPPROTO = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58, sctp: 132 } as const;

export interface Packet {
  readonly source: Address;
  readonly destination: Address;
  /** IPPROTO_* */
  readonly protocol: number;
  /** Of an ICMP echo its identifier; 0 where the protocol has none. */
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** The other side's first: SYN and ACK, INIT ACK, an echo's reply. */
  readonly isAnswer: boolean;
  readonly ttl: number;
  /** Bytes, with its IP header. */
  readonly length: number;
  /** Of a question who has an address, or of its answer: ARP, or ICMPv6's neighbour discovery. */
  readonly asks?: Address | undefined;
  /** Nobody on the way may cut it in pieces (of IPv6 nobody ever may). */
  readonly dontFragment: boolean;
}

/** What Ethernet says of it. */
export interface Frame {
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly vlanId?: number | undefined;
}

export const ETH_P_ARP = 0x0806;
export const ETH_P_IP = 0x0800;
export const ETH_P_IPV6 = 0x86dd;

export function etherType({ source, asks }: Pick<Packet, "source" | "asks">): number {
  if (asks && source.family === 4) return ETH_P_ARP;
  return source.family === 4 ? ETH_P_IP : ETH_P_IPV6;
}

export function familyOf({ source }: Pick<Packet, "source">): Family {
  return source.family;
}

export function isIcmp({ protocol }: Pick<Packet, "protocol">): boolean {
  return protocol === IPPROTO.icmp || protocol === IPPROTO.icmpv6;
}

export function hasPorts({ protocol }: Pick<Packet, "protocol">): boolean {
  return protocol === IPPROTO.tcp || protocol === IPPROTO.udp || protocol === IPPROTO.sctp;
}

/** "tcp", or the number of a protocol without a name here. */
export function protocolName(protocol: number): string {
  return Object.entries(IPPROTO).find(([, number]) => number === protocol)?.[0] ?? `protocol ${protocol}`;
}

/** "10.0.0.2:41000 → 10.0.0.3:80 tcp" */
export function formatPacket(packet: Packet): string {
  const end = (address: Address, port: number) => {
    const text = formatAddress(address);
    if (!hasPorts(packet)) return text;
    return address.family === 6 ? `[${text}]:${port}` : `${text}:${port}`;
  };
  const kind = isIcmp(packet) ? `${protocolName(packet.protocol)} echo` : protocolName(packet.protocol);
  const { source, sourcePort, destination, destinationPort } = packet;
  return `${end(source, sourcePort)} → ${end(destination, destinationPort)} ${kind}`;
}

/** What the other side sends back to it. */
export function answerTo(packet: Packet): Packet {
  return {
    ...packet,
    source: packet.destination,
    destination: packet.source,
    sourcePort: isIcmp(packet) ? packet.sourcePort : packet.destinationPort,
    destinationPort: isIcmp(packet) ? packet.destinationPort : packet.sourcePort,
    isAnswer: !packet.isAnswer,
    ttl: 64,
  };
}

/** Its Ethernet header; with a tag, as it is while netfilter looks at it, the tag is beside it. */
export function linkHeader(packet: Packet, frame: Frame): KnownBytes {
  const bytes = new Uint8Array(14);
  bytes.set(frame.destination, 0);
  bytes.set(frame.source, 6);
  bytes.set(networkNumber(etherType(packet)), 12);
  return { bytes, known: new Uint8Array(14).fill(0xff) };
}

/** Its IP header (RFC 791 §3.1, RFC 8200 §3). Unknown: what the sender chooses at random. */
export function networkHeader(packet: Packet): KnownBytes {
  if (etherType(packet) === ETH_P_ARP) return arpMessage(packet);
  return familyOf(packet) === 4 ? ipv4Header(packet) : ipv6Header(packet);
}

function ipv4Header(packet: Packet): KnownBytes {
  const bytes = new Uint8Array(20);
  const known = new Uint8Array(20).fill(0xff);
  bytes[0] = 0x45;
  bytes.set(networkNumber(packet.length), 2);
  bytes[6] = packet.dontFragment ? 0x40 : 0;
  bytes[8] = packet.ttl;
  bytes[9] = packet.protocol;
  bytes.set(addressBytes(packet.source), 12);
  bytes.set(addressBytes(packet.destination), 16);
  known.fill(0, 4, 6); // identification
  known.fill(0, 10, 12); // checksum
  return { bytes, known };
}

/** RFC 826: the MACs are in the frame as well, and are not worked out here. */
function arpMessage({ source, destination, isAnswer }: Packet): KnownBytes {
  const bytes = new Uint8Array(28);
  const known = new Uint8Array(28).fill(0xff);
  bytes.set([0, 1, 8, 0, 6, 4, 0, isAnswer ? 2 : 1]);
  bytes.set(addressBytes(source), 14);
  bytes.set(addressBytes(destination), 24);
  known.fill(0, 8, 14);
  known.fill(0, 18, 24);
  return { bytes, known };
}

function ipv6Header(packet: Packet): KnownBytes {
  const bytes = new Uint8Array(40);
  const known = new Uint8Array(40).fill(0xff);
  bytes[0] = 0x60;
  bytes.set(networkNumber(Math.max(0, packet.length - 40)), 4);
  bytes[6] = packet.protocol;
  bytes[7] = packet.ttl;
  bytes.set(addressBytes(packet.source), 8);
  bytes.set(addressBytes(packet.destination), 24);
  known[1] = 0xf0; // flow label
  known.fill(0, 2, 4);
  return { bytes, known };
}

const TCP_SYN = 0x02;
const TCP_ACK = 0x10;
const SCTP_INIT = 1;
const SCTP_INIT_ACK = 2;

/** What follows the IP header; undefined of a protocol that is not known here. */
export function transportHeader(packet: Packet): KnownBytes | undefined {
  const { protocol, isAnswer } = packet;
  const [bytes, known] = [new Uint8Array(20), new Uint8Array(20)];
  if (isIcmp(packet)) {
    bytes[0] = icmpType(packet);
    known.fill(0xff, 0, 2); // type and code
    return { bytes: bytes.subarray(0, 8), known: known.subarray(0, 8) };
  }
  if (!hasPorts(packet)) return undefined;
  bytes.set(networkNumber(packet.sourcePort), 0);
  bytes.set(networkNumber(packet.destinationPort), 2);
  known.fill(0xff, 0, 4);
  if (protocol === IPPROTO.udp) {
    bytes.set(networkNumber(packet.length - (familyOf(packet) === 4 ? 20 : 40)), 4);
    known.fill(0xff, 4, 6);
    return { bytes: bytes.subarray(0, 8), known: known.subarray(0, 8) };
  }
  if (protocol === IPPROTO.tcp) {
    bytes[13] = isAnswer ? TCP_SYN | TCP_ACK : TCP_SYN;
    known[13] = 0xff;
  } else {
    bytes[12] = isAnswer ? SCTP_INIT_ACK : SCTP_INIT;
    known[12] = 0xff;
  }
  return { bytes, known };
}

/** ICMP_ECHO, ICMP_ECHOREPLY, and ICMPv6's; those of neighbour discovery (RFC 4861 §4.3). */
export function icmpType({ protocol, isAnswer, asks }: Packet): number {
  if (asks) return isAnswer ? 136 : 135;
  if (protocol === IPPROTO.icmp) return isAnswer ? 0 : 8;
  return isAnswer ? 129 : 128;
}
