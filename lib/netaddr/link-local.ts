/** IPv6 link-local addresses (RFC 4291 §2.5.6). */
import { addressFromBytes } from "./address.ts";
import type { Prefix } from "./prefix.ts";

/** The address that is made from a MAC, as unique as that: its EUI-64 (RFC 4291, appendix A). */
export function linkLocalOfMac(mac: Uint8Array): Prefix {
  const identifier = new Uint8Array(8);
  identifier.set(mac.subarray(0, 3));
  identifier.set([0xff, 0xfe], 3);
  identifier.set(mac.subarray(3), 5);
  identifier[0] = (mac[0] ?? 0) ^ 0x02;
  return linkLocal(identifier);
}

/** An address that nobody else has: its interface identifier is 64 random bits. */
export function randomLinkLocal(): Prefix {
  return linkLocal(crypto.getRandomValues(new Uint8Array(8)));
}

function linkLocal(identifier: Uint8Array): Prefix {
  const bytes = new Uint8Array(16);
  bytes.set([0xfe, 0x80]);
  bytes.set(identifier, 8);
  return { address: addressFromBytes(bytes), length: 64 };
}
