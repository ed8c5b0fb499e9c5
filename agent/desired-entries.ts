/** What the kernel of this host has to have for the other hosts, as the agent tells it to who asks. */
import { formatAddress } from "../lib/netaddr/address.ts";
import { formatMac } from "../lib/netaddr/mac.ts";
import type { Keeper } from "./keeper.ts";
import type { LocalNetwork } from "./local-networks.ts";
import type { NetworkView } from "./network-view.ts";

/** One network, as JSON holds it. */
export interface DesiredNetwork {
  readonly name: string;
  readonly device: string;
  readonly bridge: string;
  readonly mode: string;
  /** The store has been heard of; until then nothing is desired, and the kernel keeps what it has. */
  readonly isKnown: boolean;
  /** Every host of the network, this one too, and where the others send to. */
  readonly hosts: readonly { readonly host: string; readonly address: string }[];
  readonly fdb: readonly { readonly mac: string; readonly vtep: string }[];
  readonly neighbours: readonly { readonly address: string; readonly mac: string }[];
  readonly routes: readonly { readonly subnet: string; readonly gateway: string }[];
}

export function desiredNetwork(
  { name, device, bridge, mode }: LocalNetwork,
  view: Pick<NetworkView, "vteps">,
  keeper: Pick<Keeper, "desired" | "isKnown"> | undefined,
): DesiredNetwork {
  const { fdb = [], neighbours = [], routes = [] } = keeper?.desired ?? {};
  return {
    name,
    device,
    bridge,
    mode,
    isKnown: keeper?.isKnown ?? false,
    hosts: [...view.vteps].map(([host, { address }]) => ({ host, address })),
    fdb: [...fdb].map(([mac, { dst }]) => ({ mac, vtep: dst ? formatAddress(dst) : "" })),
    neighbours: [...neighbours].map(([address, { mac }]) => ({ address, mac: formatMac(mac) })),
    routes: [...routes].map(([subnet, { gateway }]) => ({
      subnet,
      gateway: gateway ? formatAddress(gateway) : "",
    })),
  };
}
