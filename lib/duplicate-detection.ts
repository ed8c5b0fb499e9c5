/**
 * Duplicate address detection of IPv6 (RFC 4862 §5.4): what an interface's addresses wait for, if for
 * anything.
 */
import { CniError } from "./cni/error.ts";
import { linkLocalOfMac, randomLinkLocal } from "./netaddr/link-local.ts";
import { formatPrefix, type Prefix } from "./netaddr/prefix.ts";
import { listAddresses } from "./rtnetlink/address.ts";
import type { Link } from "./rtnetlink/link.ts";
import { openRouteSocket, RTNLGRP_IPV6_IFADDR } from "./rtnetlink/route-socket.ts";
import type { Sandbox } from "./sandbox.ts";

/**
 * "none": the addresses are used at once, for where nobody else can have them. "optimistic": at once as well,
 * while the kernel asks whether somebody does (RFC 4429); an answer that comes at once is waited for, a
 * later one is CHECK's to tell. "complete": after the kernel's verdict.
 */
export type DuplicateDetection = "none" | "optimistic" | "complete";

/** Duplicate detection takes up to two seconds (net.ipv6.conf.*.dad_transmits, RFC 4862 §5.4). */
const DAD_TIMEOUT_MS = 5_000;
/** In this time who has an address already has said so, on a wire that is not overloaded. */
const OBJECTION_TIMEOUT_MS = 3;

/**
 * The link-local address, for neighbours to be asked from while the others are optimistic. Nobody else has
 * it: it is that of the interface's own MAC. Those of ipvlan share one MAC; there it is another than the
 * kernel's.
 */
export function ownLinkLocal({ kind, mac }: Link): Prefix {
  return mac.length === 6 && kind !== "ipvlan" ? linkLocalOfMac(mac) : randomLinkLocal();
}

/**
 * Waits for the kernel's verdict on every address; of those that are optimistic for an objection, that is.
 * `since` is when they were added, by performance.now().
 * @throws CniError when somebody else has one
 */
export function awaitDuplicateDetection(
  { container, netns }: Sandbox,
  link: Link,
  duplicateDetection: DuplicateDetection,
  { since = performance.now() }: { readonly since?: number } = {},
): void {
  using events = openRouteSocket(netns);
  events.subscribe(RTNLGRP_IPV6_IFADDR);
  for (;;) {
    const addresses = listAddresses(container, link);
    const taken = addresses.find(({ dadFailed }) => dadFailed);
    if (taken) {
      throw new CniError(
        CniError.TRY_AGAIN_LATER,
        `address ${formatPrefix(taken.prefix)} is in use by another host`,
        { details: `one on the wire of "${link.name}" answers for it: keep it out of this network's range` },
      );
    }
    const waiting = addresses.filter(({ tentative }) => tentative);
    if (waiting.length === 0) return;
    const isOptimistic = duplicateDetection === "optimistic" && waiting.every(({ optimistic }) => optimistic);
    const timeoutMs = isOptimistic ? OBJECTION_TIMEOUT_MS : DAD_TIMEOUT_MS;
    const remainingMs = since + timeoutMs - performance.now();
    if (remainingMs <= 0 && isOptimistic) return;
    if (remainingMs <= 0)
      throw new CniError(CniError.TRY_AGAIN_LATER, `duplicate detection on "${link.name}" took too long`);
    events.awaitEvent(remainingMs);
  }
}
