/**
 * What iproute2 6.1 says of VLANs on bridges, and what Linux 6.1 answers; recorded as golden.ts says, on
 * Debian's kernel, since not every kernel has CONFIG_BRIDGE_VLAN_FILTERING.
 */
import { hex } from "../testing/golden.ts";

// $ bridge vlan add dev veth0a vid 10 pvid untagged
export const ADD_PVID = hex(`
  2c000000 1300 0500 1014016b 00000000                   // 44 bytes, RTM_SETLINK, REQUEST ACK
  07 00 0000 05000000 00000000 00000000                  // ifinfomsg: AF_BRIDGE, index 5
    0c00 1a00                                            //   IFLA_AF_SPEC
      0800 0200  0600 0a00                               //     IFLA_BRIDGE_VLAN_INFO flags 0x6, vid 10
`);

// $ bridge vlan add dev veth0a vid 20-22
export const ADD_RANGE = hex(`
  34000000 1300 0500 1114016b 00000000                   // 52 bytes, RTM_SETLINK, REQUEST ACK
  07 00 0000 05000000 00000000 00000000                  // ifinfomsg: AF_BRIDGE, index 5
    1400 1a00                                            //   IFLA_AF_SPEC
      0800 0200  0800 1400                               //     IFLA_BRIDGE_VLAN_INFO flags 0x8, vid 20
      0800 0200  1000 1600                               //     IFLA_BRIDGE_VLAN_INFO flags 0x10, vid 22
`);

// $ bridge vlan add dev br0 vid 5 self
export const ADD_SELF = hex(`
  34000000 1300 0500 1114016b 00000000                   // 52 bytes, RTM_SETLINK, REQUEST ACK
  07 00 0000 03000000 00000000 00000000                  // ifinfomsg: AF_BRIDGE, index 3
    1400 1a00                                            //   IFLA_AF_SPEC
      0600 0000  0200  0000                              //     IFLA_BRIDGE_FLAGS 2, padding
      0800 0200  0000 0500                               //     IFLA_BRIDGE_VLAN_INFO flags 0x0, vid 5
`);

// $ bridge vlan del dev veth0a vid 30
export const DELETE_VLAN = hex(`
  2c000000 1100 0500 1214016b 00000000                   // 44 bytes, RTM_DELLINK, REQUEST ACK
  07 00 0000 05000000 00000000 00000000                  // ifinfomsg: AF_BRIDGE, index 5
    0c00 1a00                                            //   IFLA_AF_SPEC
      0800 0200  0000 1e00                               //     IFLA_BRIDGE_VLAN_INFO flags 0x0, vid 30
`);

// $ bridge -j vlan show
export const ANSWER = hex(`
  58000000 1000 0200 1314016b df000000                   // 88 bytes, RTM_NEWLINK, MULTI
  07 00 0100 03000000 02100000 00000000 // ifinfomsg: AF_BRIDGE, type 1, index 3, flags 0x1002
    0800 0300  6272 3000                                 //   IFLA_IFNAME "br0"
    0800 0a00  0300 0000                                 //   IFLA_MASTER 3
    0800 0400  dc05 0000                                 //   IFLA_MTU 1500
    0500 1000  02  000000                                //   IFLA_OPERSTATE 2, padding
    0a00 0100  6612 9c9a 3d2f  0000                      //   IFLA_ADDRESS 66:12:9c:9a:3d:2f, padding
    0c00 1a00                                            //   IFLA_AF_SPEC
      0800 0200  0000 0500                               //     IFLA_BRIDGE_VLAN_INFO flags 0x0, vid 5
  ac010000 1000 0200 1314016b df000000                   // 428 bytes, RTM_NEWLINK, MULTI
  07 00 0100 05000000 02100000 00000000 // ifinfomsg: AF_BRIDGE, type 1, index 5, flags 0x1002
    0b00 0300  7665 7468 3061 00  00                     //   IFLA_IFNAME "veth0a", padding
    0800 0a00  0300 0000                                 //   IFLA_MASTER 3
    0800 0400  dc05 0000                                 //   IFLA_MTU 1500
    0500 1000  02  000000                                //   IFLA_OPERSTATE 2, padding
    0a00 0100  6612 9c9a 3d2f  0000                      //   IFLA_ADDRESS 66:12:9c:9a:3d:2f, padding
    0800 0500  0400 0000                                 //   IFLA_LINK 4
    3001 0c80                                            //   IFLA_PROTINFO | NLA_F_NESTED
      0500 0100  00  000000                              //     IFLA_BRPORT_STATE 0, padding
      0600 0200  2000  0000                              //     IFLA_BRPORT_PRIORITY 32, padding
      0800 0300  0200 0000                               //     IFLA_BRPORT_COST 2
      0500 0400  00  000000                              //     IFLA_BRPORT_MODE 0, padding
      0500 0500  00  000000                              //     IFLA_BRPORT_GUARD 0, padding
      0500 0600  00  000000                              //     IFLA_BRPORT_PROTECT 0, padding
      0500 0700  00  000000                              //     IFLA_BRPORT_FAST_LEAVE 0, padding
      0500 1c00  00  000000                              //     IFLA_BRPORT_MCAST_TO_UCAST 0, padding
      0500 0800  01  000000                              //     IFLA_BRPORT_LEARNING 1, padding
      0500 0900  01  000000                              //     IFLA_BRPORT_UNICAST_FLOOD 1, padding
      0500 1b00  01  000000                              //     IFLA_BRPORT_MCAST_FLOOD 1, padding
      0500 1e00  01  000000                              //     IFLA_BRPORT_BCAST_FLOOD 1, padding
      0500 0a00  00  000000                              //     IFLA_BRPORT_PROXYARP 0, padding
      0500 0c00  00  000000                              //     IFLA_BRPORT_PROXYARP_WIFI 0, padding
      0c00 0d00  8000 6612 9c9a 3d2f                     //     IFLA_BRPORT_ROOT_ID 8 bytes
      0c00 0e00  8000 6612 9c9a 3d2f                     //     IFLA_BRPORT_BRIDGE_ID 8 bytes
      0600 0f00  0180  0000                              //     IFLA_BRPORT_DESIGNATED_PORT 32769, padding
      0600 1000  0000  0000                              //     IFLA_BRPORT_DESIGNATED_COST 0, padding
      0600 1100  0180  0000                              //     IFLA_BRPORT_ID 32769, padding
      0600 1200  0100  0000                              //     IFLA_BRPORT_NO 1, padding
      0500 1300  00  000000                              //     IFLA_BRPORT_TOPOLOGY_CHANGE_ACK 0, padding
      0500 1400  00  000000                              //     IFLA_BRPORT_CONFIG_PENDING 0, padding
      0500 1d00  00  000000                              //     IFLA_BRPORT_VLAN_TUNNEL 0, padding
      0600 1f00  0000  0000                              //     IFLA_BRPORT_GROUP_FWD_MASK 0, padding
      0500 2000  00  000000                              //     IFLA_BRPORT_NEIGH_SUPPRESS 0, padding
      0500 2300  00  000000                              //     IFLA_BRPORT_MRP_RING_OPEN 0, padding
      0500 2400  00  000000                              //     IFLA_BRPORT_MRP_IN_OPEN 0, padding
      0500 2100  00  000000                              //     IFLA_BRPORT_ISOLATED 0, padding
      0500 2700  00  000000                              //     IFLA_BRPORT_LOCKED 0, padding
      0c00 1500  0000 0000 0000 0000                     //     IFLA_BRPORT_MESSAGE_AGE_TIMER 8 bytes
      0c00 1600  0000 0000 0000 0000                     //     IFLA_BRPORT_FORWARD_DELAY_TIMER 8 bytes
      0c00 1700  0000 0000 0000 0000                     //     IFLA_BRPORT_HOLD_TIMER 8 bytes
      0500 1900  01  000000                              //     IFLA_BRPORT_MULTICAST_ROUTER 1, padding
      0800 2500  0002 0000                               //     IFLA_BRPORT_MCAST_EHT_HOSTS_LIMIT 512
      0800 2600  0000 0000                               //     IFLA_BRPORT_MCAST_EHT_HOSTS_CNT 0
    2400 1a00                                            //   IFLA_AF_SPEC
      0800 0200  0600 0a00                               //     IFLA_BRIDGE_VLAN_INFO flags 0x6, vid 10
      0800 0200  0000 1400                               //     IFLA_BRIDGE_VLAN_INFO flags 0x0, vid 20
      0800 0200  0000 1500                               //     IFLA_BRIDGE_VLAN_INFO flags 0x0, vid 21
      0800 0200  0000 1600                               //     IFLA_BRIDGE_VLAN_INFO flags 0x0, vid 22
`);
