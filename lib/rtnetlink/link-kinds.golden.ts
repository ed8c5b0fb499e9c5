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
