/** The host's bridge: made when it is not there, given gateway addresses, removed when nobody needs it. */

import { networkAlias } from "./alias.ts";
import { CniError } from "./cni/error.ts";
import { randomMac } from "./netaddr/mac.ts";
import { formatPrefix, type Prefix, prefixesOverlap, samePrefix } from "./netaddr/prefix.ts";
import { encode } from "./netlink/attributes.ts";
import { isExisting } from "./netlink/error.ts";
import { addAddress, deleteAddressIfThere, listAddresses } from "./rtnetlink/address.ts";
import {
  createLink,
  deleteLinkIfThere,
  findLink,
  type Link,
  linkByName,
  listLinks,
  setLink,
} from "./rtnetlink/link.ts";
import { bridge as bridgeAttributes } from "./rtnetlink/link-attributes.ts";
import type { RouteSocket } from "./rtnetlink/route-socket.ts";
import { makeDirectory } from "./sys/file.ts";
import { acquireLock, type Lock } from "./sys/lock.ts";
import { writeSysctlIfPresent } from "./sysctl.ts";

const LOCKS_DIR = "/run/weft/locks";

/** BR_MAX_PORTS - 1 (net/bridge/br_private.h): port numbers have ten bits, and 0 is none. */
export const BRIDGE_PORTS_MAX = 1_023;

export interface BridgeSettings {
  readonly name: string;
  /** Whose bridge it is, if it is made. */
  readonly network: string;
  /** Bytes; the kernel's default when undefined. */
  readonly mtu: number | undefined;
  readonly promiscuous: boolean;
  readonly vlanFiltering: boolean;
}

/**
 * A lock on a bridge by name. Shared, it keeps the bridge there while a port is added; exclusive, it keeps ports from
 * being added while the bridge is looked at in order to remove it.
 */
export function lockBridge(name: string, options: { shared: boolean }): Lock {
  makeDirectory(LOCKS_DIR);
  return acquireLock(`${LOCKS_DIR}/bridge:${name}`, options);
}

/** The bridge, or undefined when there is none. @throws CniError 7 when the name is something else's */
export function findBridge(host: RouteSocket, name: string): Link | undefined {
  const link = findLink(host, name);
  if (link && link.kind !== "bridge") {
    throw new CniError(CniError.INVALID_NETWORK_CONFIG, `"${name}" already exists but is not a bridge`, {
      details: 'choose another name for "bridge"',
    });
  }
  return link;
}

/**
 * Makes the bridge, with a MAC of its own, so that it does not change as ports come and go, and sets it up.
 * Equivalent to `ip link add NAME address MAC type bridge; ip link set NAME up`.
 */
export function createBridge(host: RouteSocket, settings: BridgeSettings): Link {
  const { name, network, mtu, promiscuous, vlanFiltering } = settings;
  const data = encode(bridgeAttributes, vlanFiltering ? { vlanFiltering: 1 } : {});
  try {
    createLink(host, { name, kind: "bridge", mac: randomMac(), mtu, data });
  } catch (error) {
    if (!isExisting(error)) throw error; // made by another ADD meanwhile
  }
  writeSysctlIfPresent(`net/ipv6/conf/${name}/accept_ra`, "0"); // containers do not advertise routes to the host
  setLink(host, { name }, { up: true, promiscuous, alias: networkAlias(network) });
  return linkByName(host, name);
}

/** Turns on what a bridge that is there lacks. Its MTU and addresses stay. */
export function adaptBridge(host: RouteSocket, bridge: Link, settings: BridgeSettings): Link {
  const { promiscuous, vlanFiltering } = settings;
  if (vlanFiltering && !isVlanFiltering(bridge)) {
    setLink(host, bridge, { kind: "bridge", data: encode(bridgeAttributes, { vlanFiltering: 1 }) });
  }
  if (bridge.up && (bridge.promiscuous || !promiscuous)) return bridge;
  setLink(host, bridge, { up: true, promiscuous: promiscuous || bridge.promiscuous });
  return linkByName(host, bridge.name);
}

export function isVlanFiltering(bridge: Link): boolean {
  return bridgeAttributes.read(bridge.data).vlanFiltering === 1;
}

/**
 * Gives the bridge, or the interface that stands for it in a VLAN, a gateway's address.
 * Equivalent to `ip addr replace PREFIX dev NAME`.
 * @param options.force removes an address that is in the way: any other IPv4 one, an IPv6 one of an overlapping subnet
 * @returns whether it was added now
 * @throws CniError 7 when there is such an address and no force
 */
export function ensureGatewayAddress(
  host: RouteSocket,
  link: Link,
  gateway: Prefix,
  options: { force: boolean },
): boolean {
  const { family } = gateway.address;
  const held = listAddresses(host, link).filter(({ prefix }) => prefix.address.family === family);
  if (held.some(({ prefix }) => samePrefix(prefix, gateway))) return false;
  for (const { prefix } of held.filter(({ prefix }) => family === 4 || prefixesOverlap(prefix, gateway))) {
    if (!options.force) {
      throw new CniError(
        CniError.INVALID_NETWORK_CONFIG,
        `"${link.name}" already has an IP address different from ${formatPrefix(gateway)}`,
        { details: `it has ${formatPrefix(prefix)}; remove that, or set "forceAddress": true to replace it` },
      );
    }
    deleteAddressIfThere(host, link, prefix);
  }
  try {
    addAddress(host, link, gateway, { nodad: true }); // nobody else on this bridge may be its gateway
  } catch (error) {
    if (!isExisting(error)) throw error; // added by another ADD meanwhile
  }
  // A bridge made by others may have its MAC from its ports; a gateway's must not change with them.
  setLink(host, link, { mac: link.mac });
  return true;
}

/** Ports that are containers', or foreign: all but those the network itself made for its gateways. */
export function portsInUse(host: RouteSocket, bridge: Link, network: string): Link[] {
  return listLinks(host, { master: bridge.index }).filter(({ alias }) => alias !== networkAlias(network));
}

/** Runs `change` on the bridge if it has no ports in use, with no port being added meanwhile. */
export function whenUnused(
  host: RouteSocket,
  { name, network }: { name: string; network: string },
  change: (bridge: Link) => void,
): void {
  using _lock = lockBridge(name, { shared: false });
  const bridge = findLink(host, name);
  if (bridge?.kind === "bridge" && portsInUse(host, bridge, network).length === 0) change(bridge);
}

/** Removes a bridge that this network made, with its own ports; one that others made stays. */
export function deleteOwnBridge(host: RouteSocket, bridge: Link, network: string): void {
  if (bridge.alias !== networkAlias(network)) return;
  for (const { name } of [...listLinks(host, { master: bridge.index }), bridge]) deleteLinkIfThere(host, name);
}
