/** What nft 1.0.6 says of tables, sets and elements; recorded as golden.ts says, out of the batches. */
import { hex } from "../testing/golden.ts";

// $ nft 'add table inet weft'
export const BATCH = hex(`
  14000000 1000 0100 00000000 00000000                   // 20 bytes, NFNL_MSG_BATCH_BEGIN, REQUEST
  00 00 000a                                             // nfgenmsg: NFPROTO_UNSPEC, nf_tables
  28000000 000a 0100 01000000 00000000                   // 40 bytes, NFT_MSG_NEWTABLE, REQUEST
  01 00 0000                                             // nfgenmsg: NFPROTO_INET
    0900 0100  7765 6674 00  000000                      //   NFTA_TABLE_NAME "weft", padding
    0800 0200  0000 0000                                 //   NFTA_TABLE_FLAGS 0
  14000000 1100 0100 02000000 00000000                   // 20 bytes, NFNL_MSG_BATCH_END, REQUEST
  00 00 000a                                             // nfgenmsg: NFPROTO_UNSPEC, nf_tables
`);

// $ nft 'create table inet weft { comment "weft 1"; }'
export const TABLE = hex(`
  38000000 000a 0102 01000000 00000000                   // 56 bytes, NFT_MSG_NEWTABLE, REQUEST EXCL
  01 00 0000                                             // nfgenmsg: NFPROTO_INET
    0900 0100  7765 6674 00  000000                      //   NFTA_TABLE_NAME "weft", padding
    0800 0200  0000 0000                                 //   NFTA_TABLE_FLAGS 0
    0d00 0600  0007 7765 6674 2031 00  000000            //   NFTA_TABLE_USERDATA comment "weft 1", padding
`);

// $ nft 'add chain inet weft prerouting { type nat hook prerouting priority -100; policy accept; }'
export const CHAIN = hex(`
  54000000 030a 0104 01000000 00000000                   // 84 bytes, NFT_MSG_NEWCHAIN, REQUEST CREATE
  01 00 0000                                             // nfgenmsg: NFPROTO_INET
    0900 0100  7765 6674 00  000000                      //   NFTA_CHAIN_TABLE "weft", padding
    0f00 0300  7072 6572 6f75 7469 6e67 00  00           //   NFTA_CHAIN_NAME "prerouting", padding
    0800 0700  6e61 7400                                 //   NFTA_CHAIN_TYPE "nat"
    0800 0500  0000 0001                                 //   NFTA_CHAIN_POLICY 1
    1400 0480                                            //   NFTA_CHAIN_HOOK
      0800 0100  0000 0000                               //     NFTA_HOOK_HOOKNUM 0
      0800 0200  ffff ff9c                               //     NFTA_HOOK_PRIORITY 4294967196
`);

// $ nft 'add set inet weft isolated { type ifname; }'
export const SET = hex(`
  5c000000 090a 0104 01000000 00000000                   // 92 bytes, NFT_MSG_NEWSET, REQUEST CREATE
  01 00 0000                                             // nfgenmsg: NFPROTO_INET
    0900 0100  7765 6674 00  000000                      //   NFTA_SET_TABLE "weft", padding
    0d00 0200  6973 6f6c 6174 6564 00  000000            //   NFTA_SET_NAME "isolated", padding
    0800 0300  0000 0000                                 //   NFTA_SET_FLAGS 0
    0800 0400  0000 0029                                 //   NFTA_SET_KEY_TYPE 41
    0800 0500  0000 0010                                 //   NFTA_SET_KEY_LEN 16
    0800 0a00  0000 0001                                 //   NFTA_SET_ID 1
    0a00 0d00  0004 0100 0000  0000                      //   NFTA_SET_USERDATA, padding
`);

// $ nft 'add map inet weft port4 { type inet_proto . inet_service : ipv4_addr . inet_service; }'
export const MAP = hex(`
  88000000 090a 0104 01000000 00000000                   // 136 bytes, NFT_MSG_NEWSET, REQUEST CREATE
  01 00 0000                                             // nfgenmsg: NFPROTO_INET
    0900 0100  7765 6674 00  000000                      //   NFTA_SET_TABLE "weft", padding
    0a00 0200  706f 7274 3400  0000                      //   NFTA_SET_NAME "port4", padding
    0800 0300  0000 0008                                 //   NFTA_SET_FLAGS 8
    0800 0400  0000 030d                                 //   NFTA_SET_KEY_TYPE 781
    0800 0500  0000 0008                                 //   NFTA_SET_KEY_LEN 8
    0800 0600  0000 01cd                                 //   NFTA_SET_DATA_TYPE 461
    0800 0700  0000 0008                                 //   NFTA_SET_DATA_LEN 8
    0800 0a00  0000 0001                                 //   NFTA_SET_ID 1
    2a00 0d00  0004 0000 0000 0104 0000 0000 0308 0004   //   NFTA_SET_USERDATA, padding
               0d00 0000 0100 0408 0004 0d00 0000 0100
               0604 0000 0000  0000
`);

// $ nft 'add map inet weft range6 { type inet_proto . inet_service : ipv6_addr; flags interval; }'
export const RANGES = hex(`
  9c000000 090a 0104 01000000 00000000                   // 156 bytes, NFT_MSG_NEWSET, REQUEST CREATE
  01 00 0000                                             // nfgenmsg: NFPROTO_INET
    0900 0100  7765 6674 00  000000                      //   NFTA_SET_TABLE "weft", padding
    0b00 0200  7261 6e67 6536 00  00                     //   NFTA_SET_NAME "range6", padding
    0800 0300  0000 008c                                 //   NFTA_SET_FLAGS 140
    0800 0400  0000 030d                                 //   NFTA_SET_KEY_TYPE 781
    0800 0500  0000 0008                                 //   NFTA_SET_KEY_LEN 8
    0800 0600  0000 0008                                 //   NFTA_SET_DATA_TYPE 8
    0800 0700  0000 0010                                 //   NFTA_SET_DATA_LEN 16
    0800 0a00  0000 0001                                 //   NFTA_SET_ID 1
    2000 0980                                            //   NFTA_SET_DESC
      1c00 0280                                          //     NFTA_SET_DESC_CONCAT
        0c00 0180                                        //       NFTA_LIST_ELEM
          0800 0100  0000 0001                           //         NFTA_SET_FIELD_LEN 1
        0c00 0180                                        //       NFTA_LIST_ELEM
          0800 0100  0000 0002                           //         NFTA_SET_FIELD_LEN 2
    2000 0d00  0004 0000 0000 0104 0200 0000 0308 0004   //   NFTA_SET_USERDATA
               0d00 0000 0100 0604 0000 0000
`);

// $ nft 'add map inet weft pairs { type ifname . ifname : verdict; }'
export const VERDICTS = hex(`
  7c000000 090a 0104 01000000 00000000                   // 124 bytes, NFT_MSG_NEWSET, REQUEST CREATE
  01 00 0000                                             // nfgenmsg: NFPROTO_INET
    0900 0100  7765 6674 00  000000                      //   NFTA_SET_TABLE "weft", padding
    0a00 0200  7061 6972 7300  0000                      //   NFTA_SET_NAME "pairs", padding
    0800 0300  0000 0008                                 //   NFTA_SET_FLAGS 8
    0800 0400  0000 0a69                                 //   NFTA_SET_KEY_TYPE 2665
    0800 0500  0000 0020                                 //   NFTA_SET_KEY_LEN 32
    0800 0600  ffff ff00                                 //   NFTA_SET_DATA_TYPE 4294967040
    0800 0700  0000 0000                                 //   NFTA_SET_DATA_LEN 0
    0800 0a00  0000 0001                                 //   NFTA_SET_ID 1
    2000 0d00  0004 0000 0000 0104 0000 0000 0308 0004   //   NFTA_SET_USERDATA
               0d00 0000 0100 0604 0000 0000
`);

// $ nft 'create element inet weft port4 { tcp . 8080 comment "net/c1/eth0" : 10.9.0.2 . 80 }'
export const ELEMENT = hex(`
  70000000 0c0a 0106 01000000 00000000                   // 112 bytes, NFT_MSG_NEWSETELEM, REQUEST EXCL CREATE
  01 00 0000                                             // nfgenmsg: NFPROTO_INET
    0900 0100  7765 6674 00  000000                      //   NFTA_SET_ELEM_LIST_TABLE "weft", padding
    0a00 0200  706f 7274 3400  0000                      //   NFTA_SET_ELEM_LIST_SET "port4", padding
    0800 0400  0000 0002                                 //   NFTA_SET_ELEM_LIST_SET_ID 2
    3c00 0380                                            //   NFTA_SET_ELEM_LIST_ELEMENTS
      3800 0180                                          //     NFTA_LIST_ELEM
        1000 0180                                        //       NFTA_SET_ELEM_KEY
          0c00 0100  0600 0000 1f90 0000                 //         NFTA_DATA_VALUE
        1000 0280                                        //       NFTA_SET_ELEM_DATA
          0c00 0100  0a09 0002 0050 0000                 //         NFTA_DATA_VALUE
        1200 0600  000c 6e65 742f 6331 2f65 7468 3000  0000  // NFTA_SET_ELEM_USERDATA comment "net/c1/eth0"
`);

// $ nft 'create element inet weft range6 { udp . 30000-30010 : fd00:9::2 }'
export const RANGE = hex(`
  74000000 0c0a 0106 01000000 00000000                   // 116 bytes, NFT_MSG_NEWSETELEM, REQUEST EXCL CREATE
  01 00 0000                                             // nfgenmsg: NFPROTO_INET
    0900 0100  7765 6674 00  000000                      //   NFTA_SET_ELEM_LIST_TABLE "weft", padding
    0b00 0200  7261 6e67 6536 00  00                     //   NFTA_SET_ELEM_LIST_SET "range6", padding
    0800 0400  0000 0003                                 //   NFTA_SET_ELEM_LIST_SET_ID 3
    4000 0380                                            //   NFTA_SET_ELEM_LIST_ELEMENTS
      3c00 0180                                          //     NFTA_LIST_ELEM
        1000 0180                                        //       NFTA_SET_ELEM_KEY
          0c00 0100  1100 0000 7530 0000                 //         NFTA_DATA_VALUE
        1000 0a80                                        //       NFTA_SET_ELEM_KEY_END
          0c00 0100  1100 0000 753a 0000                 //         NFTA_DATA_VALUE
        1800 0280                                        //       NFTA_SET_ELEM_DATA
          1400 0100  fd00 0009 0000 0000 0000 0000 0000 0002  // NFTA_DATA_VALUE
`);

// $ nft 'create element inet weft pairs { "cni0" . "cni1" comment "net" : goto isolation }'
export const VERDICT = hex(`
  90000000 0c0a 0106 01000000 00000000                   // 144 bytes, NFT_MSG_NEWSETELEM, REQUEST EXCL CREATE
  01 00 0000                                             // nfgenmsg: NFPROTO_INET
    0900 0100  7765 6674 00  000000                      //   NFTA_SET_ELEM_LIST_TABLE "weft", padding
    0a00 0200  7061 6972 7300  0000                      //   NFTA_SET_ELEM_LIST_SET "pairs", padding
    0800 0400  0000 0004                                 //   NFTA_SET_ELEM_LIST_SET_ID 4
    5c00 0380                                            //   NFTA_SET_ELEM_LIST_ELEMENTS
      5800 0180                                          //     NFTA_LIST_ELEM
        2800 0180                                        //       NFTA_SET_ELEM_KEY
          2400 0100  636e 6930 0000 0000 0000 0000 0000 0000  // NFTA_DATA_VALUE
                     636e 6931 0000 0000 0000 0000 0000 0000
        2000 0280                                        //       NFTA_SET_ELEM_DATA
          1c00 0280                                      //         NFTA_DATA_VERDICT
            0800 0100  ffff fffc                         //           NFTA_VERDICT_CODE 4294967292
            0e00 0200  6973 6f6c 6174 696f 6e00  0000    //           NFTA_VERDICT_CHAIN "isolation", padding
        0a00 0600  0004 6e65 7400  0000                  //       NFTA_SET_ELEM_USERDATA comment "net"
`);

// $ nft 'delete element inet weft isolated { "cni0" }'
export const DELETE_ELEMENT = hex(`
  50000000 0e0a 0100 01000000 00000000                   // 80 bytes, NFT_MSG_DELSETELEM, REQUEST
  01 00 0000                                             // nfgenmsg: NFPROTO_INET
    0900 0100  7765 6674 00  000000                      //   NFTA_SET_ELEM_LIST_TABLE "weft", padding
    0d00 0200  6973 6f6c 6174 6564 00  000000            //   NFTA_SET_ELEM_LIST_SET "isolated", padding
    2000 0380                                            //   NFTA_SET_ELEM_LIST_ELEMENTS
      1c00 0180                                          //     NFTA_LIST_ELEM
        1800 0180                                        //       NFTA_SET_ELEM_KEY
          1400 0100  636e 6930 0000 0000 0000 0000 0000 0000  // NFTA_DATA_VALUE
`);

// $ nft 'flush chain inet weft forward'
export const FLUSH_CHAIN = hex(`
  2c000000 080a 0100 01000000 00000000                   // 44 bytes, NFT_MSG_DELRULE, REQUEST
  01 00 0000                                             // nfgenmsg: NFPROTO_INET
    0900 0100  7765 6674 00  000000                      //   NFTA_RULE_TABLE "weft", padding
    0c00 0200  666f 7277 6172 6400                       //   NFTA_RULE_CHAIN "forward"
`);

// $ nft 'delete chain inet weft forward'
export const DELETE_CHAIN = hex(`
  2c000000 050a 0100 01000000 00000000                   // 44 bytes, NFT_MSG_DELCHAIN, REQUEST
  01 00 0000                                             // nfgenmsg: NFPROTO_INET
    0900 0100  7765 6674 00  000000                      //   NFTA_CHAIN_TABLE "weft", padding
    0c00 0300  666f 7277 6172 6400                       //   NFTA_CHAIN_NAME "forward"
`);

// $ nft 'delete table inet weft'
export const DELETE_TABLE = hex(`
  20000000 020a 0100 01000000 00000000                   // 32 bytes, NFT_MSG_DELTABLE, REQUEST
  01 00 0000                                             // nfgenmsg: NFPROTO_INET
    0900 0100  7765 6674 00  000000                      //   NFTA_TABLE_NAME "weft", padding
`);
