import { describe, expect, test } from "bun:test";
import { attributes, eachAttribute, encode, kernelName, nested, repeated } from "./attributes.ts";
import { be16, bytes, cstring, flag, struct, u8, u16, u32 } from "./wire.ts";

const inner = attributes("INNER", { id: [1, u16], protocol: [5, be16] });
const vlan = struct({ flags: u16, vid: u16 });
const outer = attributes("OUTER", {
  kind: [1, cstring],
  inner: [2, inner],
  mtu: [4, u32],
  vlan: [6, repeated(vlan)],
  strict: [7, nested(inner)],
  isOn: [8, flag],
  raw: [9, bytes],
  small: [300, u8],
});

/** A set, and the bytes it is written as, a field a line. */
const SAMPLE = {
  kind: "vlan",
  inner: { id: 101, protocol: 0x8100 },
  mtu: 1500,
  vlan: [
    { flags: 2, vid: 10 },
    { flags: 0, vid: 11 },
  ],
  strict: { id: 7 },
  isOn: true as const,
  raw: Uint8Array.of(1, 2, 3),
  small: 9,
};
const SAMPLE_HEX = [
  "0900 0100 766c616e00 000000", // kind, NUL, padding
  "1400 0200", // inner
  "  0600 0100 6500 0000", //   id, little endian
  "  0600 0500 8100 0000", //   protocol, big endian
  "0800 0400 dc050000", // mtu
  "0800 0600 0200 0a00", // vlan
  "0800 0600 0000 0b00", // vlan, again
  "0c00 0780", // strict, with NLA_F_NESTED
  "  0600 0100 0700 0000",
  "0400 0800", // isOn: no payload
  "0700 0900 010203 00", // raw
  "0500 2c01 09 000000", // small: number 300
]
  .join("")
  .replaceAll(" ", "");

function parse(hex: string): Uint8Array {
  return Uint8Array.fromHex(hex.replaceAll(" ", ""));
}

describe("attributes().write()", () => {
  test("attributes().write() writes length, number, payload and padding, in the order given", () => {
    expect(encode(outer, SAMPLE).toHex()).toBe(SAMPLE_HEX);
  });
  test("attributes().write() writes nothing for undefined, and an empty set for an empty object", () => {
    expect(encode(outer, { mtu: undefined }).length).toBe(0);
    expect(encode(outer, { inner: {} }).toHex()).toBe("04000200");
    expect(encode(outer, { vlan: [] }).length).toBe(0);
  });
  test("attributes().write() refuses a key that the table does not have", () => {
    // @ts-expect-error: the compiler refuses it as well
    expect(() => encode(outer, { mut: 1500 })).toThrow(
      new TypeError('Cannot encode OUTER attribute "mut": not in its table'),
    );
  });
  test("attributes().write() refuses a value of the wrong type", () => {
    // @ts-expect-error: the compiler refuses it as well
    expect(() => encode(outer, { mtu: "1500" })).toThrow(RangeError);
  });
  test("attributes().write() refuses an attribute whose length does not fit into 16 bits", () => {
    expect(encode(outer, { raw: new Uint8Array(65_531) }).length).toBe(65_536);
    expect(() => encode(outer, { raw: new Uint8Array(65_532) })).toThrow(
      new RangeError("Cannot encode an attribute of 65536 bytes"),
    );
  });
});

describe("attributes().read()", () => {
  test("attributes().read() reads what was written", () => {
    expect(outer.read(parse(SAMPLE_HEX))).toEqual(SAMPLE);
  });
  test("attributes().read() is independent of the order", () => {
    expect(outer.read(parse("0500 2c01 09 000000  0800 0400 dc050000"))).toEqual({ mtu: 1500, small: 9 });
  });
  test("attributes().read() passes over attributes that are not in the table", () => {
    expect(outer.read(parse("0800 6300 ffffffff  0800 0400 dc050000"))).toEqual({ mtu: 1500 });
  });
  test("attributes().read() disregards NLA_F_NESTED and NLA_F_NET_BYTEORDER in the number", () => {
    expect(outer.read(parse("0800 04c0 dc050000"))).toEqual({ mtu: 1500 });
  });
  test("attributes().read() takes the last of several, and all where the codec is repeated()", () => {
    expect(outer.read(parse("0800 0400 01000000  0800 0400 02000000"))).toEqual({ mtu: 2 });
    expect(outer.read(parse("0800 0600 01000200"))).toEqual({ vlan: [{ flags: 1, vid: 2 }] });
  });
  test("attributes().read() takes a last attribute without its padding", () => {
    expect(outer.read(parse("0500 2c01 09"))).toEqual({ small: 9 });
  });
  test("attributes().read() cannot be made to set a prototype", () => {
    expect(Object.getPrototypeOf(outer.read(parse(SAMPLE_HEX)))).toBe(Object.prototype);
  });

  const BAD: readonly (readonly [what: string, hex: string, message: string])[] = [
    [
      "a length below the header's",
      "0300 0400 dc050000",
      "Cannot decode the attribute at byte 0: length 3 of 8",
    ],
    ["a length of 0", "0000 0400 dc050000", "Cannot decode the attribute at byte 0: length 0 of 8"],
    ["a length beyond the end", "0900 0400 dc050000", "Cannot decode the attribute at byte 0: length 9 of 8"],
    [
      "a bad length after a good one",
      "0800 0400 dc050000 ff00 0100 0000",
      "Cannot decode the attribute at byte 8: length 255 of 6",
    ],
    ["bytes left over", "0800 0400 dc050000 0400", "Cannot decode attributes: 2 bytes left over"],
    ["a payload too short", "0600 0400 dc05", "Cannot decode OUTER mtu: Cannot decode 2 bytes as u32"],
    [
      "a bad attribute within, by its path",
      "0c00 0200 0700 0100 656565 00",
      "Cannot decode OUTER inner: Cannot decode INNER id: Cannot decode 3 bytes as u16",
    ],
    [
      "a bad element of a repeated one",
      "0800 0600 01000200 0600 0600 0000 0000",
      "Cannot decode OUTER vlan: Cannot decode 2 bytes as a struct of 4",
    ],
  ];
  test.each([...BAD])("attributes().read() refuses %s", (_what, hex, message) => {
    expect(() => outer.read(parse(hex))).toThrow(new RangeError(message));
  });
});

describe("attributes().attributeAt()", () => {
  const payload = parse(SAMPLE_HEX);
  const CASES: readonly (readonly [offset: number, name: string | undefined])[] = [
    [0, "OUTER_KIND"],
    [4, "OUTER_KIND"],
    [8, "OUTER_KIND"],
    [12, "OUTER_INNER"], // its own header
    [16, "INNER_ID"],
    [20, "INNER_ID"],
    [24, "INNER_PROTOCOL"],
    [32, "OUTER_MTU"],
    [48, "OUTER_VLAN"],
    [60, "INNER_ID"], // within `strict`
    [68, "OUTER_IS_ON"],
    [72, "OUTER_RAW"],
    [payload.length, undefined],
    [10_000, undefined],
  ];
  test.each([...CASES])("attributes().attributeAt() calls what is at byte %d %p", (offset, name) => {
    expect(outer.attributeAt(payload, offset)).toBe(name);
  });
  test("attributes().attributeAt() gives the number of an attribute that is not in the table", () => {
    expect(outer.attributeAt(parse("0800 6300 ffffffff"), 0)).toBe("OUTER attribute 99");
  });
});

describe("eachAttribute()", () => {
  test("eachAttribute() gives the number and where the content lies", () => {
    expect([...eachAttribute(parse("0500 0780 aa 000000 0400 0800"))]).toEqual([
      { number: 7, start: 4, end: 5 },
      { number: 8, start: 12, end: 12 },
    ]);
  });
  test("eachAttribute() of nothing is nothing", () => {
    expect([...eachAttribute(new Uint8Array(0))]).toEqual([]);
  });
});

test.each([
  ["IFLA", "netNsFd", "IFLA_NET_NS_FD"],
  ["IFLA_BR", "vlanDefaultPvid", "IFLA_BR_VLAN_DEFAULT_PVID"],
  ["AF", "inet6", "AF_INET6"],
  ["RTA", "dst", "RTA_DST"],
])("kernelName() of %s and %s is %s", (prefix, name, kernel) => {
  expect(kernelName(prefix, name)).toBe(kernel);
});
