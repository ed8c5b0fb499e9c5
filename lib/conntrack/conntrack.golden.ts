/** What conntrack-tools 1.4.7 says, and what Linux 6.18 answers; recorded as golden.ts says. */
import { hex } from "../testing/golden.ts";

// $ conntrack -L -f ipv6 -p udp --reply-src fd00:9::1
export const LIST = hex(`
  14000000 0101 0103 6f38016b 00000000                   // 20 bytes, IPCTNL_MSG_CT_GET, REQUEST DUMP
  0a 00 0000                                             // nfgenmsg: NFPROTO_IPV6
`);

// $ conntrack -L
// udp 17 29 src=127.0.0.1 dst=127.0.0.1 sport=5555 dport=8080 [UNREPLIED]
//     src=10.9.0.1 dst=127.0.0.1 sport=80 dport=5555 mark=0 use=1
// udp 17 29 src=::1 dst=fd00:9::1 sport=5555 dport=8081 [UNREPLIED]
//     src=fd00:9::1 dst=::1 sport=81 dport=5555 mark=0 use=1
export const ANSWER = hex(`
  a4000000 0001 0200 6f38016b d9580000                   // 164 bytes, IPCTNL_MSG_CT_NEW, MULTI
  02 00 0000                                             // nfgenmsg: NFPROTO_IPV4
    3400 0180                                            //   CTA_TUPLE_ORIG
      1400 0180                                          //     CTA_TUPLE_IP
        0800 0100  7f00 0001                             //       CTA_IP_V4_SRC 127.0.0.1
        0800 0200  7f00 0001                             //       CTA_IP_V4_DST 127.0.0.1
      1c00 0280                                          //     CTA_TUPLE_PROTO
        0500 0100  11  000000                            //       CTA_PROTO_NUM 17, padding
        0600 0200  15b3  0000                            //       CTA_PROTO_SRC_PORT 5555, padding
        0600 0300  1f90  0000                            //       CTA_PROTO_DST_PORT 8080, padding
    3400 0280                                            //   CTA_TUPLE_REPLY
      1400 0180                                          //     CTA_TUPLE_IP
        0800 0100  0a09 0001                             //       CTA_IP_V4_SRC 10.9.0.1
        0800 0200  7f00 0001                             //       CTA_IP_V4_DST 127.0.0.1
      1c00 0280                                          //     CTA_TUPLE_PROTO
        0500 0100  11  000000                            //       CTA_PROTO_NUM 17, padding
        0600 0200  0050  0000                            //       CTA_PROTO_SRC_PORT 80, padding
        0600 0300  15b3  0000                            //       CTA_PROTO_DST_PORT 5555, padding
    0800 0300  0000 01a8                                 //   CTA_STATUS
    0800 0800  0000 0000                                 //   CTA_MARK 0
    0800 0c00  b657 557a                                 //   CTA_ID
    0800 0b00  0000 0001                                 //   CTA_USE 1
    0800 0700  0000 001d                                 //   CTA_TIMEOUT 29
  d4000000 0001 0200 6f38016b d9580000                   // 212 bytes, IPCTNL_MSG_CT_NEW, MULTI
  0a 00 0000                                             // nfgenmsg: NFPROTO_IPV6
    4c00 0180                                            //   CTA_TUPLE_ORIG
      2c00 0180                                          //     CTA_TUPLE_IP
        1400 0300  0000 0000 0000 0000 0000 0000 0000 0001  //    CTA_IP_V6_SRC ::1
        1400 0400  fd00 0009 0000 0000 0000 0000 0000 0001  //    CTA_IP_V6_DST fd00:9::1
      1c00 0280                                          //     CTA_TUPLE_PROTO
        0500 0100  11  000000                            //       CTA_PROTO_NUM 17, padding
        0600 0200  15b3  0000                            //       CTA_PROTO_SRC_PORT 5555, padding
        0600 0300  1f91  0000                            //       CTA_PROTO_DST_PORT 8081, padding
    4c00 0280                                            //   CTA_TUPLE_REPLY
      2c00 0180                                          //     CTA_TUPLE_IP
        1400 0300  fd00 0009 0000 0000 0000 0000 0000 0001  //    CTA_IP_V6_SRC fd00:9::1
        1400 0400  0000 0000 0000 0000 0000 0000 0000 0001  //    CTA_IP_V6_DST ::1
      1c00 0280                                          //     CTA_TUPLE_PROTO
        0500 0100  11  000000                            //       CTA_PROTO_NUM 17, padding
        0600 0200  0051  0000                            //       CTA_PROTO_SRC_PORT 81, padding
        0600 0300  15b3  0000                            //       CTA_PROTO_DST_PORT 5555, padding
    0800 0300  0000 01a8                                 //   CTA_STATUS
    0800 0800  0000 0000                                 //   CTA_MARK 0
    0800 0c00  fdeb df7a                                 //   CTA_ID
    0800 0b00  0000 0001                                 //   CTA_USE 1
    0800 0700  0000 001d                                 //   CTA_TIMEOUT 29
`);

// $ conntrack -D -p udp --orig-port-dst 8080
export const DELETE = hex(`
  94000000 0201 0500 7038016b 00000000                   // 148 bytes, IPCTNL_MSG_CT_DELETE, REQUEST ACK
  02 00 0000                                             // nfgenmsg: NFPROTO_IPV4
    3400 0180                                            //   CTA_TUPLE_ORIG
      1400 0180                                          //     CTA_TUPLE_IP
        0800 0100  7f00 0001                             //       CTA_IP_V4_SRC 127.0.0.1
        0800 0200  7f00 0001                             //       CTA_IP_V4_DST 127.0.0.1
      1c00 0280                                          //     CTA_TUPLE_PROTO
        0500 0100  11  000000                            //       CTA_PROTO_NUM 17, padding
        0600 0200  15b3  0000                            //       CTA_PROTO_SRC_PORT 5555, padding
        0600 0300  1f90  0000                            //       CTA_PROTO_DST_PORT 8080, padding
    3400 0280                                            //   CTA_TUPLE_REPLY
      1400 0180                                          //     CTA_TUPLE_IP
        0800 0100  0a09 0001                             //       CTA_IP_V4_SRC 10.9.0.1
        0800 0200  7f00 0001                             //       CTA_IP_V4_DST 127.0.0.1
      1c00 0280                                          //     CTA_TUPLE_PROTO
        0500 0100  11  000000                            //       CTA_PROTO_NUM 17, padding
        0600 0200  0050  0000                            //       CTA_PROTO_SRC_PORT 80, padding
        0600 0300  15b3  0000                            //       CTA_PROTO_DST_PORT 5555, padding
    0800 0300  0000 01a8                                 //   CTA_STATUS
    0800 0700  0000 001d                                 //   CTA_TIMEOUT 29
    0800 0800  0000 0000                                 //   CTA_MARK 0
`);
