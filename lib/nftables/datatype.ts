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
    write: (word) => Uint8Array.of(PROTOCOLS[word] ?? Number(word)),
    read: ([byte = 0]) => Object.keys(PROTOCOLS).find((name) => PROTOCOLS[name] === byte) ?? byte,
  },
  inet_service: {
    number: 13,
    bytes: 2,
    write: (word) => Uint8Array.of(Number(word) >> 8, Number(word) & 255),
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
  let at = 0;
  for (let i = 0; i < types.length; i++) {
    const type: Datatype = TYPES[types[i] as TypeName]; // i is below types.length
    const [first, last] = boundsOf(words[i] ?? "");
    key.set(type.write(end ? last : first), at);
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

/** Whether a word of the key is a range, which only ports can be. */
export function isRange(word: Word): boolean {
  return typeof word === "string" && /^\d+-\d+$/.test(word);
}

function boundsOf(word: Word): readonly [first: Word, last: Word] {
  if (!isRange(word)) return [word, word];
  const [first = "", last = ""] = String(word).split("-");
  return [first, last];
}

function padded(bytes: number): number {
  return (bytes + 3) & ~3;
}

function writeName(word: Word): Uint8Array {
  const bytes = new TextEncoder().encode(String(word));
  if (bytes.length >= IFNAMSIZ) throw new RangeError(`Cannot encode "${word}" as the name of an interface`);
  const name = new Uint8Array(IFNAMSIZ);
  name.set(bytes);
  return name;
}

function readName(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}
