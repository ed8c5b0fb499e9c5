/** What nft 1.0.6 says of rules; recorded as golden.ts says, out of the batches. */
import { hex } from "../testing/golden.ts";

// $ nft 'add rule inet weft post iifname . ip saddr != @masq4 masquerade comment "ipMasq"'
export const LOOKUP = hex(`
  34010000 060a 010c 01000000 00000000                   // 308 bytes, NFT_MSG_NEWRULE, REQUEST CREATE APPEND
  01 00 0000                                             // nfgenmsg: NFPROTO_INET
    0900 0100  7765 6674 00  000000                      //   NFTA_RULE_TABLE "weft", padding
    0900 0200  706f 7374 00  000000                      //   NFTA_RULE_CHAIN "post", padding
    f800 0480                                            //   NFTA_RULE_EXPRESSIONS
      2400 0180                                          //     NFTA_LIST_ELEM
        0900 0100  6d65 7461 00  000000                  //       NFTA_EXPR_NAME "meta", padding
        1400 0280                                        //       NFTA_EXPR_DATA
          0800 0200  0000 000f                           //         NFTA_META_KEY 15
          0800 0100  0000 0001                           //         NFTA_META_DREG 1
      2c00 0180                                          //     NFTA_LIST_ELEM
        0800 0100  636d 7000                             //       NFTA_EXPR_NAME "cmp"
        2000 0280                                        //       NFTA_EXPR_DATA
          0800 0100  0000 0001                           //         NFTA_CMP_SREG 1
          0800 0200  0000 0000                           //         NFTA_CMP_OP 0
          0c00 0380                                      //         NFTA_CMP_DATA
            0500 0100  02  000000                        //           NFTA_DATA_VALUE, padding
      2400 0180                                          //     NFTA_LIST_ELEM
        0900 0100  6d65 7461 00  000000                  //       NFTA_EXPR_NAME "meta", padding
        1400 0280                                        //       NFTA_EXPR_DATA
          0800 0200  0000 0006                           //         NFTA_META_KEY 6
          0800 0100  0000 0001                           //         NFTA_META_DREG 1
      3400 0180                                          //     NFTA_LIST_ELEM
        0c00 0100  7061 796c 6f61 6400                   //       NFTA_EXPR_NAME "payload"
        2400 0280                                        //       NFTA_EXPR_DATA
          0800 0100  0000 0002                           //         NFTA_PAYLOAD_DREG 2
          0800 0200  0000 0001                           //         NFTA_PAYLOAD_BASE 1
          0800 0300  0000 000c                           //         NFTA_PAYLOAD_OFFSET 12
          0800 0400  0000 0004                           //         NFTA_PAYLOAD_LEN 4
      3800 0180                                          //     NFTA_LIST_ELEM
        0b00 0100  6c6f 6f6b 7570 00  00                 //       NFTA_EXPR_NAME "lookup", padding
        2800 0280                                        //       NFTA_EXPR_DATA
          0800 0200  0000 0001                           //         NFTA_LOOKUP_SREG 1
          0a00 0100  6d61 7371 3400  0000                //         NFTA_LOOKUP_SET "masq4", padding
          0800 0400  0000 0005                           //         NFTA_LOOKUP_SET_ID 5
          0800 0500  0000 0001                           //         NFTA_LOOKUP_FLAGS 1
      1400 0180                                          //     NFTA_LIST_ELEM
        0900 0100  6d61 7371 00  000000                  //       NFTA_EXPR_NAME "masq", padding
        0400 0280                                        //       NFTA_EXPR_DATA
    0d00 0700  0007 6970 4d61 7371 00  000000            //   NFTA_RULE_USERDATA comment "ipMasq", padding
`);

// $ nft 'add rule inet weft forward iifname . oifname vmap @pairs'
export const VMAP = hex(`
  b0000000 060a 010c 01000000 00000000                   // 176 bytes, NFT_MSG_NEWRULE, REQUEST CREATE APPEND
  01 00 0000                                             // nfgenmsg: NFPROTO_INET
    0900 0100  7765 6674 00  000000                      //   NFTA_RULE_TABLE "weft", padding
    0c00 0200  666f 7277 6172 6400                       //   NFTA_RULE_CHAIN "forward"
    8400 0480                                            //   NFTA_RULE_EXPRESSIONS
      2400 0180                                          //     NFTA_LIST_ELEM
        0900 0100  6d65 7461 00  000000                  //       NFTA_EXPR_NAME "meta", padding
        1400 0280                                        //       NFTA_EXPR_DATA
          0800 0200  0000 0006                           //         NFTA_META_KEY 6
          0800 0100  0000 0001                           //         NFTA_META_DREG 1
      2400 0180                                          //     NFTA_LIST_ELEM
        0900 0100  6d65 7461 00  000000                  //       NFTA_EXPR_NAME "meta", padding
        1400 0280                                        //       NFTA_EXPR_DATA
          0800 0200  0000 0007                           //         NFTA_META_KEY 7
          0800 0100  0000 0002                           //         NFTA_META_DREG 2
      3800 0180                                          //     NFTA_LIST_ELEM
        0b00 0100  6c6f 6f6b 7570 00  00                 //       NFTA_EXPR_NAME "lookup", padding
        2800 0280                                        //       NFTA_EXPR_DATA
          0800 0200  0000 0001                           //         NFTA_LOOKUP_SREG 1
          0800 0300  0000 0000                           //         NFTA_LOOKUP_DREG 0
          0a00 0100  7061 6972 7300  0000                //         NFTA_LOOKUP_SET "pairs", padding
          0800 0400  0000 0004                           //         NFTA_LOOKUP_SET_ID 4
`);

// $ nft 'add rule inet weft nat fib daddr type local dnat ip to meta l4proto . th dport map @port4'
export const DNAT = hex(`
  40010000 060a 010c 01000000 00000000                   // 320 bytes, NFT_MSG_NEWRULE, REQUEST CREATE APPEND
  01 00 0000                                             // nfgenmsg: NFPROTO_INET
    0900 0100  7765 6674 00  000000                      //   NFTA_RULE_TABLE "weft", padding
    0800 0200  6e61 7400                                 //   NFTA_RULE_CHAIN "nat"
    1801 0480                                            //   NFTA_RULE_EXPRESSIONS
      2800 0180                                          //     NFTA_LIST_ELEM
        0800 0100  6669 6200                             //       NFTA_EXPR_NAME "fib"
        1c00 0280                                        //       NFTA_EXPR_DATA
          0800 0300  0000 0002                           //         NFTA_FIB_FLAGS 2
          0800 0200  0000 0003                           //         NFTA_FIB_RESULT 3
          0800 0100  0000 0001                           //         NFTA_FIB_DREG 1
      2c00 0180                                          //     NFTA_LIST_ELEM
        0800 0100  636d 7000                             //       NFTA_EXPR_NAME "cmp"
        2000 0280                                        //       NFTA_EXPR_DATA
          0800 0100  0000 0001                           //         NFTA_CMP_SREG 1
          0800 0200  0000 0000                           //         NFTA_CMP_OP 0
          0c00 0380                                      //         NFTA_CMP_DATA
            0800 0100  0200 0000                         //           NFTA_DATA_VALUE
      2400 0180                                          //     NFTA_LIST_ELEM
        0900 0100  6d65 7461 00  000000                  //       NFTA_EXPR_NAME "meta", padding
        1400 0280                                        //       NFTA_EXPR_DATA
          0800 0200  0000 0010                           //         NFTA_META_KEY 16
          0800 0100  0000 0001                           //         NFTA_META_DREG 1
      3400 0180                                          //     NFTA_LIST_ELEM
        0c00 0100  7061 796c 6f61 6400                   //       NFTA_EXPR_NAME "payload"
        2400 0280                                        //       NFTA_EXPR_DATA
          0800 0100  0000 0009                           //         NFTA_PAYLOAD_DREG 9
          0800 0200  0000 0002                           //         NFTA_PAYLOAD_BASE 2
          0800 0300  0000 0002                           //         NFTA_PAYLOAD_OFFSET 2
          0800 0400  0000 0002                           //         NFTA_PAYLOAD_LEN 2
      3800 0180                                          //     NFTA_LIST_ELEM
        0b00 0100  6c6f 6f6b 7570 00  00                 //       NFTA_EXPR_NAME "lookup", padding
        2800 0280                                        //       NFTA_EXPR_DATA
          0800 0200  0000 0001                           //         NFTA_LOOKUP_SREG 1
          0800 0300  0000 0001                           //         NFTA_LOOKUP_DREG 1
          0a00 0100  706f 7274 3400  0000                //         NFTA_LOOKUP_SET "port4", padding
          0800 0400  0000 0002                           //         NFTA_LOOKUP_SET_ID 2
      3000 0180                                          //     NFTA_LIST_ELEM
        0800 0100  6e61 7400                             //       NFTA_EXPR_NAME "nat"
        2400 0280                                        //       NFTA_EXPR_DATA
          0800 0100  0000 0001                           //         NFTA_NAT_TYPE 1
          0800 0200  0000 0002                           //         NFTA_NAT_FAMILY 2
          0800 0300  0000 0001                           //         NFTA_NAT_REG_ADDR_MIN 1
          0800 0500  0000 0009                           //         NFTA_NAT_REG_PROTO_MIN 9
`);

// $ nft 'add rule inet weft nat meta l4proto 17 dnat ip6 to [fd00:9::2]:5353'
export const DNAT_TO = hex(`
  18010000 060a 010c 01000000 00000000                   // 280 bytes, NFT_MSG_NEWRULE, REQUEST CREATE APPEND
  01 00 0000                                             // nfgenmsg: NFPROTO_INET
    0900 0100  7765 6674 00  000000                      //   NFTA_RULE_TABLE "weft", padding
    0800 0200  6e61 7400                                 //   NFTA_RULE_CHAIN "nat"
    f000 0480                                            //   NFTA_RULE_EXPRESSIONS
      2400 0180                                          //     NFTA_LIST_ELEM
        0900 0100  6d65 7461 00  000000                  //       NFTA_EXPR_NAME "meta", padding
        1400 0280                                        //       NFTA_EXPR_DATA
          0800 0200  0000 0010                           //         NFTA_META_KEY 16
          0800 0100  0000 0001                           //         NFTA_META_DREG 1
      2c00 0180                                          //     NFTA_LIST_ELEM
        0800 0100  636d 7000                             //       NFTA_EXPR_NAME "cmp"
        2000 0280                                        //       NFTA_EXPR_DATA
          0800 0100  0000 0001                           //         NFTA_CMP_SREG 1
          0800 0200  0000 0000                           //         NFTA_CMP_OP 0
          0c00 0380                                      //         NFTA_CMP_DATA
            0500 0100  11  000000                        //           NFTA_DATA_VALUE, padding
      3800 0180                                          //     NFTA_LIST_ELEM
        0e00 0100  696d 6d65 6469 6174 6500  0000        //       NFTA_EXPR_NAME "immediate", padding
        2400 0280                                        //       NFTA_EXPR_DATA
          0800 0100  0000 0001                           //         NFTA_IMMEDIATE_DREG 1
          1800 0280                                      //         NFTA_IMMEDIATE_DATA
            1400 0100  fd00 0009 0000 0000 0000 0000 0000 0002  // NFTA_DATA_VALUE
      2c00 0180                                          //     NFTA_LIST_ELEM
        0e00 0100  696d 6d65 6469 6174 6500  0000        //       NFTA_EXPR_NAME "immediate", padding
        1800 0280                                        //       NFTA_EXPR_DATA
          0800 0100  0000 0002                           //         NFTA_IMMEDIATE_DREG 2
          0c00 0280                                      //         NFTA_IMMEDIATE_DATA
            0600 0100  14e9  0000                        //           NFTA_DATA_VALUE, padding
      3800 0180                                          //     NFTA_LIST_ELEM
        0800 0100  6e61 7400                             //       NFTA_EXPR_NAME "nat"
        2c00 0280                                        //       NFTA_EXPR_DATA
          0800 0100  0000 0001                           //         NFTA_NAT_TYPE 1
          0800 0200  0000 000a                           //         NFTA_NAT_FAMILY 10
          0800 0300  0000 0001                           //         NFTA_NAT_REG_ADDR_MIN 1
          0800 0500  0000 0002                           //         NFTA_NAT_REG_PROTO_MIN 2
          0800 0700  0000 0002                           //         NFTA_NAT_FLAGS 2
`);

// $ nft 'add rule inet weft forward ct state established,related ip daddr 10.9.0.0/17 jump isolation'
export const JUMP = hex(`
  f4010000 060a 010c 01000000 00000000                   // 500 bytes, NFT_MSG_NEWRULE, REQUEST CREATE APPEND
  01 00 0000                                             // nfgenmsg: NFPROTO_INET
    0900 0100  7765 6674 00  000000                      //   NFTA_RULE_TABLE "weft", padding
    0c00 0200  666f 7277 6172 6400                       //   NFTA_RULE_CHAIN "forward"
    c801 0480                                            //   NFTA_RULE_EXPRESSIONS
      2000 0180                                          //     NFTA_LIST_ELEM
        0700 0100  6374 00  00                           //       NFTA_EXPR_NAME "ct", padding
        1400 0280                                        //       NFTA_EXPR_DATA
          0800 0200  0000 0000                           //         NFTA_CT_KEY 0
          0800 0100  0000 0001                           //         NFTA_CT_DREG 1
      4400 0180                                          //     NFTA_LIST_ELEM
        0c00 0100  6269 7477 6973 6500                   //       NFTA_EXPR_NAME "bitwise"
        3400 0280                                        //       NFTA_EXPR_DATA
          0800 0100  0000 0001                           //         NFTA_BITWISE_SREG 1
          0800 0200  0000 0001                           //         NFTA_BITWISE_DREG 1
          0800 0300  0000 0004                           //         NFTA_BITWISE_LEN 4
          0c00 0480                                      //         NFTA_BITWISE_MASK
            0800 0100  0600 0000                         //           NFTA_DATA_VALUE
          0c00 0580                                      //         NFTA_BITWISE_XOR
            0800 0100  0000 0000                         //           NFTA_DATA_VALUE
      2c00 0180                                          //     NFTA_LIST_ELEM
        0800 0100  636d 7000                             //       NFTA_EXPR_NAME "cmp"
        2000 0280                                        //       NFTA_EXPR_DATA
          0800 0100  0000 0001                           //         NFTA_CMP_SREG 1
          0800 0200  0000 0001                           //         NFTA_CMP_OP 1
          0c00 0380                                      //         NFTA_CMP_DATA
            0800 0100  0000 0000                         //           NFTA_DATA_VALUE
      2400 0180                                          //     NFTA_LIST_ELEM
        0900 0100  6d65 7461 00  000000                  //       NFTA_EXPR_NAME "meta", padding
        1400 0280                                        //       NFTA_EXPR_DATA
          0800 0200  0000 000f                           //         NFTA_META_KEY 15
          0800 0100  0000 0001                           //         NFTA_META_DREG 1
      2c00 0180                                          //     NFTA_LIST_ELEM
        0800 0100  636d 7000                             //       NFTA_EXPR_NAME "cmp"
        2000 0280                                        //       NFTA_EXPR_DATA
          0800 0100  0000 0001                           //         NFTA_CMP_SREG 1
          0800 0200  0000 0000                           //         NFTA_CMP_OP 0
          0c00 0380                                      //         NFTA_CMP_DATA
            0500 0100  02  000000                        //           NFTA_DATA_VALUE, padding
      3400 0180                                          //     NFTA_LIST_ELEM
        0c00 0100  7061 796c 6f61 6400                   //       NFTA_EXPR_NAME "payload"
        2400 0280                                        //       NFTA_EXPR_DATA
          0800 0100  0000 0001                           //         NFTA_PAYLOAD_DREG 1
          0800 0200  0000 0001                           //         NFTA_PAYLOAD_BASE 1
          0800 0300  0000 0010                           //         NFTA_PAYLOAD_OFFSET 16
          0800 0400  0000 0004                           //         NFTA_PAYLOAD_LEN 4
      4400 0180                                          //     NFTA_LIST_ELEM
        0c00 0100  6269 7477 6973 6500                   //       NFTA_EXPR_NAME "bitwise"
        3400 0280                                        //       NFTA_EXPR_DATA
          0800 0100  0000 0001                           //         NFTA_BITWISE_SREG 1
          0800 0200  0000 0001                           //         NFTA_BITWISE_DREG 1
          0800 0300  0000 0004                           //         NFTA_BITWISE_LEN 4
          0c00 0480                                      //         NFTA_BITWISE_MASK
            0800 0100  ffff 8000                         //           NFTA_DATA_VALUE
          0c00 0580                                      //         NFTA_BITWISE_XOR
            0800 0100  0000 0000                         //           NFTA_DATA_VALUE
      2c00 0180                                          //     NFTA_LIST_ELEM
        0800 0100  636d 7000                             //       NFTA_EXPR_NAME "cmp"
        2000 0280                                        //       NFTA_EXPR_DATA
          0800 0100  0000 0001                           //         NFTA_CMP_SREG 1
          0800 0200  0000 0000                           //         NFTA_CMP_OP 0
          0c00 0380                                      //         NFTA_CMP_DATA
            0800 0100  0a09 0000                         //           NFTA_DATA_VALUE
      4000 0180                                          //     NFTA_LIST_ELEM
        0e00 0100  696d 6d65 6469 6174 6500  0000        //       NFTA_EXPR_NAME "immediate", padding
        2c00 0280                                        //       NFTA_EXPR_DATA
          0800 0100  0000 0000                           //         NFTA_IMMEDIATE_DREG 0
          2000 0280                                      //         NFTA_IMMEDIATE_DATA
            1c00 0280                                    //           NFTA_DATA_VERDICT
              0800 0100  ffff fffd                       //             NFTA_VERDICT_CODE 4294967293
              0e00 0200  6973 6f6c 6174 696f 6e00  0000  //             NFTA_VERDICT_CHAIN "isolation"
`);
