/** What happens to links, addresses, neighbours, forwarding tables and the agent's routes, as it happens. */
import { type Address, formatAddress } from "../netaddr/address.ts";
import { formatMac } from "../netaddr/mac.ts";
import { formatPrefix } from "../netaddr/prefix.ts";
import type { NetlinkEvent, NetlinkEvents } from "../netlink/events.ts";
import type { Netns } from "../netns/netns.ts";
import { IFF_UP } from "../rtnetlink/link.ts";
import { linkMessage } from "../rtnetlink/link-attributes.ts";
import {
  NTF_SELF,
  NUD_PERMANENT,
  neighbourMessage,
  RTM_DELNEIGH,
  RTM_NEWNEIGH,
} from "../rtnetlink/neighbour.ts";
import { routeMessage } from "../rtnetlink/route.ts";
import {
  AF_BRIDGE,
  openRouteEvents,
  RTNLGRP_IPV4_IFADDR,
  RTNLGRP_IPV4_ROUTE,
  RTNLGRP_IPV6_IFADDR,
  RTNLGRP_IPV6_ROUTE,
  RTNLGRP_LINK,
  RTNLGRP_NEIGH,
} from "../rtnetlink/route-socket.ts";
import type { EntryKind } from "./kernel-entries.ts";
import { OVERLAY_PROTOCOL } from "./peers.ts";

const RTM_NEWLINK = 16;
const RTM_DELLINK = 17;
const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const RTM_NEWROUTE = 24;
const RTM_DELROUTE = 25;
const GROUPS = [
  RTNLGRP_LINK,
  RTNLGRP_NEIGH,
  ...[RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR],
  ...[RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE],
];
/** struct rtmsg (linux/rtnetlink.h): family, two lengths, tos, table, protocol. */
const RTM_PROTOCOL_OFFSET = 5;
/** linux/if.h: up, with carrier, as far as the protocols are concerned. */
const IFF_RUNNING = 0x40;

/** One thing that happened. */
export type KernelEvent =
  | { readonly what: "link"; readonly ifindex: number; readonly name: string; readonly isUp: boolean }
  /** An address came, changed or went. */
  | { readonly what: "address" }
  | {
      readonly what: "entry";
      readonly ifindex: number;
      readonly kind: EntryKind;
      /** The text of its MAC, address or prefix. */
      readonly key: string;
      readonly isGone: boolean;
      /** Of the device's own table: where it leads to. */
      readonly dst: Address | undefined;
      /** Of a neighbour, as text. */
      readonly mac: string;
      /** A MAC of the device's own table, not of its bridge's. */
      readonly isSelf: boolean;
      /** A neighbour or route that the agent made. */
      readonly isOurs: boolean;
    };

/** Equivalent to `ip monitor link address neigh route`, of devices that count. */
export class KernelEvents implements Disposable {
  readonly #events: NetlinkEvents;
  readonly #counts: (ifindex: number) => boolean;

  /** @param counts whether the neighbours and forwarding entries of a device count */
  constructor(counts: (ifindex: number) => boolean, netns?: Netns) {
    this.#events = openRouteEvents(GROUPS, netns);
    this.#counts = counts;
  }

  [Symbol.dispose](): void {
    this.#events[Symbol.dispose]();
  }

  /**
   * Hands on what has happened since, of so many datagrams at most.
   * @returns "some" when there may be more, "none" when that was all, "lost" when some of it was lost
   */
  receive(take: (event: KernelEvent) => void, datagramsMax: number): "some" | "none" | "lost" {
    return this.#events.receive((event) => {
      const decoded = this.#decode(event);
      if (decoded) take(decoded);
    }, datagramsMax);
  }

  #decode(event: NetlinkEvent): KernelEvent | undefined {
    const { type, body } = event;
    if (type === RTM_NEWADDR || type === RTM_DELADDR) return { what: "address" };
    if (type === RTM_NEWLINK || type === RTM_DELLINK) {
      const { index: ifindex = 0, flags = 0, ifname: name = "" } = linkMessage.read(body);
      const isUp = type === RTM_NEWLINK && (flags & IFF_UP) !== 0 && (flags & IFF_RUNNING) !== 0;
      return { what: "link", ifindex, name, isUp };
    }
    if (type === RTM_NEWROUTE || type === RTM_DELROUTE) return this.#decodeRoute(event);
    // struct ndmsg: the device's index is at byte 4. Most events are of other devices.
    const isNeighbour = (type === RTM_NEWNEIGH || type === RTM_DELNEIGH) && body.length >= 8;
    if (!isNeighbour || !this.#counts(new DataView(body.buffer, body.byteOffset).getInt32(4, true))) {
      return undefined;
    }
    const message = neighbourMessage.read(body);
    const { index: ifindex = 0, family, flags = 0, state = 0, dst, lladdr, protocol } = message;
    const mac = lladdr ? formatMac(lladdr) : "";
    const isSelf = (flags & NTF_SELF) !== 0;
    const about = { what: "entry", ifindex, isGone: type === RTM_DELNEIGH, isSelf, dst, mac } as const;
    if (family !== AF_BRIDGE) {
      const key = dst ? formatAddress(dst) : "";
      return { ...about, kind: "neighbours", key, isOurs: protocol === OVERLAY_PROTOCOL };
    }
    if (!isSelf && state & NUD_PERMANENT) return undefined; // the port's own MAC
    return { ...about, kind: "fdb", key: mac, isOurs: false };
  }

  #decodeRoute({ type, body }: NetlinkEvent): KernelEvent | undefined {
    if (body[RTM_PROTOCOL_OFFSET] !== OVERLAY_PROTOCOL) return undefined; // a router may change thousands
    const { dstLen: length = 0, oif: ifindex, dst } = routeMessage.read(body);
    if (ifindex === undefined || !dst || !this.#counts(ifindex)) return undefined;
    const key = formatPrefix({ address: dst, length });
    const isGone = type === RTM_DELROUTE;
    const about = { dst: undefined, mac: "", isSelf: false, isOurs: true } as const;
    return { what: "entry", kind: "routes", key, ifindex, isGone, ...about };
  }
}
