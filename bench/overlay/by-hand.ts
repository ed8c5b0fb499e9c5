/** The same overlays as weft makes, by ip(8) and bridge(8). */
import type { FabricHost } from "../../conformance/fixtures/fabric.ts";
import type { Container } from "../../conformance/fixtures/host.ts";

/** Of an underlay whose packets have 1500 bytes. */
const MTU = 1_450;
const PORT = 4789;

export interface ByHandOptions {
  readonly vni: number;
  /** The other host. */
  readonly remote: FabricHost;
  /** The container's: with prefix length. */
  readonly address: string;
}

/** MAC of the container that has the address "10.9.0.2/24". */
export function macOf(address: string): string {
  const bytes = address.replace(/\/.*/, "").split(".").map(Number);
  return `02:42:${bytes.map((byte) => byte.toString(16).padStart(2, "0")).join(":")}`;
}

/** Flooding to the other host, and learning what comes from it. */
export async function floodingByHand(at: FabricHost, options: ByHandOptions): Promise<Container> {
  const { vni, remote } = options;
  await at.host.exec("ip", ["-batch", "-"], {
    input: `link add vx${vni} mtu ${MTU} type vxlan id ${vni} local ${at.address4} dev eth0 dstport ${PORT}
${bridgeLines(vni)}`,
  });
  await at.host.exec("bridge", ["-batch", "-"], {
    input: `fdb append 00:00:00:00:00:00 dev vx${vni} dst ${remote.address4}\n`,
  });
  return await containerByHand(at, options);
}

/** An entry for the one remote container: nothing is flooded or learned. */
export async function programmedByHand(
  at: FabricHost,
  options: ByHandOptions & { readonly remoteAddress: string },
): Promise<Container> {
  const { vni, remote, remoteAddress } = options;
  const mac = macOf(remoteAddress);
  const vxlan = `type vxlan id ${vni} local ${at.address4} dev eth0 dstport ${PORT} nolearning`;
  await at.host.exec("ip", ["-batch", "-"], {
    input: `link add vx${vni} mtu ${MTU} ${vxlan}
${bridgeLines(vni)}neigh replace ${remoteAddress.replace(/\/.*/, "")} lladdr ${mac} dev vxbr${vni} nud noarp
`,
  });
  await at.host.exec("bridge", ["-batch", "-"], {
    input: `link set dev vx${vni} learning off neigh_suppress on flood off mcast_flood off bcast_flood off
fdb add ${mac} dev vx${vni} self permanent dst ${remote.address4}
fdb add ${mac} dev vx${vni} master static
`,
  });
  return await containerByHand(at, options);
}

/** With a MAC of its own: else it takes that of a port, and with each change forgets its neighbours. */
function bridgeLines(vni: number): string {
  return `link add vxbr${vni} mtu ${MTU} address 02:00:00:00:00:01 type bridge mcast_snooping 0
link set vx${vni} master vxbr${vni} addrgenmode none up
link set vxbr${vni} addrgenmode none up
`;
}

async function containerByHand(at: FabricHost, { vni, address }: ByHandOptions): Promise<Container> {
  const name = `hand-${vni}`;
  const container = await at.host.container(name);
  const inside = `address ${macOf(address)} mtu ${MTU} netns ${name}`;
  await at.host.exec("ip", ["-batch", "-"], {
    input: `link add veth${vni} mtu ${MTU} type veth peer name eth0 ${inside}
link set veth${vni} master vxbr${vni} addrgenmode none up
`,
  });
  await container.exec("ip", ["-batch", "-"], {
    input: `link set lo up
address add ${address} dev eth0
link set eth0 up
`,
  });
  return container;
}
