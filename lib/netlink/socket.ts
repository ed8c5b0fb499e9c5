/**
 * The netlink socket: requests out, answers in, whatever the family.
 *
 * It asks for strict checking and extended acknowledgements, matches answers by sequence number, puts dumps
 * together, makes a dump again that a change interrupted (NLM_F_DUMP_INTR), and never takes a datagram that
 * was cut short. netlink(7), Documentation/userspace-api/netlink/intro.rst.
 */
import { inNetns, type Netns } from "../netns/netns.ts";
import { isErrno } from "../sys/errno.ts";
import * as libc from "../sys/libc.ts";
import { type NetlinkError, NetlinkProtocolError } from "./error.ts";
import * as nl from "./message.ts";
import { type AnyRequest, type Request, refusal, type Sent } from "./request.ts";
import { Writer } from "./wire.ts";

export const AF_NETLINK = 16;
export const SOCK_RAW = 3;
export const SOL_SOCKET = 1;
const SO_SNDBUF = 7;
export const SO_RCVBUF = 8;
const SO_RCVTIMEO = 20;
const SO_SNDBUFFORCE = 32;
export const SO_RCVBUFFORCE = 33;
export const SOL_NETLINK = 270;
/** The kernel's own address on netlink (netlink(7), nl_pid). */
export const KERNEL_PORT = 0;
// linux/netlink.h, socket options
export const NETLINK_ADD_MEMBERSHIP = 1;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const NETLINK_GET_STRICT_CHK = 12;

/**
 * The kernel answers within microseconds, or after the RTNL lock's queue: a loaded node has shown seconds.
 */
const ANSWER_TIMEOUT_S = 30;
/** Dumps interrupted one after the other before we say so. */
const DUMP_ATTEMPTS = 20;
/** The least default there is (net/core/sock.c, sk_wmem_max on a 32-bit kernel). */
const SEND_BUFFER_BYTES = 131_072;
/** Twice what the kernel puts into one datagram of a dump (netlink_dump(), NLMSG_GOODSIZE). */
export const RECEIVE_BYTES = 65_536;
/**
 * Requests sent at a time. Their acknowledgements wait in the socket's receive buffer, which holds some 250
 * by default (net.core.rmem_default); the kernel drops what does not fit in without a word.
 */
const REQUESTS_IN_FLIGHT = 64;
/** What an acknowledgement takes of the receive buffer at most, with the kernel's own bytes about it. */
const ACKNOWLEDGEMENT_BYTES = 2_048;

/** A dump under way. */
export interface Dump {
  /** Takes the next datagram. @returns whether there are more @throws NetlinkError when it is refused */
  receive(): boolean;
  /** A change interrupted it: what it told is not one state. */
  readonly isInterrupted: boolean;
}

let receiveBuffer: Uint8Array | undefined;
let nextSequence = 1;

export class NetlinkSocket implements Disposable {
  #fd: number;
  /**
   * The socket's address: the kernel puts it into answers to us, and other sockets' into events they caused.
   */
  readonly #port: number;
  /** Whose the last datagram was. */
  readonly #sender = netlinkAddress();

  /** Opens a socket of a netlink family (linux/netlink.h NETLINK_*), in `netns` or where the process is. */
  constructor(family: number, netns?: Netns) {
    const open = () => libc.socket(AF_NETLINK, SOCK_RAW, family);
    this.#fd = netns ? inNetns(netns, open) : open();
    try {
      this.#setOption(SOL_NETLINK, NETLINK_CAP_ACK, 1);
      this.#setOption(SOL_NETLINK, NETLINK_EXT_ACK, 1);
      this.#setOption(SOL_NETLINK, NETLINK_GET_STRICT_CHK, 1);
      this.#setReceiveTimeout(ANSWER_TIMEOUT_S);
      libc.bind(this.#fd, netlinkAddress());
      const own = netlinkAddress();
      libc.getsockname(this.#fd, own);
      this.#port = portOf(own);
    } catch (error) {
      libc.close(this.#fd);
      throw error;
    }
  }

  /** Closes the socket; again is nothing. */
  [Symbol.dispose](): void {
    if (this.#fd >= 0) libc.close(this.#fd);
    this.#fd = -1;
  }

  /**
   * Sends the requests, many in one datagram, and waits until each is acknowledged. The kernel carries them
   * out in order and goes on after one that fails; the first refusal is thrown when all have been answered.
   */
  change(...requests: AnyRequest[]): void {
    let refused: NetlinkError | undefined;
    this.changeEach(requests, (_request, error) => {
      refused ??= error;
    });
    if (refused) throw refused;
  }

  /** As change(), and `onRefusal` is told of every request that the kernel refuses. */
  changeEach<R extends AnyRequest>(
    requests: readonly R[],
    onRefusal: (request: R, error: NetlinkError) => void,
  ): void {
    for (let from = 0; from < requests.length; from += REQUESTS_IN_FLIGHT) {
      this.#changeTogether(requests.slice(from, from + REQUESTS_IN_FLIGHT), onRefusal);
    }
  }

  #changeTogether<R extends AnyRequest>(
    requests: readonly R[],
    onRefusal: (request: R, error: NetlinkError) => void,
  ): void {
    const sent = this.#send(requests, nl.NLM_F_REQUEST | nl.NLM_F_ACK);
    const first = sent[0]?.sequence ?? 0;
    let waiting = sent.length;
    while (waiting > 0) {
      for (const message of this.#receive(requests[0])) {
        const index = (message.sequence - first) >>> 0; // they are numbered in their order
        const one = sent[index];
        const request = requests[index];
        if (!one || !request || message.type !== nl.NLMSG_ERROR || one.isAnswered) continue;
        one.isAnswered = true;
        waiting--;
        const refused = refusal(one, message);
        if (refused) onRefusal(request, refused);
      }
    }
  }

  /**
   * Sends the requests in one datagram between two frames: the subsystem carries out all of them or none
   * (linux/netfilter/nfnetlink.h, batches). It is done, and has answered, when the sending returns.
   * @returns every refusal; when there is one, nothing has changed
   */
  transact(requests: readonly AnyRequest[], frame: { begin: AnyRequest; end: AnyRequest }): NetlinkError[] {
    const last = requests.length - 1;
    // Each may be refused, and all refusals come at once.
    if (last >= REQUESTS_IN_FLIGHT) {
      this.#setBuffer(
        { forced: SO_RCVBUFFORCE, allowed: SO_RCVBUF },
        requests.length * ACKNOWLEDGEMENT_BYTES,
      );
    }
    const acknowledged = requests.map((request, index) => (index === last ? withAck(request) : request));
    const sent = this.#send([frame.begin, ...acknowledged, frame.end], nl.NLM_F_REQUEST);
    const bySequence = new Map(sent.map((one) => [one.sequence, one]));
    // the batch as a whole refused; its last answered
    const ending = [sent[0]?.sequence, sent[last + 1]?.sequence];
    const refusals: NetlinkError[] = [];
    for (;;) {
      let isOver = false;
      for (const message of this.#receive(frame.begin)) {
        const one = bySequence.get(message.sequence);
        if (!one || message.type !== nl.NLMSG_ERROR) continue;
        const refused = refusal(one, message);
        if (refused) refusals.push(refused);
        isOver ||= ending.includes(message.sequence);
      }
      if (isOver) return refusals;
    }
  }

  /** Asks for one object. @throws NetlinkError, also when there is none */
  get<H extends object, A, R>(request: Request<H, A, R>): R {
    const [sent] = this.#send([request], nl.NLM_F_REQUEST);
    for (;;) {
      for (const message of this.#receive(request)) {
        if (!sent || message.sequence !== sent.sequence) continue;
        if (message.type !== nl.NLMSG_ERROR) return request.codec.read(message.body);
        const refused = refusal(sent, message);
        if (refused) throw refused;
        throw new NetlinkProtocolError(request.doing, `${request.name} was acknowledged without an answer`);
      }
    }
  }

  /** Asks for all objects that match; again, a bounded number of times, when they changed meanwhile. */
  dump<H extends object, A, R>(request: Request<H, A, R>): R[] {
    for (let attempt = 1; attempt <= DUMP_ATTEMPTS; attempt++) {
      const objects = this.#dumpOnce(request);
      if (objects) return objects;
    }
    throw new NetlinkProtocolError(request.doing, `interrupted by changes ${DUMP_ATTEMPTS} times; try again`);
  }

  /** @returns undefined when a change interrupted the dump */
  #dumpOnce<H extends object, A, R>(request: Request<H, A, R>): R[] | undefined {
    const objects: R[] = [];
    const dump = this.openDump(request, (body) => objects.push(request.codec.read(body)));
    while (dump.receive());
    return dump.isInterrupted ? undefined : objects;
  }

  /**
   * A dump that is taken datagram by datagram, for who has other things to do in between. The socket can do
   * nothing else until its end. `read` gets the body of each message: a view, which the next one overwrites.
   */
  openDump<H extends object, A>(request: Request<H, A, unknown>, read: (body: Uint8Array) => void): Dump {
    const [sent] = this.#send([request], nl.NLM_F_REQUEST | nl.NLM_F_DUMP);
    const dump = { isInterrupted: false, receive: () => this.#receivePart(request, sent, read, dump) };
    return dump;
  }

  #receivePart(
    request: AnyRequest,
    sent: Sent | undefined,
    read: (body: Uint8Array) => void,
    dump: { isInterrupted: boolean },
  ): boolean {
    for (const message of this.#receive(request)) {
      if (!sent || message.sequence !== sent.sequence) continue;
      if (message.flags & nl.NLM_F_DUMP_INTR) dump.isInterrupted = true;
      if (message.type === nl.NLMSG_ERROR || message.type === nl.NLMSG_DONE) {
        const refused = refusal(sent, message);
        if (refused) throw refused;
        return false;
      }
      read(message.body);
    }
    return true;
  }

  /**
   * Joins a multicast group (RTNLGRP_*), so that awaitEvent() has something to wait for. For a socket that
   * asks for nothing else: events that come in while a request waits for its answer are passed over.
   */
  subscribe(group: number): void {
    this.#setOption(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group);
  }

  /** Waits until something happened in a subscribed group. @returns false when `timeoutMs` passed without */
  awaitEvent(timeoutMs: number): boolean {
    if (!libc.ppoll(this.#fd, libc.POLLIN, timeoutMs)) return false;
    try {
      receiveBuffer ??= new Uint8Array(new ArrayBuffer(RECEIVE_BYTES));
      libc.recvfrom(this.#fd, receiveBuffer, netlinkAddress());
    } catch (error) {
      if (!isErrno(error, "ENOBUFS")) throw error; // more events than the socket keeps: something did happen
    }
    return true;
  }

  #send(requests: readonly AnyRequest[], flags: number): Sent[] {
    const writer = new Writer();
    const sent: Sent[] = [];
    for (const request of requests) {
      const sequence = nextSequence++ >>> 0;
      const start = nl.openMessage(writer, {
        type: request.type,
        flags: flags | (request.flags ?? 0),
        sequence,
      });
      request.codec.write(writer, request.header, request.attributes);
      nl.closeMessage(writer, start);
      sent.push({ request, sequence, start, end: writer.length, writer, isAnswered: false });
    }
    this.#makeRoomFor(writer.length);
    libc.send(this.#fd, writer.finish());
    return sent;
  }

  /** A datagram has to fit into the send buffer, which is 208 KiB by default (net.core.wmem_default). */
  #makeRoomFor(bytes: number): void {
    if (bytes > SEND_BUFFER_BYTES / 2) {
      this.#setBuffer({ forced: SO_SNDBUFFORCE, allowed: SO_SNDBUF }, 2 * bytes);
    }
  }

  /** In a user namespace no more than the host allows (net.core.wmem_max, rmem_max): socket(7). */
  #setBuffer({ forced, allowed }: { forced: number; allowed: number }, bytes: number): void {
    try {
      this.#setOption(SOL_SOCKET, forced, bytes);
    } catch (error) {
      if (!isErrno(error, "EPERM")) throw error;
      this.#setOption(SOL_SOCKET, allowed, bytes);
    }
  }

  /** Receives a datagram. @returns those of its messages that answer this socket */
  #receive(request: AnyRequest | undefined): nl.ReceivedMessage[] {
    receiveBuffer ??= new Uint8Array(new ArrayBuffer(RECEIVE_BYTES));
    const doing = request?.doing ?? "receive";
    const sender = this.#sender;
    let length: number;
    try {
      length = libc.recvfrom(this.#fd, receiveBuffer, sender);
    } catch (error) {
      if (!isErrno(error, "EAGAIN")) throw error;
      throw new NetlinkProtocolError(doing, `the kernel did not answer within ${ANSWER_TIMEOUT_S} s`);
    }
    if (portOf(sender) !== KERNEL_PORT) return []; // a process of the namespace may write to us as well
    if (length > receiveBuffer.length) {
      throw new NetlinkProtocolError(
        doing,
        `an answer of ${length} bytes does not fit into ${receiveBuffer.length}`,
      );
    }
    const own: nl.ReceivedMessage[] = [];
    for (const message of nl.eachMessage(receiveBuffer.subarray(0, length))) {
      if (message.type === nl.NLMSG_OVERRUN) throw new NetlinkProtocolError(doing, "the kernel lost data");
      if (message.port === this.#port) own.push(message);
    }
    return own;
  }

  #setOption(level: number, name: number, value: number): void {
    libc.setsockopt(this.#fd, { level, name }, new Uint8Array(new Uint32Array([value]).buffer));
  }

  #setReceiveTimeout(seconds: number): void {
    const timeval = new BigInt64Array([BigInt(seconds), 0n]);
    libc.setsockopt(this.#fd, { level: SOL_SOCKET, name: SO_RCVTIMEO }, new Uint8Array(timeval.buffer));
  }
}

function withAck(request: AnyRequest): AnyRequest {
  return { ...request, flags: (request.flags ?? 0) | nl.NLM_F_ACK };
}

/**
 * `struct sockaddr_nl` (linux/netlink.h): u16 family, u16 zero, u32 port, u32 groups. Port 0: the kernel
 * chooses.
 */
export function netlinkAddress(): Uint8Array<ArrayBuffer> {
  const address = new Uint8Array(new ArrayBuffer(12));
  new DataView(address.buffer).setUint16(0, AF_NETLINK, true);
  return address;
}

export function portOf(address: Uint8Array<ArrayBuffer>): number {
  return new DataView(address.buffer).getUint32(4, true);
}
