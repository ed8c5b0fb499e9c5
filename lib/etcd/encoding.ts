/**
 * How the JSON gateway writes things: bytes as base64, 64-bit integers as decimal strings, and what is zero
 * or empty not at all.
 *
 * Reference: https://protobuf.dev/programming-guides/json/; etcd 3.4 mvcc/mvccpb/kv.proto
 */

/** A key with its value. What is not UTF-8 in it is read with U+FFFD in its place. */
export interface KeyValue {
  readonly key: string;
  readonly value: string;
  /** When it last changed. */
  readonly modRevision: bigint;
  /** The lease it hangs on; "0" for none. */
  readonly lease: string;
}

/** The same in JSON. */
export interface JsonKeyValue {
  readonly key?: string;
  readonly value?: string;
  readonly mod_revision?: string;
  readonly lease?: string;
}

export interface JsonHeader {
  readonly revision?: string;
}

export function decodeKeyValue(json: JsonKeyValue): KeyValue {
  return {
    key: decodeText(json.key),
    value: decodeText(json.value),
    modRevision: BigInt(json.mod_revision ?? 0),
    lease: json.lease ?? "0",
  };
}

export function decodeRevision(header: JsonHeader | undefined): bigint {
  return BigInt(header?.revision ?? 0);
}

export function encodeText(text: string): string {
  return new TextEncoder().encode(text).toBase64();
}

/** A byte order mark is a part of the text. */
export function decodeText(base64 = ""): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.fromBase64(base64));
}

/** A key, or all that begin with it: `key` and `range_end` of a request. */
export function encodeRange(key: string, options: { prefix?: boolean | undefined } = {}): JsonRange {
  const bytes = new TextEncoder().encode(key);
  if (!options.prefix) return { key: bytes.toBase64() };
  return { key: bytes.toBase64(), range_end: endOfPrefix(bytes).toBase64() };
}

export interface JsonRange {
  readonly key: string;
  readonly range_end?: string;
}

/** The first key after all that begin with these bytes; one NUL stands for no end. */
export function endOfPrefix(prefix: Uint8Array): Uint8Array {
  const last = prefix.findLastIndex((byte) => byte < 0xff);
  if (last < 0) return new Uint8Array([0]);
  const end = prefix.slice(0, last + 1);
  end[last] = (end[last] ?? 0) + 1;
  return end;
}

/** The key right after this one; both in base64, as no text can hold every key. */
export function keyAfter(base64: string): string {
  const bytes = Uint8Array.fromBase64(base64);
  const after = new Uint8Array(bytes.length + 1);
  after.set(bytes);
  return after.toBase64();
}
