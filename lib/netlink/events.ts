/**
 * What the kernel tells of changes: a socket that asks nothing and never waits, for a program that lives.
 *
 * It is looked at now and then. What the kernel has to tell meanwhile waits in the socket's receive buffer;
 * what does not fit in is lost, and the socket says so once (netlink(7), ENOBUFS).
 */
import { inNetns, type Netns } from "../netns/netns.ts";
import { isErrno } from "../sys/errno.ts";
import * as libc from "../sys/libc.ts";
import { eachMessage } from "./message.ts";
import {
  AF_NETLINK,
  KERNEL_PORT,
  NETLINK_ADD_MEMBERSHIP,
  netlinkAddress,
  portOf,
  RECEIVE_BYTES,
  SO_RCVBUF,
  SO_RCVBUFFORCE,
  SOCK_RAW,
  SOL_NETLINK,
  SOL_SOCKET,
} from "./socket.ts";

/** An event of a neighbour takes about a kilobyte with the kernel's own bytes about it: some 8,000 events. */
const BUFFER_BYTES = 8 << 20;

/** One event. `body` is a view of the receive buffer: it is overwritten by the next datagram. */
export interface NetlinkEvent {
  readonly type: number;
  /** The address of the socket whose request caused it; 0 where the kernel does not say. */
  readonly port: number;
  readonly body: Uint8Array;
}

export class NetlinkEvents implements Disposable {
  #fd: number;
  readonly #buffer = new Uint8Array(new ArrayBuffer(RECEIVE_BYTES));
  readonly #sender = netlinkAddress();

  /** Subscribes to groups of a netlink family (RTNLGRP_*), in `netns` or where the process is. */
  constructor(family: number, groups: readonly number[], options: { netns?: Netns | undefined } = {}) {
    const open = () => libc.socket(AF_NETLINK, SOCK_RAW, family);
    this.#fd = options.netns ? inNetns(options.netns, open) : open();
    try {
      this.#makeRoom();
      libc.bind(this.#fd, netlinkAddress());
      for (const group of groups) this.#setOption(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group);
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
   * Hands `take` what has come in, of `datagramsMax` datagrams at most.
   * @returns "some" when there may be more, "none" when that was all, "lost" when some were lost
   */
  receive(take: (event: NetlinkEvent) => void, datagramsMax: number): "some" | "none" | "lost" {
    for (let count = 0; count < datagramsMax; count++) {
      let length: number | undefined;
      try {
        length = libc.receiveNow(this.#fd, this.#buffer, this.#sender);
      } catch (error) {
        if (isErrno(error, "ENOBUFS")) return "lost";
        throw error;
      }
      if (length === undefined) return "none";
      if (portOf(this.#sender) !== KERNEL_PORT) continue; // a process may write to us as well
      if (length > this.#buffer.length) return "lost";
      for (const message of eachMessage(this.#buffer.subarray(0, length))) take(message);
    }
    return "some";
  }

  /** In a user namespace no more than the host allows (net.core.rmem_max): socket(7). */
  #makeRoom(): void {
    try {
      this.#setOption(SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES);
    } catch (error) {
      if (!isErrno(error, "EPERM")) throw error;
      this.#setOption(SOL_SOCKET, SO_RCVBUF, BUFFER_BYTES);
    }
  }

  #setOption(level: number, name: number, value: number): void {
    libc.setsockopt(this.#fd, { level, name }, new Uint8Array(new Uint32Array([value]).buffer));
  }
}
