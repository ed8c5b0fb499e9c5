/**
 * MACs of an overlay. They follow from what stays the same, so that what a neighbour remembers stays right
 * when a container comes back, there or on another host.
 */
import type { IpConfig } from "../cni/result.ts";
import { type Address, addressBytes, formatAddress } from "../netaddr/address.ts";

/**
 * Of a container: 02:42 and its first IPv4 address; without one a hash of the first IPv6 address. Of six
 * bytes of it all but two bits count: of thousands of containers no two may share a MAC.
 */
export function containerMac(ips: readonly IpConfig[]): Uint8Array | undefined {
  const addresses = ips.map(({ address }) => address.address);
  const ipv4 = addresses.find(({ family }) => family === 4);
  const [first] = addresses;
  return ipv4 ? macOf(ipv4) : first && hashedMac(formatAddress(first));
}

/** Of a network's bridge, on every host: there a container has its gateway wherever it runs. */
export function bridgeMac(network: string, vni: number): Uint8Array {
  return hashedMac(`${network}/${vni}`);
}

function macOf(ipv4: Address): Uint8Array {
  return Uint8Array.from([0x02, 0x42, ...addressBytes(ipv4)]);
}

/** Unicast and locally administered. */
export function hashedMac(text: string): Uint8Array {
  const mac = new Uint8Array(new Bun.CryptoHasher("sha256").update(text).digest().subarray(0, 6));
  mac[0] = ((mac[0] ?? 0) & 0xfc) | 0x02;
  return mac;
}
