/** What Docker tells `iptables` so that a container reaches the world, and the world a container. */
import { type Family, formatAddress } from "../../lib/netaddr/address.ts";
import { formatPrefix, networkOf, parsePrefix } from "../../lib/netaddr/prefix.ts";
import type { BridgeEndpoint } from "./endpoint.ts";

/** An entry of CAP_ARGS portMappings. */
export interface PortMapping {
  readonly hostPort: number;
  readonly containerPort: number;
  readonly protocol: "tcp" | "udp";
  readonly hostIP?: string;
}

/** Masquerading, once for a network. */
export function masqueradeCommands({ bridge, bridgeAddresses }: BridgeEndpoint): string[] {
  return bridgeAddresses.map((address) => {
    const subnet = networkOf(parsePrefix(address));
    const iptables = programFor(subnet.address.family);
    return `${iptables} -t nat -A POSTROUTING -s ${formatPrefix(subnet)} ! -o ${bridge} -j MASQUERADE`;
  });
}

/** A published port, for each address of the container. */
export function publishCommands({ bridge, addresses }: BridgeEndpoint, mapping: PortMapping): string[] {
  const { hostPort, containerPort, protocol, hostIP } = mapping;
  return addresses.map(parsePrefix).flatMap((prefix) => {
    const { address } = prefix;
    if (hostIP?.includes(":") === (address.family === 4)) return [];
    const nat = `${programFor(address.family)} -t nat -A`;
    const container = formatAddress(address);
    const to = address.family === 4 ? `${container}:${containerPort}` : `[${container}]:${containerPort}`;
    const local = hostIP ? `-d ${hostIP}` : "-m addrtype --dst-type LOCAL";
    const arriving = `-d ${container} -p ${protocol} --dport ${containerPort}`;
    const translate = (chain: string) =>
      `${nat} ${chain} ${local} -p ${protocol} --dport ${hostPort} -j DNAT --to-destination ${to}`;
    return [
      translate("PREROUTING"),
      translate("OUTPUT"),
      `${nat} POSTROUTING -s ${formatPrefix(networkOf(prefix))} ${arriving} -j MASQUERADE`,
      ...(address.family === 4 && !hostIP
        ? [
            `sysctl -w net.ipv4.conf.${bridge}.route_localnet=1`,
            "iptables -t raw -I PREROUTING -d 127.0.0.0/8 ! -i lo -j DROP",
            `${nat} POSTROUTING -s 127.0.0.1 ${arriving} -j MASQUERADE`,
          ]
        : []),
    ];
  });
}

function programFor(family: Family): string {
  return family === 4 ? "iptables" : "ip6tables";
}
