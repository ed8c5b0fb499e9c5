/** What iproute2 6.1 says of addresses, and what Linux 6.18 answers; recorded as golden.ts says. */
import { hex } from "../testing/golden.ts";

// $ ip addr add 10.22.0.5/24 brd + dev veth0a
export const ADD_V4 = hex(`
  30000000 1400 0506 a413016b 00000000                   // 48 bytes, RTM_NEWADDR, REQUEST ACK EXCL CREATE
  02 18 00 00 03000000                                   // ifaddrmsg: AF_INET, prefixlen 24, index 3
    0800 0200  0a16 0005                                 //   IFA_LOCAL 10.22.0.5
    0800 0100  0a16 0005                                 //   IFA_ADDRESS 10.22.0.5
    0800 0400  0a16 00ff                                 //   IFA_BROADCAST 10.22.0.255
`);

// $ ip addr add fd00::5/64 dev veth0a nodad
export const ADD_V6_NODAD = hex(`
  40000000 1400 0506 a413016b 00000000                   // 64 bytes, RTM_NEWADDR, REQUEST ACK EXCL CREATE
  0a 40 02 00 03000000                 // ifaddrmsg: AF_INET6, prefixlen 64, flags 0x2, index 3
    1400 0200  fd00 0000 0000 0000 0000 0000 0000 0005   //   IFA_LOCAL fd00::5
    1400 0100  fd00 0000 0000 0000 0000 0000 0000 0005   //   IFA_ADDRESS fd00::5
`);

// $ ip addr add fd00::7/64 dev v0 optimistic noprefixroute
export const ADD_V6_OPTIMISTIC = hex(`
  48000000 1400 0506 aa6b016b 00000000                   // 72 bytes, RTM_NEWADDR, REQUEST ACK EXCL CREATE
  0a 40 00 00 03000000                                   // ifaddrmsg: AF_INET6, prefixlen 64, index 3
    1400 0200  fd00 0000 0000 0000 0000 0000 0000 0007   //   IFA_LOCAL fd00::7
    0800 0800  0402 0000                                 //   IFA_FLAGS 0x204
    1400 0100  fd00 0000 0000 0000 0000 0000 0000 0007   //   IFA_ADDRESS fd00::7
`);

// $ ip addr add 10.22.0.7/24 brd + dev v0 noprefixroute
export const ADD_V4_NOPREFIXROUTE = hex(`
  38000000 1400 0506 aa6b016b 00000000                   // 56 bytes, RTM_NEWADDR, REQUEST ACK EXCL CREATE
  02 18 00 00 03000000                                   // ifaddrmsg: AF_INET, prefixlen 24, index 3
    0800 0200  0a16 0007                                 //   IFA_LOCAL 10.22.0.7
    0800 0800  0002 0000                                 //   IFA_FLAGS 0x200
    0800 0100  0a16 0007                                 //   IFA_ADDRESS 10.22.0.7
    0800 0400  0a16 00ff                                 //   IFA_BROADCAST 10.22.0.255
`);

// $ ip -j addr show dev v1
// After ip addr add fd00::8/64 dev v1 optimistic, where net.ipv6.conf.v1.optimistic_dad is 1.
export const OPTIMISTIC_ANSWER = hex(`
  48000000 1400 2200 ab6b016b 1a030000                   // 72 bytes, RTM_NEWADDR, MULTI DUMP_FILTERED
  0a 40 c4 00 02000000                 // ifaddrmsg: AF_INET6, prefixlen 64, flags 0xc4, index 2
    1400 0100  fd00 0000 0000 0000 0000 0000 0000 0008   //   IFA_ADDRESS fd00::8
    1400 0600  ffff ffff ffff ffff fbbe 2700 fbbe 2700   //   IFA_CACHEINFO 16 bytes
    0800 0800  c400 0000                                 //   IFA_FLAGS 0xc4
  50000000 1400 2200 ab6b016b 1a030000                   // 80 bytes, RTM_NEWADDR, MULTI DUMP_FILTERED
  0a 40 c0 fd 02000000                 // ifaddrmsg: AF_INET6, prefixlen 64, flags 0xc0, link, index 2
    1400 0100  fe80 0000 0000 0000 6494 33ff fecd af77   //   IFA_ADDRESS fe80::6494:33ff:fecd:af77
    1400 0600  ffff ffff ffff ffff f0be 2700 f0be 2700   //   IFA_CACHEINFO 16 bytes
    0800 0800  c000 0000                                 //   IFA_FLAGS 0xc0
    0500 0b00  03 000000                                 //   IFA_PROTO 3, padding
`);

// $ ip addr add 10.22.9.1/32 dev veth0a
export const ADD_HOST = hex(`
  28000000 1400 0506 a413016b 00000000                   // 40 bytes, RTM_NEWADDR, REQUEST ACK EXCL CREATE
  02 20 00 00 03000000                                   // ifaddrmsg: AF_INET, prefixlen 32, index 3
    0800 0200  0a16 0901                                 //   IFA_LOCAL 10.22.9.1
    0800 0100  0a16 0901                                 //   IFA_ADDRESS 10.22.9.1
`);

// $ ip addr del fd00::6/64 dev veth0a
export const DELETE_V6 = hex(`
  40000000 1500 0500 a413016b 00000000                   // 64 bytes, RTM_DELADDR, REQUEST ACK
  0a 40 00 00 03000000                                   // ifaddrmsg: AF_INET6, prefixlen 64, index 3
    1400 0200  fd00 0000 0000 0000 0000 0000 0000 0006   //   IFA_LOCAL fd00::6
    1400 0100  fd00 0000 0000 0000 0000 0000 0000 0006   //   IFA_ADDRESS fd00::6
`);

// $ ip -j addr show dev veth0a
export const ANSWER = hex(`
  58000000 1400 2200 a513016b 362c0000                   // 88 bytes, RTM_NEWADDR, MULTI DUMP_FILTERED
  02 18 80 00 03000000                 // ifaddrmsg: AF_INET, prefixlen 24, flags 0x80, index 3
    0800 0100  0a16 0005                                 //   IFA_ADDRESS 10.22.0.5
    0800 0200  0a16 0005                                 //   IFA_LOCAL 10.22.0.5
    0800 0400  0a16 00ff                                 //   IFA_BROADCAST 10.22.0.255
    0b00 0300  7665 7468 3061 00  00                     //   IFA_LABEL "veth0a", padding
    0800 0800  8000 0000                                 //   IFA_FLAGS 128
    1400 0600  ffff ffff ffff ffff ae5c 0500 ae5c 0500   //   IFA_CACHEINFO 16 bytes
  50000000 1400 2200 a513016b 362c0000                   // 80 bytes, RTM_NEWADDR, MULTI DUMP_FILTERED
  02 20 80 00 03000000                 // ifaddrmsg: AF_INET, prefixlen 32, flags 0x80, index 3
    0800 0100  0a16 0901                                 //   IFA_ADDRESS 10.22.9.1
    0800 0200  0a16 0901                                 //   IFA_LOCAL 10.22.9.1
    0b00 0300  7665 7468 3061 00  00                     //   IFA_LABEL "veth0a", padding
    0800 0800  8000 0000                                 //   IFA_FLAGS 128
    1400 0600  ffff ffff ffff ffff b15c 0500 b15c 0500   //   IFA_CACHEINFO 16 bytes
  48000000 1400 2200 a513016b 362c0000                   // 72 bytes, RTM_NEWADDR, MULTI DUMP_FILTERED
  0a 40 c0 00 03000000                 // ifaddrmsg: AF_INET6, prefixlen 64, flags 0xc0, index 3
    1400 0100  fd00 0000 0000 0000 0000 0000 0000 0006   //   IFA_ADDRESS fd00::6
    1400 0600  ffff ffff ffff ffff b35c 0500 b35c 0500   //   IFA_CACHEINFO 16 bytes
    0800 0800  c000 0000                                 //   IFA_FLAGS 192
  48000000 1400 2200 a513016b 362c0000                   // 72 bytes, RTM_NEWADDR, MULTI DUMP_FILTERED
  0a 40 82 00 03000000                 // ifaddrmsg: AF_INET6, prefixlen 64, flags 0x82, index 3
    1400 0100  fd00 0000 0000 0000 0000 0000 0000 0005   //   IFA_ADDRESS fd00::5
    1400 0600  ffff ffff ffff ffff af5c 0500 af5c 0500   //   IFA_CACHEINFO 16 bytes
    0800 0800  8200 0000                                 //   IFA_FLAGS 130
`);
