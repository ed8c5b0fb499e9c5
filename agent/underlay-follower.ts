/**
 * Follows this host's address in the underlay: a VXLAN device sends from the address that the other hosts
 * send to.
 */
import { type Address, formatAddress, sameAddress } from "../lib/netaddr/address.ts";
import { findUnderlay } from "../lib/overlay/underlay.ts";
import { setLink } from "../lib/rtnetlink/link.ts";
import { readVxlan, vxlanChange } from "../lib/rtnetlink/link-kinds.ts";
import type { RouteSocket } from "../lib/rtnetlink/route-socket.ts";
import type { LocalNetwork, NetworkLinks } from "./local-networks.ts";
import { type Log, wordsOf } from "./log.ts";

/** What became of a look at it. */
export interface Followed {
  /** What the device sends from; undefined where there is no device. */
  readonly address: Address | undefined;
  /** Why it could not be followed. */
  readonly fault?: string;
}

/**
 * Has the device send from the address that the host has now. While the host has none the device stays as it
 * is: the address may come back. Equivalent to `ip link set vx42 type vxlan id 42 local ADDRESS`.
 */
export function followUnderlay(
  socket: RouteSocket,
  network: LocalNetwork,
  options: { links: NetworkLinks; log: Log },
): Followed {
  const { vxlan } = options.links;
  if (!vxlan) return { address: undefined };
  const { vni, local: current } = readVxlan(vxlan.data);
  try {
    const { local } = findUnderlay(socket, network.underlay, { family: current?.family, current });
    if (current && sameAddress(current, local)) return { address: current };
    setLink(socket, vxlan, { kind: "vxlan", data: vxlanChange(vni, local) });
    options.log.info("the underlay address changed", {
      network: network.name,
      device: vxlan.name,
      from: current && formatAddress(current),
      to: formatAddress(local),
    });
    return { address: local };
  } catch (error) {
    return { address: current, fault: `cannot follow the underlay: ${wordsOf(error)}` };
  }
}
