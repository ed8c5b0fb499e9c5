/**
 * Attribute tables: the table is the codec.
 *
 * A set of attributes is stated once, one line each: our name, the kernel's number, how the payload is
 * written. Encoding, decoding, the TypeScript type and the attribute's name in an error follow from that
 * line. A set is itself a codec, so one nests in another as one more line.
 *
 * `struct nlattr` (linux/netlink.h): u16 length with this header, u16 type, payload, zeros up to a multiple
 * of four.
 */
import { type Codec, Writer } from "./wire.ts";

const HEADER_BYTES = 4;
const NLA_F_NESTED = 0x8000;
const NLA_TYPE_MASK = 0x3fff;

// The one `any` of the codec engine: a table holds codecs of every type, and Values<T> recovers each.
// biome-ignore lint/suspicious/noExplicitAny: see above
export type Table = Record<string, readonly [number: number, codec: Codec<any>]>;

/** What a table of attributes holds; every attribute may be absent. */
export type Values<T extends Table> = {
  -readonly [K in keyof T]?: (T[K] extends readonly [number, Codec<infer V>] ? V : never) | undefined;
};

export interface AttributeSet<T extends Table> extends Codec<Values<T>> {
  /** The kernel's name before the attribute's own: "IFLA" for IFLA_MTU. */
  readonly prefix: string;
  readonly table: T;
  attributeAt(payload: Uint8Array, offset: number): string | undefined;
}

/**
 * A set of attributes. `prefix` and a key of the table make the kernel's name: IFLA, netNsFd →
 * IFLA_NET_NS_FD.
 */
export function attributes<const T extends Table>(prefix: string, table: T): AttributeSet<T> {
  // Found by number only when something is read: a process uses few of the tables that it loads.
  let byNumber: Map<number, Line> | undefined;
  return {
    prefix,
    table,
    write(to, values) {
      for (const name in values) {
        const value: unknown = values[name];
        if (value === undefined) continue;
        const line = table[name];
        if (!line) throw new TypeError(`Cannot encode ${prefix} attribute "${name}": not in its table`);
        const [number, codec] = line;
        if (!codec.repeated) writeAttribute(to, number, codec, value);
        // `repeated` is what makes the value an array
        else for (const element of value as unknown[]) writeAttribute(to, number, codec, element);
      }
    },
    read(payload) {
      const values: Record<string, unknown> = {};
      for (const { number, start, end } of eachAttribute(payload)) {
        byNumber ??= linesByNumber(table);
        const known = byNumber.get(number);
        if (!known) continue; // from a newer kernel
        const value = readNamed(`${prefix} ${known.name}`, known.codec, payload.subarray(start, end));
        if (!known.codec.repeated) values[known.name] = value;
        else listIn(values, known.name).push(value);
      }
      return values as Values<T>; // each value was read by the codec its type comes from
    },
    attributeAt(payload, offset) {
      for (const { number, start, end } of eachAttribute(payload)) {
        if (offset >= end) continue;
        byNumber ??= linesByNumber(table);
        const known = byNumber.get(number);
        if (!known) return `${prefix} attribute ${number}`;
        const inner =
          offset >= start
            ? known.codec.attributeAt?.(payload.subarray(start, end), offset - start)
            : undefined;
        return inner ?? kernelName(prefix, known.name);
      }
      return undefined;
    },
  };
}

interface Line {
  readonly name: string;
  readonly codec: Codec<unknown>;
}

function linesByNumber(table: Table): Map<number, Line> {
  const lines = new Map<number, Line>();
  for (const name in table) {
    const line = table[name];
    if (line) lines.set(line[0], { name, codec: line[1] });
  }
  return lines;
}

/** The array of that name, made where there is none. */
function listIn(values: Record<string, unknown>, name: string): unknown[] {
  const list = (values[name] as unknown[] | undefined) ?? []; // nobody else writes under the name
  values[name] = list;
  return list;
}

/** IFLA, "netNsFd" → "IFLA_NET_NS_FD" */
export function kernelName(prefix: string, name: string): string {
  return `${prefix}_${name.replace(/[A-Z]/g, "_$&").toUpperCase()}`;
}

/**
 * The bytes a codec writes, for a payload that is handed on as bytes (IFLA_INFO_DATA, whose codec is the
 * kind's).
 */
export function encode<T>(codec: Codec<T>, value: T): Uint8Array {
  const writer = new Writer();
  codec.write(writer, value);
  return writer.finish();
}

/** A set whose type number carries NLA_F_NESTED, as newer parts of the kernel demand. */
export function nested<T>(codec: Codec<T>): Codec<T> {
  return { ...codec, nested: true };
}

/** Several attributes of one number: an array. */
export function repeated<T>(codec: Codec<T>): Codec<T[]> {
  // The engine hands this codec one element at a time, both ways; only the type of the whole is an array.
  return { ...codec, repeated: true } as unknown as Codec<T[]>;
}

function writeAttribute(to: Writer, number: number, codec: Codec<unknown>, value: unknown): void {
  const at = to.reserve(HEADER_BYTES);
  codec.write(to, value);
  const length = to.length - at;
  if (length > 0xffff) throw new RangeError(`Cannot encode an attribute of ${length} bytes`);
  to.view.setUint16(at, length, true);
  to.view.setUint16(at + 2, codec.nested ? number | NLA_F_NESTED : number, true);
  to.align();
}

function readNamed(name: string, codec: Codec<unknown>, payload: Uint8Array): unknown {
  try {
    return codec.read(payload);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new RangeError(`Cannot decode ${name}: ${reason}`, { cause: error });
  }
}

/**
 * The attributes of a payload: number, and where the content starts and ends. @throws RangeError on a bad
 * length
 */
export function eachAttribute(payload: Uint8Array): { number: number; start: number; end: number }[] {
  const found: { number: number; start: number; end: number }[] = [];
  let at = 0;
  while (at + HEADER_BYTES <= payload.length) {
    const length = u16At(payload, at);
    if (length < HEADER_BYTES || at + length > payload.length) {
      throw new RangeError(
        `Cannot decode the attribute at byte ${at}: length ${length} of ${payload.length - at}`,
      );
    }
    const number = u16At(payload, at + 2) & NLA_TYPE_MASK;
    found.push({ number, start: at + HEADER_BYTES, end: at + length });
    at += (length + 3) & ~3; // NLA_ALIGN
  }
  if (at < payload.length)
    throw new RangeError(`Cannot decode attributes: ${payload.length - at} bytes left over`);
  return found;
}

function u16At(bytes: Uint8Array, at: number): number {
  return (bytes[at] ?? 0) | ((bytes[at + 1] ?? 0) << 8);
}
