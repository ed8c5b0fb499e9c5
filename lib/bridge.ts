/** The host's bridge: made when it is not there, given gateway addresses, removed when nobody needs it. */

import { networkAlias } from "./alias.ts";
import { Cleanup } from "./cni/cleanup.ts";
import { CniError } from "./cni/error.ts";
import type { Call } from "./cni/plugin.ts";
import { checkLink, failed } from "./interface.ts";
import { isUnicastMac, randomMac } from "./netaddr/mac.ts";
import { encode } from "./netlink/attributes.ts";
import { NetlinkError, unlessExisting } from "./netlink/error.ts";
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
const BRIDGE_PORTS_MAX = 1_023;

export interface BridgeSettings {
  readonly name: string;
  /** Whose bridge it is, if it is made. */
  readonly network: string;
  /** Bytes; the kernel's default when undefined. */
  readonly mtu: number | undefined;
  readonly promiscuous: boolean;
  readonly vlanFiltering: boolean;
}

export interface AttachedBridge {
  readonly bridge: Link;
  /**
   * What this ADD did to the bridge itself: taken back when it fails, unless others use the bridge by then.
   */
  readonly undoIfUnused: Cleanup;
}

/** The bridge, made if need be, and kept there by a lock until this process ends. */
export function attachBridge(call: Call, host: RouteSocket, settings: BridgeSettings): AttachedBridge {
  const lock = call.resources.use(lockBridge(settings.name, { shared: true }));
  const undoIfUnused = new Cleanup();
  call.undo.defer(() => {
    lock[Symbol.dispose]();
    whenUnused(host, settings, () => undoIfUnused.dispose());
  });
  const existing = findBridge(host, settings.name);
  undoIfUnused.defer(() => {
    if (existing) restoreBridge(host, existing);
    else deleteOwnBridge(host, linkByName(host, settings.name), settings.network);
  });
  const bridge = setUpBridge(host, existing ?? createBridge(host, settings), settings);
  return { bridge, undoIfUnused };
}

/**
 * Gives the bridge the MAC for good that it had before the port was added; for ADD to do right after that.
 *
 * A bridge made by others may have its MAC from its ports. It would change as they come and go:
 * behind the back of whoever has it in an ARP cache, and of the result that CHECK compares with. Not
 * before the port is there: setting what a bridge without ports has already leaves its identifier all
 * zeros (net/bridge/br_device.c, br_set_mac_address). Equivalent to `ip link set NAME address MAC`.
 */
export function keepBridgeMac(host: RouteSocket, { bridge }: AttachedBridge, network: string): void {
  if (bridge.alias === networkAlias(network)) return; // it was made with one
  // all zeros once it has lost its last port
  setLink(host, bridge, { mac: isUnicastMac(bridge.mac) ? bridge.mac : randomMac() });
}

/**
 * A lock on a bridge by name. Shared, it keeps the bridge there while a port is added; exclusive,
 * it keeps ports from being added while the bridge is looked at in order to remove it.
 */
function lockBridge(name: string, options: { shared: boolean }): Lock {
  makeDirectory(LOCKS_DIR);
  return acquireLock(`${LOCKS_DIR}/bridge:${name}`, options);
}

/** The bridge, or undefined when there is none. @throws CniError 7 when the name is something else's */
function findBridge(host: RouteSocket, name: string): Link | undefined {
  const link = findLink(host, name);
  if (link && link.kind !== "bridge") {
    throw new CniError(CniError.INVALID_NETWORK_CONFIG, `"${name}" already exists but is not a bridge`, {
      details: 'choose another name for "bridge"',
    });
  }
  return link;
}

/**
 * Makes the bridge, with a MAC of its own, so that it does not change as ports come and go.
 * Equivalent to `ip link add NAME address MAC type bridge`.
 */
function createBridge(host: RouteSocket, { name, network, mtu, vlanFiltering }: BridgeSettings): Link {
  const data = encode(bridgeAttributes, vlanFiltering ? { vlanFiltering: 1 } : {});
  const alias = networkAlias(network);
  explained(vlanFiltering, () => {
    unlessExisting(() => createLink(host, { name, kind: "bridge", mac: randomMac(), mtu, data, alias }));
  });
  return linkByName(host, name);
}

/** Turns on what the bridge lacks. The MTU and the addresses of one that was there stay. */
function setUpBridge(host: RouteSocket, bridge: Link, settings: BridgeSettings): Link {
  const { name, network, promiscuous, vlanFiltering } = settings;
  if (vlanFiltering && !isVlanFiltering(bridge)) {
    const data = encode(bridgeAttributes, { vlanFiltering: 1 });
    explained(vlanFiltering, () => setLink(host, bridge, { kind: "bridge", data }));
  }
  if (bridge.up && (bridge.promiscuous || !promiscuous)) return bridge;
  // Containers do not advertise routes to the host; what others want of their bridge is theirs to say.
  if (bridge.alias === networkAlias(network)) {
    writeSysctlIfPresent(`net/ipv6/conf/${name}/accept_ra`, "0");
    // Its link-local address is unique by its MAC. While that is looked into, for a second or two, the host
    // cannot ask for a container's MAC, and so does not forward to it (net/ipv6/ndisc.c, ndisc_send_ns).
    writeSysctlIfPresent(`net/ipv6/conf/${name}/accept_dad`, "0");
  }
  setLink(host, bridge, { up: true, promiscuous: promiscuous || bridge.promiscuous });
  return linkByName(host, name);
}

/** Takes back what setUpBridge() turned on. */
function restoreBridge(host: RouteSocket, before: Link): void {
  const { index, name, up, promiscuous } = before;
  const bridge = findLink(host, name);
  if (bridge?.index !== index) return;
  if (isVlanFiltering(bridge) && !isVlanFiltering(before)) {
    setLink(host, bridge, { kind: "bridge", data: encode(bridgeAttributes, { vlanFiltering: 0 }) });
  }
  if (bridge.up !== up || bridge.promiscuous !== promiscuous) setLink(host, bridge, { up, promiscuous });
}

/** Says which key asks for what a kernel without VLAN filtering refuses. */
function explained(vlanFiltering: boolean, make: () => void): void {
  try {
    make();
  } catch (cause) {
    if (!vlanFiltering || !(cause instanceof NetlinkError) || cause.code !== "EOPNOTSUPP") throw cause;
    const msg = '"vlan" and "vlanTrunk" need a kernel with CONFIG_BRIDGE_VLAN_FILTERING';
    throw new CniError(CniError.INVALID_NETWORK_CONFIG, msg, { cause });
  }
}

function isVlanFiltering(bridge: Link): boolean {
  return bridgeAttributes.read(bridge.data).vlanFiltering === 1;
}

/** Ports that are containers', or foreign: all but those the network itself made for its gateways. */
function portsInUse(host: RouteSocket, bridge: Link, network: string): Link[] {
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

/** @throws CniError 50 when the bridge cannot take another port */
export function checkBridgeAvailable(host: RouteSocket, { name }: BridgeSettings): void {
  const bridge = findLink(host, name);
  if (!bridge) return;
  if (bridge.kind !== "bridge") {
    throw new CniError(CniError.NOT_AVAILABLE, `"${name}" exists but is not a bridge`);
  }
  if (listLinks(host, { master: bridge.index }).length >= BRIDGE_PORTS_MAX) {
    throw new CniError(CniError.NOT_AVAILABLE, `bridge "${name}" is full: it has ${BRIDGE_PORTS_MAX} ports`);
  }
}

/**
 * Its MTU is the least of its ports', and so changes with containers of other networks: it is not compared.
 * @throws CniError when the bridge is not as ADD left it: there, up, with the MAC of the result
 */
export function checkBridge(
  host: RouteSocket,
  { name, mac }: { name: string; mac?: string | undefined },
  { promiscuous }: BridgeSettings,
): Link {
  const bridge = checkLink(host, { name, mac });
  if (bridge.kind !== "bridge") throw failed(`Interface ${name} does not have link type of bridge`);
  if (!bridge.up) throw failed(`Bridge interface ${name} is down`);
  if (bridge.promiscuous !== promiscuous) {
    const text = `configured Promisc Mode ${promiscuous} doesn't match current state: ${bridge.promiscuous}`;
    throw failed(`Bridge interface ${name} ${text}`);
  }
  return bridge;
}

/** Removes a bridge that this network made, with the ports it made for itself; one that others made stays. */
export function deleteOwnBridge(host: RouteSocket, bridge: Link, network: string): void {
  const isOwn = ({ alias }: Link) => alias === networkAlias(network);
  const ports = listLinks(host, { master: bridge.index });
  for (const { name } of [...ports, bridge].filter(isOwn)) deleteLinkIfThere(host, name);
}
