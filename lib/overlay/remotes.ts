/**
 * The other hosts of an overlay whose configuration lists them. What a VXLAN device does not know the host of
 * it sends to each of them: to where its forwarding table has the MAC of all zeros (drivers/net/vxlan).
 */
import { type Address, formatAddress, sameAddress } from "../netaddr/address.ts";
import { unlessMissing } from "../netlink/error.ts";
import type { Link } from "../rtnetlink/link.ts";
import {
  appendFdbEntry,
  deleteFdbEntry,
  listFdb,
  NTF_SELF,
  NUD_NOARP,
  NUD_PERMANENT,
} from "../rtnetlink/neighbour.ts";
import type { RouteSocket } from "../rtnetlink/route-socket.ts";

const ANY_MAC = new Uint8Array(6);

/** Has it be these and no others. Equivalent to `bridge fdb append|del 00:00:00:00:00:00 dev NAME dst …`. */
export function updateRemotes(host: RouteSocket, link: Link, remotes: readonly Address[]): void {
  const { index: ifindex } = link;
  const held = listRemotes(host, link);
  for (const dst of remotes.filter((remote) => !includes(held, remote))) {
    appendFdbEntry(host, { ifindex, mac: ANY_MAC, flags: NTF_SELF, state: NUD_NOARP | NUD_PERMANENT, dst });
  }
  for (const dst of held.filter((remote) => !includes(remotes, remote))) {
    unlessMissing(() => deleteFdbEntry(host, { ifindex, mac: ANY_MAC, flags: NTF_SELF, dst }));
  }
}

/** What differs, as the end of a sentence; undefined where nothing does. */
export function differenceOfRemotes(
  host: RouteSocket,
  link: Link,
  remotes: readonly Address[],
): string | undefined {
  const held = listRemotes(host, link);
  const missing = remotes.find((remote) => !includes(held, remote));
  if (missing) return `sends no broadcasts to ${formatAddress(missing)}`;
  const surplus = held.find((remote) => !includes(remotes, remote));
  return surplus && `sends broadcasts to ${formatAddress(surplus)}, which is none of "remotes"`;
}

function listRemotes(host: RouteSocket, { index }: Link): Address[] {
  return listFdb(host, { ifindex: index }).flatMap(({ ifindex, mac, dst }) =>
    ifindex === index && dst && mac.every((byte) => byte === 0) ? dst : [],
  );
}

function includes(addresses: readonly Address[], address: Address): boolean {
  return addresses.some((other) => sameAddress(other, address));
}
