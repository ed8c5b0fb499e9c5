/**
 * Puts back what somebody took from a network's devices: the VXLAN device itself, that it is the bridge's
 * port, what it is as one, and its addresses. Whether a device is up is left to whoever set it down.
 */
import { networkAlias } from "../lib/alias.ts";
import { parseAddress } from "../lib/netaddr/address.ts";
import { parsePrefix } from "../lib/netaddr/prefix.ts";
import { portFlags } from "../lib/overlay/devices.ts";
import { addressDevice } from "../lib/overlay/routed.ts";
import { findUnderlay } from "../lib/overlay/underlay.ts";
import { type BridgePort, createLink, type Link, linkByName, setLink } from "../lib/rtnetlink/link.ts";
import { readVxlan, vxlanData } from "../lib/rtnetlink/link-kinds.ts";
import type { RouteSocket } from "../lib/rtnetlink/route-socket.ts";
import { isLinkClaimed } from "../lib/shared-link.ts";
import { lockClaims } from "../lib/state/claim.ts";
import type { LocalNetwork, NetworkLinks } from "./local-networks.ts";

/** Of a port whose other side the agent programs; whether it is isolated the container's plugin says. */
const { isolated: _, ...PORT }: BridgePort = portFlags({
  vxlan: { learning: false },
  isGateway: false,
  isIsolated: false,
  isProgrammed: true,
});

/**
 * Equivalent to `ip link set VXLAN master BRIDGE; bridge link set dev VXLAN learning off flood off …`, as far
 * as that is not so. @param seen the device as it last was @returns whether anything was to be mended
 * @throws NetlinkError
 */
export function mendPort(
  socket: RouteSocket,
  { mode }: LocalNetwork,
  { links: { vxlan, bridge }, seen }: { links: NetworkLinks; seen: Link | undefined },
): boolean {
  if (mode !== "bridged" || !vxlan || !bridge) return false;
  const isPort = vxlan.master === bridge.index;
  if (isPort && isAsIn(PORT, vxlan.port)) return false;
  if (!isPort) setLink(socket, vxlan, { master: bridge.index });
  const isolated = isPort ? vxlan.port?.isolated : seen?.port?.isolated;
  setLink(socket, vxlan, { port: { ...PORT, ...(isolated !== undefined && { isolated }) } });
  return true;
}

function isAsIn(wanted: BridgePort, port: BridgePort | undefined): boolean {
  const found = new Map(Object.entries(port ?? {}));
  return Object.entries(wanted).every(([name, value]) => found.get(name) === value);
}

/**
 * Makes the VXLAN device again as it last was: somebody deleted it, or the kernel with the underlay's. Only
 * while containers claim it. @returns whether it was made @throws NetlinkError, CniError
 */
export function restoreVxlan(
  socket: RouteSocket,
  network: LocalNetwork,
  { bridge, seen }: { bridge: Link; seen: Link },
): boolean {
  using _lock = lockClaims(); // the last DEL may be at work
  if (!isLinkClaimed(network.device)) return false;
  const settings = readVxlan(seen.data);
  const { local: current } = settings;
  const { link, local } = findUnderlay(socket, network.underlay, { family: current?.family, current });
  const isBridged = network.mode === "bridged";
  createLink(socket, {
    name: network.device,
    kind: "vxlan",
    alias: networkAlias(network.name),
    mac: seen.mac,
    mtu: seen.mtu,
    master: isBridged ? bridge.index : undefined,
    data: vxlanData({ ...settings, local, link: settings.link && link.index }),
  });
  const made = linkByName(socket, network.device);
  const port = { ...PORT, isolated: seen.port?.isolated ?? 0 };
  setLink(socket, made, { linkLocal: false, ...(isBridged && { port }) });
  setLink(socket, made, { up: true });
  return true;
}

/** Mode routed: gives the VXLAN device its addresses. @returns whether one was missing */
export function mendAddresses(
  socket: RouteSocket,
  { mode, subnets }: LocalNetwork,
  { vxlan }: NetworkLinks,
): boolean {
  if (mode !== "routed" || !vxlan) return false;
  const own = subnets.map(({ subnet, gateway }) => ({
    subnet: parsePrefix(subnet),
    gateway: parseAddress(gateway),
  }));
  return addressDevice(socket, vxlan, own);
}
