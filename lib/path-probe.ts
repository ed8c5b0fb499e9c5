/**
 * What size of packets a path carries: echo requests that may not be fragmented, from any namespace, and who
 * answers. Equivalent to `ping -M probe -s SIZE ADDRESS`, for many at once.
 *
 * Reference: icmp(7), ip(7) IP_MTU_DISCOVER; RFC 792, RFC 4443 §4; RFC 2923 for black holes.
 */
import { type Address, addressBytes } from "./netaddr/address.ts";
import { inNetns, type Netns } from "./netns/netns.ts";
import { AF_INET, AF_INET6 } from "./rtnetlink/route-socket.ts";
import { isErrno } from "./sys/errno.ts";
import * as libc from "./sys/libc.ts";

const SOCK_RAW = 3;
const IPPROTO_ICMP = 1;
const IPPROTO_ICMPV6 = 58;
// linux/in.h, linux/in6.h: DF, and no regard for what is known of the path
const IP_MTU_DISCOVER = { level: 0, name: 10 };
const IPV6_MTU_DISCOVER = { level: 41, name: 23 };
const PMTUDISC_PROBE = 3;
const ECHO = { 4: { request: 8, reply: 0 }, 6: { request: 128, reply: 129 } } as const;
const ICMP_HEADER = 8;
const IP_HEADER = { 4: 20, 6: 40 } as const;
/** Of a reply. */
const PACKET_MAX = 65_535;

export interface PathProbe {
  /** The namespace it is sent from. */
  readonly netns: Netns;
  readonly target: Address;
  /** Bytes of a whole packet, its IP header included. */
  readonly sizes: readonly number[];
}

/**
 * - answered: it arrived, and so did its answer
 * - refused: somebody on the way, or this host, said that it is too big
 * - silent: nobody said anything
 */
export type PathAnswer = "answered" | "refused" | "silent";

/** Sends all, each size once, and waits together. @returns an answer for each size of each probe, in order */
export function probePaths(
  probes: readonly PathProbe[],
  { timeoutMs }: { timeoutMs: number },
): PathAnswer[][] {
  const paths = probes.map((probe, index) => new Path(probe, index + 1));
  try {
    const deadline = performance.now() + timeoutMs;
    for (const path of paths) {
      while (!path.isSettled && performance.now() < deadline) path.await(deadline - performance.now());
      path.drain(); // what came while another was waited for
    }
    return paths.map(({ answers }) => answers);
  } finally {
    for (const path of paths) path[Symbol.dispose]();
  }
}

class Path implements Disposable {
  readonly #probe: PathProbe;
  readonly #id: number;
  #fd = -1;
  readonly answers: PathAnswer[];
  readonly #buffer = new Uint8Array(PACKET_MAX);

  constructor(probe: PathProbe, index: number) {
    this.#probe = probe;
    this.#id = (process.pid + index) & 0xffff;
    this.answers = probe.sizes.map(() => "silent");
    try {
      this.#fd = openEcho(probe);
      for (const [sequence, size] of probe.sizes.entries()) this.#send(sequence, size);
    } catch (error) {
      if (!isErrno(error)) throw error; // no route, no such family: nobody answers
    }
  }

  get isSettled(): boolean {
    return this.#fd < 0 || !this.answers.includes("silent");
  }

  await(timeoutMs: number): void {
    if (libc.ppoll(this.#fd, libc.POLLIN, timeoutMs)) this.drain();
  }

  drain(): void {
    while (!this.isSettled) {
      try {
        const length = libc.receiveNow(this.#fd, this.#buffer, new Uint8Array(28));
        if (length === undefined) return;
        this.#note(this.#buffer.subarray(0, length));
      } catch (error) {
        if (!isErrno(error)) throw error;
        // an answer of a router's: EMSGSIZE of the largest, and of any other that nothing arrives
        const largest = this.answers.lastIndexOf("silent");
        if (!isErrno(error, "EMSGSIZE") || largest < 0) return;
        this.answers[largest] = "refused";
      }
    }
  }

  [Symbol.dispose](): void {
    if (this.#fd >= 0) libc.close(this.#fd);
    this.#fd = -1;
  }

  #send(sequence: number, size: number): void {
    const { family } = this.#probe.target;
    const message = new Uint8Array(Math.max(ICMP_HEADER, size - IP_HEADER[family]));
    const view = new DataView(message.buffer);
    view.setUint8(0, ECHO[family].request);
    view.setUint16(4, this.#id);
    view.setUint16(6, sequence);
    if (family === 4) view.setUint16(2, checksum(view)); // of ICMPv6 the kernel makes it
    try {
      libc.send(this.#fd, message);
    } catch (error) {
      if (!isErrno(error, "EMSGSIZE")) throw error;
      this.answers[sequence] = "refused";
    }
  }

  #note(packet: Uint8Array): void {
    const { family } = this.#probe.target;
    const start = family === 4 ? 4 * ((packet[0] ?? 0) & 0xf) : 0; // of IPv6 the header is not given
    if (packet.length < start + ICMP_HEADER) return;
    const view = new DataView(packet.buffer, packet.byteOffset + start, packet.length - start);
    if (view.getUint8(0) !== ECHO[family].reply || view.getUint16(4) !== this.#id) return;
    const sequence = view.getUint16(6);
    if (sequence < this.answers.length) this.answers[sequence] = "answered";
  }
}

function openEcho({ netns, target }: PathProbe): number {
  const { family } = target;
  const [domain, protocol] = family === 4 ? [AF_INET, IPPROTO_ICMP] : [AF_INET6, IPPROTO_ICMPV6];
  const fd = inNetns(netns, () => libc.socket(domain, SOCK_RAW, protocol));
  try {
    const mode = new Uint8Array(new Int32Array([PMTUDISC_PROBE]).buffer);
    libc.setsockopt(fd, family === 4 ? IP_MTU_DISCOVER : IPV6_MTU_DISCOVER, mode);
    libc.connect(fd, socketAddress(target));
    return fd;
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

/** struct sockaddr_in, sockaddr_in6 (linux/in.h, linux/in6.h): the family is in the machine's order. */
function socketAddress(address: Address): Uint8Array {
  const sockaddr = new Uint8Array(address.family === 4 ? 16 : 28);
  new Uint16Array(sockaddr.buffer, 0, 1)[0] = address.family === 4 ? AF_INET : AF_INET6;
  sockaddr.set(addressBytes(address), address.family === 4 ? 4 : 8);
  return sockaddr;
}

/** RFC 1071, over a message whose checksum is still 0. */
function checksum(view: DataView): number {
  let sum = 0;
  for (let at = 0; at < view.byteLength; at += 2) {
    sum += at + 1 < view.byteLength ? view.getUint16(at) : view.getUint8(at) << 8;
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
