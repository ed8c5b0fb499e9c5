/**
 * IPv4 and IPv6 addresses: read as Go's net.ParseIP reads them, written as RFC 5952 asks.
 *
 * Text with an IPv4-mapped address ("::ffff:192.0.2.1") is IPv4 from here on, as it is for Go. Bytes and
 * arithmetic keep their family: the kernel's IPv6 route to ::ffff:0.0.0.0/96 stays one, printed as `ip` does.
 */
import { quote } from "./quote.ts";

export type Family = 4 | 6;

export interface Address {
  readonly family: Family;
  /** The address as a number in network order: below 2^32 or 2^128. */
  readonly value: bigint;
}

const IPV6_GROUP = /^[0-9a-fA-F]{1,4}$/;
/** The upper 96 bits of an IPv4-mapped address, ::ffff:0:0/96. */
const IPV4_MAPPED = 0xffffn;

/** Takes no zone, no leading zeros in IPv4, and "::" only for one group or more. Throws SyntaxError. */
export function parseAddress(text: string): Address {
  if (!text.includes(":")) {
    const value = parseIpv4(text);
    if (value !== undefined) return { family: 4, value: BigInt(value) };
    throw new SyntaxError(
      `Cannot parse ${quote(text)} as an address: not four numbers from 0 to 255 without leading zeros`,
    );
  }
  const value = parseIpv6(text);
  if (value === undefined) {
    throw new SyntaxError(
      `Cannot parse ${quote(text)} as an address: not eight groups of 1 to 4 hex digits, or fewer and "::"`,
    );
  }
  const isMapped = value >> 32n === IPV4_MAPPED;
  return isMapped ? { family: 4, value: BigInt.asUintN(32, value) } : { family: 6, value };
}

/** "192.0.2.1", "2001:db8::1", and "::ffff:192.0.2.1" for the IPv6 that parseAddress() never returns. */
export function formatAddress({ family, value }: Address): string {
  if (family === 4) return formatIpv4(value);
  if (value >> 32n === IPV4_MAPPED) return `::ffff:${formatIpv4(value)}`;
  const groups: string[] = [];
  for (let shift = 112n; shift >= 0n; shift -= 16n) groups.push(((value >> shift) & 0xffffn).toString(16));
  let zeros = { at: 0, length: 1 }; // RFC 5952 §4.2: "::" is the first longest run, and never one group alone
  for (let at = 0; at < 8; at++) {
    let length = 0;
    while (groups[at + length] === "0") length++;
    if (length > zeros.length) zeros = { at, length };
  }
  if (zeros.length === 1) return groups.join(":");
  return `${groups.slice(0, zeros.at).join(":")}::${groups.slice(zeros.at + zeros.length).join(":")}`;
}

/** Bits of an address: 32 or 128. */
export function addressBits(family: Family): 32 | 128 {
  return family === 4 ? 32 : 128;
}

/** 4 or 16 bytes in network order. */
export function addressBytes({ family, value }: Address): Uint8Array<ArrayBuffer> {
  return Uint8Array.fromHex(value.toString(16).padStart(addressBits(family) / 4, "0"));
}

/** The number of bytes decides the family. Throws RangeError unless it is 4 or 16. */
export function addressFromBytes(bytes: Uint8Array): Address {
  if (bytes.length !== 4 && bytes.length !== 16) {
    throw new RangeError(`Cannot read an address from ${bytes.length} bytes: neither 4 nor 16`);
  }
  return { family: bytes.length === 4 ? 4 : 6, value: BigInt(`0x${bytes.toHex()}`) };
}

/** The address `by` places further, or back. Throws RangeError outside the family. */
export function offsetAddress(address: Address, by: bigint | number): Address {
  const value = address.value + BigInt(by);
  if (BigInt.asUintN(addressBits(address.family), value) !== value) {
    throw new RangeError(`Cannot offset ${formatAddress(address)} by ${by}: outside IPv${address.family}`);
  }
  return { family: address.family, value };
}

/** For sort(): IPv4 before IPv6, then by value. */
export function compareAddresses(a: Address, b: Address): number {
  if (a.family !== b.family) return a.family - b.family;
  return a.value < b.value ? -1 : Number(a.value > b.value);
}

export function sameAddress(a: Address, b: Address): boolean {
  return a.family === b.family && a.value === b.value;
}

/** 224.0.0.0/4, ff00::/8 */
export function isMulticast({ family, value }: Address): boolean {
  return family === 4 ? value >> 28n === 0xen : value >> 120n === 0xffn;
}

/** 127.0.0.0/8, ::1 */
export function isLoopback({ family, value }: Address): boolean {
  return family === 4 ? value >> 24n === 127n : value === 1n;
}

/** 0.0.0.0, :: */
export function isUnspecified({ value }: Address): boolean {
  return value === 0n;
}

/** Unicast: 169.254.0.0/16, fe80::/10 */
export function isLinkLocal({ family, value }: Address): boolean {
  return family === 4 ? value >> 16n === 0xa9fen : value >> 118n === 0x3fan;
}

function parseIpv4(text: string): number | undefined {
  const octets = text.split(".", 5);
  if (octets.length !== 4) return undefined;
  let value = 0;
  for (const octet of octets) {
    const number = Number(octet);
    if (!(number >= 0 && number <= 255) || String(number) !== octet) return undefined; // nor "010", "", " 1"
    value = value * 256 + number;
  }
  return value;
}

function parseIpv6(text: string): bigint | undefined {
  const lastField = text.lastIndexOf(":") + 1;
  if (text.includes(".", lastField)) {
    const ipv4 = parseIpv4(text.slice(lastField));
    if (ipv4 === undefined) return undefined;
    return parseIpv6(
      `${text.slice(0, lastField)}${(ipv4 >>> 16).toString(16)}:${(ipv4 & 0xffff).toString(16)}`,
    );
  }
  const [head = "", tail, surplus] = text.split("::", 3);
  if (surplus !== undefined) return undefined;
  const before = splitGroups(head);
  const after = splitGroups(tail ?? "");
  const omitted = 8 - before.length - after.length;
  if (tail === undefined ? omitted !== 0 : omitted < 1) return undefined;
  let hex = "";
  for (const group of [...before, ...Array<string>(omitted).fill("0"), ...after]) {
    if (!IPV6_GROUP.test(group)) return undefined;
    hex += group.padStart(4, "0");
  }
  return BigInt(`0x${hex}`);
}

/** Nine groups at most, however long the text is. */
function splitGroups(text: string): string[] {
  return text === "" ? [] : text.split(":", 9);
}

/** Of the lower 32 bits. */
function formatIpv4(value: bigint): string {
  const bits = Number(BigInt.asUintN(32, value));
  return `${bits >>> 24}.${(bits >>> 16) & 255}.${(bits >>> 8) & 255}.${bits & 255}`;
}
