/**
 * The master of a macvlan, an ipvlan or a VLAN interface: the link below, by which its frames come and go. It
 * is found by name or by the default route. One that is asked for and not there is made: the 802.1Q
 * sub-interface of a VLAN, or a dummy that leads nowhere, for an internal network.
 */
import type { NetConf } from "./cni/config.ts";
import { faultOfIfname } from "./cni/environment.ts";
import { CniError, invalidConfig, recoded } from "./cni/error.ts";
import type { Call } from "./cni/plugin.ts";
import { failed } from "./interface.ts";
import { verifyMtu } from "./mtu.ts";
import { unlessMissing } from "./netlink/error.ts";
import { findLink, IFNAME_MAX, type Link, linkByIndex, listLinks } from "./rtnetlink/link.ts";
import { vlan as vlanAttributes, vlanData } from "./rtnetlink/link-kinds.ts";
import { listRoutes } from "./rtnetlink/route.ts";
import { openRouteSocket, type RouteSocket } from "./rtnetlink/route-socket.ts";
import type { Sandbox } from "./sandbox.ts";
import {
  isSharedLink,
  keepSharedLink,
  type SharedLinkSettings,
  sharedLinkName,
  shareLink,
} from "./shared-link.ts";
import { findFile } from "./sys/file.ts";

export interface Master {
  readonly link: Link;
  /** Of the namespace it is in. */
  readonly socket: RouteSocket;
}

/** What a configuration says of its master. */
export interface MasterConfig {
  /** "" is the interface of the default route. */
  readonly master: string;
  /** The master is in the container's namespace, not on the host. */
  readonly linkInContainer: boolean;
  /** Bytes; 0 is the master's. */
  readonly mtu: number;
  /** The VLAN whose sub-interface of `master` is the master; 0 is none. */
  readonly vlan?: number;
  /** The master leads nowhere. */
  readonly internal?: boolean;
}

type Config = NetConf & MasterConfig;

/** Where the master comes from: it is there, or a VLAN of a link that is, or it is a dummy of this name. */
type Origin =
  | { readonly link: Link }
  | { readonly parent: Link; readonly vlanId: number }
  | { readonly dummy: string };

/** What a sub-interface is called: its parent, and the VLAN. */
const SUB_INTERFACE = /^(.+)\.([1-9][0-9]{0,3})$/;
/** Of 4,096 numbers, 0 is no VLAN's and 4095 is reserved (IEEE 802.1Q §9.6). */
const VLAN_ID_MAX = 4_094;
/** linux/if_ether.h */
const ETH_P_8021Q = 0x8100;

/** @throws CniError 7 for what no host can have */
export function verifyMaster({ master, vlan = 0, internal = false, linkInContainer, mtu }: Config): void {
  verifyMtu(mtu);
  const isName = master !== "" && master.length <= IFNAME_MAX; // longer ones are alternative names
  const fault = isName ? faultOfIfname(master) : undefined;
  if (fault) throw invalidConfig(`invalid "master": ${JSON.stringify(master)} ${fault.msg}`, fault.details);
  if (internal && (master !== "" || vlan !== 0)) {
    throw invalidConfig(
      '"internal" makes a master that leads nowhere',
      'leave out "master" and "vlan", or "internal"',
    );
  }
  if (linkInContainer && (internal || vlan !== 0)) {
    const details = 'leave out "vlan" and "internal", or "linkInContainer"';
    throw invalidConfig('with "linkInContainer" the master must be there already', details);
  }
  if (vlan !== 0 && isName && subInterfaceName(master, vlan).length > IFNAME_MAX) {
    throw invalidConfig(
      `"${subInterfaceName(master, vlan)}" is too long for an interface`,
      `make the sub-interface of VLAN ${vlan} under another name, and leave out "vlan"`,
    );
  }
}

/**
 * ADD: the master. One that is made stays for as long as any attachment uses it: shared-link.ts.
 * @throws CniError 7 when there is none, or its MTU is too small
 */
export function useMaster(call: Call<Config>, { host, container }: Sandbox): Master {
  const { config } = call;
  const socket = config.linkInContainer ? container : host;
  const origin = originOf(config, socket);
  const there = linkOf(origin);
  if (there && socket === host) keepSharedLink(call, host, there);
  const link = "link" in origin ? origin.link : shareLink(call, socket, settingsOf(origin, socket));
  if (config.mtu > link.mtu) {
    const details = `"mtu" may not be above that of "${link.name}"; 0 takes it over`;
    throw invalidConfig(`invalid MTU ${config.mtu}, must be [0, master MTU(${link.mtu})]`, details);
  }
  return { link, socket };
}

/**
 * A wireless station sends under its own MAC alone: its access point drops what other MACs send.
 * @throws CniError 7
 */
export function refuseWireless({ link, socket }: Master, { host }: Sandbox): void {
  if (socket !== host) return; // /sys shows the host's
  const { name } = link.kind === "vlan" && link.link !== undefined ? linkByIndex(host, link.link) : link;
  if (!findFile(`/sys/class/net/${name}/phy80211`)) return;
  const details = "use ipvlan, whose interfaces share the master's MAC, or a wired master";
  throw invalidConfig(`"${name}" is wireless: an access point takes no frames from a macvlan`, details);
}

/** @throws CniError 100 unless the interface is one of the master's, which is there */
export function checkMaster(call: Call<Config>, { host, container }: Sandbox, inside: Link): void {
  const { config } = call;
  if (config.master === "" && !config.internal) return; // the default route may lead elsewhere by now
  const socket = config.linkInContainer ? container : host;
  const master = recoded(CniError.CHECK_FAILED, () => madeOrThere(originOf(config, socket), socket));
  if (!master) throw failed(`the master of ${inside.name} is not there`);
  const below = inside.kind === "macvlan" ? indexBelow(master) : master.index;
  if (inside.link === below) return;
  throw failed(`the master of ${inside.name} is not "${master.name}": its link is ${inside.link}`);
}

/** The ifindex that a macvlan of this master notes: the kernel looks through another to what is below it. */
export function indexBelow({ kind, index, link }: Link): number {
  return kind === "macvlan" && link !== undefined ? link : index;
}

/** STATUS. @throws CniError 50 unless there is a master, or what it would be made from, and that is up */
export function checkMasterAvailable({ config, resources }: Call<Config>): void {
  if (config.linkInContainer || config.internal) return;
  const host = resources.use(openRouteSocket());
  const link = linkOf(recoded(CniError.NOT_AVAILABLE, () => originOf(config, host)));
  if (link && !link.up) throw new CniError(CniError.NOT_AVAILABLE, `master "${link.name}" is down`);
}

/** @throws CniError 7 when it can have none */
function originOf(config: Config, socket: RouteSocket): Origin {
  const { name, master, vlan = 0, internal, linkInContainer } = config;
  if (internal) return { dummy: sharedLinkName("dm-", name) };
  const named = master === "" ? defaultRouteLink(socket) : findLink(socket, master);
  if (named?.name === "lo")
    throw invalidConfig('invalid "master": "lo" has no wire', "name an Ethernet interface");
  if (named && vlan !== 0) return { parent: named, vlanId: vlan };
  const onDemand = linkInContainer || vlan !== 0 ? undefined : namedSubInterface(master, socket);
  if (onDemand && (!named || isSharedLink(named))) return onDemand; // to be claimed, if it is there already
  if (named) return { link: named };
  const where = linkInContainer ? "the container" : "this host";
  throw invalidConfig(
    `failed to lookup master "${master}": Link not found`,
    `${where} has no interface of that name`,
  );
}

/** The link that was found: the master, or its parent. */
function linkOf(origin: Origin): Link | undefined {
  if ("dummy" in origin) return undefined;
  return "parent" in origin ? origin.parent : origin.link;
}

/** What "eth0.10" means where there is an eth0. */
function namedSubInterface(
  master: string,
  socket: RouteSocket,
): Extract<Origin, { parent: Link }> | undefined {
  if (!master.includes(".")) return undefined; // as most; a regular expression takes a process 50 µs
  const [, parentName = "", id = ""] = SUB_INTERFACE.exec(master) ?? [];
  const parent = parentName && Number(id) <= VLAN_ID_MAX ? findLink(socket, parentName) : undefined;
  return parent && parent.name !== "lo" ? { parent, vlanId: Number(id) } : undefined;
}

/** The link that `origin` stands for, where it is there. */
function madeOrThere(origin: Origin, socket: RouteSocket): Link | undefined {
  if ("link" in origin) return origin.link;
  return "dummy" in origin ? findLink(socket, origin.dummy) : findSubInterface(socket, origin);
}

/** What is made for `origin`; under the name it has, where it is there. */
function settingsOf(origin: Exclude<Origin, { link: Link }>, socket: RouteSocket): SharedLinkSettings {
  if ("dummy" in origin) return { name: origin.dummy, kind: "dummy" };
  const { parent, vlanId } = origin;
  refuseDown(parent, vlanId);
  const name = findSubInterface(socket, origin)?.name ?? subInterfaceName(parent.name, vlanId);
  return { name, kind: "vlan", link: parent.index, data: vlanData(vlanId) };
}

/** The kernel sets up no VLAN of a link that is down. @throws CniError 7 */
export function refuseDown({ name, up }: Link, vlanId: number): void {
  if (!up) throw invalidConfig(`"${name}" is down, and so would be its VLAN ${vlanId}`, "set it up first");
}

/** The sub-interface of a VLAN, whatever its name; a link can have one. */
function findSubInterface(
  socket: RouteSocket,
  { parent, vlanId }: { parent: Link; vlanId: number },
): Link | undefined {
  const isIt = (link: Link) => link.kind === "vlan" && link.link === parent.index && isVlan(link, vlanId);
  const name = subInterfaceName(parent.name, vlanId);
  const named = name.length <= IFNAME_MAX ? findLink(socket, name) : undefined;
  if (named && isIt(named)) return named;
  const other = listLinks(socket, { kind: "vlan" }).find(isIt);
  if (!named || other) return other;
  throw invalidConfig(
    `"${name}" already exists but is not VLAN ${vlanId} of "${parent.name}"`,
    "remove it, or make the sub-interface under another name",
  );
}

/** Of IEEE 802.1Q; 802.1ad numbers its own. */
function isVlan({ data, linkNetnsid }: Link, vlanId: number): boolean {
  const { id, protocol = ETH_P_8021Q } = vlanAttributes.read(data);
  return linkNetnsid === undefined && id === vlanId && protocol === ETH_P_8021Q;
}

function subInterfaceName(parent: string, vlanId: number): string {
  return `${parent}.${vlanId}`;
}

/**
 * Equivalent to `ip route show default`: the way out of the first, of IPv4 before IPv6. @throws CniError 7
 */
function defaultRouteLink(socket: RouteSocket): Link {
  for (const family of [4, 6] as const) {
    const all = unlessMissing(() => listRoutes(socket, { family })) ?? []; // there may have been none ever
    const routes = all.filter(({ dst, oif }) => dst.length === 0 && oif !== undefined);
    const [first] = routes.sort((a, b) => (a.priority ?? 0) - (b.priority ?? 0));
    if (first?.oif !== undefined) return linkByIndex(socket, first.oif);
  }
  throw invalidConfig("no default route interface found", 'set "master" to the interface to use');
}
