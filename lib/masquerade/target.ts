/** What is masqueraded: a container's addresses, where they leave the host's own networks. */

import type { Prefix } from "../netaddr/prefix.ts";
import type { AttachmentName } from "../state/record.ts";

export interface MasqueradeTarget extends AttachmentName {
  /** The host's interface the container is behind: its bridge, or the host's end of its pair. */
  readonly via: string;
  /** The device by which the other subnets of its overlay are reached: what leaves by it keeps its source. */
  readonly overlay?: string | undefined;
  /** With the length of their subnet: what stays inside it keeps its source. */
  readonly addresses: readonly Prefix[];
}
