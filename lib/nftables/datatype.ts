/**
 * What a set's keys and data are made of, in nft's words and in the kernel's bytes.
 *
 * The numbers are those of nft's own types (nftables, include/datatype.h): the kernel keeps them so that
 * `nft list` can print an element. In a key of several parts each part starts at a multiple of four bytes.
 */
import { addressBytes, addressFromBytes, formatAddress, parseAddress } from "../netaddr/address.ts";
import { formatMac, parseMac } from "../netaddr/mac.ts";

/** A part of a key or of data as nft writes it: "cni0", "10.9.0.2", "tcp", 8080, of a range "8000-8010". */
export type Word = string | number;

export type TypeName = keyof typeof TYPES;

interface Datatype {
  readonly number: number;
  readonly bytes: number;
  write(word: Word): Uint8Array;
  read(bytes: Uint8Array): Word;
}

const IFNAMSIZ = 16;
/** linux/in.h IPPROTO_*: the protocols that have ports. */
const PROTOCOLS: Readonly<Record<string, number>> = { tcp: 6, udp: 17, sctp: 132 };

const ADDRESS = {
  write: (word: Word) => addressBytes(parseAddress(String(word))),
  read: (bytes: Uint8Array) => formatAddress(addressFromBytes(bytes)),
};

export const TYPES = {
  ipv4_addr: { number: 7, bytes: 4, ...ADDRESS },
  ipv6_addr: { number: 8, bytes: 16, ...ADDRESS },
  ether_addr: { number: 9, bytes: 6, write: (word) => parseMac(String(word)), read: formatMac },
  inet_proto: {
    number: 12,
    bytes: 1,
    write: (word) =>
      Uint8Array.of(Object.hasOwn(PROTOCOLS, word) ? (PROTOCOLS[word] ?? 0) : number(word, 0xff)),
    read: ([byte = 0]) => Object.keys(PROTOCOLS).find((name) => PROTOCOLS[name] === byte) ?? byte,
  },
  inet_service: {
    number: 13,
    bytes: 2,
    write: (word) => Uint8Array.of(number(word, 0xffff) >> 8, number(word, 0xffff) & 255),
    read: ([high = 0, low = 0]) => high * 256 + low,
  },
  ifname: { number: 41, bytes: IFNAMSIZ, write: writeName, read: readName },
} as const satisfies Record<string, Datatype>;

/** The kernel's number for a key of these parts: six bits each. */
export function typeNumber(types: readonly TypeName[]): number {
  let number = 0;
  for (const type of types) number = (number << 6) | TYPES[type].number;
  return number;
}

/** Bytes of a key of these parts. */
export function typeBytes(types: readonly TypeName[]): number {
  let length = 0;
  for (const type of types) length += types.length === 1 ? TYPES[type].bytes : padded(TYPES[type].bytes);
  return length;
}

/** The lengths of a key's parts, as NFTA_SET_DESC_CONCAT wants them. */
export function partBytes(types: readonly TypeName[]): number[] {
  return types.map((type) => TYPES[type].bytes);
}

/** A key's bytes. Of a range, its first, or its last with `end`. @throws SyntaxError, RangeError */
export function writeKey(
  types: readonly TypeName[],
  words: readonly Word[],
  { end = false }: { end?: boolean } = {},
): Uint8Array {
  const key = new Uint8Array(typeBytes(types));
  if (words.length !== types.length)
    throw new RangeError(`Cannot use ${words.length} words as a key of ${types}`);
  let at = 0;
  for (let i = 0; i < types.length; i++) {
    const name = types[i] as TypeName; // i is below types.length
    const type: Datatype = TYPES[name];
    const word = words[i] as Word; // as many as types
    const [first, last] = name === "inet_service" ? boundsOf(word) : [word, word];
    const bytes = type.write(end ? last : first);
    if (bytes.length !== type.bytes) throw new RangeError(`Cannot use "${word}" as ${name}`);
    key.set(bytes, at);
    at += padded(type.bytes);
  }
  return key;
}

/** The words of a key, which for an interval is given by its first and its last. */
export function readKey(types: readonly TypeName[], key: Uint8Array, keyEnd = key): Word[] {
  let at = 0;
  return types.map((name) => {
    const type: Datatype = TYPES[name];
    const [first, last] = [key, keyEnd].map((bytes) => type.read(bytes.subarray(at, at + type.bytes)));
    at += padded(type.bytes);
    return first === last ? (first ?? "") : `${first}-${last}`;
  });
}

/** The first and the last port of a range, or twice the one port. */
function boundsOf(word: Word): readonly [first: Word, last: Word] {
  const text = String(word);
  const at = text.indexOf("-", 1);
  return at < 0 ? [word, word] : [text.slice(0, at), text.slice(at + 1)];
}

function number(word: Word, max: number): number {
  const value = word === "" ? Number.NaN : Number(word);
  if (Number.isInteger(value) && value >= 0 && value <= max) return value;
  throw new RangeError(`Cannot use "${word}" as a number from 0 to ${max}`);
}

function padded(bytes: number): number {
  return (bytes + 3) & ~3;
}

function writeName(word: Word): Uint8Array {
  const bytes = new TextEncoder().encode(String(word));
  if (bytes.length === 0 || bytes.length >= IFNAMSIZ)
    throw new RangeError(`Cannot encode "${word}" as the name of an interface`);
  const name = new Uint8Array(IFNAMSIZ);
  name.set(bytes);
  return name;
}

function readName(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}
