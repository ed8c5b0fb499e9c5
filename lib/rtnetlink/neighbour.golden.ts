/** What iproute2 6.1 says of neighbours, and what Linux 6.18 answers; recorded as golden.ts says. */
import { hex } from "../testing/golden.ts";

// $ ip neigh replace 10.22.0.9 lladdr 02:00:00:00:00:99 dev veth0a nud permanent
export const REPLACE_V4 = hex(`
  30000000 1c00 0505 a613016b 00000000                   // 48 bytes, RTM_NEWNEIGH, REQUEST ACK REPLACE CREATE
  02 00 0000 03000000 8000 00 00                         // ndmsg: AF_INET, ifindex 3, state 0x80
    0800 0100  0a16 0009                                 //   NDA_DST 10.22.0.9
    0a00 0200  0200 0000 0099  0000                      //   NDA_LLADDR 02:00:00:00:00:99, padding
`);

// $ ip neigh replace fd00::9 lladdr 02:00:00:00:00:99 dev veth0a nud permanent
export const REPLACE_V6 = hex(`
  3c000000 1c00 0505 a613016b 00000000                   // 60 bytes, RTM_NEWNEIGH, REQUEST ACK REPLACE CREATE
  0a 00 0000 03000000 8000 00 00                         // ndmsg: AF_INET6, ifindex 3, state 0x80
    1400 0100  fd00 0000 0000 0000 0000 0000 0000 0009   //   NDA_DST fd00::9
    0a00 0200  0200 0000 0099  0000                      //   NDA_LLADDR 02:00:00:00:00:99, padding
`);

// $ ip neigh del 10.22.0.9 dev veth0a
export const DELETE_V4 = hex(`
  24000000 1d00 0500 a613016b 00000000                   // 36 bytes, RTM_DELNEIGH, REQUEST ACK
  02 00 0000 03000000 8000 00 00                         // ndmsg: AF_INET, ifindex 3, state 0x80
    0800 0100  0a16 0009                                 //   NDA_DST 10.22.0.9
`);

// $ bridge fdb replace 02:00:00:00:00:77 dev vx dst 192.0.2.1 self permanent
export const REPLACE_FDB_SELF = hex(`
  30000000 1c00 0505 a613016b 00000000                   // 48 bytes, RTM_NEWNEIGH, REQUEST ACK REPLACE CREATE
  07 00 0000 05000000 c000 02 00                         // ndmsg: AF_BRIDGE, ifindex 5, state 0xc0, flags 0x2
    0a00 0200  0200 0000 0077  0000                      //   NDA_LLADDR 02:00:00:00:00:77, padding
    0800 0100  c000 0201                                 //   NDA_DST 192.0.2.1
`);

// $ bridge fdb replace 02:00:00:00:00:79 dev veth0a master static
export const REPLACE_FDB_MASTER = hex(`
  28000000 1c00 0505 a613016b 00000000                   // 40 bytes, RTM_NEWNEIGH, REQUEST ACK REPLACE CREATE
  07 00 0000 03000000 4200 04 00                         // ndmsg: AF_BRIDGE, ifindex 3, state 0x42, flags 0x4
    0a00 0200  0200 0000 0079  0000                      //   NDA_LLADDR 02:00:00:00:00:79, padding
`);

// $ bridge fdb del 02:00:00:00:00:77 dev vx dst 192.0.2.1 self
export const DELETE_FDB_SELF = hex(`
  30000000 1d00 0500 a613016b 00000000                   // 48 bytes, RTM_DELNEIGH, REQUEST ACK
  07 00 0000 05000000 c000 02 00                         // ndmsg: AF_BRIDGE, ifindex 5, state 0xc0, flags 0x2
    0a00 0200  0200 0000 0077  0000                      //   NDA_LLADDR 02:00:00:00:00:77, padding
    0800 0100  c000 0201                                 //   NDA_DST 192.0.2.1
`);

// $ ip -4 -j neigh show dev veth0a
export const ANSWER = hex(`
  4c000000 1c00 2200 a613016b 7a2c0000                   // 76 bytes, RTM_NEWNEIGH, MULTI DUMP_FILTERED
  02 00 0000 03000000 8000 00 01                         // ndmsg: AF_INET, ifindex 3, state 0x80, type 1
    0800 0100  0a16 0009                                 //   NDA_DST 10.22.0.9
    0a00 0200  0200 0000 0099  0000                      //   NDA_LLADDR 02:00:00:00:00:99, padding
    0800 0400  0000 0000                                 //   NDA_PROBES 0
    1400 0300  0300 0000 0300 0000 0300 0000 0000 0000   //   NDA_CACHEINFO 16 bytes
  14000000 0300 0200 a613016b 7a2c0000                   // 20 bytes, NLMSG_DONE, MULTI
  00000000                                               // error 0
`);

// $ bridge -j fdb show
export const FDB_ANSWER = hex(`
  28000000 1c00 0200 a613016b 8e2c0000                   // 40 bytes, RTM_NEWNEIGH, MULTI
  07 00 0000 02000000 8000 02 00                         // ndmsg: AF_BRIDGE, ifindex 2, state 0x80, flags 0x2
    0a00 0200  3333 0000 0001  0000                      //   NDA_LLADDR 33:33:00:00:00:01, padding
  28000000 1c00 0200 a613016b 8e2c0000                   // 40 bytes, RTM_NEWNEIGH, MULTI
  07 00 0000 02000000 8000 02 00                         // ndmsg: AF_BRIDGE, ifindex 2, state 0x80, flags 0x2
    0a00 0200  0100 5e00 006a  0000                      //   NDA_LLADDR 01:00:5e:00:00:6a, padding
  28000000 1c00 0200 a613016b 8e2c0000                   // 40 bytes, RTM_NEWNEIGH, MULTI
  07 00 0000 02000000 8000 02 00                         // ndmsg: AF_BRIDGE, ifindex 2, state 0x80, flags 0x2
    0a00 0200  3333 0000 006a  0000                      //   NDA_LLADDR 33:33:00:00:00:6a, padding
  28000000 1c00 0200 a613016b 8e2c0000                   // 40 bytes, RTM_NEWNEIGH, MULTI
  07 00 0000 02000000 8000 02 00                         // ndmsg: AF_BRIDGE, ifindex 2, state 0x80, flags 0x2
    0a00 0200  0100 5e00 0001  0000                      //   NDA_LLADDR 01:00:5e:00:00:01, padding
  28000000 1c00 0200 a613016b 8e2c0000                   // 40 bytes, RTM_NEWNEIGH, MULTI
  07 00 0000 02000000 8000 02 00                         // ndmsg: AF_BRIDGE, ifindex 2, state 0x80, flags 0x2
    0a00 0200  3333 ff00 000a  0000                      //   NDA_LLADDR 33:33:ff:00:00:0a, padding
  4c000000 1c00 0200 a613016b 8e2c0000                   // 76 bytes, RTM_NEWNEIGH, MULTI
  07 00 0000 03000000 4000 00 00                         // ndmsg: AF_BRIDGE, ifindex 3, state 0x40
    0a00 0200  0200 0000 0079  0000                      //   NDA_LLADDR 02:00:00:00:00:79, padding
    0800 0900  0200 0000                                 //   NDA_MASTER 2
    0800 0f00  0000 0000                                 //   NDA_FLAGS_EXT 0
    1400 0300  0000 0000 0100 0000 0100 0000 0000 0000   //   NDA_CACHEINFO 16 bytes
  4c000000 1c00 0200 a613016b 8e2c0000                   // 76 bytes, RTM_NEWNEIGH, MULTI
  07 00 0000 03000000 8000 00 00                         // ndmsg: AF_BRIDGE, ifindex 3, state 0x80
    0a00 0200  0200 0000 000a  0000                      //   NDA_LLADDR 02:00:00:00:00:0a, padding
    0800 0900  0200 0000                                 //   NDA_MASTER 2
    0800 0f00  0000 0000                                 //   NDA_FLAGS_EXT 0
    1400 0300  0000 0000 0200 0000 0200 0000 0000 0000   //   NDA_CACHEINFO 16 bytes
  28000000 1c00 0200 a613016b 8e2c0000                   // 40 bytes, RTM_NEWNEIGH, MULTI
  07 00 0000 03000000 8000 02 00                         // ndmsg: AF_BRIDGE, ifindex 3, state 0x80, flags 0x2
    0a00 0200  3333 0000 0001  0000                      //   NDA_LLADDR 33:33:00:00:00:01, padding
  28000000 1c00 0200 a613016b 8e2c0000                   // 40 bytes, RTM_NEWNEIGH, MULTI
  07 00 0000 03000000 8000 02 00                         // ndmsg: AF_BRIDGE, ifindex 3, state 0x80, flags 0x2
    0a00 0200  0100 5e00 0001  0000                      //   NDA_LLADDR 01:00:5e:00:00:01, padding
  28000000 1c00 0200 a613016b 8e2c0000                   // 40 bytes, RTM_NEWNEIGH, MULTI
  07 00 0000 03000000 8000 02 00                         // ndmsg: AF_BRIDGE, ifindex 3, state 0x80, flags 0x2
    0a00 0200  3333 ff00 0005  0000                      //   NDA_LLADDR 33:33:ff:00:00:05, padding
  4c000000 1c00 0200 a613016b 8e2c0000                   // 76 bytes, RTM_NEWNEIGH, MULTI
  07 00 0000 05000000 c000 02 01       // ndmsg: AF_BRIDGE, ifindex 5, state 0xc0, flags 0x2, type 1
    0a00 0200  0200 0000 0078  0000                      //   NDA_LLADDR 02:00:00:00:00:78, padding
    0800 0100  c000 0202                                 //   NDA_DST 192.0.2.2
    0800 0800  0300 0000                                 //   NDA_IFINDEX 3
    1400 0300  0000 0000 0200 0000 0200 0000 0000 0000   //   NDA_CACHEINFO 16 bytes
  44000000 1c00 0200 a613016b 8e2c0000                   // 68 bytes, RTM_NEWNEIGH, MULTI
  07 00 0000 05000000 c000 02 01       // ndmsg: AF_BRIDGE, ifindex 5, state 0xc0, flags 0x2, type 1
    0a00 0200  0200 0000 0077  0000                      //   NDA_LLADDR 02:00:00:00:00:77, padding
    0800 0100  c000 0201                                 //   NDA_DST 192.0.2.1
    1400 0300  0000 0000 0200 0000 0200 0000 0000 0000   //   NDA_CACHEINFO 16 bytes
`);

// $ bridge fdb append 00:00:00:00:00:00 dev vx42 dst 192.0.2.2
export const APPEND_FDB_V4 = hex(`
  30000000 1c00 050c 89b1016b 00000000                   // 48 bytes, RTM_NEWNEIGH, REQUEST ACK CREATE APPEND
  07 00 0000 04000000 c000 02 00                         // ndmsg: AF_BRIDGE, ifindex 4, NOARP PERMANENT, SELF
    0a00 0200  000000000000  0000                        //   NDA_LLADDR 00:00:00:00:00:00, padding
    0800 0100  c0000202                                  //   NDA_DST 192.0.2.2
`);

// $ bridge fdb append 00:00:00:00:00:00 dev vx43 dst 2001:db8::2
export const APPEND_FDB_V6 = hex(`
  3c000000 1c00 050c 89b1016b 00000000                   // 60 bytes, RTM_NEWNEIGH, REQUEST ACK CREATE APPEND
  07 00 0000 05000000 c000 02 00                         // ndmsg: AF_BRIDGE, ifindex 5, NOARP PERMANENT, SELF
    0a00 0200  000000000000  0000                        //   NDA_LLADDR 00:00:00:00:00:00, padding
    1400 0100  20010db8 00000000 00000000 00000002       //   NDA_DST 2001:db8::2
`);
