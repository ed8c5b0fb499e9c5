/** What one would tell `ip` to make by hand what an ADD made. */
import { formatAddress } from "../../lib/netaddr/address.ts";
import { formatPrefix, networkOf, type Prefix, parsePrefix } from "../../lib/netaddr/prefix.ts";
import type { BridgeEndpoint, Endpoint, RoutedEndpoint } from "./endpoint.ts";
import { addressOf } from "./outside.ts";

/** The bridge, for its first endpoint. */
export function bridgeCommands({ bridge, bridgeAddresses }: BridgeEndpoint): string[] {
  return [
    `ip link add ${bridge} type bridge`,
    ...bridgeAddresses.map((address) => `ip addr add ${address} dev ${bridge}${withoutDetection(address)}`),
    `ip link set ${bridge} up`,
    ...bridgeAddresses.map((address) => `sysctl -w ${forwarding(address)}=1`),
  ];
}

export function bridgeEndpointCommands(endpoint: BridgeEndpoint): string[] {
  const { sandbox, ifname, hostEnd, bridge } = endpoint;
  return [
    `ip link add ${hostEnd} type veth peer name ${ifname} netns ${sandbox}`,
    `ip link set ${hostEnd} master ${bridge} up`,
    ...addressCommands(endpoint),
  ];
}

/** The host's end has the gateway's address alone; all that the container sends goes there. IPv4. */
export function routedEndpointCommands(endpoint: RoutedEndpoint): string[] {
  const { sandbox, ifname, hostEnd, base, addresses, gateway } = endpoint;
  const [prefix = ""] = addresses;
  const address = addressOf(prefix);
  const route = `ip -n ${sandbox} route add`;
  return [
    `ip link add ${hostEnd} type veth peer name ${ifname} netns ${sandbox}`,
    ...base.addresses.map((own) => `ip addr add ${own} dev ${hostEnd}`),
    `ip link set ${hostEnd} up`,
    `ip route add ${address} dev ${hostEnd}`,
    "sysctl -w net.ipv4.ip_forward=1",
    `ip -n ${sandbox} addr add ${prefix} dev ${ifname} noprefixroute`,
    `ip -n ${sandbox} link set ${ifname} up`,
    `${route} ${gateway} dev ${ifname} scope link src ${address}`,
    `${route} ${formatPrefix(networkOf(parsePrefix(prefix)))} via ${gateway} src ${address}`,
    `${route} default via ${gateway}`,
  ];
}

/** An interface of that type on one of the host: "macvlan mode bridge". */
export function underlayEndpointCommands(endpoint: Endpoint, type: string): string[] {
  const { sandbox, ifname, base } = endpoint;
  return [
    `ip link add link ${base.name} name ${ifname} netns ${sandbox} type ${type}`,
    ...addressCommands(endpoint),
  ];
}

function addressCommands({ sandbox, ifname, addresses, result }: Endpoint): string[] {
  const gatewayFor = ({ address, length }: Prefix) =>
    length === 0 ? result.ips?.find(({ gateway }) => gateway?.family === address.family)?.gateway : undefined;
  return [
    ...addresses.map(
      (address) => `ip -n ${sandbox} addr add ${address} dev ${ifname}${withoutDetection(address)}`,
    ),
    `ip -n ${sandbox} link set ${ifname} up`,
    ...(result.routes ?? []).map(({ dst, gw }) => {
      const to = dst.length === 0 ? "default" : formatPrefix(dst);
      const next = gw ?? gatewayFor(dst);
      return `ip -n ${sandbox} route add ${to} ${next ? `via ${formatAddress(next)}` : `dev ${ifname}`}`;
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
