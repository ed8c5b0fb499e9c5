/**
 * Netlink messages: a header, a fixed struct, attributes.
 *
 * `struct nlmsghdr` (linux/netlink.h), 16 bytes:
 *
 *     u32 length with this header · u16 type · u16 flags · u32 sequence number · u32 port
 */
import type { AttributeSet, Table, Values } from "./attributes.ts";
import type { Codec, Writer } from "./wire.ts";

export const NLMSG_HEADER_BYTES = 16;

// linux/netlink.h
export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;
export const NLMSG_OVERRUN = 4;
export const NLM_F_REQUEST = 0x01;
export const NLM_F_MULTI = 0x02;
export const NLM_F_ACK = 0x04;
export const NLM_F_DUMP_INTR = 0x10;
export const NLM_F_CAPPED = 0x100;
export const NLM_F_ACK_TLVS = 0x200;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLM_F_APPEND = 0x800;
/** NLM_F_ROOT | NLM_F_MATCH */
export const NLM_F_DUMP = 0x300;

/** The body of one family of messages: a struct followed by attributes. Decoded, both are one object. */
export interface MessageCodec<H, A> {
  write(to: Writer, header: H, attributes: A): void;
  read(body: Uint8Array): H & A;
  /** Names the attribute at an offset of the body. */
  attributeAt(body: Uint8Array, offset: number): string | undefined;
}

export function messageCodec<H extends object, const T extends Table>(
  header: Codec<H> & { readonly size: number },
  set: AttributeSet<T>,
): MessageCodec<H, Values<T>> {
  const attributesStart = (header.size + 3) & ~3; // NLMSG_ALIGN
  return {
    write(to, head, attributes) {
      header.write(to, head);
      to.align();
      set.write(to, attributes);
    },
    read(body) {
      return { ...header.read(body), ...set.read(body.subarray(attributesStart)) };
    },
    attributeAt(body, offset) {
      return offset < attributesStart
        ? undefined
        : set.attributeAt(body.subarray(attributesStart), offset - attributesStart);
    },
  };
}

/** One received message. `body` is a view of the receive buffer: decode it before receiving again. */
export interface ReceivedMessage {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  readonly port: number;
  readonly body: Uint8Array;
}

/** Appends a message's header; closeMessage() fills in the length. @returns where the header starts */
export function openMessage(to: Writer, head: { type: number; flags: number; sequence: number }): number {
  const at = to.reserve(NLMSG_HEADER_BYTES);
  to.view.setUint16(at + 4, head.type, true);
  to.view.setUint16(at + 6, head.flags, true);
  to.view.setUint32(at + 8, head.sequence, true);
  return at;
}

export function closeMessage(to: Writer, start: number): void {
  to.view.setUint32(start, to.length - start, true);
  to.align();
}

/** Splits a datagram into its messages. @throws RangeError on a length that does not fit */
export function eachMessage(datagram: Uint8Array): ReceivedMessage[] {
  const messages: ReceivedMessage[] = [];
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.byteLength);
  let at = 0;
  while (at + NLMSG_HEADER_BYTES <= datagram.length) {
    const length = view.getUint32(at, true);
    if (length < NLMSG_HEADER_BYTES || at + length > datagram.length) {
      throw new RangeError(
        `Cannot decode the message at byte ${at}: length ${length} of ${datagram.length - at}`,
      );
    }
    messages.push({
      type: view.getUint16(at + 4, true),
      flags: view.getUint16(at + 6, true),
      sequence: view.getUint32(at + 8, true),
      port: view.getUint32(at + 12, true),
      body: datagram.subarray(at + NLMSG_HEADER_BYTES, at + length),
    });
    at += (length + 3) & ~3; // NLMSG_ALIGN
  }
  if (at < datagram.length)
    throw new RangeError(`Cannot decode a datagram: ${datagram.length - at} bytes left over`);
  return messages;
}
