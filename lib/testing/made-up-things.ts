/** Made-up objects of a made-up kernel, for tests of the socket itself. */
import { expect } from "bun:test";
import { attributes, encode } from "../netlink/attributes.ts";
import * as nl from "../netlink/message.ts";
import type { Request } from "../netlink/request.ts";
import { NetlinkSocket } from "../netlink/socket.ts";
import { cstring, s32, struct, u16, u32, Writer } from "../netlink/wire.ts";
import { type Answer, type AnswerMessage, FakeKernel } from "./fake-kernel.ts";

const RTM_NEWLINK = 16;
const RTM_GETLINK = 18;

const info = attributes("IFLA_INFO", { kind: [1, cstring] });
export const codec = nl.messageCodec(
  struct({ index: u32 }),
  attributes("IFLA", { mtu: [4, u32], linkinfo: [18, info], group: [27, u16] }),
);
export type Thing = ReturnType<typeof codec.read>;

export function request(parts: Partial<Request<Thing, Thing>> = {}): Request<Thing, Thing> {
  return {
    doing: "do it",
    name: "RTM_TEST",
    type: RTM_GETLINK,
    codec,
    header: { index: 1 },
    attributes: {},
    ...parts,
  } as Request<Thing, Thing>;
}

/** An object as the kernel sends it. */
export function object(sequence: number, index: number, rest: Partial<AnswerMessage> = {}): AnswerMessage {
  const writer = new Writer();
  codec.write(writer, { index }, { mtu: 1500 });
  return { type: RTM_NEWLINK, sequence, body: writer.finish(), ...rest };
}

export function done(sequence: number, errno = 0, rest: Partial<AnswerMessage> = {}): AnswerMessage {
  return { type: nl.NLMSG_DONE, flags: nl.NLM_F_MULTI, sequence, body: encode(s32, -errno), ...rest };
}

/** Runs `use` with a socket whose kernel answers so. */
export function withKernel<T>(
  answer: (requests: nl.ReceivedMessage[]) => (Uint8Array | Answer | Error)[],
  use: (socket: NetlinkSocket, kernel: FakeKernel) => T,
): T {
  using kernel = new FakeKernel(answer);
  using socket = new NetlinkSocket(0);
  return use(socket, kernel);
}

/** For a kernel that is asked one thing. */
export function only(requests: nl.ReceivedMessage[]): nl.ReceivedMessage {
  expect(requests).toHaveLength(1);
  return requests[0] as nl.ReceivedMessage;
}

export function thrownBy(action: () => unknown): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  throw new Error("It threw nothing");
}
