/** Ethernet addresses: six bytes, read and written as Go's net.ParseMAC and HardwareAddr.String do. */
import { quote } from "./quote.ts";

const FORM =
  /^(?:[0-9a-f]{2}(?:([:-])[0-9a-f]{2})(?:\1[0-9a-f]{2}){4}|[0-9a-f]{4}(?:\.[0-9a-f]{4}){2}|[0-9a-f]{12})$/i;

/** Takes 02:00:5e:00:53:01, 02-00-5e-00-53-01, 0200.5e00.5301 and 02005e005301. Throws SyntaxError. */
export function parseMac(text: string): Uint8Array<ArrayBuffer> {
  if (!FORM.test(text)) {
    throw new SyntaxError(
      `Cannot parse ${quote(text)} as a MAC address: not six bytes as "02:00:5e:00:53:01"`,
    );
  }
  return Uint8Array.fromHex(text.replace(/[:.-]/g, ""));
}

/** "02:00:5e:00:53:01", for hardware addresses of any length. */
export function formatMac(bytes: Uint8Array): string {
  const hex = bytes.toHex();
  let text = hex.slice(0, 2);
  for (let at = 2; at < hex.length; at += 2) text += `:${hex.slice(at, at + 2)}`;
  return text;
}

/** Whether an interface can have it. Equivalent to is_valid_ether_addr() of linux/etherdevice.h. */
export function isUnicastMac(mac: Uint8Array): boolean {
  return (mac[0]! & 1) === 0 && mac.some((byte) => byte !== 0);
}

/** Unicast and locally administered: its owner is nobody's vendor. */
export function randomMac(): Uint8Array<ArrayBuffer> {
  const bytes = crypto.getRandomValues(new Uint8Array(6));
  bytes[0] = (bytes[0]! & 0xfc) | 0x02;
  return bytes;
}
