/**
 * A kernel of the test's own: behind a real NetlinkSocket, it keeps what was sent and answers what the test
 * says.
 */
import { type Mock, spyOn } from "bun:test";
import {
  closeMessage,
  eachMessage,
  NLM_F_CAPPED,
  NLMSG_ERROR,
  openMessage,
  type ReceivedMessage,
} from "../netlink/message.ts";
import { s32, Writer } from "../netlink/wire.ts";
import * as libc from "../sys/libc.ts";

const FAKE_FD = 1_000_000;
/** The address of the fake socket: what the kernel would put into its answers. */
export const OUR_PORT = 4_242;

export interface Answer {
  readonly bytes: Uint8Array;
  /** Address of the sender: 0 is the kernel. */
  readonly from: number;
}

/** Takes the place of the calls that a socket makes, until it is disposed of. */
export class FakeKernel implements Disposable {
  /** The datagrams that were sent. */
  readonly sent: Uint8Array[] = [];
  /** How often the socket was closed. */
  closed = 0;
  readonly #answers: (Answer | Error)[] = [];
  // biome-ignore lint/suspicious/noExplicitAny: mocks of functions of different types
  readonly #mocks: Mock<any>[];

  /** @param answer what recvfrom() gives after a datagram was sent: datagrams, or errors to throw */
  constructor(answer: (requests: ReceivedMessage[]) => (Uint8Array | Answer | Error)[]) {
    this.#mocks = [
      spyOn(libc, "socket").mockImplementation(() => FAKE_FD),
      spyOn(libc, "setsockopt").mockImplementation(() => {}),
      spyOn(libc, "bind").mockImplementation(() => {}),
      spyOn(libc, "getsockname").mockImplementation((_fd, into) => setPort(into, OUR_PORT)),
      spyOn(libc, "close").mockImplementation(() => {
        this.closed++;
      }),
      spyOn(libc, "send").mockImplementation((_fd, bytes) => {
        const copy = bytes.slice();
        this.sent.push(copy);
        for (const one of answer([...eachMessage(copy)])) {
          this.#answers.push(one instanceof Uint8Array ? { bytes: one, from: 0 } : one);
        }
      }),
      spyOn(libc, "recvfrom").mockImplementation((_fd, into, sender) => {
        const next = this.#answers.shift();
        if (!next) throw new Error("The socket waits for an answer that the test does not give");
        if (next instanceof Error) throw next;
        into.set(next.bytes.subarray(0, into.length));
        setPort(sender, next.from);
        return next.bytes.length;
      }),
    ];
  }

  [Symbol.dispose](): void {
    for (const mock of this.#mocks) mock.mockRestore();
  }
}

function setPort(address: Uint8Array, port: number): void {
  new DataView(address.buffer).setUint32(4, port, true);
}

export interface AnswerMessage {
  readonly type: number;
  readonly sequence: number;
  readonly flags?: number;
  readonly port?: number;
  readonly body?: Uint8Array;
}

/** A datagram of these messages. */
export function datagram(...messages: AnswerMessage[]): Uint8Array {
  const writer = new Writer();
  for (const { type, sequence, flags = 0, port = OUR_PORT, body = new Uint8Array(0) } of messages) {
    const start = openMessage(writer, { type, flags, sequence });
    writer.view.setUint32(start + 12, port, true);
    writer.append(body);
    closeMessage(writer, start);
  }
  return writer.finish();
}

/**
 * `struct nlmsgerr` as the kernel sends it with NETLINK_CAP_ACK: the errno, negative, and a message header.
 */
export function errorBody(errno: number, attributes: Uint8Array = new Uint8Array(0)): Uint8Array {
  const writer = new Writer();
  s32.write(writer, -errno);
  writer.reserve(16);
  writer.append(attributes);
  return writer.finish();
}

/** The acknowledgement of a request. */
export function acknowledgement(request: ReceivedMessage, errno = 0): AnswerMessage {
  const { sequence } = request;
  return { type: NLMSG_ERROR, flags: NLM_F_CAPPED, sequence, body: errorBody(errno) };
}

/** Acknowledges everything. */
export function acknowledgeAll(requests: ReceivedMessage[]): Uint8Array[] {
  return [datagram(...requests.map((request) => acknowledgement(request)))];
}
