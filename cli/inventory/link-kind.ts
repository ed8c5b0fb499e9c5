/** What kind of link it is, with what tells it from others of the kind. */
import { formatAddress } from "../../lib/netaddr/address.ts";
import type { Link } from "../../lib/rtnetlink/link.ts";
import {
  IPVLAN_FLAGS,
  IPVLAN_MODES,
  ipvlan,
  MACVLAN_MODES,
  macvlan,
  nameOf,
  readVxlan,
  vlan,
} from "../../lib/rtnetlink/link-kinds.ts";

/** "veth", "macvlan mode bridge", "VLAN 10", "VXLAN 42"; "" for a physical device. */
export function kindText({ kind, data }: Link): string {
  if (kind === "macvlan" || kind === "macvtap") {
    return `${kind} mode ${nameOf(MACVLAN_MODES, macvlan.read(data).mode)}`;
  }
  if (kind === "ipvlan") {
    const { mode, flags = 0 } = ipvlan.read(data);
    const flag = flags === IPVLAN_FLAGS.bridge ? "" : ` ${nameOf(IPVLAN_FLAGS, flags)}`;
    return `ipvlan mode ${nameOf(IPVLAN_MODES, mode)}${flag}`;
  }
  if (kind === "vlan") return `VLAN ${vlan.read(data).id}`;
  if (kind === "vxlan") {
    const { vni, local } = readVxlan(data);
    return `VXLAN ${vni}${local ? ` at ${formatAddress(local)}` : ""}`;
  }
  return kind;
}
