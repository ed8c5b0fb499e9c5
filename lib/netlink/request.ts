/** Requests, and what the kernel says when it refuses one: an errno, and its extended acknowledgement. */
import { attributes } from "./attributes.ts";
import { NetlinkError, NetlinkProtocolError } from "./error.ts";
import * as nl from "./message.ts";
import { bytes, cstring, u32, type Writer } from "./wire.ts";

/** NLMSGERR_ATTR_* (linux/netlink.h): what an extended acknowledgement says. */
export const extendedAck = attributes("NLMSGERR_ATTR", {
  msg: [1, cstring],
  offs: [2, u32],
  cookie: [3, bytes],
});

/**
 * One request: what it is, how it is written, and for the error how `ip` would put it ("create link
 * \"eth0\"").
 */
export interface Request<H extends object, A, R = H & A> {
  readonly doing: string;
  readonly type: number;
  /** The type's name in the kernel's header, for errors. */
  readonly name: string;
  readonly flags?: number;
  readonly codec: { write(to: Writer, header: H, attributes: A): void; read(body: Uint8Array): R } & Pick<
    nl.MessageCodec<H, A>,
    "attributeAt"
  >;
  readonly header: H;
  readonly attributes: A;
}

// A list of requests of different kinds; each was checked against its own codec where it was made.
// biome-ignore lint/suspicious/noExplicitAny: see above
export type AnyRequest = Request<any, any, any>;

/** A request as it went out. */
export interface Sent {
  readonly request: AnyRequest;
  readonly sequence: number;
  /** Where its message lies in the writer. */
  readonly start: number;
  readonly end: number;
  readonly writer: Writer;
  isAnswered: boolean;
}

/** Reads the errno of NLMSG_ERROR or NLMSG_DONE; undefined when it is 0. */
export function refusal(sent: Sent, message: nl.ReceivedMessage): NetlinkError | undefined {
  if (message.body.length < 4) {
    if (message.type === nl.NLMSG_DONE) return undefined; // of an old kernel
    throw new NetlinkProtocolError(sent.request.doing, `an acknowledgement of ${message.body.length} bytes`);
  }
  const view = new DataView(message.body.buffer, message.body.byteOffset, message.body.byteLength);
  const errno = -view.getInt32(0, true);
  if (errno === 0) return undefined;
  const { detail, offset } = readExtendedAck(message);
  const { request } = sent;
  const body = sent.writer.finish().subarray(sent.start + nl.NLMSG_HEADER_BYTES, sent.end);
  const attribute =
    offset === undefined ? undefined : request.codec.attributeAt(body, offset - nl.NLMSG_HEADER_BYTES);
  return new NetlinkError(request.doing, { request: request.name, errno, detail, attribute });
}

/** Malformed attributes here do not hide the error they come with. */
function readExtendedAck(message: nl.ReceivedMessage): { detail?: string; offset?: number } {
  if (!(message.flags & nl.NLM_F_ACK_TLVS)) return {};
  // struct nlmsgerr: s32 error, then the header of the request; NLM_F_CAPPED: without the request's body.
  const errorBytes = message.type === nl.NLMSG_DONE ? 4 : 4 + nl.NLMSG_HEADER_BYTES;
  try {
    const { msg, offs } = extendedAck.read(message.body.subarray(errorBytes));
    return { ...(msg === undefined ? {} : { detail: msg }), ...(offs === undefined ? {} : { offset: offs }) };
  } catch {
    return {};
  }
}
