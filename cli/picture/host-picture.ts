/**
 * What a picture of the host shows: the host's own namespace with its bridges, its links to the world and to
 * other hosts, and each container at the end of its cable.
 */
import { formatAddress, isLinkLocal } from "../../lib/netaddr/address.ts";
import { formatPrefix } from "../../lib/netaddr/prefix.ts";
import type { Link } from "../../lib/rtnetlink/link.ts";
import { readVxlan } from "../../lib/rtnetlink/link-kinds.ts";
import type { PublishedPort } from "../inventory/attachment.ts";
import { formatPublished } from "../inventory/attachment-table.ts";
import type { HostView } from "../inventory/host-view.ts";
import { uplinkOf } from "../inventory/interface.ts";
import { kindText } from "../inventory/link-kind.ts";
import { readOverlayTables } from "../inventory/overlay-entries.ts";
import type { Port } from "../inventory/peers.ts";

export interface HostPicture {
  readonly title: string;
  readonly bases: readonly Base[];
  /** Devices that nothing leads to or from. */
  readonly others: readonly { readonly name: string; readonly kind: string }[];
  /** Namespaces that no cable leads to from here. */
  readonly islands: readonly string[];
}

/** An interface of the host that cables begin at: a bridge, the device below macvlans, a link by itself. */
export interface Base {
  readonly name: string;
  readonly role: "bridge" | "link";
  /** As `ip` calls it: "bridge", "veth", "" for a physical device. */
  readonly kind: string;
  /** Of the containers that are connected to it. */
  readonly networks: readonly string[];
  /** Nothing is forwarded between it and anything else. */
  readonly isInternal: boolean;
  /** "internal bridge of back", "VLAN 10 on eth0", "uplink". */
  readonly says: string;
  readonly isUplink: boolean;
  readonly isUp: boolean;
  readonly addresses: readonly string[];
  readonly cables: readonly Cable[];
}

/** What leads from a base to something. */
export interface Cable {
  /** The host's end: a veth, a VXLAN device, an enslaved interface; what a link by itself leads by. */
  readonly name: string;
  /** The interface that it is, where that is not the base itself. */
  readonly port: string | undefined;
  readonly says: string;
  readonly isUp: boolean;
  readonly end: End | undefined;
}

/** What is at the other end: an interface of a container, the hosts of an overlay, the world. */
export interface End {
  readonly kind: "container" | "hosts" | "world";
  /** The container's name; the same is the same container. */
  readonly title: string;
  /** Below its name: "eth0", nothing of hosts. */
  readonly ifname: string;
  readonly network: string;
  /** Of the container's interface; of other hosts their VTEPs, of the world the routers. */
  readonly addresses: readonly string[];
  readonly ports: readonly PublishedPort[];
}

/** "wg0 (wireguard)" */
export function deviceText({ name, kind }: HostPicture["others"][number]): string {
  return kind === "" ? name : `${name} (${kind})`;
}

/** What stands in the box of an end, a line each. */
export function linesOf({ kind, addresses, ports }: End): string[] {
  return kind === "world" ? addresses.map((each) => `by ${each}`) : [...addresses, ...formatPublished(ports)];
}

export function pictureOf(view: HostView): HostPicture {
  const { host } = view;
  const drawn = new Set<number>([1]); // lo
  const bridges = host.links.filter((link) => isMaster(link) || host.portsOf(link).length > 0);
  for (const bridge of bridges) {
    drawn.add(bridge.index);
    for (const port of host.portsOf(bridge)) drawn.add(port.index);
  }
  const below = devicesBelow(view);
  const links = host.links.filter((link) => !drawn.has(link.index) && leadsSomewhere(view, link, below));
  for (const link of links) drawn.add(link.index);
  const bases = [
    ...bridges.map((bridge) => bridgeBase(view, bridge, below)),
    ...links.map((link) => linkBase(view, link, below)),
  ].sort((a, b) => Number(a.isUplink) - Number(b.isUplink));
  const seen = new Set([host, ...reached(view)]);
  return {
    title: "host",
    bases,
    others: host.links
      .filter(({ index }) => !drawn.has(index))
      .map((link) => ({ name: link.name, kind: kindText(link) })),
    islands: view.stacks.filter((stack) => !seen.has(stack)).map((stack) => view.nameOf(stack)),
  };
}

/** Bridges, VRFs and bonds, also without a port. */
function isMaster({ kind }: Link): boolean {
  return kind === "bridge" || kind === "vrf" || kind === "bond";
}

/** The stacks that a cable of the host leads to. */
function reached(view: HostView) {
  const { host } = view;
  const direct = host.links.flatMap((link) => view.peerOf(host, link)?.stack ?? []);
  const above = view.stacks.filter((stack) =>
    stack.links.some((link) => view.peerOf(stack, link)?.stack === host),
  );
  return [...direct, ...above];
}

/** The containers' macvlans and ipvlans, by the index of the device of the host that they are on. */
function devicesBelow(view: HostView): Map<number, Port[]> {
  const above = new Map<number, Port[]>();
  for (const stack of view.stacks) {
    for (const link of stack.links) {
      if (link.kind === "veth") continue;
      const device = view.peerOf(stack, link);
      if (device?.stack !== view.host || stack === view.host) continue;
      above.getOrInsertComputed(device.link.index, () => []).push({ stack, link });
    }
  }
  return above;
}

function leadsSomewhere(view: HostView, link: Link, below: ReadonlyMap<number, unknown>): boolean {
  const hasPeer = link.kind === "veth" && view.peerOf(view.host, link) !== undefined;
  const isUplink = uplinkOf(view.host)?.index === link.index;
  const isDevice = link.kind === "" || link.kind === "vlan" || link.kind === "vxlan";
  return hasPeer || isUplink || below.has(link.index) || (isDevice && view.host.addressesOf(link).length > 0);
}

function bridgeBase(view: HostView, bridge: Link, below: ReadonlyMap<number, Port[]>): Base {
  const ports = view.host.portsOf(bridge);
  const cables = [...ports, bridge]
    .flatMap((port) => [
      ...(port === bridge ? [] : [portCable(view, port, bridge)]),
      ...childCables(view, port, below),
    ])
    .sort((a, b) => Number(a.end?.kind === "hosts") - Number(b.end?.kind === "hosts"));
  const networks = networksOf(cables);
  const isInternal = view.networks.some(
    ({ name, plugins }) => networks.includes(name) && plugins.some((plugin) => plugin["internal"] === true),
  );
  const of = networks.length > 0 ? ` of ${networks.join(", ")}` : "";
  const says = `${isInternal ? "internal " : ""}${bridge.kind}${of}`;
  return { ...baseOf(view, bridge, "bridge"), networks, isInternal, says, cables };
}

function networksOf(cables: readonly Cable[]): string[] {
  return [...new Set(cables.flatMap(({ end }) => end?.network || []))];
}

/** An interface that is no port: macvlans are on it, or a container or the world is at its other end. */
function linkBase(view: HostView, link: Link, below: ReadonlyMap<number, Port[]>): Base {
  const base = baseOf(view, link, "link");
  const parent = link.kind === "vlan" ? view.peerOf(view.host, link) : undefined;
  const what = [kindText(link) || "device", parent && `on ${parent.link.name}`].filter(Boolean).join(" ");
  const own = link.kind === "vxlan" ? [portCable(view, link, link)] : wire(view, link);
  const network = link.kind === "veth" ? own[0]?.end?.network : undefined;
  const cables = [...own, ...childCables(view, link, below)];
  const says = network ? `routed link of ${network}` : what;
  return {
    ...base,
    networks: networksOf(cables),
    isInternal: false,
    says: base.isUplink ? (link.kind === "" ? "uplink" : `uplink, ${says}`) : says,
    cables,
  };
}

type BareBase = Omit<Base, "networks" | "isInternal" | "says" | "cables">;

function baseOf(view: HostView, link: Link, role: Base["role"]): BareBase {
  return {
    name: link.name,
    role,
    kind: link.kind,
    isUplink: uplinkOf(view.host)?.index === link.index,
    isUp: link.up,
    addresses: globalAddresses({ stack: view.host, link }),
  };
}

/** To the other end of a veth, or by the uplink to the next router. */
function wire(view: HostView, link: Link): Cable[] {
  const peer = link.kind === "veth" ? view.peerOf(view.host, link) : undefined;
  const end = peer ? containerEnd(view, peer) : worldEnd(view, link);
  return end ? [{ name: "", port: undefined, says: "", isUp: link.running, end }] : [];
}

function worldEnd({ host }: HostView, { index }: Link): End | undefined {
  const gateways = host.routes.flatMap(({ dst, oif, gateway }) =>
    dst.length === 0 && oif === index && gateway ? [formatAddress(gateway)] : [],
  );
  if (gateways.length === 0) return undefined;
  return {
    kind: "world",
    title: "outside",
    ifname: "",
    network: "",
    addresses: gateways,
    ports: [],
  };
}

/** From a bridge; to the world where the host's way out is by the bridge, and the port is a device. */
function portCable(view: HostView, port: Link, bridge: Link): Cable {
  const base = { name: port.name, port: port === bridge ? undefined : port.name, isUp: port.up };
  if (port.kind === "vxlan")
    return { ...base, says: `VXLAN ${readVxlan(port.data).vni}`, end: hostsEnd(view, port) };
  const peer = port.kind === "veth" ? view.peerOf(view.host, port) : undefined;
  const end = peer ? containerEnd(view, peer) : worldEnd(view, bridge);
  return { ...base, says: port.kind === "veth" ? "" : kindText(port), end };
}

function childCables(view: HostView, { index }: Link, below: ReadonlyMap<number, Port[]>): Cable[] {
  return (below.get(index) ?? []).map((port) => ({
    name: kindText(port.link),
    port: undefined,
    says: "",
    isUp: port.link.running,
    end: containerEnd(view, port),
  }));
}

function containerEnd(view: HostView, { stack, link }: Port): End {
  const attachment = view.attachments.find(
    ({ namespace, ifname }) => namespace?.inode === stack.namespace.inode && ifname === link.name,
  );
  return {
    kind: "container",
    title: view.nameOf(stack),
    ifname: link.name,
    network: attachment?.network ?? "",
    addresses: globalAddresses({ stack, link }),
    ports: attachment?.ports ?? [],
  };
}

/** The other hosts, by the addresses that frames are sent to. */
function hostsEnd(view: HostView, device: Link): End {
  const table = readOverlayTables(view.host, []).find((each) => each.device === device.name);
  const { group } = readVxlan(device.data);
  const vteps = new Set(table?.entries.map(({ vtep }) => vtep).filter(Boolean));
  if (group) vteps.add(formatAddress(group));
  const addresses = [...vteps].sort();
  return {
    kind: "hosts",
    title: addresses.length === 0 ? "no other host yet" : "other hosts",
    ifname: "",
    network: table?.network ?? "",
    addresses,
    ports: [],
  };
}

function globalAddresses({ stack, link }: Port): string[] {
  return stack
    .addressesOf(link)
    .filter(({ prefix }) => !(prefix.address.family === 6 && isLinkLocal(prefix.address)))
    .map(({ prefix }) => formatPrefix(prefix));
}
