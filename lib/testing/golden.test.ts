import { describe, expect, test } from "bun:test";
import { attributes } from "../netlink/attributes.ts";
import { u16, u32 } from "../netlink/wire.ts";
import { datagram } from "./fake-kernel.ts";
import { expectSameMessage, hex, type Layout } from "./golden.ts";

const inner = attributes("INNER", { id: [1, u16] });
const LAYOUT: Layout = {
  structBytes: 4,
  set: attributes("OUTER", { mtu: [4, u32], inner: [2, inner] }),
  inside: { inner: { set: inner } },
};

function message(body: string): Uint8Array {
  return datagram({ type: 16, sequence: 1, body: hex(body) });
}

const OURS = message(`
  00000001                // a struct
  0800 0400 dc050000      // OUTER_MTU 1500
  0c00 0200               // OUTER_INNER
    0600 0100 0500 0000   //   INNER_ID 5
`);

describe("expectSameMessage()", () => {
  test("expectSameMessage() passes over order, NLA_F_NESTED, sequence number and port", () => {
    const theirs = message("00000001 0c00 0280 0600 0100 0500 0000 0800 0400 dc050000");
    theirs.set([9, 9, 9, 9, 7, 7, 7, 7], 8);
    expect(() => expectSameMessage(OURS, theirs, LAYOUT)).not.toThrow();
  });

  test("expectSameMessage() throws a difference, with both messages four bytes a line", () => {
    const theirs = message("00000001 0800 0400 dd050000 0c00 0200 0600 0100 0500 0000 0400 6300");
    expect(() => expectSameMessage(OURS, theirs, LAYOUT)).toThrow(
      [
        "The messages differ.",
        "  only ours:   OUTER_MTU dc050000",
        "  only theirs: OUTER_MTU dd050000",
        "  only theirs: OUTER 99 ",
        "  byte  ours      theirs",
        "     0  28000000  2c000000  !",
        "     4  10000000  10000000",
        "     8  01000000  01000000",
        "    12  92100000  92100000",
        "    16  00000001  00000001",
        "    20  08000400  08000400",
        "    24  dc050000  dd050000  !",
        "    28  0c000200  0c000200",
        "    32  06000100  06000100",
        "    36  05000000  05000000",
        "    40            04006300  !",
      ].join("\n"),
    );
  });

  test("expectSameMessage() wants the differences that are named, and no others", () => {
    const theirs = message("00000001 0c00 0200 0600 0100 0500 0000");
    const named = { onlyOurs: ["OUTER_MTU dc050000"] };
    expect(() => expectSameMessage(OURS, theirs, LAYOUT, named)).not.toThrow();
    expect(() => expectSameMessage(OURS, OURS, LAYOUT, named)).toThrow("The messages differ");
  });

  test.each([
    ["the type", 4],
    ["the flags", 6],
    ["the struct", 16],
    ["an attribute within another", 36],
  ])("expectSameMessage() sees a difference in %s", (_what, at) => {
    const theirs = OURS.slice();
    theirs[at] = 0x77;
    expect(() => expectSameMessage(OURS, theirs, LAYOUT)).toThrow("The messages differ");
  });
});
