/** The topologies that weft demo shows, in the order in which it does. */
import { addressManagement } from "./topologies/address-management.ts";
import { connect } from "./topologies/connect.ts";
import { debugging } from "./topologies/debugging.ts";
import { defaultBridge } from "./topologies/default-bridge.ts";
import { dualStack } from "./topologies/dual-stack.ts";
import { flat } from "./topologies/flat.ts";
import { hostNetwork } from "./topologies/host-network.ts";
import { internalNetwork } from "./topologies/internal-network.ts";
import { isolatedNetworks } from "./topologies/isolated-networks.ts";
import { joined } from "./topologies/joined.ts";
import { none } from "./topologies/none.ts";
import { oneMac } from "./topologies/one-mac.ts";
import { overlay } from "./topologies/overlay.ts";
import { publishedPort } from "./topologies/published-port.ts";
import { routed } from "./topologies/routed.ts";
import { tagged } from "./topologies/tagged.ts";
import type { Topology } from "./topology.ts";

export const TOPOLOGIES: readonly Topology[] = [
  defaultBridge,
  isolatedNetworks,
  connect,
  joined,
  hostNetwork,
  none,
  publishedPort,
  overlay,
  flat,
  tagged,
  oneMac,
  dualStack,
  internalNetwork,
  addressManagement,
  debugging,
  routed,
];
