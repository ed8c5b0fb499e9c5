/** What iproute2 6.1 says of routes, and what Linux 6.18 answers; recorded as golden.ts says. */
import { hex } from "../testing/golden.ts";

// $ ip route add 10.9.0.0/16 via 10.22.0.1 dev veth0a mtu 1400 advmss 1360 metric 50 table 1000 src \
//     10.22.0.5 onlink
export const ADD_V4 = hex(`
  60000000 1800 0506 a513016b 00000000                   // 96 bytes, RTM_NEWROUTE, REQUEST ACK EXCL CREATE
  02 10 00 00 00 03 00 01 04000000     // rtmsg: AF_INET, dst_len 16, protocol 3, type 1, flags 0x4
    0800 0100  0a09 0000                                 //   RTA_DST 10.9.0.0
    0800 0500  0a16 0001                                 //   RTA_GATEWAY 10.22.0.1
    0800 0600  3200 0000                                 //   RTA_PRIORITY 50
    0800 0f00  e803 0000                                 //   RTA_TABLE 1000
    0800 0700  0a16 0005                                 //   RTA_PREFSRC 10.22.0.5
    0800 0400  0300 0000                                 //   RTA_OIF 3
    1400 0800                                            //   RTA_METRICS
      0800 0200  7805 0000                               //     RTAX_MTU 1400
      0800 0800  5005 0000                               //     RTAX_ADVMSS 1360
`);

// $ ip route add 192.0.2.0/24 dev veth0a scope link
export const ADD_SCOPE_LINK = hex(`
  2c000000 1800 0506 a513016b 00000000                   // 44 bytes, RTM_NEWROUTE, REQUEST ACK EXCL CREATE
  02 18 00 00 fe 03 fd 01 00000000     // rtmsg: AF_INET, dst_len 24, table 254, protocol 3, scope 253, type 1
    0800 0100  c000 0200                                 //   RTA_DST 192.0.2.0
    0800 0400  0300 0000                                 //   RTA_OIF 3
`);

// $ ip route replace default via 10.22.0.1 dev veth0a table 100
export const REPLACE_DEFAULT = hex(`
  2c000000 1800 0505 a513016b 00000000                   // 44 bytes, RTM_NEWROUTE, REQUEST ACK REPLACE CREATE
  02 00 00 00 64 03 00 01 00000000                       // rtmsg: AF_INET, table 100, protocol 3, type 1
    0800 0500  0a16 0001                                 //   RTA_GATEWAY 10.22.0.1
    0800 0400  0300 0000                                 //   RTA_OIF 3
`);

// $ ip -6 route add default via fd00::1 dev veth0a
export const ADD_V6_DEFAULT = hex(`
  4c000000 1800 0506 a513016b 00000000                   // 76 bytes, RTM_NEWROUTE, REQUEST ACK EXCL CREATE
  0a 00 00 00 fe 03 00 01 00000000                       // rtmsg: AF_INET6, table 254, protocol 3, type 1
    1400 0100  0000 0000 0000 0000 0000 0000 0000 0000   //   RTA_DST ::
    1400 0500  fd00 0000 0000 0000 0000 0000 0000 0001   //   RTA_GATEWAY fd00::1
    0800 0400  0300 0000                                 //   RTA_OIF 3
`);

// $ ip -6 route append default via fd00::2 dev veth0a metric 5
export const APPEND_V6 = hex(`
  54000000 1800 050c a513016b 00000000                   // 84 bytes, RTM_NEWROUTE, REQUEST ACK CREATE APPEND
  0a 00 00 00 fe 03 00 01 00000000                       // rtmsg: AF_INET6, table 254, protocol 3, type 1
    1400 0100  0000 0000 0000 0000 0000 0000 0000 0000   //   RTA_DST ::
    1400 0500  fd00 0000 0000 0000 0000 0000 0000 0002   //   RTA_GATEWAY fd00::2
    0800 0600  0500 0000                                 //   RTA_PRIORITY 5
    0800 0400  0300 0000                                 //   RTA_OIF 3
`);

// $ ip route del 192.0.2.0/24 dev veth0a
export const DELETE = hex(`
  2c000000 1900 0500 a513016b 00000000                   // 44 bytes, RTM_DELROUTE, REQUEST ACK
  02 18 00 00 fe 00 ff 00 00000000                       // rtmsg: AF_INET, dst_len 24, table 254, scope 255
    0800 0100  c000 0200                                 //   RTA_DST 192.0.2.0
    0800 0400  0300 0000                                 //   RTA_OIF 3
`);

// $ ip -j -d route show table 1000
export const ANSWER_V4 = hex(`
  60000000 1800 2200 a513016b 522c0000                   // 96 bytes, RTM_NEWROUTE, MULTI DUMP_FILTERED
  02 10 00 00 fc 03 00 01 04000000     // rtmsg: AF_INET, dst_len 16, table 252, protocol 3, type 1, flags 0x4
    0800 0f00  e803 0000                                 //   RTA_TABLE 1000
    0800 0100  0a09 0000                                 //   RTA_DST 10.9.0.0
    0800 0600  3200 0000                                 //   RTA_PRIORITY 50
    1400 0800                                            //   RTA_METRICS
      0800 0200  7805 0000                               //     RTAX_MTU 1400
      0800 0800  5005 0000                               //     RTAX_ADVMSS 1360
    0800 0700  0a16 0005                                 //   RTA_PREFSRC 10.22.0.5
    0800 0500  0a16 0001                                 //   RTA_GATEWAY 10.22.0.1
    0800 0400  0300 0000                                 //   RTA_OIF 3
`);

// $ ip -j -d -6 route show dev veth0a
export const ANSWER_V6 = hex(`
  74000000 1800 2200 a513016b 562c0000                   // 116 bytes, RTM_NEWROUTE, MULTI DUMP_FILTERED
  0a 40 00 00 fe 02 00 01 00000000     // rtmsg: AF_INET6, dst_len 64, table 254, protocol 2, type 1
    0800 0f00  fe00 0000                                 //   RTA_TABLE 254
    1400 0100  fd00 0000 0000 0000 0000 0000 0000 0000   //   RTA_DST fd00::
    0800 0600  0001 0000                                 //   RTA_PRIORITY 256
    0800 0400  0300 0000                                 //   RTA_OIF 3
    2400 0c00                                            //   RTA_CACHEINFO 32 bytes
      0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000
      0000 0000 0000 0000
    0500 1400  00  000000                                //   RTA_PREF 0, padding
  74000000 1800 2200 a513016b 562c0000                   // 116 bytes, RTM_NEWROUTE, MULTI DUMP_FILTERED
  0a 00 00 00 fe 03 00 01 00000000                       // rtmsg: AF_INET6, table 254, protocol 3, type 1
    0800 0f00  fe00 0000                                 //   RTA_TABLE 254
    0800 0600  0500 0000                                 //   RTA_PRIORITY 5
    1400 0500  fd00 0000 0000 0000 0000 0000 0000 0002   //   RTA_GATEWAY fd00::2
    0800 0400  0300 0000                                 //   RTA_OIF 3
    2400 0c00                                            //   RTA_CACHEINFO 32 bytes
      0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000
      0000 0000 0000 0000
    0500 1400  00  000000                                //   RTA_PREF 0, padding
  74000000 1800 2200 a513016b 562c0000                   // 116 bytes, RTM_NEWROUTE, MULTI DUMP_FILTERED
  0a 00 00 00 fe 03 00 01 00000000                       // rtmsg: AF_INET6, table 254, protocol 3, type 1
    0800 0f00  fe00 0000                                 //   RTA_TABLE 254
    0800 0600  0004 0000                                 //   RTA_PRIORITY 1024
    1400 0500  fd00 0000 0000 0000 0000 0000 0000 0001   //   RTA_GATEWAY fd00::1
    0800 0400  0300 0000                                 //   RTA_OIF 3
    2400 0c00                                            //   RTA_CACHEINFO 32 bytes
      0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000
      0000 0000 0000 0000
    0500 1400  00  000000                                //   RTA_PREF 0, padding
`);

// $ ip route get 10.22.0.9
export const GET_V4 = hex(`
  24000000 1a00 0100 c33d016b 00000000                   // 36 bytes, RTM_GETROUTE, REQUEST
  02 20 00 00 00 00 00 00 00100000                       // rtmsg: AF_INET, dst_len 32, RTM_F_LOOKUP_TABLE
    0800 0100  0a16 0009                                 //   RTA_DST 10.22.0.9
`);

// $ ip -6 route get fd00::9
export const GET_V6 = hex(`
  30000000 1a00 0100 c33d016b 00000000                   // 48 bytes, RTM_GETROUTE, REQUEST
  0a 80 00 00 00 00 00 00 00100000                       // rtmsg: AF_INET6, dst_len 128, RTM_F_LOOKUP_TABLE
    1400 0100  fd00 0000 0000 0000 0000 0000 0000 0009   //   RTA_DST fd00::9
`);

// $ ip -j route get 10.22.0.9
// [{"dst":"10.22.0.9","dev":"veth0a","prefsrc":"10.22.0.5","flags":[],"uid":0,"cache":[]}]
export const GOT_V4 = hex(`
  68000000 1800 0000 c33d016b 9e1f0000                   // 104 bytes, RTM_NEWROUTE
  02 20 00 00 fe 00 00 01 00020000     // rtmsg: AF_INET, dst_len 32, table 254, type 1, RTM_F_CLONED
    0800 0f00  fe00 0000                                 //   RTA_TABLE 254
    0800 0100  0a16 0009                                 //   RTA_DST 10.22.0.9
    0800 0400  0300 0000                                 //   RTA_OIF 3
    0800 0700  0a16 0005                                 //   RTA_PREFSRC 10.22.0.5
    0800 1900  0000 0000                                 //   RTA_UID 0
    2400 0c00                                            //   RTA_CACHEINFO 32 bytes
      0200 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000
      0000 0000 0000 0000
`);

// $ ip -j route get 10.22.0.5
// [{"type":"local","dst":"10.22.0.5","dev":"lo","prefsrc":"10.22.0.5","flags":[],"uid":0,"cache":["local"]}]
export const GOT_LOCAL = hex(`
  68000000 1800 0000 c33d016b a61f0000                   // 104 bytes, RTM_NEWROUTE
  02 20 00 00 fe 00 00 02 00020080     // rtmsg: AF_INET, dst_len 32, table 254, type 2, RTM_F_CLONED, local
    0800 0f00  fe00 0000                                 //   RTA_TABLE 254
    0800 0100  0a16 0005                                 //   RTA_DST 10.22.0.5
    0800 0400  0100 0000                                 //   RTA_OIF 1
    0800 0700  0a16 0005                                 //   RTA_PREFSRC 10.22.0.5
    0800 1900  0000 0000                                 //   RTA_UID 0
    2400 0c00                                            //   RTA_CACHEINFO 32 bytes
      0100 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000 0000
      0000 0000 0000 0000
`);
