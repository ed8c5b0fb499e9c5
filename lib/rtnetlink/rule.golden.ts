/** What iproute2 6.1 says of rules, and what Linux 6.18 answers; recorded as golden.ts says. */
import { hex } from "../testing/golden.ts";

// $ ip rule add from 10.22.0.5 table 1000
export const ADD_V4 = hex(`
  2c000000 2000 0506 a513016b 00000000                   // 44 bytes, RTM_NEWRULE, REQUEST ACK EXCL CREATE
  02 00 20 00 00 00 00 01 00000000                       // fib_rule_hdr: AF_INET, src_len 32, action 1
    0800 0200  0a16 0005                                 //   FRA_SRC 10.22.0.5
    0800 0f00  e803 0000                                 //   FRA_TABLE 1000
`);

// $ ip -6 rule add from fd00::5/128 to fd01::/16 iif veth0a fwmark 7 table 100 priority 500
export const ADD_V6 = hex(`
  60000000 2000 0506 a513016b 00000000                   // 96 bytes, RTM_NEWRULE, REQUEST ACK EXCL CREATE
  0a 10 80 00 64 00 00 01 00000000     // fib_rule_hdr: AF_INET6, dst_len 16, src_len 128, table 100, action 1
    1400 0200  fd00 0000 0000 0000 0000 0000 0000 0005   //   FRA_SRC fd00::5
    1400 0100  fd01 0000 0000 0000 0000 0000 0000 0000   //   FRA_DST fd01::
    0b00 0300  7665 7468 3061 00  00                     //   FRA_IIFNAME "veth0a", padding
    0800 0a00  0700 0000                                 //   FRA_FWMARK 7
    0800 0600  f401 0000                                 //   FRA_PRIORITY 500
`);

// $ ip rule del from 10.22.0.5 table 1000
export const DELETE_V4 = hex(`
  2c000000 2100 0500 a513016b 00000000                   // 44 bytes, RTM_DELRULE, REQUEST ACK
  02 00 20 00 00 00 00 00 00000000                       // fib_rule_hdr: AF_INET, src_len 32
    0800 0200  0a16 0005                                 //   FRA_SRC 10.22.0.5
    0800 0f00  e803 0000                                 //   FRA_TABLE 1000
`);

// $ ip -j -d rule show
export const ANSWER_V4 = hex(`
  34000000 2000 0200 a513016b 662c0000                   // 52 bytes, RTM_NEWRULE, MULTI
  02 00 00 00 ff 00 00 01 00000000                       // fib_rule_hdr: AF_INET, table 255, action 1
    0800 0f00  ff00 0000                                 //   FRA_TABLE 255
    0800 0e00  ffff ffff                                 //   FRA_SUPPRESS_PREFIXLEN 4294967295
    0500 1500  02  000000                                //   FRA_PROTOCOL 2, padding
  44000000 2000 0200 a513016b 662c0000                   // 68 bytes, RTM_NEWRULE, MULTI
  02 00 20 00 fc 00 00 01 00000000     // fib_rule_hdr: AF_INET, src_len 32, table 252, action 1
    0800 0f00  e803 0000                                 //   FRA_TABLE 1000
    0800 0e00  ffff ffff                                 //   FRA_SUPPRESS_PREFIXLEN 4294967295
    0500 1500  00  000000                                //   FRA_PROTOCOL 0, padding
    0800 0600  fd7f 0000                                 //   FRA_PRIORITY 32765
    0800 0200  0a16 0005                                 //   FRA_SRC 10.22.0.5
  3c000000 2000 0200 a513016b 662c0000                   // 60 bytes, RTM_NEWRULE, MULTI
  02 00 00 00 fe 00 00 01 00000000                       // fib_rule_hdr: AF_INET, table 254, action 1
    0800 0f00  fe00 0000                                 //   FRA_TABLE 254
    0800 0e00  ffff ffff                                 //   FRA_SUPPRESS_PREFIXLEN 4294967295
    0500 1500  02  000000                                //   FRA_PROTOCOL 2, padding
    0800 0600  fe7f 0000                                 //   FRA_PRIORITY 32766
  3c000000 2000 0200 a513016b 662c0000                   // 60 bytes, RTM_NEWRULE, MULTI
  02 00 00 00 fd 00 00 01 00000000                       // fib_rule_hdr: AF_INET, table 253, action 1
    0800 0f00  fd00 0000                                 //   FRA_TABLE 253
    0800 0e00  ffff ffff                                 //   FRA_SUPPRESS_PREFIXLEN 4294967295
    0500 1500  02  000000                                //   FRA_PROTOCOL 2, padding
    0800 0600  ff7f 0000                                 //   FRA_PRIORITY 32767
  14000000 0300 0200 a513016b 662c0000                   // 20 bytes, NLMSG_DONE, MULTI
  00000000                                               // error 0
`);

// $ ip -6 -j -d rule show
export const ANSWER_V6 = hex(`
  34000000 2000 0200 a513016b 6a2c0000                   // 52 bytes, RTM_NEWRULE, MULTI
  0a 00 00 00 ff 00 00 01 00000000                       // fib_rule_hdr: AF_INET6, table 255, action 1
    0800 0f00  ff00 0000                                 //   FRA_TABLE 255
    0800 0e00  ffff ffff                                 //   FRA_SUPPRESS_PREFIXLEN 4294967295
    0500 1500  02  000000                                //   FRA_PROTOCOL 2, padding
  80000000 2000 0200 a513016b 6a2c0000                   // 128 bytes, RTM_NEWRULE, MULTI
  0a 10 80 00 64 00 00 01 00000000     // fib_rule_hdr: AF_INET6, dst_len 16, src_len 128, table 100, action 1
    0800 0f00  6400 0000                                 //   FRA_TABLE 100
    0800 0e00  ffff ffff                                 //   FRA_SUPPRESS_PREFIXLEN 4294967295
    0500 1500  00  000000                                //   FRA_PROTOCOL 0, padding
    0b00 0300  7665 7468 3061 00  00                     //   FRA_IIFNAME "veth0a", padding
    0800 0600  f401 0000                                 //   FRA_PRIORITY 500
    0800 0a00  0700 0000                                 //   FRA_FWMARK 7
    0800 1000  ffff ffff                                 //   FRA_FWMASK 4294967295
    1400 0100  fd01 0000 0000 0000 0000 0000 0000 0000   //   FRA_DST fd01::
    1400 0200  fd00 0000 0000 0000 0000 0000 0000 0005   //   FRA_SRC fd00::5
  3c000000 2000 0200 a513016b 6a2c0000                   // 60 bytes, RTM_NEWRULE, MULTI
  0a 00 00 00 fe 00 00 01 00000000                       // fib_rule_hdr: AF_INET6, table 254, action 1
    0800 0f00  fe00 0000                                 //   FRA_TABLE 254
    0800 0e00  ffff ffff                                 //   FRA_SUPPRESS_PREFIXLEN 4294967295
    0500 1500  02  000000                                //   FRA_PROTOCOL 2, padding
    0800 0600  fe7f 0000                                 //   FRA_PRIORITY 32766
  14000000 0300 0200 a513016b 6a2c0000                   // 20 bytes, NLMSG_DONE, MULTI
  00000000                                               // error 0
`);
