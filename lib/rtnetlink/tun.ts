/** IFLA_INFO_DATA of the kind "tun": tun and tap devices (linux/if_link.h). */
import { attributes } from "../netlink/attributes.ts";
import { u8, u32 } from "../netlink/wire.ts";

/** IFLA_TUN_*. Owner and group are absent where the device has none. */
export const tun = attributes("IFLA_TUN", {
  owner: [1, u32],
  group: [2, u32],
  /** IFF_TUN or IFF_TAP (linux/if_tun.h). */
  type: [3, u8],
  pi: [4, u8],
  vnetHdr: [5, u8],
  persist: [6, u8],
  multiQueue: [7, u8],
  numQueues: [8, u32],
  numDisabledQueues: [9, u32],
});
