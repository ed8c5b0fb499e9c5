/** A container's port of a bridge: the host's end of its veth pair. */
import { failed } from "./interface.ts";
import { missingPortVlans, type PortVlans, setPortVlans } from "./port-vlan.ts";
import { type Link, linkByName, setLink } from "./rtnetlink/link.ts";
import type { RouteSocket } from "./rtnetlink/route-socket.ts";

/** BRIDGE_MODE_HAIRPIN (linux/if_bridge.h), as IFLA_BRPORT_MODE. */
const HAIRPIN = 1;

export interface BridgePortSettings {
  /** Frames may go out where they came in. */
  readonly hairpin: boolean;
  /** Frames do not pass to other isolated ports. */
  readonly isolated: boolean;
  readonly vlans: PortVlans;
}

/**
 * Sets the port up. It gets no IPv6 address of its own: a port has no use for one. Equivalent to
 * `ip link set NAME up addrgenmode none type bridge_slave hairpin … isolated …; bridge vlan add …`.
 */
export function setUpPort(
  host: RouteSocket,
  name: string,
  { hairpin, isolated, vlans }: BridgePortSettings,
): void {
  const port = { mode: hairpin ? HAIRPIN : 0, isolated: isolated ? 1 : 0 };
  setLink(host, { name }, { up: true, linkLocal: false, port });
  setPortVlans(host, name, vlans);
}

/** @throws CniError that says what is not as it was set */
export function checkPort(host: RouteSocket, link: Link, settings: BridgePortSettings): void {
  const { name, up, port } = link;
  if (!up) throw failed(`Interface ${name} is down`);
  // On where it was not asked for is portmap's doing, and firewall's.
  if (settings.hairpin && port?.mode !== HAIRPIN)
    throw failed(`Interface ${name} has hairpin mode off, not on`);
  if (settings.isolated && port?.isolated !== 1) throw failed(`Interface ${name} has isolation off, not on`);
  const missing = missingPortVlans(host, linkByName(host, name), settings.vlans);
  if (missing.length > 0) throw failed(`Interface ${name} lacks VLAN ${missing.join(", ")}`);
}

/** Whether frames may go out of the port where they came in. */
export function isHairpin({ port }: Link): boolean {
  return port?.mode === HAIRPIN;
}

/** Equivalent to `bridge link set dev NAME hairpin on|off`. */
export function setHairpin(host: RouteSocket, name: string, { on }: { on: boolean }): void {
  setLink(host, { name }, { port: { mode: on ? HAIRPIN : 0 } });
}
