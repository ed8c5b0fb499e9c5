/** A container's port of a bridge: the host's end of its veth pair. */
import { failed } from "./interface.ts";
import { formatMac } from "./netaddr/mac.ts";
import { missingPortVlans, type PortVlans, setPortVlans } from "./port-vlan.ts";
import { type Link, linkByName, setLink } from "./rtnetlink/link.ts";
import { listFdb, NTF_MASTER, NTF_SELF, NUD_NOARP, replaceFdbEntry } from "./rtnetlink/neighbour.ts";
import type { RouteSocket } from "./rtnetlink/route-socket.ts";

/** BRIDGE_MODE_HAIRPIN (linux/if_bridge.h), as IFLA_BRPORT_MODE. */
const HAIRPIN = 1;

export interface BridgePortSettings {
  /** Frames may go out where they came in. */
  readonly hairpin: boolean;
  /** Frames do not pass to other isolated ports. */
  readonly isolated: boolean;
  readonly vlans: PortVlans;
  /** The port has the container's MAC and no other; else the bridge learns. */
  readonly pinned?: boolean | undefined;
}

/**
 * Sets the port up. It gets no IPv6 address of its own: a port has no use for one. Equivalent to
 * `ip link set NAME up addrgenmode none type bridge_slave hairpin … isolated …; bridge vlan add …`.
 */
export function setUpPort(
  host: RouteSocket,
  name: string,
  { hairpin, isolated, vlans, pinned }: BridgePortSettings,
): void {
  const learning = pinned && { learning: 0 };
  const port = { mode: hairpin ? HAIRPIN : 0, isolated: isolated ? 1 : 0, ...learning };
  setLink(host, { name }, { up: true, linkLocal: false, port });
  setPortVlans(host, name, vlans);
}

/** Equivalent to `bridge fdb replace MAC dev NAME master static`. */
export function pinMac(host: RouteSocket, name: string, mac: Uint8Array): void {
  const { index: ifindex } = linkByName(host, name);
  replaceFdbEntry(host, { ifindex, mac, flags: NTF_MASTER, state: NUD_NOARP });
}

/** @param mac the container's @throws CniError that says what is not as it was set */
export function checkPort(
  host: RouteSocket,
  link: Link,
  { mac, ...settings }: BridgePortSettings & { readonly mac: Uint8Array },
): void {
  const { name, up, port } = link;
  if (!up) throw failed(`Interface ${name} is down`);
  // On where it was not asked for is portmap's doing, and firewall's.
  if (settings.hairpin && port?.mode !== HAIRPIN)
    throw failed(`Interface ${name} has hairpin mode off, not on`);
  if (settings.isolated && port?.isolated !== 1) throw failed(`Interface ${name} has isolation off, not on`);
  if (settings.pinned) checkPinned(host, link, mac);
  const missing = missingPortVlans(host, linkByName(host, name), settings.vlans);
  if (missing.length > 0) throw failed(`Interface ${name} lacks VLAN ${missing.join(", ")}`);
}

function checkPinned(host: RouteSocket, { name, index, port }: Link, mac: Uint8Array): void {
  if (port?.learning !== 0) throw failed(`Interface ${name} has learning on, not off`);
  const text = formatMac(mac);
  const isThere = listFdb(host, { ifindex: index }).some(
    (each) => each.ifindex === index && (each.flags & NTF_SELF) === 0 && formatMac(each.mac) === text,
  );
  if (!isThere) throw failed(`Interface ${name} lacks the forwarding entry of ${text}`);
}

/** Whether frames may go out of the port where they came in. */
export function isHairpin({ port }: Link): boolean {
  return port?.mode === HAIRPIN;
}

/** Equivalent to `bridge link set dev NAME hairpin on|off`. */
export function setHairpin(host: RouteSocket, name: string, { on }: { on: boolean }): void {
  setLink(host, { name }, { port: { mode: on ? HAIRPIN : 0 } });
}
