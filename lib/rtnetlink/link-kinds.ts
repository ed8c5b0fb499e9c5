/** What links of a kind are told and tell: IFLA_INFO_DATA of macvlan, ipvlan and vlan (linux/if_link.h). */
import { attributes, encode } from "../netlink/attributes.ts";
import { be16, u16, u32 } from "../netlink/wire.ts";

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

/** What a number of such a table is called; the number where it has no name. */
export function nameOf(names: Readonly<Record<string, number>>, value: number | undefined): string {
  return Object.keys(names).find((name) => names[name] === value) ?? String(value);
}
