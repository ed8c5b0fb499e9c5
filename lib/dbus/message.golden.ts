/**
 * What dbus-send 1.14 asks of firewalld 1.3 and what that answers; recorded with `strace -e
 * trace=sendmsg,recvmsg -xx COMMAND` in a namespace of its own. Serial numbers are as they were that day.
 */
import { hex } from "../testing/golden.ts";

// $ dbus-send --system --print-reply --dest=org.fedoraproject.FirewallD1 /org/fedoraproject/FirewallD1 \
//     org.fedoraproject.FirewallD1.zone.addSource string:trusted string:10.9.0.2/32
export const ADD_SOURCE = hex(`
  6c 01 00 01 1c000000 02000000 a0000000  // little-endian, METHOD_CALL, version 1, body 28, serial 2
  01 016f00 1d000000 2f6f72672f6665646f726170726f6a6563742f4669726577616c6c4431 00 0000  // path
  02 017300 21000000 6f72672e6665646f726170726f6a6563742e4669726577616c6c44312e7a6f6e65 00  // interface
  000000000000  //   padding
  03 017300 09000000 616464536f75726365 00 000000000000  // "addSource"
  06 017300 1c000000 6f72672e6665646f726170726f6a6563742e4669726577616c6c4431 00 000000  // destination
  08 016700 02 7373 00  // "ss"
  07000000 74727573746564 00  // "trusted"
  0b000000 31302e392e302e322f3332 00  // "10.9.0.2/32"
`);

// its answer
export const ADDED = hex(`
  6c 02 01 01 0c000000 2b010000 2d000000  // METHOD_RETURN, body 12, serial 299, 45 of fields
  06 017300 04000000 3a312e35 00 000000  // destination ":1.5"
  05 017500 02000000  // answers serial 2
  08 016700 01 73 00 00  // "s"
  07 017300 04000000 3a312e33 00 000000  // sender ":1.3"
  07000000 74727573746564 00  // "trusted"
`);

// the same with string:nope as the zone
export const INVALID_ZONE = hex(`
  6c 03 01 01 17000000 30010000 5d000000  // ERROR, body 23, serial 304, 93 of fields
  06 017300 04000000 3a312e37 00 000000  // destination ":1.7"
  04 017300 26000000  // the error's name
    6f72672e6665646f726170726f6a6563742e4669726577616c6c44312e457863657074696f6e 00 00
  05 017500 02000000  // answers serial 2
  08 016700 01 73 00 00  // "s"
  07 017300 04000000 3a312e33 00 000000  // sender ":1.3"
  12000000 494e56414c49445f5a4f4e453a206e6f7065 00  // "INVALID_ZONE: nope"
`);

// $ dbus-send … org.fedoraproject.FirewallD1.zone.querySource string:trusted string:10.9.0.2/32
export const QUERIED = hex(`
  6c 02 01 01 04000000 34010000 2d000000  // METHOD_RETURN
  06 017300 04000000 3a312e39 00 000000  // destination ":1.9"
  05 017500 02000000  // answers serial 2
  08 016700 01 62 00 00  // "b"
  07 017300 04000000 3a312e33 00 000000  // sender ":1.3"
  01000000  // true
`);

// $ dbus-send … org.fedoraproject.FirewallD1.zone.getSources string:trusted
export const SOURCES = hex(`
  6c 02 01 01 14000000 32010000 2d000000  // METHOD_RETURN
  06 017300 04000000 3a312e38 00 000000  // destination ":1.8"
  05 017500 02000000  // answers serial 2
  08 016700 02 6173 00  // "as"
  07 017300 04000000 3a312e33 00 000000  // sender ":1.3"
  10000000 0b000000 31302e392e302e322f3332 00  // 16 bytes: "10.9.0.2/32"
`);
