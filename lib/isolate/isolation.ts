/** What the firewall lets reach a container, and what it lets out. */

import type { Address } from "../netaddr/address.ts";
import type { AttachmentName } from "../state/record.ts";

/** Longest name of a chain (linux/netfilter/x_tables.h XT_EXTENSION_MAXNAMELEN, less its NUL). */
const CHAIN_NAME_MAX = 28;
const SPACE = 0x20;
const DELETE = 0x7f;

/**
 * - open: from everywhere
 * - same-bridge: not from other bridges that have a policy
 * - isolated: nor from other containers of the bridge
 * - published: replies, published ports, and what the bridge itself carries; nothing else
 */
export type IngressPolicy = "open" | "same-bridge" | "isolated" | "published";

export interface Isolation extends AttachmentName {
  /** The bridge, or the host's end of the container's pair. */
  readonly via: string;
  readonly addresses: readonly Address[];
  readonly ingressPolicy: IngressPolicy;
  /** Nothing is forwarded between `via` and any other interface. */
  readonly internal: boolean;
  /** Whether containers of the bridge reach each other. */
  readonly icc: boolean;
  /**
   * The device by which the other subnets of its overlay are reached (mode routed): it counts as a part of
   * the bridge, as the containers behind it do.
   */
  readonly overlay?: string | undefined;
  /** Interfaces that are exempt from all of it, in both directions. */
  readonly permittedInterfaces: readonly string[];
  /** The administrator's chain, which is asked first (iptables alone). */
  readonly adminChain: string;
}

/** From where to where a network's own traffic is forwarded. */
export function pairsWithin({ via, overlay }: Pick<Isolation, "via" | "overlay">): [string, string][] {
  const pairs: [string, string][] = [[via, via]];
  if (overlay !== undefined) pairs.push([via, overlay], [overlay, via]);
  return pairs;
}

/** Whether containers of the bridge are kept from each other. */
export function separatesNeighbours({ ingressPolicy, icc }: Isolation): boolean {
  return ingressPolicy === "isolated" || !icc;
}

/** Whether anything is kept from anything: policy "open" alone keeps nothing, and needs no interface. */
export function isRestricted(isolation: Pick<Isolation, "ingressPolicy" | "internal" | "icc">): boolean {
  return isolation.ingressPolicy !== "open" || isolation.internal || !isolation.icc;
}

/** Names that mean something else to iptables, or to us. */
const RESERVED_CHAINS: readonly string[] = [
  ...["INPUT", "FORWARD", "OUTPUT", "ACCEPT", "DROP", "RETURN", "QUEUE", "REJECT"],
  ...["CNI-FORWARD", "CNI-FORWARD-OWNERS", "CNI-ISOLATION-STAGE-1", "CNI-ISOLATION-STAGE-2"],
];

/** Why iptables could not have a chain of this name: "is too long"; undefined when it could. */
export function faultOfChainName(name: string): string | undefined {
  if (name.length > CHAIN_NAME_MAX) return "is too long";
  if (RESERVED_CHAINS.includes(name)) return "is a chain or target with a meaning of its own";
  if (name.startsWith("-") || name.startsWith("!")) return "begins with - or !";
  if (['"', "'", "\\"].some((sign) => name.includes(sign))) return "contains a quote or a backslash";
  for (let i = 0; i < name.length; i++) {
    const code = name.charCodeAt(i);
    if (code <= SPACE || code >= DELETE) return "contains whitespace or what is not ASCII";
  }
  return undefined;
}
