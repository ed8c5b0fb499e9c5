/** What one would tell `ip` to make by hand what an ADD of the bridge plugin made. */
import { formatAddress } from "../../lib/netaddr/address.ts";
import { formatPrefix, parsePrefix } from "../../lib/netaddr/prefix.ts";
import type { Endpoint } from "./endpoint.ts";

/** The bridge, for its first endpoint. */
export function bridgeCommands({ bridge, bridgeAddresses }: Endpoint): string[] {
  return [
    `ip link add ${bridge} type bridge`,
    ...bridgeAddresses.map((address) => `ip addr add ${address} dev ${bridge}${withoutDetection(address)}`),
    `ip link set ${bridge} up`,
    ...bridgeAddresses.map((address) => `sysctl -w ${forwarding(address)}=1`),
  ];
}

export function endpointCommands(endpoint: Endpoint): string[] {
  const { sandbox, ifname, hostEnd, bridge, addresses, result } = endpoint;
  return [
    `ip link add ${hostEnd} type veth peer name ${ifname} netns ${sandbox}`,
    `ip link set ${hostEnd} master ${bridge} up`,
    ...addresses.map(
      (address) => `ip -n ${sandbox} addr add ${address} dev ${ifname}${withoutDetection(address)}`,
    ),
    `ip -n ${sandbox} link set ${ifname} up`,
    ...(result.routes ?? []).map(({ dst, gw }) => {
      const to = dst.length === 0 ? "default" : formatPrefix(dst);
      return `ip -n ${sandbox} route add ${to} ${gw ? `via ${formatAddress(gw)}` : `dev ${ifname}`}`;
    }),
  ];
}

/** Nobody else can have the address: no second of waiting for an answer. */
function withoutDetection(address: string): string {
  return familyOf(address) === 6 ? " nodad" : "";
}

function forwarding(address: string): string {
  return familyOf(address) === 4 ? "net.ipv4.ip_forward" : "net.ipv6.conf.all.forwarding";
}

function familyOf(address: string): number {
  return parsePrefix(address).address.family;
}
