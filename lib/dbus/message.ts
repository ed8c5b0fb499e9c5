/**
 * Messages of D-Bus: calls are written, answers are read. Of the types there are those that calls of services
 * like firewalld's need: strings and lists of them in calls, and numbers and truth values too in answers.
 *
 * D-Bus Specification, "Message Protocol" and "Type System". Everything is aligned to its own size, counted
 * from the beginning of the message.
 */

/** Kinds of message. */
export const METHOD_CALL = 1;
export const METHOD_RETURN = 2;
export const ERROR = 3;

/** A call for a service that is not running fails rather than starts it. */
const NO_AUTO_START = 2;
const PROTOCOL_VERSION = 1;
/** What comes before the header's fields: kinds, two lengths and the serial number. */
const FIXED_BYTES = 16;

/** Header fields. */
const FIELD = {
  path: 1,
  interface: 2,
  member: 3,
  errorName: 4,
  replySerial: 5,
  destination: 6,
  signature: 8,
} as const;

export type Argument = string | readonly string[];
export type Value = string | number | boolean | readonly string[];

export interface MethodCall {
  /** Name of the service on the bus. */
  readonly destination: string;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  readonly args?: readonly Argument[];
}

export interface Answer {
  readonly kind: number;
  /** Serial number of the call it answers; 0 for none. */
  readonly replySerial: number;
  /** Of an ERROR: "org.freedesktop.DBus.Error.NameHasNoOwner". */
  readonly errorName: string;
  /** Types of the body. */
  readonly signature: string;
  readonly bytes: Uint8Array;
  readonly bodyOffset: number;
  readonly littleEndian: boolean;
}

/** What came over the bus is not a message, or is of a type that is not read here. */
export class MalformedMessageError extends Error {
  constructor(reason: string) {
    super(`Cannot read a D-Bus message: ${reason}`);
    this.name = "MalformedMessageError";
  }
}

/** @param serial above 0, another for each call of a connection */
export function encodeCall(call: MethodCall, serial: number): Uint8Array {
  const { args = [] } = call;
  const body = new Writer();
  for (const argument of args) {
    if (typeof argument === "string") body.string(argument);
    else body.strings(argument);
  }
  const message = new Writer();
  message.push("l".charCodeAt(0), METHOD_CALL, NO_AUTO_START, PROTOCOL_VERSION);
  message.u32(body.bytes.length);
  message.u32(serial);
  message.u32(0); // length of the fields, below
  const start = message.bytes.length;
  message.field(FIELD.path, "o", call.path);
  message.field(FIELD.interface, "s", call.interface);
  message.field(FIELD.member, "s", call.member);
  message.field(FIELD.destination, "s", call.destination);
  const signature = args.map((argument) => (typeof argument === "string" ? "s" : "as")).join("");
  if (signature !== "") message.field(FIELD.signature, "g", signature);
  const fieldsBytes = message.bytes.length - start;
  message.align(8);
  const bytes = Uint8Array.from([...message.bytes, ...body.bytes]);
  new DataView(bytes.buffer).setUint32(12, fieldsBytes, true);
  return bytes;
}

/** Bytes of the message that begins here; undefined while too few have come to tell. */
export function messageBytes(received: Uint8Array): number | undefined {
  if (received.length < FIXED_BYTES) return undefined;
  const { littleEndian, view } = opened(received);
  const fieldsEnd = FIXED_BYTES + view.getUint32(12, littleEndian);
  return aligned(fieldsEnd, 8) + view.getUint32(4, littleEndian);
}

/** Reads a whole message's header. @throws MalformedMessageError */
export function decodeAnswer(bytes: Uint8Array): Answer {
  const { littleEndian, view } = opened(bytes);
  const fieldsEnd = FIXED_BYTES + view.getUint32(12, littleEndian);
  const header = new Reader(bytes.subarray(0, fieldsEnd), { littleEndian, at: FIXED_BYTES });
  const fields = new Map<number, Value>();
  while (header.at < fieldsEnd) {
    header.align(8);
    const code = header.u8();
    fields.set(code, header.value(header.signature()));
  }
  const textOf = (code: number) => String(fields.get(code) ?? "");
  return {
    kind: view.getUint8(1),
    replySerial: Number(fields.get(FIELD.replySerial) ?? 0),
    errorName: textOf(FIELD.errorName),
    signature: textOf(FIELD.signature),
    bytes,
    bodyOffset: aligned(fieldsEnd, 8),
    littleEndian,
  };
}

/** The values an answer holds. @throws MalformedMessageError, also for types that are not read here */
export function answerValues({ bytes, bodyOffset, signature, littleEndian }: Answer): Value[] {
  const body = new Reader(bytes, { littleEndian, at: bodyOffset });
  const values: Value[] = [];
  for (let at = 0; at < signature.length; ) {
    const type = signature.slice(at, at + (signature[at] === "a" ? 2 : 1));
    values.push(body.value(type));
    at += type.length;
  }
  return values;
}

function opened(bytes: Uint8Array): { view: DataView; littleEndian: boolean } {
  const order = String.fromCharCode(bytes[0] ?? 0);
  if (order !== "l" && order !== "B") throw new MalformedMessageError("neither byte order");
  return { view: viewOf(bytes), littleEndian: order === "l" };
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

function aligned(offset: number, to: number): number {
  return Math.ceil(offset / to) * to;
}

/** Little-endian. A body may be written apart from its message: it begins at a multiple of 8 there. */
class Writer {
  readonly bytes: number[] = [];

  push(...bytes: number[]): void {
    this.bytes.push(...bytes);
  }

  align(to: number): void {
    while (this.bytes.length % to !== 0) this.bytes.push(0);
  }

  u32(value: number): void {
    this.align(4);
    this.push(value & 255, (value >>> 8) & 255, (value >>> 16) & 255, value >>> 24);
  }

  string(text: string): void {
    if (text.includes("\0")) throw new RangeError(`Cannot send ${JSON.stringify(text)}: it holds a NUL`);
    const utf8 = new TextEncoder().encode(text);
    this.u32(utf8.length);
    this.push(...utf8, 0);
  }

  strings(texts: readonly string[]): void {
    this.u32(0);
    const start = this.bytes.length;
    for (const text of texts) this.string(text);
    const length = new Uint8Array(Uint32Array.of(this.bytes.length - start).buffer);
    for (const [i, byte] of length.entries()) this.bytes[start - 4 + i] = byte;
  }

  field(code: number, type: "o" | "s" | "g", text: string): void {
    this.align(8);
    this.push(code, 1, type.charCodeAt(0), 0); // the type is a signature: its length, itself, NUL
    if (type === "g") this.push(text.length, ...new TextEncoder().encode(text), 0);
    else this.string(text);
  }
}

class Reader {
  at: number;
  readonly #view: DataView;
  readonly #littleEndian: boolean;

  constructor(bytes: Uint8Array, { littleEndian, at }: { littleEndian: boolean; at: number }) {
    this.#view = viewOf(bytes);
    this.#littleEndian = littleEndian;
    this.at = at;
  }

  align(to: number): void {
    this.at = aligned(this.at, to);
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  signature(): string {
    return this.#text(this.u8());
  }

  value(type: string): Value {
    if (type === "s" || type === "o") return this.#text(this.#u32());
    if (type === "g") return this.signature();
    if (type === "b") return this.#u32() !== 0;
    if (type === "u") return this.#u32();
    if (type === "as") return this.#strings();
    if (type === "v") return this.value(this.signature()); // a value that says its own type
    throw new MalformedMessageError(`values of type "${type}" are not read here`);
  }

  #strings(): string[] {
    const end = this.#u32() + this.at;
    const texts: string[] = [];
    while (this.at < end) texts.push(this.#text(this.#u32()));
    return texts;
  }

  #u32(): number {
    this.align(4);
    return this.#view.getUint32(this.#take(4), this.#littleEndian);
  }

  /** Its NUL is not counted in `length`. */
  #text(length: number): string {
    const start = this.#take(length + 1);
    const { buffer, byteOffset } = this.#view;
    return new TextDecoder().decode(new Uint8Array(buffer, byteOffset + start, length));
  }

  #take(length: number): number {
    const start = this.at;
    this.at += length;
    if (this.at > this.#view.byteLength) throw new MalformedMessageError("it ends early");
    return start;
  }
}
