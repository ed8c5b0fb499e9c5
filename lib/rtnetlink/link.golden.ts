/** What iproute2 6.1 says of links, and what Linux 6.18 answers; recorded as golden.ts says. */
import { hex } from "../testing/golden.ts";

// $ ip link add veth0a mtu 1450 address 02:00:00:00:00:0a master br0 type veth peer name eth0 mtu 1450 \
//     address 02:00:00:00:00:0b netns /proc/PID/ns/net
export const ADD_VETH = hex(`
  94000000 1000 0506 a413016b 00000000                   // 148 bytes, RTM_NEWLINK, REQUEST ACK EXCL CREATE
  00 00 0000 00000000 00000000 00000000                  // ifinfomsg: AF_UNSPEC
    0800 0400  aa05 0000                                 //   IFLA_MTU 1450
    0a00 0100  0200 0000 000a  0000                      //   IFLA_ADDRESS 02:00:00:00:00:0a, padding
    0800 0a00  0200 0000                                 //   IFLA_MASTER 2
    0b00 0300  7665 7468 3061 00  00                     //   IFLA_IFNAME "veth0a", padding
    4c00 1200                                            //   IFLA_LINKINFO
      0800 0100  7665 7468                               //     IFLA_INFO_KIND "veth" without NUL
      4000 0200                                          //     IFLA_INFO_DATA
        3c00 0100                                        //       VETH_INFO_PEER
          00 00 0000 00000000 00000000 00000000          //         ifinfomsg: AF_UNSPEC
          0800 0400  aa05 0000                           //         IFLA_MTU 1450
          0a00 0100  0200 0000 000b  0000                //         IFLA_ADDRESS 02:00:00:00:00:0b, padding
          0800 1c00  0400 0000                           //         IFLA_NET_NS_FD 4
          0900 0300  6574 6830 00  000000                //         IFLA_IFNAME "eth0", padding
`);

// $ ip link add br1 type bridge vlan_filtering 1 mcast_snooping 0 vlan_default_pvid 0
// Recorded although the kernel refused it, for want of CONFIG_BRIDGE_VLAN_FILTERING.
export const ADD_BRIDGE = hex(`
  54000000 1000 0506 a413016b 00000000                   // 84 bytes, RTM_NEWLINK, REQUEST ACK EXCL CREATE
  00 00 0000 00000000 00000000 00000000                  // ifinfomsg: AF_UNSPEC
    0800 0300  6272 3100                                 //   IFLA_IFNAME "br1"
    2c00 1200                                            //   IFLA_LINKINFO
      0a00 0100  6272 6964 6765  0000                    //     IFLA_INFO_KIND "bridge" without NUL, padding
      1c00 0200                                          //     IFLA_INFO_DATA
        0500 0700  01  000000                            //       IFLA_BR_VLAN_FILTERING 1, padding
        0500 1700  00  000000                            //       IFLA_BR_MCAST_SNOOPING 0, padding
        0600 2700  0000  0000                            //       IFLA_BR_VLAN_DEFAULT_PVID 0, padding
`);

// $ ip link set dev veth0a alias "weft: pod" mtu 1400 master br0 up
export const SET_LINK = hex(`
  40000000 1000 0500 a413016b 00000000                   // 64 bytes, RTM_NEWLINK, REQUEST ACK
  00 00 0000 03000000 01000000 01000000 // ifinfomsg: AF_UNSPEC, index 3, flags 0x1, change 0x1
    0d00 1400  7765 6674 3a20 706f 64  000000            //   IFLA_IFALIAS "weft: pod" without NUL, padding
    0800 0400  7805 0000                                 //   IFLA_MTU 1400
    0800 0a00  0200 0000                                 //   IFLA_MASTER 2
`);

// $ ip link set dev veth0a promisc on
export const SET_PROMISC = hex(`
  20000000 1000 0500 a413016b 00000000                   // 32 bytes, RTM_NEWLINK, REQUEST ACK
  00 00 0000 03000000 00010000 00010000 // ifinfomsg: AF_UNSPEC, index 3, flags 0x100, change 0x100
`);

// $ ip link set dev veth0a down
export const SET_DOWN = hex(`
  20000000 1000 0500 a413016b 00000000                   // 32 bytes, RTM_NEWLINK, REQUEST ACK
  00 00 0000 03000000 00000000 01000000                  // ifinfomsg: AF_UNSPEC, index 3, change 0x1
`);

// $ ip link set dev veth0a name veth0b
export const RENAME = hex(`
  2c000000 1000 0500 a413016b 00000000                   // 44 bytes, RTM_NEWLINK, REQUEST ACK
  00 00 0000 03000000 00000000 00000000                  // ifinfomsg: AF_UNSPEC, index 3
    0b00 0300  7665 7468 3062 00  00                     //   IFLA_IFNAME "veth0b", padding
`);

// $ ip link set dev veth0a addrgenmode none
export const SET_ADDRGENMODE = hex(`
  30000000 1000 0500 a413016b 00000000                   // 48 bytes, RTM_NEWLINK, REQUEST ACK
  00 00 0000 03000000 00000000 00000000                  // ifinfomsg: AF_UNSPEC, index 3
    1000 1a00                                            //   IFLA_AF_SPEC
      0c00 0a00                                          //     AF_INET6
        0500 0800  01  000000                            //       IFLA_INET6_ADDR_GEN_MODE 1, padding
`);

// $ ip link set dev veth0a type bridge_slave hairpin on isolated on learning off
export const SET_PORT = hex(`
  50000000 1000 0500 a413016b 00000000                   // 80 bytes, RTM_NEWLINK, REQUEST ACK
  00 00 0000 03000000 00000000 00000000                  // ifinfomsg: AF_UNSPEC, index 3
    3000 1200                                            //   IFLA_LINKINFO
      1000 0100  6272 6964 6765 5f73 6c61 7665           //     IFLA_INFO_KIND "bridge_slave" without NUL
      1c00 0500                                          //     IFLA_INFO_SLAVE_DATA
        0500 0400  01  000000                            //       IFLA_BRPORT_MODE 1, padding
        0500 2100  01  000000                            //       IFLA_BRPORT_ISOLATED 1, padding
        0500 0800  00  000000                            //       IFLA_BRPORT_LEARNING 0, padding
`);

// $ ip link delete veth0a
export const DELETE_LINK = hex(`
  20000000 1100 0500 a513016b 00000000                   // 32 bytes, RTM_DELLINK, REQUEST ACK
  00 00 0000 03000000 00000000 00000000                  // ifinfomsg: AF_UNSPEC, index 3
`);

// $ ip -j -d link show dev veth0a
// The kernel's answer to the first of its questions, which asks to leave the counters out (IFLA_EXT_MASK 9).
export const VETH_ANSWER = hex(`
  e4050000 1000 0000 a413016b dca631ef                   // 1508 bytes, RTM_NEWLINK, no flags
  00 00 0100 03000000 43110100 00000000 // ifinfomsg: AF_UNSPEC, type 1, index 3, flags 0x11143
    0b00 0300  7665 7468 3061 00  00                     //   IFLA_IFNAME "veth0a", padding
    0800 0d00  e803 0000                                 //   IFLA_TXQLEN 1000
    0500 1000  06  000000                                //   IFLA_OPERSTATE 6, padding
    0500 1100  00  000000                                //   IFLA_LINKMODE 0, padding
    0500 4300  00  000000                                //   IFLA_NETNS_IMMUTABLE 0, padding
    0800 0400  7805 0000                                 //   IFLA_MTU 1400
    0800 3200  4400 0000                                 //   IFLA_MIN_MTU 68
    0800 3300  ffff 0000                                 //   IFLA_MAX_MTU 65535
    0800 1b00  0000 0000                                 //   IFLA_GROUP 0
    0800 1e00  0200 0000                                 //   IFLA_PROMISCUITY 2
    0800 3d00  0100 0000                                 //   IFLA_ALLMULTI 1
    0800 1f00  0200 0000                                 //   IFLA_NUM_TX_QUEUES 2
    0800 2800  ffff 0000                                 //   IFLA_GSO_MAX_SEGS 65535
    0800 2900  0000 0100                                 //   IFLA_GSO_MAX_SIZE 65536
    0800 3a00  0000 0100                                 //   IFLA_GRO_MAX_SIZE 65536
    0800 3f00  0000 0100                                 //   IFLA_GSO_IPV4_MAX_SIZE 65536
    0800 4000  0000 0100                                 //   IFLA_GRO_IPV4_MAX_SIZE 65536
    0800 3b00  f8ff 0700                                 //   IFLA_TSO_MAX_SIZE 524280
    0800 3c00  ffff 0000                                 //   IFLA_TSO_MAX_SEGS 65535
    0800 4200  0000 0000                                 //   IFLA_MAX_PACING_OFFLOAD_HORIZON 0
    0800 2000  0200 0000                                 //   IFLA_NUM_RX_QUEUES 2
    0800 0a00  0200 0000                                 //   IFLA_MASTER 2
    0500 2100  01  000000                                //   IFLA_CARRIER 1, padding
    0e00 1400  7765 6674 3a20 706f 6400  0000            //   IFLA_IFALIAS "weft: pod", padding
    0800 2300  0200 0000                                 //   IFLA_CARRIER_CHANGES 2
    0800 2f00  0100 0000                                 //   IFLA_CARRIER_UP_COUNT 1
    0800 3000  0100 0000                                 //   IFLA_CARRIER_DOWN_COUNT 1
    0600 4400  0000  0000                                //   IFLA_HEADROOM 0, padding
    0600 4500  0000  0000                                //   IFLA_TAILROOM 0, padding
    0500 2700  00  000000                                //   IFLA_PROTO_DOWN 0, padding
    0a00 0100  0200 0000 000a  0000                      //   IFLA_ADDRESS 02:00:00:00:00:0a, padding
    0a00 0200  ffff ffff ffff  0000                      //   IFLA_BROADCAST ff:ff:ff:ff:ff:ff, padding
    cc00 1700                                            //   IFLA_STATS64 200 bytes
      0200 0000 0000 0000 0300 0000 0000 0000 b400 0000 0000 0000
      da00 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000
      0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000
      0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000
      0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000
      0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000
      0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000
      0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000
      0000 0000 0000 0000
    6400 0700                                            //   IFLA_STATS 96 bytes
      0200 0000 0300 0000 b400 0000 da00 0000 0000 0000 0000 0000
      0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000
      0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000
      0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000
    0c00 2b00  0500 0200 0000 0000                       //   IFLA_XDP 8 bytes
    6c01 1200                                            //   IFLA_LINKINFO
      0900 0100  7665 7468 00  000000                    //     IFLA_INFO_KIND "veth", padding
      0b00 0400  6272 6964 6765 00  00                   //     IFLA_INFO_SLAVE_KIND "bridge", padding
      5001 0500                                          //     IFLA_INFO_SLAVE_DATA
        0500 0100  03  000000                            //       IFLA_BRPORT_STATE 3, padding
        0600 0200  2000  0000                            //       IFLA_BRPORT_PRIORITY 32, padding
        0800 0300  0200 0000                             //       IFLA_BRPORT_COST 2
        0500 0400  01  000000                            //       IFLA_BRPORT_MODE 1, padding
        0500 0500  00  000000                            //       IFLA_BRPORT_GUARD 0, padding
        0500 0600  00  000000                            //       IFLA_BRPORT_PROTECT 0, padding
        0500 0700  00  000000                            //       IFLA_BRPORT_FAST_LEAVE 0, padding
        0500 1c00  00  000000                            //       IFLA_BRPORT_MCAST_TO_UCAST 0, padding
        0500 0800  00  000000                            //       IFLA_BRPORT_LEARNING 0, padding
        0500 0900  01  000000                            //       IFLA_BRPORT_UNICAST_FLOOD 1, padding
        0500 1b00  01  000000                            //       IFLA_BRPORT_MCAST_FLOOD 1, padding
        0500 1e00  01  000000                            //       IFLA_BRPORT_BCAST_FLOOD 1, padding
        0500 0a00  00  000000                            //       IFLA_BRPORT_PROXYARP 0, padding
        0500 0c00  00  000000                            //       IFLA_BRPORT_PROXYARP_WIFI 0, padding
        0c00 0d00  8000 0200 0000 000a                   //       IFLA_BRPORT_ROOT_ID 8 bytes
        0c00 0e00  8000 0200 0000 000a                   //       IFLA_BRPORT_BRIDGE_ID 8 bytes
        0600 0f00  0180  0000                            //       IFLA_BRPORT_DESIGNATED_PORT 32769, padding
        0600 1000  0000  0000                            //       IFLA_BRPORT_DESIGNATED_COST 0, padding
        0600 1100  0180  0000                            //       IFLA_BRPORT_ID 32769, padding
        0600 1200  0100  0000                            //       IFLA_BRPORT_NO 1, padding
        0500 1300  00  000000                            //       IFLA_BRPORT_TOPOLOGY_CHANGE_ACK 0, padding
        0500 1400  00  000000                            //       IFLA_BRPORT_CONFIG_PENDING 0, padding
        0500 1d00  00  000000                            //       IFLA_BRPORT_VLAN_TUNNEL 0, padding
        0600 1f00  0000  0000                            //       IFLA_BRPORT_GROUP_FWD_MASK 0, padding
        0500 2000  00  000000                            //       IFLA_BRPORT_NEIGH_SUPPRESS 0, padding
        0500 2300  00  000000                            //       IFLA_BRPORT_MRP_RING_OPEN 0, padding
        0500 2400  00  000000                            //       IFLA_BRPORT_MRP_IN_OPEN 0, padding
        0500 2100  01  000000                            //       IFLA_BRPORT_ISOLATED 1, padding
        0500 2700  00  000000                            //       IFLA_BRPORT_LOCKED 0, padding
        0500 2800  00  000000                            //       IFLA_BRPORT_MAB 0, padding
        0500 2b00  00  000000                            //       IFLA_BRPORT_NEIGH_VLAN_SUPPRESS 0, padding
        0c00 1500  0000 0000 0000 0000                   //       IFLA_BRPORT_MESSAGE_AGE_TIMER 8 bytes
        0c00 1600  c605 0000 0000 0000                   //       IFLA_BRPORT_FORWARD_DELAY_TIMER 8 bytes
        0c00 1700  0000 0000 0000 0000                   //       IFLA_BRPORT_HOLD_TIMER 8 bytes
        0500 1900  01  000000                            //       IFLA_BRPORT_MULTICAST_ROUTER 1, padding
        0800 2500  0002 0000                             //       IFLA_BRPORT_MCAST_EHT_HOSTS_LIMIT 512
        0800 2600  0000 0000                             //       IFLA_BRPORT_MCAST_EHT_HOSTS_CNT 0
        0800 2900  0100 0000                             //       IFLA_BRPORT_MCAST_N_GROUPS 1
        0800 2a00  0000 0000                             //       IFLA_BRPORT_MCAST_MAX_GROUPS 0
    0800 2500  0000 0000                                 //   IFLA_LINK_NETNSID 0
    0800 0500  0200 0000                                 //   IFLA_LINK 2
    0c00 0600  6e6f 7175 6575 6500                       //   IFLA_QDISC "noqueue"
    c001 1a00                                            //   IFLA_AF_SPEC
      8c00 0200                                          //     AF_INET 136 bytes
        8800 0100 0000 0000 0000 0000 0000 0000 0100 0000 0100 0000
        0100 0000 0100 0000 0000 0000 0100 0000 0000 0000 0000 0000
        0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000
        0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000
        0000 0000 0000 0000 0000 0000 1027 0000 e803 0000 0000 0000
        0000 0000 0000 0000 0000 0000 0100 0000
      3001 0a00                                          //     AF_INET6
        0800 0100  0000 0080                             //       IFLA_INET6_FLAGS 2147483648
        1400 0500  ffff 0000 935c 0500 7840 0000 e803 0000 //       IFLA_INET6_CACHEINFO 16 bytes
        f400 0200                                        //       IFLA_INET6_CONF 240 bytes
          0000 0000 4000 0000 7805 0000 0100 0000 0100 0000 0100 0000
          0100 0000 ffff ffff a00f 0000 e803 0000 0000 0000 803a 0900
          8051 0100 0300 0000 5802 0000 1000 0000 0000 0000 0100 0000
          0100 0000 0100 0000 60ea 0000 0000 0000 0000 0000 0000 0000
          0000 0000 0000 0000 0000 0000 0100 0000 0000 0000 0000 0000
          1027 0000 e803 0000 0100 0000 0000 0000 0000 0000 0100 0000
          0000 0000 0000 0000 0100 0000 0000 0000 0000 0000 0000 0000
          0000 0000 80ee 3600 0000 0000 0000 0000 0100 0000 0100 0000
          0000 0000 0000 0000 0000 0000 0000 0000 0004 0000 0000 0000
          ffff 0000 ffff ffff 0100 0000 0000 0000 0000 0000 0000 0000
        1400 0700  0000 0000 0000 0000 0000 0000 0000 0000 //       IFLA_INET6_TOKEN 16 bytes
        0500 0800  01  000000                            //       IFLA_INET6_ADDR_GEN_MODE 1, padding
    2400 0e00                                            //   IFLA_MAP 32 bytes
      0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000
      0000 0000 0000 0000
    0400 3e80                                            //   IFLA_DEVLINK_PORT | NLA_F_NESTED
    0400 4180                                            //   IFLA_DPLL_PIN | NLA_F_NESTED
`);

// $ ip -j -d link show dev br0
// The kernel's answer, as above.
export const BRIDGE_ANSWER = hex(`
  e8050000 1000 0000 a413016b b8244784                   // 1512 bytes, RTM_NEWLINK, no flags
  00 00 0100 02000000 43100100 00000000 // ifinfomsg: AF_UNSPEC, type 1, index 2, flags 0x11043
    0800 0300  6272 3000                                 //   IFLA_IFNAME "br0"
    0800 0d00  e803 0000                                 //   IFLA_TXQLEN 1000
    0500 1000  06  000000                                //   IFLA_OPERSTATE 6, padding
    0500 1100  00  000000                                //   IFLA_LINKMODE 0, padding
    0500 4300  01  000000                                //   IFLA_NETNS_IMMUTABLE 1, padding
    0800 0400  7805 0000                                 //   IFLA_MTU 1400
    0800 3200  4400 0000                                 //   IFLA_MIN_MTU 68
    0800 3300  ffff 0000                                 //   IFLA_MAX_MTU 65535
    0800 1b00  0000 0000                                 //   IFLA_GROUP 0
    0800 1e00  0000 0000                                 //   IFLA_PROMISCUITY 0
    0800 3d00  0000 0000                                 //   IFLA_ALLMULTI 0
    0800 1f00  0100 0000                                 //   IFLA_NUM_TX_QUEUES 1
    0800 2800  ffff 0000                                 //   IFLA_GSO_MAX_SEGS 65535
    0800 2900  0000 0100                                 //   IFLA_GSO_MAX_SIZE 65536
    0800 3a00  0000 0100                                 //   IFLA_GRO_MAX_SIZE 65536
    0800 3f00  0000 0100                                 //   IFLA_GSO_IPV4_MAX_SIZE 65536
    0800 4000  0000 0100                                 //   IFLA_GRO_IPV4_MAX_SIZE 65536
    0800 3b00  f8ff 0700                                 //   IFLA_TSO_MAX_SIZE 524280
    0800 3c00  ffff 0000                                 //   IFLA_TSO_MAX_SEGS 65535
    0800 4200  0000 0000                                 //   IFLA_MAX_PACING_OFFLOAD_HORIZON 0
    0800 2000  0100 0000                                 //   IFLA_NUM_RX_QUEUES 1
    0500 2100  01  000000                                //   IFLA_CARRIER 1, padding
    0800 2300  0200 0000                                 //   IFLA_CARRIER_CHANGES 2
    0800 2f00  0100 0000                                 //   IFLA_CARRIER_UP_COUNT 1
    0800 3000  0100 0000                                 //   IFLA_CARRIER_DOWN_COUNT 1
    0600 4400  0000  0000                                //   IFLA_HEADROOM 0, padding
    0600 4500  0000  0000                                //   IFLA_TAILROOM 0, padding
    0500 2700  00  000000                                //   IFLA_PROTO_DOWN 0, padding
    0a00 0100  0200 0000 000a  0000                      //   IFLA_ADDRESS 02:00:00:00:00:0a, padding
    0a00 0200  ffff ffff ffff  0000                      //   IFLA_BROADCAST ff:ff:ff:ff:ff:ff, padding
    cc00 1700                                            //   IFLA_STATS64 200 bytes
      0200 0000 0000 0000 0400 0000 0000 0000 9800 0000 0000 0000
      3001 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000
      0000 0000 0000 0000 0000 0000 0000 0000 0200 0000 0000 0000
      0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000
      0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000
      0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000
      0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000
      0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000
      0000 0000 0000 0000
    6400 0700                                            //   IFLA_STATS 96 bytes
      0200 0000 0400 0000 9800 0000 3001 0000 0000 0000 0000 0000
      0000 0000 0000 0000 0200 0000 0000 0000 0000 0000 0000 0000
      0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000
      0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000
    0c00 2b00  0500 0200 0000 0000                       //   IFLA_XDP 8 bytes
    9c01 1200                                            //   IFLA_LINKINFO
      0b00 0100  6272 6964 6765 00  00                   //     IFLA_INFO_KIND "bridge", padding
      8c01 0200                                          //     IFLA_INFO_DATA
        0c00 1000  0000 0000 0000 0000                   //       IFLA_BR_HELLO_TIMER 8 bytes
        0c00 1100  0000 0000 0000 0000                   //       IFLA_BR_TCN_TIMER 8 bytes
        0c00 1200  0000 0000 0000 0000                   //       IFLA_BR_TOPOLOGY_CHANGE_TIMER 8 bytes
        0c00 1300  2275 0000 0000 0000                   //       IFLA_BR_GC_TIMER 8 bytes
        0800 0100  dc05 0000                             //       IFLA_BR_FORWARD_DELAY 1500
        0800 0200  c800 0000                             //       IFLA_BR_HELLO_TIME 200
        0800 0300  d007 0000                             //       IFLA_BR_MAX_AGE 2000
        0800 0400  3075 0000                             //       IFLA_BR_AGEING_TIME 30000
        0800 0500  0000 0000                             //       IFLA_BR_STP_STATE 0
        0600 0600  0080  0000                            //       IFLA_BR_PRIORITY 32768, padding
        0500 0700  00  000000                            //       IFLA_BR_VLAN_FILTERING 0, padding
        0600 0900  0000  0000                            //       IFLA_BR_GROUP_FWD_MASK 0, padding
        0c00 0b00  8000 0200 0000 000a                   //       IFLA_BR_BRIDGE_ID 8 bytes
        0c00 0a00  8000 0200 0000 000a                   //       IFLA_BR_ROOT_ID 8 bytes
        0600 0c00  0000  0000                            //       IFLA_BR_ROOT_PORT 0, padding
        0800 0d00  0000 0000                             //       IFLA_BR_ROOT_PATH_COST 0
        0500 0e00  00  000000                            //       IFLA_BR_TOPOLOGY_CHANGE 0, padding
        0500 0f00  00  000000                            //       IFLA_BR_TOPOLOGY_CHANGE_DETECTED 0, padding
        0a00 1400  0180 c200 0000  0000 // IFLA_BR_GROUP_ADDR 01:80:c2:00:00:00, padding
        0c00 2e00  0000 0000 1f00 0000                   //       IFLA_BR_MULTI_BOOLOPT 8 bytes
        0800 3000  0000 0000                             //       IFLA_BR_FDB_N_LEARNED 0
        0800 3100  0000 0000                             //       IFLA_BR_FDB_MAX_LEARNED 0
        0500 1600  01  000000                            //       IFLA_BR_MCAST_ROUTER 1, padding
        0500 1700  01  000000                            //       IFLA_BR_MCAST_SNOOPING 1, padding
        0500 1800  00  000000                            //       IFLA_BR_MCAST_QUERY_USE_IFADDR 0, padding
        0500 1900  00  000000                            //       IFLA_BR_MCAST_QUERIER 0, padding
        0500 2a00  00  000000                            //       IFLA_BR_MCAST_STATS_ENABLED 0, padding
        0800 1a00  1000 0000                             //       IFLA_BR_MCAST_HASH_ELASTICITY 16
        0800 1b00  0010 0000                             //       IFLA_BR_MCAST_HASH_MAX 4096
        0800 1c00  0200 0000                             //       IFLA_BR_MCAST_LAST_MEMBER_CNT 2
        0800 1d00  0200 0000                             //       IFLA_BR_MCAST_STARTUP_QUERY_CNT 2
        0500 2b00  02  000000                            //       IFLA_BR_MCAST_IGMP_VERSION 2, padding
        0500 2c00  01  000000                            //       IFLA_BR_MCAST_MLD_VERSION 1, padding
        0c00 1e00  6400 0000 0000 0000                   //       IFLA_BR_MCAST_LAST_MEMBER_INTVL 8 bytes
        0c00 1f00  9065 0000 0000 0000                   //       IFLA_BR_MCAST_MEMBERSHIP_INTVL 8 bytes
        0c00 2000  9c63 0000 0000 0000                   //       IFLA_BR_MCAST_QUERIER_INTVL 8 bytes
        0c00 2100  d430 0000 0000 0000                   //       IFLA_BR_MCAST_QUERY_INTVL 8 bytes
        0c00 2200  e803 0000 0000 0000                   //       IFLA_BR_MCAST_QUERY_RESPONSE_INTVL 8 bytes
        0c00 2300  340c 0000 0000 0000                   //       IFLA_BR_MCAST_STARTUP_QUERY_INTVL 8 bytes
        0500 2400  00  000000                            //       IFLA_BR_NF_CALL_IPTABLES 0, padding
        0500 2500  00  000000                            //       IFLA_BR_NF_CALL_IP6TABLES 0, padding
        0500 2600  00  000000                            //       IFLA_BR_NF_CALL_ARPTABLES 0, padding
    0c00 0600  6e6f 7175 6575 6500                       //   IFLA_QDISC "noqueue"
    c001 1a00                                            //   IFLA_AF_SPEC
      8c00 0200                                          //     AF_INET 136 bytes
        8800 0100 0000 0000 0000 0000 0000 0000 0100 0000 0100 0000
        0100 0000 0100 0000 0000 0000 0100 0000 0000 0000 0000 0000
        0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000
        0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000
        0000 0000 0000 0000 0000 0000 1027 0000 e803 0000 0000 0000
        0000 0000 0000 0000 0000 0000 0100 0000
      3001 0a00                                          //     AF_INET6
        0800 0100  0000 0080                             //       IFLA_INET6_FLAGS 2147483648
        1400 0500  ffff 0000 935c 0500 b44d 0000 e803 0000 //       IFLA_INET6_CACHEINFO 16 bytes
        f400 0200                                        //       IFLA_INET6_CONF 240 bytes
          0000 0000 4000 0000 7805 0000 0100 0000 0100 0000 0100 0000
          0100 0000 ffff ffff a00f 0000 e803 0000 0000 0000 803a 0900
          8051 0100 0300 0000 5802 0000 1000 0000 0000 0000 0100 0000
          0100 0000 0100 0000 60ea 0000 0000 0000 0000 0000 0000 0000
          0000 0000 0000 0000 0000 0000 0100 0000 0000 0000 0000 0000
          1027 0000 e803 0000 0100 0000 0000 0000 0000 0000 0100 0000
          0000 0000 0000 0000 0100 0000 0000 0000 0000 0000 0000 0000
          0000 0000 80ee 3600 0000 0000 0000 0000 0100 0000 0000 0000
          0000 0000 0000 0000 0000 0000 0000 0000 0004 0000 0000 0000
          ffff 0000 ffff ffff 0100 0000 0000 0000 0000 0000 0000 0000
        1400 0700  0000 0000 0000 0000 0000 0000 0000 0000 //       IFLA_INET6_TOKEN 16 bytes
        0500 0800  00  000000                            //       IFLA_INET6_ADDR_GEN_MODE 0, padding
    2400 0e00                                            //   IFLA_MAP 32 bytes
      0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000
      0000 0000 0000 0000
    0400 3e80                                            //   IFLA_DEVLINK_PORT | NLA_F_NESTED
    0400 4180                                            //   IFLA_DPLL_PIN | NLA_F_NESTED
`);
