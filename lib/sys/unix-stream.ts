/** A stream over a Unix socket (unix(7)). Whoever listens may hang: every wait ends at a deadline. */
import { sleepMs } from "./clock.ts";
import { isErrno } from "./errno.ts";
import * as libc from "./libc.ts";

const CHUNK_BYTES = 4096;
const RETRY_MS = 5;

const AF_UNIX = 1;
const SOCK_STREAM = 1;
/** sun_path of struct sockaddr_un. */
const SUN_PATH_MAX = 108;
const LINE_FEED = 0x0a;

/** The deadline passed. */
export class StreamTimeoutError extends Error {
  constructor() {
    super("no answer in time");
    this.name = "StreamTimeoutError";
  }
}

/** The other side closed the connection, or sends what nobody can want to read. */
export class StreamBrokenError extends Error {
  constructor(reason: string, cause?: unknown) {
    super(reason, { cause });
    this.name = "StreamBrokenError";
  }
}

/**
 * A struct sockaddr_un: a path ends with a NUL, an abstract name begins with one and ends with the address.
 * Undefined for a name that no socket can have.
 */
export function unixAddress(kind: "path" | "abstract", name: string): Uint8Array | undefined {
  if (name === "" || name.includes("\0")) return undefined;
  const bytes = new TextEncoder().encode(kind === "path" ? `${name}\0` : `\0${name}`);
  if (bytes.length > SUN_PATH_MAX) return undefined;
  const address = new Uint8Array(2 + bytes.length);
  new DataView(address.buffer).setUint16(0, AF_UNIX, true);
  address.set(bytes, 2);
  return address;
}

export class UnixStream implements Disposable {
  /** When all that is under way must have ended, by performance.now(). */
  deadline: number;
  #fd: number;
  #received = new Uint8Array(0);

  /** Connects. @throws ErrnoError, StreamTimeoutError */
  constructor(address: Uint8Array, deadline: number) {
    this.deadline = deadline;
    this.#fd = libc.socket(AF_UNIX, SOCK_STREAM | libc.O_NONBLOCK, 0);
    try {
      this.#connect(address);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** Closes the socket; again is nothing. */
  [Symbol.dispose](): void {
    if (this.#fd >= 0) libc.close(this.#fd);
    this.#fd = -1;
  }

  /** What came in and was not yet taken. */
  get received(): Uint8Array {
    return this.#received;
  }

  write(bytes: Uint8Array): void {
    for (let rest = bytes; rest.length > 0; ) {
      const sent = this.#whenReady(libc.POLLOUT, () => libc.write(this.#fd, rest));
      rest = rest.slice(sent);
    }
  }

  /** Waits until more came in. */
  receive(): void {
    const chunk = new Uint8Array(CHUNK_BYTES);
    const length = this.#whenReady(libc.POLLIN, () => libc.read(this.#fd, chunk));
    if (length === 0) throw new StreamBrokenError("it closed the connection");
    const received = new Uint8Array(this.#received.length + length);
    received.set(this.#received);
    received.set(chunk.subarray(0, length), this.#received.length);
    this.#received = received;
  }

  /** The first bytes of what came in. */
  take(bytes: number): Uint8Array {
    const taken = this.#received.slice(0, bytes);
    this.#received = this.#received.slice(bytes);
    return taken;
  }

  /** A line without its end. */
  readLine(bytesMax: number): string {
    for (;;) {
      const end = this.#received.indexOf(LINE_FEED);
      if (end >= 0) return new TextDecoder().decode(this.take(end + 1)).trimEnd();
      if (this.#received.length > bytesMax)
        throw new StreamBrokenError(`it sends lines above ${bytesMax} bytes`);
      this.receive();
    }
  }

  /** A listener whose queue is full says EAGAIN, and there is no event to wait for. */
  #connect(address: Uint8Array): void {
    for (;;) {
      try {
        libc.connect(this.#fd, address);
        return;
      } catch (error) {
        if (!isErrno(error, "EAGAIN")) throw error;
        this.#restMs();
        sleepMs(RETRY_MS);
      }
    }
  }

  /** Makes a call of the socket when it is ready for it. */
  #whenReady(event: number, make: () => number): number {
    for (;;) {
      if (!libc.ppoll(this.#fd, event, this.#restMs())) continue; // and out of time
      try {
        return make();
      } catch (error) {
        if (isErrno(error, "EPIPE", "ECONNRESET"))
          throw new StreamBrokenError("it closed the connection", error);
        if (!isErrno(error, "EAGAIN")) throw error;
      }
    }
  }

  /** What is left of the time. @throws StreamTimeoutError when nothing is */
  #restMs(): number {
    const restMs = this.deadline - performance.now();
    if (restMs <= 0) throw new StreamTimeoutError();
    return restMs;
  }
}
