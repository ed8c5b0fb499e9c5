/** What the firewall lets reach a container, and what it lets out. */
import type { AttachmentName } from "../alias.ts";
import type { Address } from "../netaddr/address.ts";

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
  /** Interfaces that are exempt from all of it, in both directions. */
  readonly permittedInterfaces: readonly string[];
  /** The administrator's chain, which is asked first (iptables alone). */
  readonly adminChain: string;
}
