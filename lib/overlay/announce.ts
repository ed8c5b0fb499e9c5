/**
 * Tells the other hosts of a network that learns where a container is now. As the containers' gateway a host
 * keeps announcements from leaving by the bridge (portFlags() of devices.ts): those who talked to a container
 * of that address elsewhere would go on sending there for minutes. So the VXLAN device itself sends them, an
 * ARP announcement (RFC 5227 §2.3) and an unsolicited neighbour advertisement (RFC 4861 §7.2.6). Equivalent
 * to `arping -U -I vx42 ADDRESS`.
 */
import type { IpConfig } from "../cni/result.ts";
import { type Address, addressBytes, parseAddress } from "../netaddr/address.ts";
import { parseMac } from "../netaddr/mac.ts";
import type { Link } from "../rtnetlink/link.ts";
import { bind, close, send, socket } from "../sys/libc.ts";
import { type DeviceSettings, portFlags } from "./devices.ts";

// sys/socket.h
const AF_PACKET = 17;
const SOCK_RAW = 3;
// linux/if_ether.h
const ETH_P_ARP = 0x0806;
const ETH_P_IPV6 = 0x86dd;
/** Without the checksum that the wire adds. */
const ETH_ZLEN = 60;

const BROADCAST = new Uint8Array(6).fill(0xff);
const ALL_NODES = parseAddress("ff02::1");
const ALL_NODES_MAC = Uint8Array.of(0x33, 0x33, 0, 0, 0, 1);

/** Where the container's own announcement does not leave the host. `inside` is the MAC of its interface. */
export function announceContainer(
  device: Link,
  settings: DeviceSettings,
  inside: string,
  ips: readonly IpConfig[] = [],
): void {
  if (!settings.vxlan.learning || portFlags(settings).neighSuppress === 0 || ips.length === 0) return;
  const addresses = ips.map(({ address }) => address.address);
  sendAnnouncements(device, parseMac(inside), addresses);
}

/** In the namespace that the process runs in: the host's. */
function sendAnnouncements(device: Link, mac: Uint8Array, addresses: readonly Address[]): void {
  const fd = socket(AF_PACKET, SOCK_RAW, 0); // of no protocol: it receives nothing
  try {
    bind(fd, linkLayerAddress(device.index));
    for (const address of addresses) {
      send(fd, address.family === 4 ? arpAnnouncement(mac, address) : neighbourAdvertisement(mac, address));
    }
  } finally {
    close(fd);
  }
}

/** An Ethernet frame: who has this address? It is mine. */
export function arpAnnouncement(mac: Uint8Array, address: Address): Uint8Array {
  const own = addressBytes(address);
  const header = [0, 1, 0x08, 0x00, 6, 4, 0, 1]; // Ethernet, IPv4, lengths, ARPOP_REQUEST
  return frame(BROADCAST, mac, ETH_P_ARP, [...header, ...mac, ...own, 0, 0, 0, 0, 0, 0, ...own]);
}

/** An Ethernet frame to all nodes, with the flag Override: what was known of the address is no longer so. */
export function neighbourAdvertisement(mac: Uint8Array, address: Address): Uint8Array {
  const own = addressBytes(address);
  const target = addressBytes(ALL_NODES);
  const advertisement = (checksum: number) => [
    ...[136, 0, checksum >> 8, checksum & 0xff, 0x20, 0, 0, 0],
    ...own,
    ...[2, 1], // Target Link-Layer Address, of 8 bytes
    ...mac,
  ];
  const length = advertisement(0).length;
  const pseudoHeader = [...own, ...target, 0, 0, 0, length, 0, 0, 0, 58];
  const body = advertisement(internetChecksum([...pseudoHeader, ...advertisement(0)]));
  return frame(ALL_NODES_MAC, mac, ETH_P_IPV6, [
    ...[0x60, 0, 0, 0, 0, length, 58, 255], // version, length, ICMPv6, hop limit
    ...own,
    ...target,
    ...body,
  ]);
}

function frame(
  to: Uint8Array,
  from: Uint8Array,
  protocol: number,
  payload: readonly number[],
): Uint8Array<ArrayBuffer> {
  const bytes = [...to, ...from, protocol >> 8, protocol & 0xff, ...payload];
  const padded = new Uint8Array(Math.max(ETH_ZLEN, bytes.length));
  padded.set(bytes);
  return padded;
}

/** RFC 1071, of an even number of bytes. */
function internetChecksum(bytes: readonly number[]): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** struct sockaddr_ll (linux/if_packet.h) */
function linkLayerAddress(ifindex: number): Uint8Array {
  const bytes = new Uint8Array(20);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, AF_PACKET, true);
  view.setInt32(4, ifindex, true);
  return bytes;
}
