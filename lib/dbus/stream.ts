/** The stream to a message bus: a Unix socket that speaks lines, then messages. Every wait has a bound. */
import { sleepMs } from "../sys/clock.ts";
import { isErrno } from "../sys/errno.ts";
import * as libc from "../sys/libc.ts";
import { socketAddresses } from "./address.ts";
import { BusTimeoutError, BusUnavailableError } from "./error.ts";
import { messageBytes } from "./message.ts";

const CHUNK_BYTES = 4096;
/** No answer to our calls comes near; the specification's bound is 128 MiB. */
const MESSAGE_BYTES_MAX = 1 << 20;
const RETRY_MS = 5;

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = libc.O_NONBLOCK;
const LINE_FEED = 0x0a;

export class BusStream implements Disposable {
  readonly #address: string;
  readonly #timeoutMs: number;
  #deadline: number;
  #fd: number;
  /** What came in and was not yet read. */
  #received = new Uint8Array(0);

  /** Connects to the first of the address's sockets where somebody listens. @throws BusUnavailableError */
  constructor(address: string, timeoutMs: number) {
    this.#address = address;
    this.#timeoutMs = timeoutMs;
    this.#deadline = performance.now() + timeoutMs;
    this.#fd = this.#connect();
  }

  /** Closes the socket; again is nothing. */
  [Symbol.dispose](): void {
    if (this.#fd >= 0) libc.close(this.#fd);
    this.#fd = -1;
  }

  /** Everything until the next restart() has `timeoutMs`, together. */
  restart(): void {
    this.#deadline = performance.now() + this.#timeoutMs;
  }

  write(bytes: Uint8Array): void {
    for (let rest = bytes; rest.length > 0; ) {
      const sent = this.#whenReady(libc.POLLOUT, () => libc.write(this.#fd, rest));
      rest = rest.slice(sent);
    }
  }

  /** A line without its end. */
  readLine(): string {
    for (;;) {
      const end = this.#received.indexOf(LINE_FEED);
      if (end >= 0) return new TextDecoder().decode(this.#take(end + 1)).trimEnd();
      if (this.#received.length > CHUNK_BYTES) throw this.unavailable("what listens is not a bus");
      this.#receive();
    }
  }

  /** A whole message. */
  readMessage(): Uint8Array {
    for (;;) {
      const bytes = messageBytes(this.#received);
      if (bytes !== undefined && bytes > MESSAGE_BYTES_MAX)
        throw this.unavailable(`it sends a message of ${bytes} bytes`);
      if (bytes !== undefined && bytes <= this.#received.length) return this.#take(bytes);
      this.#receive();
    }
  }

  unavailable(reason: string, cause?: unknown): BusUnavailableError {
    return new BusUnavailableError(this.#address, reason, cause);
  }

  #connect(): number {
    let failure: unknown;
    for (const address of socketAddresses(this.#address)) {
      const fd = libc.socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
      try {
        this.#connectTo(fd, address);
        return fd;
      } catch (error) {
        libc.close(fd);
        if (error instanceof BusTimeoutError) throw error;
        failure = error;
      }
    }
    throw this.unavailable(failure instanceof Error ? failure.message : "no Unix socket in it", failure);
  }

  /** A listener whose queue is full says EAGAIN, and there is no event to wait for (unix(7)). */
  #connectTo(fd: number, address: Uint8Array): void {
    for (;;) {
      try {
        libc.connect(fd, address);
        return;
      } catch (error) {
        if (!isErrno(error, "EAGAIN")) throw error;
        this.#restMs();
        sleepMs(RETRY_MS);
      }
    }
  }

  #take(bytes: number): Uint8Array {
    const taken = this.#received.slice(0, bytes);
    this.#received = this.#received.slice(bytes);
    return taken;
  }

  #receive(): void {
    const chunk = new Uint8Array(CHUNK_BYTES);
    const length = this.#whenReady(libc.POLLIN, () => libc.read(this.#fd, chunk));
    if (length === 0) throw this.unavailable("it closed the connection");
    const received = new Uint8Array(this.#received.length + length);
    received.set(this.#received);
    received.set(chunk.subarray(0, length), this.#received.length);
    this.#received = received;
  }

  /** Makes a call of the socket when it is ready for it. */
  #whenReady(event: number, make: () => number): number {
    for (;;) {
      if (!libc.ppoll(this.#fd, event, this.#restMs())) continue; // and out of time
      try {
        return make();
      } catch (error) {
        if (isErrno(error, "EPIPE", "ECONNRESET")) throw this.unavailable("it closed the connection", error);
        if (!isErrno(error, "EAGAIN")) throw error;
      }
    }
  }

  /** What is left of the time. @throws BusTimeoutError when nothing is */
  #restMs(): number {
    const restMs = this.#deadline - performance.now();
    if (restMs <= 0) throw new BusTimeoutError(this.#address, this.#timeoutMs);
    return restMs;
  }
}
