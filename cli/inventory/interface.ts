/** One interface of a namespace, with all that is at its other end: which veth belongs to this container. */
import { isLinkLocal } from "../../lib/netaddr/address.ts";
import { formatMac } from "../../lib/netaddr/mac.ts";
import { formatPrefix } from "../../lib/netaddr/prefix.ts";
import { listBridgeVlans } from "../../lib/rtnetlink/bridge-vlan.ts";
import type { Link } from "../../lib/rtnetlink/link.ts";
import { type LinkCounters, linkCounters } from "../../lib/rtnetlink/link-counters.ts";
import { listFdb } from "../../lib/rtnetlink/neighbour.ts";
import { formatRoute, type Route } from "../../lib/rtnetlink/route.ts";
import type { AttachmentView } from "./attachment.ts";
import type { HostView } from "./host-view.ts";
import { kindText } from "./link-kind.ts";
import type { Port } from "./peers.ts";
import type { Stack } from "./stack.ts";

/** IPv6's metric where nobody gives one (include/net/ipv6.h IP6_RT_PRIO_USER). */
const USUAL_METRIC = 1024;
/** Of the route to an address's own subnet (IP6_RT_PRIO_ADDRCONF). */
const LINK_METRIC = 256;

export interface InterfaceView {
  readonly name: string;
  readonly index: number;
  /** "veth", "macvlan mode bridge", "" for a physical device. */
  readonly kind: string;
  readonly isUp: boolean;
  readonly hasCarrier: boolean;
  readonly mac: string;
  readonly mtu: number;
  readonly alias: string;
  readonly addresses: readonly string[];
  /** Of the main table that leave by it, as `ip route` writes them. */
  readonly routes: readonly string[];
  readonly counters: LinkCounters;
  /** From the interface to the way out of the host. */
  readonly way: readonly WayPoint[];
  readonly port: BridgePortView | undefined;
  /** Undefined for what no network was attached by. */
  readonly attachment: AttachmentView | undefined;
}

/** An interface that packets come by on their way out. */
export interface WayPoint {
  readonly namespace: string;
  readonly name: string;
  readonly index: number;
  readonly kind: string;
  readonly mtu: number;
  /** What it is on the way. */
  readonly role: "container" | "peer" | "device below" | "bridge" | "tunnel" | "uplink";
}

/** How the other end is a port of its bridge. */
export interface BridgePortView {
  readonly bridge: string;
  readonly port: string;
  readonly isHairpin: boolean;
  readonly isIsolated: boolean;
  readonly isLearning: boolean;
  /** VLAN ids where the bridge filters; of several the untagged one has "u" behind it. */
  readonly vlans: readonly string[];
  /** Whether the bridge has the interface's MAC on this port, or where else. */
  readonly macSeen: "here" | "not yet" | string;
}

export function viewInterface(view: HostView, { stack, link }: Port): InterfaceView {
  const way = wayOf(view, { stack, link });
  return {
    name: link.name,
    index: link.index,
    kind: kindText(link),
    isUp: link.up,
    hasCarrier: link.running || link.name === "lo",
    mac: formatMac(link.mac),
    mtu: link.mtu,
    alias: link.alias,
    addresses: stack.addressesOf(link).map(({ prefix }) => formatPrefix(prefix)),
    routes: stack.routes.filter((route) => route.oif === link.index && !isOfTheLink(route)).map(routeText),
    counters: linkCounters(stack.socket, link),
    way,
    port: portOf(view.peerOf(stack, link), link),
    attachment: view.attachments.find(
      ({ namespace, ifname }) => namespace?.inode === stack.namespace.inode && ifname === link.name,
    ),
  };
}

/** fe80::/64, which every interface has. */
function isOfTheLink({ dst }: Route): boolean {
  return dst.address.family === 6 && isLinkLocal(dst.address);
}

function routeText(route: Route): string {
  const { dst, gateway, priority } = route;
  const isUsual = dst.address.family === 6 && (priority === USUAL_METRIC || priority === LINK_METRIC);
  const text = formatRoute({ dst, gateway, priority: isUsual ? undefined : priority });
  return gateway ? text : `${text} on the link`;
}

function wayOf(view: HostView, from: Port): WayPoint[] {
  const way: WayPoint[] = [wayPoint(view, from, "container")];
  const add = (port: Port, role: WayPoint["role"]) => way.push(wayPoint(view, port, role));
  const peer = view.peerOf(from.stack, from.link);
  if (!peer) return way;
  add(peer, from.link.kind === "veth" ? "peer" : "device below");
  if (from.link.kind !== "veth" || from.stack === view.host) return way;
  const { stack, link } = peer;
  const bridge = link.master === undefined ? undefined : stack.link(link.master);
  if (bridge) {
    add({ stack, link: bridge }, "bridge");
    for (const port of stack.portsOf(bridge)) if (port.kind === "vxlan") add({ stack, link: port }, "tunnel");
  }
  const uplink = leadsBeyond(from) ? uplinkOf(stack) : undefined;
  if (uplink && uplink.index !== bridge?.index) add({ stack, link: uplink }, "uplink");
  return way;
}

/** Whether a route leads by it to more than who is on it: not so on an internal network. */
function leadsBeyond({ stack, link }: Port): boolean {
  return stack.routes.some(({ dst, gateway, oif }) => oif === link.index && (gateway || dst.length === 0));
}

/** By which the default route leaves. */
export function uplinkOf(stack: Stack): Link | undefined {
  const [best] = stack.routes
    .filter(({ dst, oif }) => dst.length === 0 && oif !== undefined)
    .sort((a, b) => a.dst.address.family - b.dst.address.family || (a.priority ?? 0) - (b.priority ?? 0));
  return best?.oif === undefined ? undefined : stack.link(best.oif);
}

function wayPoint(view: HostView, { stack, link }: Port, role: WayPoint["role"]): WayPoint {
  const { name, index, mtu } = link;
  return { namespace: view.nameOf(stack), name, index, kind: kindText(link), mtu, role };
}

function portOf(peer: Port | undefined, { mac }: Link): BridgePortView | undefined {
  const { master, port, index, name } = peer?.link ?? {};
  const bridge = master === undefined ? undefined : peer?.stack.link(master);
  if (!peer || !port || !bridge || index === undefined || name === undefined) return undefined;
  return {
    bridge: bridge.name,
    port: name,
    isHairpin: port.mode === 1,
    isIsolated: port.isolated === 1,
    isLearning: port.learning === 1,
    vlans: vlansOf(peer.stack, index),
    macSeen: whereSeen(peer.stack, bridge, { mac, index }),
  };
}

/** Nothing where the port has but the VLAN that every port has. */
function vlansOf(stack: Stack, index: number): string[] {
  const vlans = listBridgeVlans(stack.socket).get(index) ?? [];
  const isUsual = vlans.length === 1 && vlans[0]?.vlanId === 1;
  return isUsual ? [] : vlans.map(({ vlanId, pvid, untagged }) => `${vlanId}${pvid || untagged ? "u" : ""}`);
}

function whereSeen(stack: Stack, bridge: Link, { mac, index }: { mac: Uint8Array; index: number }): string {
  const text = formatMac(mac);
  const entries = listFdb(stack.socket, { master: bridge.index }).filter(
    (each) => formatMac(each.mac) === text,
  );
  if (entries.some(({ ifindex }) => ifindex === index)) return "here";
  const elsewhere = entries[0] && stack.link(entries[0].ifindex);
  return elsewhere?.name ?? "not yet";
}
