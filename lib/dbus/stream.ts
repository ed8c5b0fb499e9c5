/** The stream to a message bus: a Unix socket that speaks lines, then messages. Every wait has a bound. */
import { StreamBrokenError, StreamTimeoutError, UnixStream } from "../sys/unix-stream.ts";
import { socketAddresses } from "./address.ts";
import { BusTimeoutError, BusUnavailableError } from "./error.ts";
import { messageBytes } from "./message.ts";

/** Longer than any line of the authentication. */
const LINE_BYTES_MAX = 4096;
/** No answer to our calls comes near; the specification's bound is 128 MiB. */
const MESSAGE_BYTES_MAX = 1 << 20;

export class BusStream implements Disposable {
  readonly #address: string;
  readonly #timeoutMs: number;
  readonly #stream: UnixStream;

  /** Connects to the first of the address's sockets where somebody listens. @throws BusUnavailableError */
  constructor(address: string, timeoutMs: number) {
    this.#address = address;
    this.#timeoutMs = timeoutMs;
    this.#stream = this.#connect();
  }

  /** Closes the socket; again is nothing. */
  [Symbol.dispose](): void {
    this.#stream[Symbol.dispose]();
  }

  /** Everything until the next restart() has `timeoutMs`, together. */
  restart(): void {
    this.#stream.deadline = performance.now() + this.#timeoutMs;
  }

  write(bytes: Uint8Array): void {
    this.#explained(() => this.#stream.write(bytes));
  }

  /** A line without its end. */
  readLine(): string {
    return this.#explained(() => this.#stream.readLine(LINE_BYTES_MAX));
  }

  /** A whole message. */
  readMessage(): Uint8Array {
    for (;;) {
      const { received } = this.#stream;
      const bytes = messageBytes(received);
      if (bytes !== undefined && bytes > MESSAGE_BYTES_MAX)
        throw this.unavailable(`it sends a message of ${bytes} bytes`);
      if (bytes !== undefined && bytes <= received.length) return this.#stream.take(bytes);
      this.#explained(() => this.#stream.receive());
    }
  }

  unavailable(reason: string, cause?: unknown): BusUnavailableError {
    return new BusUnavailableError(this.#address, reason, cause);
  }

  #connect(): UnixStream {
    const deadline = performance.now() + this.#timeoutMs;
    let failure: unknown;
    for (const address of socketAddresses(this.#address)) {
      try {
        return new UnixStream(address, deadline);
      } catch (error) {
        if (error instanceof StreamTimeoutError) throw new BusTimeoutError(this.#address, this.#timeoutMs);
        failure = error;
      }
    }
    throw this.unavailable(failure instanceof Error ? failure.message : "no Unix socket in it", failure);
  }

  /** What the stream's errors mean here. */
  #explained<T>(make: () => T): T {
    try {
      return make();
    } catch (error) {
      if (error instanceof StreamTimeoutError) throw new BusTimeoutError(this.#address, this.#timeoutMs);
      if (error instanceof StreamBrokenError) throw this.unavailable(error.message, error.cause);
      throw error;
    }
  }
}
