/**
 * An address with a prefix length, host bits kept: an interface's "10.0.0.5/24" or a network's "10.0.0.0/24".
 *
 * Read as Go's net.ParseCIDR reads it: an IPv4-mapped address with a length from 96 to 128 is
 * the IPv4 prefix. Below 96 Go takes the text, then prints the address with "/0" but the network
 * as IPv6. Nobody means either by it, and the first is a default route, so it is refused here.
 */
import { type Address, addressBits, formatAddress, parseAddress, sameAddress } from "./address.ts";
import { quote } from "./quote.ts";

export interface Prefix {
  readonly address: Address;
  readonly length: number;
}

/** Throws SyntaxError. Leading zeros in the length are fine ("/024"), as they are for Go. */
export function parsePrefix(text: string): Prefix {
  const slash = text.indexOf("/");
  if (slash < 0) throw cannotParse(text, "no prefix length");
  const address = parseAddress(text.slice(0, slash));
  const digits = text.slice(slash + 1);
  if (!isDecimal(digits)) throw cannotParse(text, "the prefix length is not a decimal number");

  const length = Number(digits);
  const writtenBits = text.includes(":") ? 128 : 32;
  if (length > writtenBits) throw cannotParse(text, `prefix length above ${writtenBits}`);
  const mappedBits = writtenBits - addressBits(address.family);
  if (length < mappedBits) throw cannotParse(text, `prefix length below ${mappedBits}, but IPv4-mapped`);
  return { address, length: length - mappedBits };
}

export function formatPrefix({ address, length }: Prefix): string {
  return `${formatAddress(address)}/${length}`;
}

/** The prefix with its host bits cleared. */
export function networkOf(prefix: Prefix): Prefix {
  return { address: firstAddress(prefix), length: prefix.length };
}

/** The network's own address, all host bits clear. */
export function firstAddress(prefix: Prefix): Address {
  const { family, value } = prefix.address;
  const host = hostBits(prefix);
  return { family, value: (value >> host) << host };
}

/** All host bits set: the broadcast address of an IPv4 network. */
export function lastAddress(prefix: Prefix): Address {
  const { family, value } = prefix.address;
  return { family, value: value | ((1n << hostBits(prefix)) - 1n) };
}

/** False for an address of the other family. */
export function containsAddress(prefix: Prefix, address: Address): boolean {
  const host = hostBits(prefix);
  return prefix.address.family === address.family && prefix.address.value >> host === address.value >> host;
}

/** Whether some address is in both. */
export function prefixesOverlap(a: Prefix, b: Prefix): boolean {
  return a.length < b.length ? containsAddress(a, b.address) : containsAddress(b, a.address);
}

/** Same length and same address, host bits included. */
export function samePrefix(a: Prefix, b: Prefix): boolean {
  return a.length === b.length && sameAddress(a.address, b.address);
}

/** The /32 or /128 of one address. */
export function hostPrefix(address: Address): Prefix {
  return { address, length: addressBits(address.family) };
}

function hostBits({ address, length }: Prefix): bigint {
  const bits = addressBits(address.family);
  if (length < 0 || length > bits)
    throw new RangeError(`Cannot use prefix length ${length} with IPv${address.family}`);
  return BigInt(bits - length);
}

function isDecimal(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    const char = text.charCodeAt(at);
    if (char < 0x30 || char > 0x39) return false;
  }
  return text !== "";
}

function cannotParse(text: string, reason: string): SyntaxError {
  return new SyntaxError(`Cannot parse ${quote(text)} as a prefix: ${reason}`);
}
