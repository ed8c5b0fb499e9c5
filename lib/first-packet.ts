/**
 * Sends the first packet of a connection from a namespace, and hears whether anything comes back: a TCP or
 * SCTP connection is begun, a UDP datagram or an ICMP echo is sent (socket(7), icmp(7), raw(7)).
 */
import { type Address, addressBytes } from "./netaddr/address.ts";
import { inNetns, type Netns } from "./netns/netns.ts";
import { errnoName, isErrno } from "./sys/errno.ts";
import * as libc from "./sys/libc.ts";

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0o4000;
const IPPROTO_ICMP = 1;
const IPPROTO_UDP = 17;
const IPPROTO_ICMPV6 = 58;
const ICMP_ECHO = 8;
const ICMP_ECHOREPLY = 0;
const ICMPV6_ECHO_REQUEST = 128;
const ICMPV6_ECHO_REPLY = 129;
const SOL_SOCKET = 1;
const SO_ERROR = 4;
const SOL_RAW = 255;
const ICMP_FILTER = 1;
const ICMPV6_FILTER = 1;

export interface FirstPacketTo {
  readonly source: Address;
  readonly destination: Address;
  /** IPPROTO_* */
  readonly protocol: number;
  readonly port: number;
}

/** A connection that has been begun; closed with its socket. */
export class FirstPacket implements Disposable {
  #fd: number;
  readonly #type: number;

  /** @throws ErrnoError where the kernel refuses it at once: EHOSTUNREACH, EPERM, EADDRNOTAVAIL … */
  constructor(netns: Netns, { source, destination, protocol, port }: FirstPacketTo) {
    const isEcho = protocol === IPPROTO_ICMP || protocol === IPPROTO_ICMPV6;
    const type = isEcho ? SOCK_RAW : protocol === IPPROTO_UDP ? SOCK_DGRAM : SOCK_STREAM;
    this.#type = type;
    const family = destination.family === 4 ? AF_INET : AF_INET6;
    this.#fd = inNetns(netns, () => libc.socket(family, type | SOCK_NONBLOCK, protocol));
    try {
      libc.bind(this.#fd, socketAddress(source, 0));
      if (isEcho) hearReplies(this.#fd, protocol);
      connect(this.#fd, socketAddress(destination, isEcho ? 0 : port));
      if (isEcho) libc.send(this.#fd, echo(protocol));
      else if (type === SOCK_DGRAM) libc.send(this.#fd, new TextEncoder().encode("weft trace\n"));
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /**
   * What has come back: undefined for nothing yet; "" for an answer, also that nobody listens there; else the
   * errno's name of what somebody on the way said: EHOSTUNREACH, EACCES …
   */
  get answer(): string | undefined {
    // a connection can be written to when it is there; the others have something to read
    if (!libc.ppoll(this.#fd, this.#type === SOCK_STREAM ? libc.POLLOUT : libc.POLLIN, 0)) return undefined;
    const value = new Uint8Array(4);
    libc.getsockopt(this.#fd, { level: SOL_SOCKET, name: SO_ERROR }, value);
    const name = errnoName(new DataView(value.buffer).getInt32(0, true));
    return value.every((byte) => byte === 0) || name === "ECONNREFUSED" ? "" : name;
  }

  [Symbol.dispose](): void {
    if (this.#fd >= 0) libc.close(this.#fd);
    this.#fd = -1;
  }
}

/** A raw socket hears all that is ICMP, neighbours included: those bits are set that are not to be heard. */
function hearReplies(fd: number, protocol: number): void {
  const isV4 = protocol === IPPROTO_ICMP;
  const blocked = new Uint8Array(isV4 ? 4 : 32).fill(0xff);
  const reply = isV4 ? ICMP_ECHOREPLY : ICMPV6_ECHO_REPLY;
  const at = reply >> 3; // words of 32 bits, little endian: their bytes are in this order
  blocked[at] = (blocked[at] ?? 0) & ~(1 << (reply & 7));
  const option = isV4
    ? { level: SOL_RAW, name: ICMP_FILTER }
    : { level: IPPROTO_ICMPV6, name: ICMPV6_FILTER };
  libc.setsockopt(fd, option, blocked);
}

function connect(fd: number, address: Uint8Array): void {
  try {
    libc.connect(fd, address);
  } catch (error) {
    if (!isErrno(error, "EINPROGRESS")) throw error;
  }
}

/** struct sockaddr_in: u16 family, be16 port, address; sockaddr_in6 has a u32 before the address. */
function socketAddress(address: Address, port: number): Uint8Array {
  const isV4 = address.family === 4;
  const bytes = new Uint8Array(isV4 ? 16 : 28);
  bytes[0] = isV4 ? AF_INET : AF_INET6;
  bytes[2] = port >> 8;
  bytes[3] = port & 255;
  bytes.set(addressBytes(address), isV4 ? 4 : 8);
  return bytes;
}

/** u8 type, code; be16 checksum, identifier, number. Of ICMPv6 the kernel makes the checksum. */
function echo(protocol: number): Uint8Array {
  const message = new Uint8Array(64);
  const view = new DataView(message.buffer);
  message[0] = protocol === IPPROTO_ICMP ? ICMP_ECHO : ICMPV6_ECHO_REQUEST;
  view.setUint16(4, process.pid & 0xffff);
  view.setUint16(6, 1);
  if (protocol === IPPROTO_ICMP) view.setUint16(2, checksum(view));
  return message;
}

/** RFC 1071 */
function checksum(view: DataView): number {
  let sum = 0;
  for (let at = 0; at < view.byteLength; at += 2) sum += view.getUint16(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
