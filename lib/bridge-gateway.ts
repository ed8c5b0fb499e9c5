/**
 * The host as gateway of a bridge's network: its addresses
 * on the bridge, or on an interface of its own in a VLAN.
 */
import { networkAlias } from "./alias.ts";
import type { AttachedBridge } from "./bridge.ts";
import { setUpPort } from "./bridge-port.ts";
import { CniError } from "./cni/error.ts";
import { enableForwarding, isForwarding } from "./forwarding.ts";
import { settleIpv6 } from "./gateway.ts";
import { checkLink, failed } from "./interface.ts";
import { formatPrefix, type Prefix, prefixesOverlap, samePrefix } from "./netaddr/prefix.ts";
import { unlessExisting } from "./netlink/error.ts";
import { addAddress, deleteAddressIfThere, listAddresses } from "./rtnetlink/address.ts";
import {
  deleteLinkIfThere,
  findLink,
  type Link,
  linkByIndex,
  linkByName,
  setLink,
} from "./rtnetlink/link.ts";
import type { RouteSocket } from "./rtnetlink/route-socket.ts";
import { writeSysctlIfPresent } from "./sysctl.ts";
import { createVethPair, randomVethName } from "./veth.ts";

export interface GatewaySettings {
  readonly network: string;
  /** The VLAN the gateway is in; 0 is none. */
  readonly vlanId: number;
  /** Replace an address of the host that is in the way. */
  readonly forceAddress: boolean;
}

/** The interface that has the gateway's addresses. */
export function gatewayLinkName(bridge: string, vlanId: number): string {
  return vlanId === 0 ? bridge : `${bridge}.${vlanId}`;
}

/** Gives the host the gateways' addresses and lets it forward. @returns the interface that has them */
export function addBridgeGateways(
  host: RouteSocket,
  attached: AttachedBridge,
  { gateways, ...settings }: GatewaySettings & { gateways: readonly Prefix[] },
): Link {
  const { bridge, undoIfUnused } = attached;
  if (gateways.length === 0) return bridge;
  const link = settings.vlanId === 0 ? bridge : ensureVlanGateway(host, attached, settings);
  for (const gateway of gateways) {
    if (!ensureGatewayAddress(host, link, gateway, { ...settings, gateways })) continue;
    undoIfUnused.defer(() => deleteAddressIfThere(host, link, gateway));
  }
  for (const family of [4, 6] as const) {
    if (gateways.some(({ address }) => address.family === family)) enableForwarding(host, family);
  }
  return link;
}

/** @throws CniError that says what is not as it was */
export function checkBridgeGateways(host: RouteSocket, linkName: string, gateways: readonly Prefix[]): void {
  if (gateways.length === 0) return;
  const held = listAddresses(host, checkLink(host, { name: linkName }));
  for (const gateway of gateways) {
    if (!held.some(({ prefix }) => samePrefix(prefix, gateway))) {
      throw failed(`Gateway address ${formatPrefix(gateway)} not found on ${linkName}`);
    }
    const { family } = gateway.address;
    if (!isForwarding(family)) throw failed(`IPv${family} forwarding is off`);
  }
}

/**
 * A veth pair within the host: one end a port of the VLAN, the other the host's own interface in it. That
 * end is set up last, so that one that is down is one whose ADD did not come to its end, and is completed.
 */
function ensureVlanGateway(
  host: RouteSocket,
  { bridge, undoIfUnused }: AttachedBridge,
  { network, vlanId }: GatewaySettings,
): Link {
  const name = gatewayLinkName(bridge.name, vlanId);
  const existing = findLink(host, name);
  if (existing && existing.kind !== "veth") {
    throw new CniError(CniError.INVALID_NETWORK_CONFIG, `"${name}" already exists but is not a veth`, {
      details: 'it would be the gateway\'s interface; choose another "bridge" or "vlan"',
    });
  }
  if (existing?.up) return existing;
  const alias = networkAlias(network);
  if (!existing) {
    undoIfUnused.defer(() => deleteLinkIfThere(host, name));
    unlessExisting(() =>
      createVethPair(host, {
        hostName: randomVethName(),
        master: bridge.index,
        name,
        mtu: bridge.mtu,
        alias,
      }),
    );
    settleIpv6(name);
  }
  const { link: port } = linkByName(host, name);
  if (port === undefined) throw new CniError(CniError.INTERNAL, `"${name}" has no other end`);
  const vlans = { access: vlanId, trunk: [], preserveDefault: false };
  setUpPort(host, linkByIndex(host, port).name, { hairpin: false, isolated: false, vlans });
  writeSysctlIfPresent(`net/ipv6/conf/${name}/accept_dad`, "0"); // as of the bridge: setUpBridge()
  setLink(host, { name }, { up: true, alias });
  return linkByName(host, name);
}

/**
 * Equivalent to `ip addr replace PREFIX dev NAME`. In the way is any other IPv4 address, or an IPv6 one of an
 * overlapping subnet; not the gateways of the network's other ranges.
 * @returns whether it was added now
 * @throws CniError 7 when an address is in the way and must stay
 */
function ensureGatewayAddress(
  host: RouteSocket,
  link: Link,
  gateway: Prefix,
  { forceAddress, gateways }: GatewaySettings & { gateways: readonly Prefix[] },
): boolean {
  const { family } = gateway.address;
  const held = listAddresses(host, link).filter(({ prefix }) => prefix.address.family === family);
  if (held.some(({ prefix }) => samePrefix(prefix, gateway))) return false;
  const others = held.filter(({ prefix }) => !gateways.some((other) => samePrefix(prefix, other)));
  for (const { prefix } of others.filter(({ prefix }) => family === 4 || prefixesOverlap(prefix, gateway))) {
    if (!forceAddress) {
      const msg = `"${link.name}" already has an IP address different from ${formatPrefix(gateway)}`;
      const details = `it has ${formatPrefix(prefix)}; remove that, or set "forceAddress": true to replace it`;
      throw new CniError(CniError.INVALID_NETWORK_CONFIG, msg, { details });
    }
    deleteAddressIfThere(host, link, prefix);
  }
  // Nobody else on this network may be its gateway.
  unlessExisting(() => addAddress(host, link, gateway, { nodad: true }));
  return true;
}
