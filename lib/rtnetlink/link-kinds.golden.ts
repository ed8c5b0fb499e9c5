/** What iproute2 6.1 says of links with a master, and what two kernels answer; recorded as golden.ts says. */
import { hex } from "../testing/golden.ts";

// $ ip link add link v0 name mv0 type macvlan mode vepa bcqueuelen 500
export const ADD_MACVLAN = hex(`
  54000000 1000 0506 aa6b016b 00000000                   // 84 bytes, RTM_NEWLINK, REQUEST ACK EXCL CREATE
  00 00 0000 00000000 00000000 00000000                  // ifinfomsg: AF_UNSPEC
    0800 0500  0300 0000                                 //   IFLA_LINK 3
    0800 0300  6d76 3000                                 //   IFLA_IFNAME "mv0"
    2400 1200                                            //   IFLA_LINKINFO
      0b00 0100  6d61 6376 6c61 6e 00                    //     IFLA_INFO_KIND "macvlan" without NUL, padding
      1400 0200                                          //     IFLA_INFO_DATA
        0800 0700  f401 0000                             //       IFLA_MACVLAN_BC_QUEUE_LEN 500
        0800 0100  0200 0000                             //       IFLA_MACVLAN_MODE 2
`);

// $ ip link add link v0 name mv1 type macvlan mode passthru
// Recorded although the kernel refused it: mv0 is there.
export const ADD_PASSTHRU = hex(`
  4c000000 1000 0506 aa6b016b 00000000                   // 76 bytes, RTM_NEWLINK, REQUEST ACK EXCL CREATE
  00 00 0000 00000000 00000000 00000000                  // ifinfomsg: AF_UNSPEC
    0800 0500  0300 0000                                 //   IFLA_LINK 3
    0800 0300  6d76 3100                                 //   IFLA_IFNAME "mv1"
    1c00 1200                                            //   IFLA_LINKINFO
      0b00 0100  6d61 6376 6c61 6e 00                    //     IFLA_INFO_KIND "macvlan" without NUL, padding
      0c00 0200                                          //     IFLA_INFO_DATA
        0800 0100  0800 0000                             //       IFLA_MACVLAN_MODE 8
`);

// $ ip link add link v0 name ipv0 type ipvlan mode l3s private
// Recorded, as the next two, although the kernel refused it, for want of the module.
export const ADD_IPVLAN = hex(`
  58000000 1000 0506 aa6b016b 00000000                   // 88 bytes, RTM_NEWLINK, REQUEST ACK EXCL CREATE
  00 00 0000 00000000 00000000 00000000                  // ifinfomsg: AF_UNSPEC
    0800 0500  0300 0000                                 //   IFLA_LINK 3
    0900 0300  6970 7630 00  000000                      //   IFLA_IFNAME "ipv0", padding
    2400 1200                                            //   IFLA_LINKINFO
      0a00 0100  6970 766c 616e  0000                    //     IFLA_INFO_KIND "ipvlan" without NUL, padding
      1400 0200                                          //     IFLA_INFO_DATA
        0600 0100  0200 0000                             //       IFLA_IPVLAN_MODE 2, padding
        0600 0200  0100 0000                             //       IFLA_IPVLAN_FLAGS 1, padding
`);

// $ ip link add link v0 name ipv1 type ipvlan mode l2 bridge
export const ADD_IPVLAN_L2 = hex(`
  58000000 1000 0506 aa6b016b 00000000                   // 88 bytes, RTM_NEWLINK, REQUEST ACK EXCL CREATE
  00 00 0000 00000000 00000000 00000000                  // ifinfomsg: AF_UNSPEC
    0800 0500  0300 0000                                 //   IFLA_LINK 3
    0900 0300  6970 7631 00  000000                      //   IFLA_IFNAME "ipv1", padding
    2400 1200                                            //   IFLA_LINKINFO
      0a00 0100  6970 766c 616e  0000                    //     IFLA_INFO_KIND "ipvlan" without NUL, padding
      1400 0200                                          //     IFLA_INFO_DATA
        0600 0100  0000 0000                             //       IFLA_IPVLAN_MODE 0, padding
        0600 0200  0000 0000                             //       IFLA_IPVLAN_FLAGS 0, padding
`);

// $ ip link add link v0 name v0.10 type vlan id 10
export const ADD_VLAN = hex(`
  4c000000 1000 0506 aa6b016b 00000000                   // 76 bytes, RTM_NEWLINK, REQUEST ACK EXCL CREATE
  00 00 0000 00000000 00000000 00000000                  // ifinfomsg: AF_UNSPEC
    0800 0500  0300 0000                                 //   IFLA_LINK 3
    0a00 0300  7630 2e31 3000  0000                      //   IFLA_IFNAME "v0.10", padding
    1800 1200                                            //   IFLA_LINKINFO
      0800 0100  766c 616e                               //     IFLA_INFO_KIND "vlan" without NUL
      0c00 0200                                          //     IFLA_INFO_DATA
        0600 0100  0a00 0000                             //       IFLA_VLAN_ID 10, padding
`);

// $ ip -d link show dev mv0
// Of the answer of Linux 6.18, as of the next two: what IFLA_LINKINFO holds.
export const MACVLAN_LINKINFO = hex(`
  0c00 0100  6d61 6376 6c61 6e00                         // IFLA_INFO_KIND "macvlan"
  2c00 0200                                              // IFLA_INFO_DATA
    0800 0100  0200 0000                                 //   IFLA_MACVLAN_MODE 2
    0600 0200  0000 0000                                 //   IFLA_MACVLAN_FLAGS 0, padding
    0800 0600  0000 0000                                 //   IFLA_MACVLAN_MACADDR_COUNT 0
    0800 0700  f401 0000                                 //   IFLA_MACVLAN_BC_QUEUE_LEN 500
    0800 0800  f401 0000                                 //   IFLA_MACVLAN_BC_QUEUE_LEN_USED 500
`);

// $ ip -d link show dev ipv0
// Linux 6.1
export const IPVLAN_LINKINFO = hex(`
  0b00 0100  6970 766c 616e 00  00                       // IFLA_INFO_KIND "ipvlan", padding
  1400 0200                                              // IFLA_INFO_DATA
    0600 0100  0200 0000                                 //   IFLA_IPVLAN_MODE 2, padding
    0600 0200  0100 0000                                 //   IFLA_IPVLAN_FLAGS 1, padding
`);

// $ ip -d link show dev v0.10
// Linux 6.1
export const VLAN_LINKINFO = hex(`
  0900 0100  766c 616e 00  000000                        // IFLA_INFO_KIND "vlan", padding
  2000 0200                                              // IFLA_INFO_DATA
    0600 0500  8100 0000                                 //   IFLA_VLAN_PROTOCOL 0x8100, padding
    0600 0100  0a00 0000                                 //   IFLA_VLAN_ID 10, padding
    0c00 0200  0100 0000 ffff ffff                       //   IFLA_VLAN_FLAGS 8 bytes
`);

// $ ip link add vx42 type vxlan id 42 dev u0 local 192.0.2.1 dstport 4789 ttl 9 nolearning
export const ADD_VXLAN = hex(`
  70000000 1000 0506 88b1016b 00000000                   // 112 bytes, RTM_NEWLINK, REQUEST ACK EXCL CREATE
  00 00 0000 00000000 00000000 00000000                  // ifinfomsg: AF_UNSPEC
    0900 0300  7678 3432 00  000000                      //   IFLA_IFNAME "vx42", padding
    4400 1200                                            //   IFLA_LINKINFO
      0900 0100  7678 6c61 6e  000000                    //     IFLA_INFO_KIND "vxlan" without NUL, padding
      3400 0200                                          //     IFLA_INFO_DATA
        0800 0300  0300 0000                             //       IFLA_VXLAN_LINK 3
        0500 0500  09  000000                            //       IFLA_VXLAN_TTL 9, padding
        0800 0100  2a00 0000                             //       IFLA_VXLAN_ID 42
        0800 0400  c000 0201                             //       IFLA_VXLAN_LOCAL 192.0.2.1
        0500 0700  00  000000                            //       IFLA_VXLAN_LEARNING 0, padding
        0600 0f00  12b5  0000                            //       IFLA_VXLAN_PORT 4789, big-endian, padding
`);

// $ ip link add vx43 type vxlan id 43 local 2001:db8::1 dstport 4790
export const ADD_VXLAN_V6 = hex(`
  6c000000 1000 0506 88b1016b 00000000                   // 108 bytes, RTM_NEWLINK, REQUEST ACK EXCL CREATE
  00 00 0000 00000000 00000000 00000000                  // ifinfomsg: AF_UNSPEC
    0900 0300  7678 3433 00  000000                      //   IFLA_IFNAME "vx43", padding
    4000 1200                                            //   IFLA_LINKINFO
      0900 0100  7678 6c61 6e  000000                    //     IFLA_INFO_KIND "vxlan" without NUL, padding
      3000 0200                                          //     IFLA_INFO_DATA
        0800 0100  2b00 0000                             //       IFLA_VXLAN_ID 43
        1400 1100  20010db8 00000000 00000000 00000001   //       IFLA_VXLAN_LOCAL6 2001:db8::1
        0500 0700  01  000000                            //       IFLA_VXLAN_LEARNING 1, padding
        0600 0f00  12b6  0000                            //       IFLA_VXLAN_PORT 4790, big-endian, padding
`);

// $ ip link add vx44 type vxlan id 44 dev u0 group 239.1.1.1 dstport 4791
export const ADD_VXLAN_GROUP = hex(`
  68000000 1000 0506 88b1016b 00000000                   // 104 bytes, RTM_NEWLINK, REQUEST ACK EXCL CREATE
  00 00 0000 00000000 00000000 00000000                  // ifinfomsg: AF_UNSPEC
    0900 0300  7678 3434 00  000000                      //   IFLA_IFNAME "vx44", padding
    3c00 1200                                            //   IFLA_LINKINFO
      0900 0100  7678 6c61 6e  000000                    //     IFLA_INFO_KIND "vxlan" without NUL, padding
      2c00 0200                                          //     IFLA_INFO_DATA
        0800 0300  0300 0000                             //       IFLA_VXLAN_LINK 3
        0800 0100  2c00 0000                             //       IFLA_VXLAN_ID 44
        0800 0200  ef01 0101                             //       IFLA_VXLAN_GROUP 239.1.1.1
        0500 0700  01  000000                            //       IFLA_VXLAN_LEARNING 1, padding
        0600 0f00  12b7  0000                            //       IFLA_VXLAN_PORT 4791, big-endian, padding
`);

// $ ip link add vx45 type vxlan id 45 dev u0 group ff02::42 dstport 4792
export const ADD_VXLAN_GROUP6 = hex(`
  74000000 1000 0506 88b1016b 00000000                   // 116 bytes, RTM_NEWLINK, REQUEST ACK EXCL CREATE
  00 00 0000 00000000 00000000 00000000                  // ifinfomsg: AF_UNSPEC
    0900 0300  7678 3435 00  000000                      //   IFLA_IFNAME "vx45", padding
    4800 1200                                            //   IFLA_LINKINFO
      0900 0100  7678 6c61 6e  000000                    //     IFLA_INFO_KIND "vxlan" without NUL, padding
      3800 0200                                          //     IFLA_INFO_DATA
        0800 0300  0300 0000                             //       IFLA_VXLAN_LINK 3
        0800 0100  2d00 0000                             //       IFLA_VXLAN_ID 45
        1400 1000  ff020000 00000000 00000000 00000042   //       IFLA_VXLAN_GROUP6 ff02::42
        0500 0700  01  000000                            //       IFLA_VXLAN_LEARNING 1, padding
        0600 0f00  12b8  0000                            //       IFLA_VXLAN_PORT 4792, big-endian, padding
`);

// $ ip -d link show dev vx42
// Linux 6.18, as the next
export const VXLAN_LINKINFO = hex(`
  0a00 0100  7678 6c61 6e00  0000                        // IFLA_INFO_KIND "vxlan", padding
  d800 0200                                              // IFLA_INFO_DATA
    0800 0100  2a00 0000                                 //   IFLA_VXLAN_ID 42
    0800 0300  0300 0000                                 //   IFLA_VXLAN_LINK 3
    0800 0400  c000 0201                                 //   IFLA_VXLAN_LOCAL 192.0.2.1
    0500 0500 09 000000  0500 1c00 00 000000             //   IFLA_VXLAN_TTL 9, TTL_INHERIT 0
    0500 0600 00 000000  0500 1d00 00 000000             //   IFLA_VXLAN_TOS 0, DF 0
    0800 1a00  0000 0000  0800 2000  0000 0000           //   IFLA_VXLAN_LABEL 0, LABEL_POLICY 0
    0500 0700 00 000000  0500 0b00 00 000000             //   IFLA_VXLAN_LEARNING 0, PROXY 0
    0500 0c00 00 000000  0500 0d00 00 000000             //   IFLA_VXLAN_RSC 0, L2MISS 0
    0500 0e00 00 000000  0500 1900 00 000000             //   IFLA_VXLAN_L3MISS 0, COLLECT_METADATA 0
    0800 0800  2c01 0000  0800 0900  0000 0000           //   IFLA_VXLAN_AGEING 300, LIMIT 0
    0600 0f00  12b5  0000                                //   IFLA_VXLAN_PORT 4789
    0500 1200 01 000000  0500 1300 00 000000             //   IFLA_VXLAN_UDP_CSUM 1, UDP_ZERO_CSUM6_TX 0
    0500 1400 00 000000  0500 1500 00 000000             //   IFLA_VXLAN_UDP_ZERO_CSUM6_RX 0, REMCSUM_TX 0
    0500 1600 00 000000  0500 1f00 01 000000             //   IFLA_VXLAN_REMCSUM_RX 0, LOCALBYPASS 1
    0800 0a00  0000 0000                                 //   IFLA_VXLAN_PORT_RANGE 0 0
    0c00 2100  f7ffffff 000000ff                         //   IFLA_VXLAN_RESERVED_BITS
`);

// $ ip -d link show dev vx43
export const VXLAN_V6_LINKINFO = hex(`
  0a00 0100  7678 6c61 6e00  0000                        // IFLA_INFO_KIND "vxlan", padding
  dc00 0200                                              // IFLA_INFO_DATA
    0800 0100  2b00 0000                                 //   IFLA_VXLAN_ID 43
    1400 1100  20010db8 00000000 00000000 00000001       //   IFLA_VXLAN_LOCAL6 2001:db8::1
    0500 0500 00 000000  0500 1c00 00 000000             //   IFLA_VXLAN_TTL 0, TTL_INHERIT 0
    0500 0600 00 000000  0500 1d00 00 000000             //   IFLA_VXLAN_TOS 0, DF 0
    0800 1a00  0000 0000  0800 2000  0000 0000           //   IFLA_VXLAN_LABEL 0, LABEL_POLICY 0
    0500 0700 01 000000  0500 0b00 00 000000             //   IFLA_VXLAN_LEARNING 1, PROXY 0
    0500 0c00 00 000000  0500 0d00 00 000000             //   IFLA_VXLAN_RSC 0, L2MISS 0
    0500 0e00 00 000000  0500 1900 00 000000             //   IFLA_VXLAN_L3MISS 0, COLLECT_METADATA 0
    0800 0800  2c01 0000  0800 0900  0000 0000           //   IFLA_VXLAN_AGEING 300, LIMIT 0
    0600 0f00  12b6  0000                                //   IFLA_VXLAN_PORT 4790
    0500 1200 01 000000  0500 1300 00 000000             //   IFLA_VXLAN_UDP_CSUM 1, UDP_ZERO_CSUM6_TX 0
    0500 1400 00 000000  0500 1500 00 000000             //   IFLA_VXLAN_UDP_ZERO_CSUM6_RX 0, REMCSUM_TX 0
    0500 1600 00 000000  0500 1f00 01 000000             //   IFLA_VXLAN_REMCSUM_RX 0, LOCALBYPASS 1
    0800 0a00  0000 0000                                 //   IFLA_VXLAN_PORT_RANGE 0 0
    0c00 2100  f7ffffff 000000ff                         //   IFLA_VXLAN_RESERVED_BITS
`);
