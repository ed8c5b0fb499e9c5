/** IPv6 link-local addresses (RFC 4291 §2.5.6). */
import { addressFromBytes } from "./address.ts";
import type { Prefix } from "./prefix.ts";

/** The address that is made from a MAC, as unique as that: its EUI-64 (RFC 4291, appendix A). */
export function linkLocalOfMac(mac: Uint8Array): Prefix {
  const [a = 0, b = 0, c = 0, ...rest] = mac;
  return linkLocal([a ^ 0x02, b, c, 0xff, 0xfe, ...rest]);
}

/** An address that nobody else has: its interface identifier is 64 random bits. */
export function randomLinkLocal(): Prefix {
  return linkLocal([...crypto.getRandomValues(new Uint8Array(8))]);
}

function linkLocal(identifier: readonly number[]): Prefix {
  return {
    address: addressFromBytes(Uint8Array.from([0xfe, 0x80, 0, 0, 0, 0, 0, 0, ...identifier])),
    length: 64,
  };
}
