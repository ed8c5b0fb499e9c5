/**
 * A network's devices on this host: a bridge for its containers here, and a VXLAN device that leads to those
 * of the other hosts. Made for the first container, removed with the last (shared-link.ts).
 *
 *     ip link add vxbr42 address MAC mtu 1450 type bridge mcast_snooping 0
 *     ip link add vx42 address MAC mtu 1450 master vxbr42 type vxlan id 42 local 192.0.2.1 dstport 4789
 *     ip link set vx42 addrgenmode none type bridge_slave learning on neigh_suppress on …
 *     bridge fdb append 00:00:00:00:00:00 dev vx42 dst 192.0.2.2      # each host of a static list
 */
import { networkAlias } from "../alias.ts";
import { CniError, invalidConfig } from "../cni/error.ts";
import type { Call } from "../cni/plugin.ts";
import { type Address, formatAddress } from "../netaddr/address.ts";
import { randomMac } from "../netaddr/mac.ts";
import { encode } from "../netlink/attributes.ts";
import { NetlinkError } from "../netlink/error.ts";
import { type BridgePort, type Link, listLinks, setLink } from "../rtnetlink/link.ts";
import { bridge as bridgeAttributes } from "../rtnetlink/link-attributes.ts";
import { readVxlan, type VxlanSettings, vxlanData } from "../rtnetlink/link-kinds.ts";
import type { RouteSocket } from "../rtnetlink/route-socket.ts";
import { shareLink } from "../shared-link.ts";
import { writeSysctlIfPresent } from "../sysctl.ts";
import { bridgeMac } from "./mac.ts";
import { updateRemotes } from "./remotes.ts";

/** What a configuration, and the host, come to. */
export interface DeviceSettings {
  readonly network: string;
  /** Names. */
  readonly device: string;
  readonly bridge: string;
  readonly vxlan: VxlanSettings;
  /** Of the VXLAN device; random when undefined. */
  readonly mac?: Uint8Array | undefined;
  /** Static mode: whom broadcasts go to, but for this host; undefined in the others. */
  readonly remotes: readonly Address[] | undefined;
  /** Bytes. */
  readonly mtu: number;
  /** Whether the MTU was asked for; else one that is there is kept. */
  readonly isMtuGiven: boolean;
  /** Whether the VXLAN device is a port of the bridge: not in mode routed. */
  readonly isPort: boolean;
  /** Whether this host is the containers' gateway, as each of the others is. */
  readonly isGateway: boolean;
  /** Whether what an isolated container sends is kept from the other hosts. */
  readonly isIsolated: boolean;
  /** Whether an agent says where each container is, and follows a changed address of this host. */
  readonly isProgrammed: boolean;
}

/**
 * Has both be there, and stay there for this attachment.
 * @throws CniError 7 when a name, the VNI or the UDP port is something else's, or they are of other settings
 */
export function shareDevices(
  call: Call,
  host: RouteSocket,
  settings: DeviceSettings,
): { bridge: Link; vxlan: Link } {
  const { network, mtu } = settings;
  const { vni } = settings.vxlan;
  const bridge = shareLink(
    call,
    host,
    {
      name: settings.bridge,
      kind: "bridge",
      mac: bridgeMac(network, vni),
      mtu,
      data: encode(bridgeAttributes, { mcastSnooping: 0 }),
      refuseOther: (link) => refuseOtherBridge(host, link, settings),
    },
    (link) => {
      // without addresses it has nothing to say; with them they are to be there after it was set down
      if (!settings.isGateway && !link.up) setLink(host, link, { linkLocal: false });
      else writeSysctlIfPresent(`net/ipv6/conf/${link.name}/keep_addr_on_down`, "1");
    },
  );
  const vxlan = explained(host, settings, () =>
    shareLink(
      call,
      host,
      {
        name: settings.device,
        kind: "vxlan",
        mac: settings.mac ?? randomMac(),
        mtu,
        master: settings.isPort ? bridge.index : undefined,
        data: vxlanData(settings.vxlan),
        refuseOther: ({ name, alias }) => {
          if (alias !== networkAlias(network)) throw vniInUse(vni, { name, alias });
        },
      },
      (link) => completeVxlan(host, link, bridge, settings),
    ),
  );
  return { bridge, vxlan };
}

/** What the port's flags follow from. */
type PortSettings = Pick<DeviceSettings, "isGateway" | "isIsolated" | "isProgrammed"> & {
  readonly vxlan: Pick<VxlanSettings, "learning">;
};

/** What the port of the other hosts is to the bridge. */
export function portFlags({ vxlan, isGateway, isIsolated, isProgrammed }: PortSettings): BridgePort {
  const flood = isProgrammed ? 0 : 1;
  return {
    learning: vxlan.learning ? 1 : 0,
    unicastFlood: flood,
    mcastFlood: flood,
    bcastFlood: flood,
    // A question for the gateway is this host's to answer, though each of the others could. The kernel then
    // keeps back announcements as well (net/bridge/br_arp_nd_proxy.c), which matter without a gateway.
    neighSuppress: isProgrammed || isGateway ? 1 : 0,
    isolated: isIsolated ? 1 : 0,
  };
}

/** What is to be changed in a VXLAN device, in the words of the configuration; undefined where nothing is. */
export function differenceOf(link: Link, { vxlan, isProgrammed }: DeviceSettings): string | undefined {
  const found = readVxlan(link.data);
  const keys: (readonly [key: string, found: string, wanted: string])[] = [
    ["vni", String(found.vni), String(vxlan.vni)],
    ["port", String(found.port), String(vxlan.port)],
    ["group", nameOf(found.group), nameOf(vxlan.group)],
    ["learning", String(found.learning), String(vxlan.learning)],
    ["ttl", String(found.ttl ?? 0), String(vxlan.ttl ?? 0)],
  ];
  if (!isProgrammed) {
    // else the agent follows the host's address
    keys.push(["local", nameOf(found.local), nameOf(vxlan.local)]);
    keys.push(["dev", String(found.link ?? 0), String(vxlan.link ?? 0)]);
  }
  const other = keys.find(([, is, wanted]) => is !== wanted);
  if (!other) return undefined;
  const [key, is, wanted] = other;
  return `the "${key}" of ${link.name} is ${is}, not ${wanted}`;
}

/** Of the MTU, in the same words: another was asked for, or the underlay has shrunk meanwhile. */
export function misfitOf(link: Link, { mtu, isMtuGiven }: DeviceSettings): string | undefined {
  if (isMtuGiven && link.mtu !== mtu) return `the MTU of ${link.name} is ${link.mtu}, not ${mtu}`;
  if (link.mtu <= mtu) return undefined;
  return `the MTU of ${link.name} is ${link.mtu}, and the underlay carries packets of ${mtu} bytes`;
}

function nameOf(address: Address | undefined): string {
  return address ? formatAddress(address) : "none";
}

/** Under the lock of the claims: whatever an ADD that was killed left undone, and what has changed since. */
function completeVxlan(host: RouteSocket, link: Link, bridge: Link, settings: DeviceSettings): void {
  const { isPort, remotes } = settings;
  const inUse = (msg: string) =>
    invalidConfig(msg, "remove the network's containers of this host first: the device goes with the last");
  const difference = differenceOf(link, settings);
  if (difference) throw inUse(difference);
  const misfit = misfitOf(link, settings);
  if (misfit) throw inUse(misfit);
  if (isPort && link.master !== bridge.index) throw inUse(`${link.name} is not a port of ${bridge.name}`);
  writeSysctlIfPresent(`net/ipv6/conf/${link.name}/disable_ipv6`, isPort ? "1" : "0");
  setLink(host, link, { linkLocal: false, ...(isPort && { port: portFlags(settings) }) });
  if (remotes) updateRemotes(host, link, remotes);
}

function refuseOtherBridge(
  host: RouteSocket,
  { name, alias }: Link,
  { network, vxlan }: DeviceSettings,
): void {
  if (alias === networkAlias(network)) return;
  const holder = findVniHolder(host, vxlan);
  if (holder && holder.alias !== networkAlias(network)) throw vniInUse(vxlan.vni, holder);
  const details = 'set "bridge" to a name that no other network has';
  throw invalidConfig(`the bridge "${name}" is that of ${whoseIs(alias)}`, details);
}

/** Says what the kernel means when it refuses to make the device, or to set it up. */
function explained(host: RouteSocket, { vxlan }: DeviceSettings, make: () => Link): Link {
  try {
    return make();
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error;
    if (error.code === "EEXIST")
      throw vniInUse(vxlan.vni, findVniHolder(host, vxlan) ?? { name: "", alias: "" });
    if (error.code !== "EADDRINUSE") throw error;
    const details =
      "a program listens there, or a VXLAN device of another sort: choose another, on all hosts";
    const msg = `UDP port ${vxlan.port} of this host is in use`;
    throw new CniError(CniError.INVALID_NETWORK_CONFIG, msg, { details, cause: error });
  }
}

/** The VXLAN device of this host that has a VNI at a UDP port. */
export function findVniHolder(host: RouteSocket, { vni, port }: VxlanSettings): Link | undefined {
  return listLinks(host, { kind: "vxlan" }).find(({ data }) => {
    const held = readVxlan(data);
    return held.vni === vni && held.port === port;
  });
}

/** What ADD and STATUS say of a VNI that another device has. */
export function vniInUse(vni: number, { name, alias }: Pick<Link, "name" | "alias">): CniError {
  const whose = alias.startsWith(networkAlias("")) ? ` of ${whoseIs(alias)}` : "";
  return invalidConfig(`VNI ${vni} is in use by "${name}"${whose}`, 'choose another "vni", on all hosts');
}

function whoseIs(alias: string): string {
  return `the network "${alias.slice(networkAlias("").length)}"`;
}
