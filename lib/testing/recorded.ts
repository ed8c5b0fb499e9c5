/**
 * What our verbs send, and what they make of answers that were recorded: on a real socket with a fake kernel.
 */
import { eachMessage, NLM_F_MULTI, NLMSG_DONE } from "../netlink/message.ts";
import { openRouteSocket, type RouteSocket } from "../rtnetlink/route-socket.ts";
import { acknowledgeAll, datagram, FakeKernel } from "./fake-kernel.ts";

/** The one message that a verb sends. */
export function messageOf(verb: (socket: RouteSocket) => void): Uint8Array {
  const [message, ...others] = datagramsOf(verb);
  if (!message || others.length > 0) throw new Error(`It sent ${others.length + 1} datagrams, or none`);
  return message;
}

/** The datagrams that a verb sends, in order. */
export function datagramsOf(verb: (socket: RouteSocket) => void): Uint8Array[] {
  using kernel = new FakeKernel(acknowledgeAll);
  using socket = openRouteSocket();
  verb(socket);
  return kernel.sent;
}

/** What a verb makes of a recorded answer, which gets this socket's sequence number and port, and an end. */
export function answeredWith<T>(recorded: Uint8Array, verb: (socket: RouteSocket) => T): T {
  using _kernel = new FakeKernel(([request]) => {
    const sequence = request?.sequence ?? 0;
    const messages = [...eachMessage(recorded)].map(({ type, flags, body }) => ({
      type,
      flags,
      sequence,
      body,
    }));
    const end = { type: NLMSG_DONE, flags: NLM_F_MULTI, sequence, body: new Uint8Array(4) };
    return [datagram(...messages, end)];
  });
  using socket = openRouteSocket();
  return verb(socket);
}
