/** CHECK and STATUS of a network's devices. */
import { networkAlias } from "../alias.ts";
import { CniError } from "../cni/error.ts";
import { checkLink, failed } from "../interface.ts";
import { formatMac } from "../netaddr/mac.ts";
import { formatPrefix } from "../netaddr/prefix.ts";
import { findLink, type Link } from "../rtnetlink/link.ts";
import type { RouteSocket } from "../rtnetlink/route-socket.ts";
import {
  type DeviceSettings,
  differenceOf,
  findVniHolder,
  misfitOf,
  portFlags,
  vniInUse,
} from "./devices.ts";
import { bridgeMac } from "./mac.ts";
import { differenceOfRemotes } from "./remotes.ts";
import { missingAddresses, type OwnSubnet } from "./routed.ts";
import type { Underlay } from "./underlay.ts";

/**
 * @param inside the container's end @param subnets mode routed: this host's
 * @throws CniError 100 that says what is not as it was
 */
export function checkDevices(
  host: RouteSocket,
  { inside, subnets = [] }: { inside: Link; subnets: readonly OwnSubnet[] | undefined },
  settings: DeviceSettings,
): void {
  const { device, network, vxlan, isPort, remotes } = settings;
  const mac = settings.mac && formatMac(settings.mac);
  const link = checkLink(host, { name: device, mtu: inside.mtu, mac });
  if (link.kind !== "vxlan") throw failed(`Interface ${device} is not a VXLAN device`);
  if (!link.up) throw failed(`Interface ${device} is down`);
  const difference = differenceOf(link, settings) ?? misfitOf(link, settings);
  if (difference) throw failed(difference);
  const [address] = missingAddresses(host, link, subnets);
  if (address) throw failed(`Failed to match addr ${formatPrefix(address)} on interface ${device}`);
  const bridge = checkLink(host, { name: settings.bridge, mtu: inside.mtu });
  const expected = formatMac(bridgeMac(network, vxlan.vni));
  if (formatMac(bridge.mac) !== expected) {
    const msg = `Interface ${bridge.name} Mac doesn't match: ${expected} expected, ${formatMac(bridge.mac)} found`;
    throw failed(`${msg}; on every host of the network it is the same`);
  }
  if (isPort) checkFlags(link, bridge, settings);
  const other = remotes && differenceOfRemotes(host, link, remotes);
  if (other) throw failed(`${device} ${other}`);
}

function checkFlags({ name, master, port = {} }: Link, bridge: Link, settings: DeviceSettings): void {
  if (master !== bridge.index) throw failed(`Interface ${name} is not a port of ${bridge.name}`);
  const held: Readonly<Record<string, unknown>> = port;
  for (const [flag, value] of Object.entries(portFlags(settings))) {
    if (held[flag] === value) continue;
    throw failed(`Interface ${name} has ${flag} ${value === 1 ? "off, not on" : "on, not off"}`);
  }
}

/** @throws CniError 50 unless the devices can be made here, or are there already */
export function checkDevicesAvailable(host: RouteSocket, { link }: Underlay, settings: DeviceSettings): void {
  const { network, device, vxlan } = settings;
  const refuse = (msg: string) => new CniError(CniError.NOT_AVAILABLE, msg);
  if (!link.up) throw refuse(`"${link.name}", by which the other hosts are reached, is down`);
  const existing = findLink(host, device);
  if (existing?.alias === networkAlias(network)) {
    const misfit = misfitOf(existing, settings);
    if (misfit) throw refuse(misfit);
    return;
  }
  if (existing) throw refuse(`"${device}" already exists but was made by somebody else`);
  const holder = findVniHolder(host, vxlan);
  if (holder) throw refuse(vniInUse(vxlan.vni, holder).msg);
}
