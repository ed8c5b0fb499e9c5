/** Addresses of links. rtnetlink(7), linux/if_addr.h. */
import { type Address, type Family, isLoopback } from "../netaddr/address.ts";
import { formatPrefix, lastAddress, type Prefix } from "../netaddr/prefix.ts";
import { attributes } from "../netlink/attributes.ts";
import { unlessMissing } from "../netlink/error.ts";
import { messageCodec, NLM_F_CREATE, NLM_F_EXCL } from "../netlink/message.ts";
import { address, cstring, struct, u8, u32 } from "../netlink/wire.ts";
import { AF_UNSPEC, addressFamily, type RouteSocket } from "./route-socket.ts";

const RTM_NEWADDR = 20;
const RTM_DELADDR = 21;
const RTM_GETADDR = 22;
const RTM_GETMULTICAST = 58;

// linux/if_addr.h IFA_F_*
/** Of IPv6; IPv4 has IFA_F_SECONDARY there. */
const IFA_F_TEMPORARY = 0x01;
const IFA_F_NODAD = 0x02;
const IFA_F_OPTIMISTIC = 0x04;
const IFA_F_DADFAILED = 0x08;
const IFA_F_DEPRECATED = 0x20;
const IFA_F_TENTATIVE = 0x40;
const IFA_F_PERMANENT = 0x80;
const IFA_F_NOPREFIXROUTE = 0x200;

/** struct ifaddrmsg */
export const ifaddrmsg = struct({ family: u8, prefixlen: u8, flags: u8, scope: u8, index: u32 });

/** IFA_* */
export const addressAttributes = attributes("IFA", {
  address: [1, address],
  local: [2, address],
  label: [3, cstring],
  broadcast: [4, address],
  multicast: [7, address],
  flags: [8, u32],
  rtPriority: [9, u32],
});

export const addressMessage = messageCodec(ifaddrmsg, addressAttributes);

export interface LinkAddress {
  readonly ifindex: number;
  readonly prefix: Prefix;
  /** RT_SCOPE_*: 0 global, 253 link, 254 host. */
  readonly scope: number;
  /** Duplicate detection still runs. */
  readonly tentative: boolean;
  /** It may be used meanwhile (RFC 4429). */
  readonly optimistic: boolean;
  readonly dadFailed: boolean;
  /** Not learned from a router's advertisement. */
  readonly permanent: boolean;
  /** Its preferred lifetime is over: nothing new should be sent from it. */
  readonly deprecated: boolean;
  /** IPv6's, for a while, so that its host is not known by it (RFC 8981). */
  readonly temporary: boolean;
}

type LinkName = { index: number; name: string };

/** How an address starts. The first two are IPv6's. */
export interface AddressFlags {
  /** It is used at once, and nobody is asked: where nobody else can have it. */
  readonly nodad?: boolean;
  /** It is used at once, while the kernel asks; where the interface's optimistic_dad allows (RFC 4429). */
  readonly optimistic?: boolean;
  /** The kernel makes no route to its subnet. */
  readonly noprefixroute?: boolean;
}

/** Equivalent to `ip addr add PREFIX [brd +] [nodad] [optimistic] [noprefixroute] dev NAME`. */
export function addAddress(
  socket: RouteSocket,
  link: LinkName,
  prefix: Prefix,
  flags: AddressFlags = {},
): void {
  const { address: local, length } = prefix;
  const hasBroadcast = local.family === 4 && length < 31 && !isLoopback(local);
  socket.change({
    doing: `add address ${formatPrefix(prefix)} to "${link.name}"`,
    name: "RTM_NEWADDR",
    type: RTM_NEWADDR,
    flags: NLM_F_CREATE | NLM_F_EXCL,
    codec: addressMessage,
    header: { family: addressFamily(local.family), prefixlen: length, index: link.index },
    attributes: {
      local,
      address: local,
      broadcast: hasBroadcast ? lastAddress(prefix) : undefined,
      flags: flagBits(flags, local.family) || undefined,
    },
  });
}

function flagBits({ nodad, optimistic, noprefixroute }: AddressFlags, family: Family): number {
  const own = (nodad ? IFA_F_NODAD : 0) | (optimistic ? IFA_F_OPTIMISTIC : 0);
  return (family === 6 ? own : 0) | (noprefixroute ? IFA_F_NOPREFIXROUTE : 0);
}

/** Equivalent to `ip addr del PREFIX dev NAME`. */
export function deleteAddress(socket: RouteSocket, link: LinkName, prefix: Prefix): void {
  const { address: local, length } = prefix;
  socket.change({
    doing: `delete address ${formatPrefix(prefix)} of "${link.name}"`,
    name: "RTM_DELADDR",
    type: RTM_DELADDR,
    codec: addressMessage,
    header: { family: addressFamily(local.family), prefixlen: length, index: link.index },
    attributes: { local, address: local },
  });
}

/** As deleteAddress(); when it is not there, all is well. */
export function deleteAddressIfThere(socket: RouteSocket, link: LinkName, prefix: Prefix): void {
  unlessMissing(() => deleteAddress(socket, link, prefix));
}

/** Equivalent to `ip addr show [dev NAME]`, filtered by the kernel. */
export function listAddresses(socket: RouteSocket, link?: LinkName): LinkAddress[] {
  const addresses: LinkAddress[] = [];
  for (const message of socket.dump({
    doing: link ? `list addresses of "${link.name}"` : "list addresses",
    name: "RTM_GETADDR",
    type: RTM_GETADDR,
    codec: addressMessage,
    header: { family: AF_UNSPEC, index: link?.index ?? 0 },
    attributes: {},
  })) {
    const local: Address | undefined = message.local ?? message.address;
    if (!local) continue;
    const flags = message.flags ?? 0;
    addresses.push({
      ifindex: message.index ?? 0,
      prefix: { address: local, length: message.prefixlen ?? 0 },
      scope: message.scope ?? 0,
      tentative: (flags & IFA_F_TENTATIVE) !== 0,
      optimistic: (flags & IFA_F_OPTIMISTIC) !== 0,
      dadFailed: (flags & IFA_F_DADFAILED) !== 0,
      permanent: (flags & IFA_F_PERMANENT) !== 0,
      deprecated: (flags & IFA_F_DEPRECATED) !== 0,
      temporary: local.family === 6 && (flags & IFA_F_TEMPORARY) !== 0,
    });
  }
  return addresses;
}

/** Equivalent to `ip -6 maddr show dev NAME`: the IPv6 multicast groups that a link is in. */
export function listGroups(socket: RouteSocket, link: LinkName): Address[] {
  const groups: Address[] = [];
  for (const { index, multicast } of socket.dump({
    doing: `list multicast groups of "${link.name}"`,
    name: "RTM_GETMULTICAST",
    type: RTM_GETMULTICAST,
    codec: addressMessage,
    header: { family: addressFamily(6), index: link.index },
    attributes: {},
  })) {
    if (multicast && index === link.index) groups.push(multicast);
  }
  return groups;
}
