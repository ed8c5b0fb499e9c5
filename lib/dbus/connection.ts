/**
 * A connection to a message bus: calls a method of a service and waits for its answer.
 *
 * D-Bus Specification, "Authentication Protocol", "Message Bus". The bus learns from the kernel who we are
 * (SO_PEERCRED), so EXTERNAL needs no name from us. Signals are passed over.
 */
import { BusError } from "./error.ts";
import {
  answerValues,
  decodeAnswer,
  ERROR,
  encodeCall,
  METHOD_RETURN,
  type MethodCall,
  type Value,
} from "./message.ts";
import { BusStream } from "./stream.ts";

/** How long a service may take for one call, as in libdbus. */
const TIMEOUT_MS = 25_000;

const BUS = {
  destination: "org.freedesktop.DBus",
  path: "/org/freedesktop/DBus",
  interface: "org.freedesktop.DBus",
};

export class BusConnection implements Disposable {
  readonly #stream: BusStream;
  #serial = 0;

  /**
   * Connects and says hello.
   * @param address "unix:path=…", see address.ts
   * @throws BusUnavailableError, BusTimeoutError, or BusError when the bus does not want us
   */
  constructor(address: string, options: { timeoutMs?: number } = {}) {
    this.#stream = new BusStream(address, options.timeoutMs ?? TIMEOUT_MS);
    try {
      authenticate(this.#stream);
      this.call({ ...BUS, member: "Hello" });
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#stream[Symbol.dispose]();
  }

  /** Whether a service of that name runs. It is not started. */
  hasService(name: string): boolean {
    return this.call({ ...BUS, member: "NameHasOwner", args: [name] })[0] === true;
  }

  /**
   * Calls a method of a service that runs; one that does not is not started.
   * @returns the values of the answer
   * @throws BusError, BusUnavailableError, BusTimeoutError
   */
  call(call: MethodCall): Value[] {
    const serial = ++this.#serial;
    this.#stream.restart();
    this.#stream.write(encodeCall(call, serial));
    for (;;) {
      const answer = decodeAnswer(this.#stream.readMessage());
      if (answer.replySerial !== serial) continue;
      if (answer.kind === METHOD_RETURN) return answerValues(answer);
      if (answer.kind !== ERROR) continue;
      const { errorName, signature } = answer;
      // the first value is the sentence, if it is a string
      const [text = ""] = signature.startsWith("s") ? answerValues({ ...answer, signature: "s" }) : [];
      throw new BusError(call, { errorName, text: String(text) });
    }
  }
}

/** Empty data stands for whoever the kernel says we are. What follows BEGIN are messages. */
function authenticate(stream: BusStream): void {
  stream.write(new TextEncoder().encode("\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n"));
  for (;;) {
    const line = stream.readLine();
    if (line.startsWith("OK ")) return;
    if (line !== "DATA") throw stream.unavailable(`it answers ${JSON.stringify(line)} to AUTH EXTERNAL`);
  }
}
