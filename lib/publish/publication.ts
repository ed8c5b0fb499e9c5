/** What is published: ports of the host that lead to a container. */

import type { Address } from "../netaddr/address.ts";
import type { Prefix } from "../netaddr/prefix.ts";
import type { AttachmentName } from "../state/record.ts";

export type PortProtocol = "tcp" | "udp" | "sctp";

export interface PublishedPort {
  readonly hostPort: number;
  readonly containerPort: number;
  readonly protocol: PortProtocol;
  /** The host's address it is published on; 0.0.0.0 and :: are any of their family, undefined any at all. */
  readonly hostIp: Address | undefined;
}

export interface Publication extends AttachmentName {
  /** The host's interface the container is behind. */
  readonly via: string;
  /** Where the ports lead: the first address of each family, with the length of its subnet. */
  readonly addresses: readonly Prefix[];
  readonly ports: readonly PublishedPort[];
  /** Whether connections from the host and the container's subnet get the host's address as their source. */
  readonly snat: boolean;
  /** Whether all connections do. */
  readonly masqAll: boolean;
  /** Bit of the packet's mark that asks for it (iptables alone). */
  readonly markMasqBit: number;
  /** The chain of somebody else that sets such a mark (iptables alone). */
  readonly externalSetMarkChain: string | undefined;
  /** What a packet must fulfil besides, in words of the backend. */
  readonly conditionsV4: readonly string[] | undefined;
  readonly conditionsV6: readonly string[] | undefined;
}
