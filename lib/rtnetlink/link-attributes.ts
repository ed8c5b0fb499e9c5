/** Links: their attributes (linux/if_link.h, linux/rtnetlink.h, linux/veth.h, linux/if_bridge.h). */
import { attributes, nested, repeated } from "../netlink/attributes.ts";
import { messageCodec } from "../netlink/message.ts";
import { be16, bytes, type Codec, cstring, s32, struct, text, u8, u16, u32 } from "../netlink/wire.ts";

/** struct ifinfomsg (linux/rtnetlink.h) */
export const ifinfomsg = struct({ family: u8, pad: u8, type: u16, index: s32, flags: u32, change: u32 });

/** IFLA_INFO_*: `data` is in the terms of its `kind`, `slaveData` in those of the master's kind. */
export const linkinfo = attributes("IFLA_INFO", {
  kind: [1, cstring],
  data: [2, bytes],
  slaveKind: [4, cstring],
  slaveData: [5, bytes],
});

/** struct bridge_vlan_info (linux/if_bridge.h) */
export const bridgeVlanInfo = struct({ flags: u16, vid: u16 });

/** IFLA_BRIDGE_* (linux/if_bridge.h): what IFLA_AF_SPEC holds in a message of family AF_BRIDGE. */
export const bridgeAfSpec = attributes("IFLA_BRIDGE", {
  flags: [0, u16],
  mode: [1, u16],
  vlanInfo: [2, repeated(bridgeVlanInfo)],
});

/** IFLA_INET6_* */
export const inet6 = attributes("IFLA_INET6", {
  addrGenMode: [8, u8],
});

/**
 * What IFLA_AF_SPEC holds in a message of family AF_UNSPEC: one set an address family, under its AF_ number.
 */
export const afSpec = attributes("AF", {
  inet6: [10, inet6],
});

/** IFLA_*: what IFLA_PROP_LIST holds. */
export const linkProperties = attributes("IFLA", {
  altIfname: [53, repeated(cstring)],
});

/** IFLA_* */
export const linkAttributes = attributes("IFLA", {
  address: [1, bytes],
  broadcast: [2, bytes],
  ifname: [3, cstring],
  mtu: [4, u32],
  link: [5, u32],
  master: [10, u32],
  protinfo: [12, bytes],
  txqlen: [13, u32],
  operstate: [16, u8],
  linkinfo: [18, linkinfo],
  netNsPid: [19, u32],
  ifalias: [20, text], // IFALIASZ counts a NUL
  stats64: [23, bytes],
  afSpec: [26, bytes],
  group: [27, u32],
  netNsFd: [28, u32],
  extMask: [29, u32],
  promiscuity: [30, u32],
  numTxQueues: [31, u32],
  numRxQueues: [32, u32],
  linkNetnsid: [37, s32],
  propList: [52, nested(linkProperties)],
  altIfname: [53, cstring],
  permAddress: [54, bytes],
  parentDevName: [56, cstring],
  parentDevBusName: [57, cstring],
});

export const linkMessage = messageCodec(ifinfomsg, linkAttributes);

/** IFLA_BR_*: a bridge's IFLA_INFO_DATA. Times are in USER_HZ, hundredths of a second. */
export const bridge = attributes("IFLA_BR", {
  forwardDelay: [1, u32],
  ageingTime: [4, u32],
  stpState: [5, u32],
  vlanFiltering: [7, u8],
  vlanProtocol: [8, be16],
  groupFwdMask: [9, u16],
  mcastSnooping: [23, u8],
  nfCallIptables: [36, u8],
  nfCallIp6tables: [37, u8],
  vlanDefaultPvid: [39, u16],
});

/**
 * IFLA_BRPORT_*: a bridge port's IFLA_INFO_SLAVE_DATA, or its IFLA_PROTINFO in a message of family AF_BRIDGE.
 */
export const bridgePort = attributes("IFLA_BRPORT", {
  state: [1, u8],
  mode: [4, u8],
  learning: [8, u8],
  unicastFlood: [9, u8],
  mcastFlood: [27, u8],
  bcastFlood: [30, u8],
  neighSuppress: [32, u8],
  isolated: [33, u8],
});

/** The other end of a veth pair: a whole link message of its own. */
interface LinkBody {
  readonly header: Parameters<typeof linkMessage.write>[1];
  readonly attributes: Parameters<typeof linkMessage.write>[2];
}

const linkBody: Codec<LinkBody> = {
  write: (to, value) => linkMessage.write(to, value.header, value.attributes),
  read(from) {
    const both = linkMessage.read(from);
    return { header: both, attributes: both };
  },
};

/** VETH_INFO_*: a veth's IFLA_INFO_DATA. */
export const veth = attributes("VETH_INFO", {
  peer: [1, linkBody],
});
