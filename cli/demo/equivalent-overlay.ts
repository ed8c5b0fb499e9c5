/** What one would tell `ip` and `bridge` to make by hand what an ADD of vxlan made, without a store. */
import { addressOf } from "./outside.ts";

interface Made {
  readonly sandbox: string;
  readonly ifname: string;
  readonly mac: string;
  readonly addresses: readonly string[];
  readonly hostEnd: string;
  readonly bridge: string;
}

interface Overlay {
  readonly vni: number;
  /** This host's address, and those of the others. */
  readonly local: string;
  readonly remotes: readonly string[];
}

/** What VXLAN in IPv4 adds to a packet. */
const OVERHEAD = 50;
const MTU = 1500 - OVERHEAD;

/** Once on each host. */
export function overlayCommands({ bridge }: Made, { vni, local, remotes }: Overlay): string[] {
  const device = `vx${vni}`;
  return [
    `ip link add ${device} mtu ${MTU} type vxlan id ${vni} local ${local} dstport 4789`,
    ...remotes.map((remote) => `bridge fdb append 00:00:00:00:00:00 dev ${device} dst ${remote}`),
    `ip link add ${bridge} mtu ${MTU} type bridge`,
    `ip link set ${bridge} up`,
    `ip link set ${device} master ${bridge} up`,
  ];
}

/** The MAC follows from the address. */
export function overlayEndpointCommands(endpoint: Made): string[] {
  const { sandbox, ifname, mac, addresses, hostEnd, bridge } = endpoint;
  return [
    `ip link add ${hostEnd} mtu ${MTU} type veth peer name ${ifname} address ${mac} mtu ${MTU} netns ${sandbox}`,
    `ip link set ${hostEnd} master ${bridge} up`,
    ...addresses.map((address) => `ip -n ${sandbox} addr add ${address} dev ${ifname}`),
    `ip -n ${sandbox} link set ${ifname} up`,
  ];
}

/** "02:42:0a:08:00:0b" of "10.8.0.11/24". */
export function macOf(address: string): string {
  const bytes = addressOf(address).split(".").map(Number);
  return `02:42:${bytes.map((byte) => byte.toString(16).padStart(2, "0")).join(":")}`;
}
