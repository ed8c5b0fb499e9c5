/** What links of a kind are told and tell: IFLA_INFO_DATA (linux/if_link.h). */
import type { Address } from "../netaddr/address.ts";
import { attributes, encode } from "../netlink/attributes.ts";
import { address, be16, u8, u16, u32 } from "../netlink/wire.ts";

/** MACVLAN_MODE_* */
export const MACVLAN_MODES = { private: 1, vepa: 2, bridge: 4, passthru: 8 } as const;
/** IPVLAN_MODE_* */
export const IPVLAN_MODES = { l2: 0, l3: 1, l3s: 2 } as const;
/** IPVLAN_F_* */
export const IPVLAN_FLAGS = { bridge: 0, private: 1, vepa: 2 } as const;

export type MacvlanMode = keyof typeof MACVLAN_MODES;
export type IpvlanMode = keyof typeof IPVLAN_MODES;
export type IpvlanFlag = keyof typeof IPVLAN_FLAGS;

/** IFLA_MACVLAN_* */
export const macvlan = attributes("IFLA_MACVLAN", { mode: [1, u32], bcQueueLen: [7, u32] });
/** IFLA_IPVLAN_* */
export const ipvlan = attributes("IFLA_IPVLAN", { mode: [1, u16], flags: [2, u16] });
/** IFLA_VLAN_* */
export const vlan = attributes("IFLA_VLAN", { id: [1, u16], protocol: [5, be16] });

/** IFLA_VXLAN_*; `id` is the VNI, `group` a remote address or a multicast group. */
export const vxlan = attributes("IFLA_VXLAN", {
  id: [1, u32],
  group: [2, address],
  link: [3, u32],
  local: [4, address],
  ttl: [5, u8],
  learning: [7, u8],
  port: [15, be16],
  group6: [16, address],
  local6: [17, address],
});

/**
 * Equivalent to `type macvlan mode MODE [bcqueuelen LENGTH]`; the master keeps the longest of its macvlans'.
 */
export function macvlanData(mode: MacvlanMode, bcQueueLen: number | undefined): Uint8Array {
  return encode(macvlan, { mode: MACVLAN_MODES[mode], bcQueueLen });
}

/** Equivalent to `type ipvlan mode MODE FLAG`. */
export function ipvlanData(mode: IpvlanMode, flag: IpvlanFlag): Uint8Array {
  return encode(ipvlan, { mode: IPVLAN_MODES[mode], flags: IPVLAN_FLAGS[flag] });
}

/** Equivalent to `type vlan id ID`. */
export function vlanData(id: number): Uint8Array {
  return encode(vlan, { id });
}

/** What a VXLAN device is made with, and tells of itself. */
export interface VxlanSettings {
  readonly vni: number;
  /** Where its own packets come from, and the others are heard at: their family is all that it speaks. */
  readonly local?: Address | undefined;
  /** Whom it sends broadcasts to, and hears: what it does not know the host of goes there, too. */
  readonly group?: Address | undefined;
  /** ifindex of the way out; the host's routes choose when undefined. */
  readonly link?: number | undefined;
  /** UDP. */
  readonly port: number;
  /** Hop limit; undefined leaves the kernel's: a unicast packet's usual one, and 1 to a group. */
  readonly ttl?: number | undefined;
  /** Whether it notes behind which host a MAC is when a frame comes from it. */
  readonly learning: boolean;
}

/**
 * Equivalent to `type vxlan id VNI [local ADDRESS] [group ADDRESS] [dev NAME] dstport PORT [ttl TTL]
 * [no]learning`.
 */
export function vxlanData({ vni, local, group, link, port, ttl, learning }: VxlanSettings): Uint8Array {
  return encode(vxlan, {
    id: vni,
    link,
    ttl,
    learning: learning ? 1 : 0,
    port,
    [local?.family === 6 ? "local6" : "local"]: local,
    [group?.family === 6 ? "group6" : "group"]: group,
  });
}

/** What changes where a VXLAN device sends from: `ip link set … type vxlan id … local …`. */
export function vxlanChange(vni: number, local: Address): Uint8Array {
  return encode(vxlan, { id: vni, [local.family === 6 ? "local6" : "local"]: local });
}

/** What a VXLAN device tells: the `data` of such a link. */
export function readVxlan(data: Uint8Array): VxlanSettings {
  const { id = 0, local, local6, group, group6, link, port = 0, ttl, learning } = vxlan.read(data);
  return {
    vni: id,
    local: local ?? local6,
    group: group ?? group6,
    link: link || undefined,
    port,
    ttl: ttl || undefined,
    learning: learning === 1,
  };
}

/** What a number of such a table is called; the number where it has no name. */
export function nameOf(names: Readonly<Record<string, number>>, value: number | undefined): string {
  return Object.keys(names).find((name) => names[name] === value) ?? String(value);
}
