/**
 * Wire types of netlink: how one value is written into a message and read from one.
 *
 * A codec is the pair of both directions. Netlink is in the host's byte order, little endian on every machine
 * weft runs on; what the kernel keeps in network order says so in the codec's name (`be16`).
 */
import { type Address, addressBytes, addressFromBytes } from "../netaddr/address.ts";

/** Writes values of one type, and reads the bytes they were written as. */
export interface Codec<T> {
  write(to: Writer, value: T): void;
  /** @throws RangeError when the bytes are not such a value */
  read(from: Uint8Array): T;
  /** Bytes, where every value takes the same. */
  readonly size?: number;
  /** The payload holds attributes, and its type number says so: NLA_F_NESTED. */
  readonly nested?: boolean;
  /** The value is an array, written as one attribute an element under the same number. */
  readonly repeated?: boolean;
  /** Names the attribute at an offset of the payload, for a codec that holds attributes. */
  attributeAt?(payload: Uint8Array, offset: number): string | undefined;
}

/** Of most messages; a page of zeros for each would be a page fault each. */
const INITIAL_BYTES = 1_024;
/** Above what anything of ours takes: a transaction of nf_tables with 100,000 elements. */
const MAX_BYTES = 1 << 26;

/** Bytes under construction. */
export class Writer {
  #bytes = new Uint8Array(new ArrayBuffer(INITIAL_BYTES));
  /** Over all bytes, for writing at an offset that reserve() returned; another one when they are moved. */
  view = new DataView(this.#bytes.buffer);
  /** Bytes written so far. */
  length = 0;

  /** Makes room for `count` zero bytes and returns where they are. */
  reserve(count: number): number {
    const at = this.length;
    const end = at + count;
    if (end > MAX_BYTES) throw new RangeError(`Cannot write a message above ${MAX_BYTES} bytes`);
    if (end > this.#bytes.length) {
      const larger = new Uint8Array(new ArrayBuffer(Math.max(end, this.#bytes.length * 2)));
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.view = new DataView(larger.buffer);
    }
    this.length = end;
    return at;
  }

  /** NLMSG_ALIGN and NLA_ALIGN: up to the next multiple of four, with zeros. */
  align(): void {
    this.reserve(-this.length & 3);
  }

  append(bytes: Uint8Array): void {
    const at = this.reserve(bytes.length);
    this.#bytes.set(bytes, at);
  }

  /** What was written. A view: it changes when the writer is used again. */
  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }
}

function integer(
  name: string,
  size: 1 | 2 | 4,
  options: { big?: boolean; signed?: boolean } = {},
): Codec<number> {
  const { big = false, signed = false } = options;
  const min = signed ? -(2 ** (8 * size - 1)) : 0;
  const max = signed ? -min - 1 : 2 ** (8 * size) - 1;
  return {
    size,
    write(to, value) {
      if (!Number.isInteger(value) || value < min || value > max) {
        throw new RangeError(`Cannot encode ${value} as ${name}`);
      }
      const at = to.reserve(size);
      if (size === 1) to.view.setUint8(at, value);
      else if (size === 2) to.view.setUint16(at, value, !big);
      else to.view.setUint32(at, value, !big);
    },
    read(from) {
      if (from.length !== size) throw new RangeError(`Cannot decode ${from.length} bytes as ${name}`);
      let value = 0;
      for (let i = 0; i < size; i++) value = value * 256 + (from[big ? i : size - 1 - i] ?? 0);
      return value > max ? value - 2 ** (8 * size) : value;
    },
  };
}

export const u8 = integer("u8", 1);
export const u16 = integer("u16", 2);
export const u32 = integer("u32", 4);
export const s32 = integer("s32", 4, { signed: true });
export const be16 = integer("be16", 2, { big: true });
export const be32 = integer("be32", 4, { big: true });

/**
 * Text without an end of its own, where the kernel counts a NUL as part of it. One that it sends itself is
 * passed over.
 */
export const text: Codec<string> = {
  write(to, value) {
    if (value.includes("\0")) throw new RangeError(`Cannot encode ${JSON.stringify(value)}: it holds a NUL`);
    to.append(new TextEncoder().encode(value));
  },
  read(from) {
    const end = from.indexOf(0);
    return new TextDecoder().decode(end < 0 ? from : from.subarray(0, end));
  },
};

/** Text, ended by one NUL. */
export const cstring: Codec<string> = {
  write(to, value) {
    text.write(to, value);
    to.reserve(1);
  },
  read: text.read,
};

/** Bytes as they are; a copy when read. */
export const bytes: Codec<Uint8Array> = {
  write: (to, value) => to.append(value),
  read: (from) => from.slice(),
};

/** An attribute that says something by being there. */
export const flag: Codec<true> = {
  write: () => {},
  read: () => true,
};

/** An IPv4 or IPv6 address in network order; its family follows from its length. */
export const address: Codec<Address> = {
  write: (to, value) => to.append(addressBytes(value)),
  read: addressFromBytes,
};

type Fields = Record<string, Codec<number>>;

/**
 * A C struct of numbers, in the order of its members. A member that is not given is written as 0; members
 * whose name starts with `pad` are never given nor read.
 */
export function struct<const F extends Fields>(
  fields: F,
): Codec<{ -readonly [K in keyof F as K extends `pad${string}` ? never : K]?: number }> & {
  readonly size: number;
} {
  let size = 0;
  for (const name in fields) size += fields[name]?.size ?? 0;
  return {
    size,
    write(to, values) {
      const given: Record<string, number | undefined> = values;
      for (const name in fields) fields[name]?.write(to, given[name] ?? 0);
    },
    read(from) {
      if (from.length < size)
        throw new RangeError(`Cannot decode ${from.length} bytes as a struct of ${size}`);
      const values: Record<string, number> = {};
      let at = 0;
      for (const name in fields) {
        const codec = fields[name];
        const end = at + (codec?.size ?? 0);
        if (codec && !name.startsWith("pad")) values[name] = codec.read(from.subarray(at, end));
        at = end;
      }
      return values as ReturnType<typeof this.read>; // built from the same members
    },
  };
}
