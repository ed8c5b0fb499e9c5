/** VLANs of a bridge and its ports (linux/if_bridge.h, net/bridge/br_netlink.c). */
import { encode } from "../netlink/attributes.ts";
import { bridgeAfSpec, linkMessage } from "./link-attributes.ts";
import { AF_BRIDGE, type RouteSocket } from "./route-socket.ts";

const RTM_DELLINK = 17;
const RTM_GETLINK = 18;
const RTM_SETLINK = 19;

// linux/if_bridge.h BRIDGE_VLAN_INFO_*, BRIDGE_FLAGS_SELF
const BRIDGE_VLAN_INFO_PVID = 2;
const BRIDGE_VLAN_INFO_UNTAGGED = 4;
const BRIDGE_FLAGS_SELF = 2;
/** linux/rtnetlink.h RTEXT_FILTER_BRVLAN */
const RTEXT_FILTER_BRVLAN = 2;
/** A message per so many VLANs keeps it below a page. */
const VLANS_PER_MESSAGE = 512;

/** One VLAN of a port. */
export interface BridgeVlan {
  readonly vlanId: number;
  /** Untagged frames that come in belong to it. */
  readonly pvid: boolean;
  /** Its frames go out without a tag. */
  readonly untagged: boolean;
}

type LinkName = { index: number; name: string };

/**
 * Equivalent to `bridge vlan add dev NAME vid N [pvid] [untagged]` for each; `self` where the link is the
 * bridge.
 */
export function addBridgeVlans(
  socket: RouteSocket,
  link: LinkName,
  vlans: readonly BridgeVlan[],
  options: { self?: boolean } = {},
): void {
  change(socket, { name: "RTM_SETLINK", type: RTM_SETLINK, doing: `add VLANs to "${link.name}"` }, link, {
    vlans,
    ...options,
  });
}

/** Equivalent to `bridge vlan del dev NAME vid N` for each. */
export function deleteBridgeVlans(
  socket: RouteSocket,
  link: LinkName,
  vlanIds: readonly number[],
  options: { self?: boolean } = {},
): void {
  const vlans = vlanIds.map((vlanId) => ({ vlanId, pvid: false, untagged: false }));
  change(socket, { name: "RTM_DELLINK", type: RTM_DELLINK, doing: `delete VLANs of "${link.name}"` }, link, {
    vlans,
    ...options,
  });
}

function change(
  socket: RouteSocket,
  verb: { name: string; type: number; doing: string },
  link: LinkName,
  { vlans, self }: { vlans: readonly BridgeVlan[]; self?: boolean },
): void {
  for (let from = 0; from < vlans.length; from += VLANS_PER_MESSAGE) {
    const vlanInfo = vlans.slice(from, from + VLANS_PER_MESSAGE).map(({ vlanId, pvid, untagged }) => ({
      vid: vlanId,
      flags: (pvid ? BRIDGE_VLAN_INFO_PVID : 0) | (untagged ? BRIDGE_VLAN_INFO_UNTAGGED : 0),
    }));
    socket.change({
      ...verb,
      codec: linkMessage,
      header: { family: AF_BRIDGE, index: link.index },
      attributes: {
        afSpec: encode(bridgeAfSpec, self ? { flags: BRIDGE_FLAGS_SELF, vlanInfo } : { vlanInfo }),
      },
    });
  }
}

/** The VLANs of every port, and of every bridge itself, by ifindex. Equivalent to `bridge vlan show`. */
export function listBridgeVlans(socket: RouteSocket): Map<number, BridgeVlan[]> {
  const links = socket.dump({
    doing: "list VLANs",
    name: "RTM_GETLINK",
    type: RTM_GETLINK,
    codec: linkMessage,
    header: { family: AF_BRIDGE },
    attributes: { extMask: RTEXT_FILTER_BRVLAN },
  });
  const vlansByIfindex = new Map<number, BridgeVlan[]>();
  for (const { index = 0, afSpec } of links) {
    const { vlanInfo = [] } = bridgeAfSpec.read(afSpec ?? new Uint8Array(0));
    const vlans = vlanInfo.map(({ vid = 0, flags = 0 }) => ({
      vlanId: vid,
      pvid: (flags & BRIDGE_VLAN_INFO_PVID) !== 0,
      untagged: (flags & BRIDGE_VLAN_INFO_UNTAGGED) !== 0,
    }));
    // A network card that bridges in itself answers beside its bridge, without VLANs.
    vlansByIfindex.set(index, [...(vlansByIfindex.get(index) ?? []), ...vlans]);
  }
  return vlansByIfindex;
}
