import { describe, expect, test } from "bun:test";
import { parseAddress } from "../netaddr/address.ts";
import { encode } from "./attributes.ts";
import * as wire from "./wire.ts";

interface Case {
  readonly name: string;
  // biome-ignore lint/suspicious/noExplicitAny: codecs of every type in one table
  readonly codec: wire.Codec<any>;
  readonly good: readonly (readonly [value: unknown, hex: string])[];
  /** Values that do not fit. */
  readonly badValues: readonly unknown[];
  /** Bytes, in hex, that are no such value. */
  readonly badBytes: readonly string[];
}

const CASES: readonly Case[] = [
  {
    name: "u8",
    codec: wire.u8,
    good: [
      [0, "00"],
      [128, "80"],
      [255, "ff"],
    ],
    badValues: [-1, 256, 0.5, Number.NaN, "1", undefined, 1n],
    badBytes: ["", "0000"],
  },
  {
    name: "u16",
    codec: wire.u16,
    good: [
      [0x1234, "3412"],
      [65_535, "ffff"],
    ],
    badValues: [-1, 65_536, Number.POSITIVE_INFINITY],
    badBytes: ["", "00", "000000"],
  },
  {
    name: "u32",
    codec: wire.u32,
    good: [
      [0x12345678, "78563412"],
      [2 ** 31, "00000080"],
      [2 ** 32 - 1, "ffffffff"],
    ],
    badValues: [-1, 2 ** 32, 1.5],
    badBytes: ["", "000000", "0000000000"],
  },
  {
    name: "s32",
    codec: wire.s32,
    good: [
      [-1, "ffffffff"],
      [-(2 ** 31), "00000080"],
      [2 ** 31 - 1, "ffffff7f"],
    ],
    badValues: [-(2 ** 31) - 1, 2 ** 31],
    badBytes: ["", "0000"],
  },
  {
    name: "be16",
    codec: wire.be16,
    good: [
      [0x8100, "8100"],
      [4_789, "12b5"],
    ],
    badValues: [-1, 65_536],
    badBytes: ["", "00"],
  },
  {
    name: "be32",
    codec: wire.be32,
    good: [
      [1, "00000001"],
      [0xc0a80001, "c0a80001"],
    ],
    badValues: [-1, 2 ** 32],
    badBytes: ["0000"],
  },
  {
    name: "cstring",
    codec: wire.cstring,
    good: [
      ["", "00"],
      ["eth0", "6574683000"],
      ["é", "c3a900"],
    ],
    badValues: ["a\0b"],
    badBytes: [],
  },
  {
    name: "text",
    codec: wire.text,
    good: [
      ["", ""],
      ["eth0", "65746830"],
    ],
    badValues: ["a\0b"],
    badBytes: [],
  },
  {
    name: "bytes",
    codec: wire.bytes,
    good: [
      [new Uint8Array(0), ""],
      [Uint8Array.of(1, 2, 3), "010203"],
    ],
    badValues: [],
    badBytes: [],
  },
  { name: "flag", codec: wire.flag, good: [[true, ""]], badValues: [], badBytes: [] },
  {
    name: "address",
    codec: wire.address,
    good: [
      [parseAddress("10.22.0.5"), "0a160005"],
      [parseAddress("fd00::5"), "fd000000000000000000000000000005"],
      [{ family: 6, value: 0xffff_0a16_0005n }, "00000000000000000000ffff0a160005"],
    ],
    badValues: [],
    badBytes: ["", "00", "0a1600", "00000000000000000000000000000000ff"],
  },
  {
    name: "struct",
    codec: wire.struct({ family: wire.u8, pad: wire.u8, type: wire.u16, index: wire.s32 }),
    good: [[{ family: 7, type: 1, index: -2 }, "07000100feffffff"]],
    badValues: [{ family: 256 }, { index: 2 ** 31 }],
    badBytes: ["", "07000100feffff"],
  },
];

for (const { name, codec, good, badValues, badBytes } of CASES) {
  describe(name, () => {
    for (const [value, hex] of good) {
      test(`${name}.write() writes ${inOneLine(value)} as "${hex}", and read() reads it`, () => {
        expect(encode(codec, value).toHex()).toBe(hex);
        expect(codec.read(Uint8Array.fromHex(hex))).toEqual(value);
      });
    }
    for (const value of badValues) {
      test(`${name}.write() refuses ${inOneLine(value)}`, () => {
        expect(() => encode(codec, value)).toThrow(RangeError);
      });
    }
    for (const hex of badBytes) {
      test(`${name}.read() refuses ${hex.length / 2} bytes`, () => {
        expect(() => codec.read(Uint8Array.fromHex(hex))).toThrow(RangeError);
      });
    }
  });
}

function inOneLine(value: unknown): string {
  return Bun.inspect(value).replace(/\s+/g, " ");
}

test("u16.write() names the value and the type that it does not fit", () => {
  expect(() => encode(wire.u16, 70_000)).toThrow("Cannot encode 70000 as u16");
});

test("cstring.read() ends at the first NUL, or with the bytes where there is none", () => {
  expect(wire.cstring.read(Uint8Array.fromHex("6574683000ff"))).toBe("eth0");
  expect(wire.cstring.read(Uint8Array.fromHex("65746830"))).toBe("eth0");
});

test("bytes.read() copies, so that the receive buffer can be used again", () => {
  const buffer = Uint8Array.of(1, 2, 3);
  const read = wire.bytes.read(buffer);
  buffer.fill(0);
  expect(read).toEqual(Uint8Array.of(1, 2, 3));
});

describe("struct()", () => {
  const pair = wire.struct({ first: wire.u8, pad1: wire.u8, second: wire.u16 });

  test("struct() knows its size, the padding included", () => {
    expect(pair.size).toBe(4);
  });
  test("struct().write() writes members that are not given as 0", () => {
    expect(encode(pair, { second: 3 }).toHex()).toBe("00000300");
  });
  test("struct().read() passes over padding and what follows the struct", () => {
    expect(pair.read(Uint8Array.fromHex("01ff0300aabbcc"))).toEqual({ first: 1, second: 3 });
  });
});

describe("Writer", () => {
  test("Writer.reserve() keeps what was written when it grows, and adds zeros", () => {
    const writer = new wire.Writer();
    writer.append(new Uint8Array(4_095).fill(7));
    const last = writer.reserve(1);
    writer.view.setUint8(last, 8);
    const at = writer.reserve(100_000); // beyond twice the first buffer
    expect(at).toBe(4_096);
    const written = writer.finish();
    expect(written.length).toBe(104_096);
    expect(written.subarray(0, 4_095).every((byte) => byte === 7)).toBe(true);
    expect(written[4_095]).toBe(8);
    expect(written.subarray(4_096).every((byte) => byte === 0)).toBe(true);
  });
  test("Writer.align() goes to the next multiple of four and no further", () => {
    const writer = new wire.Writer();
    for (const [count, aligned] of [
      [0, 0],
      [1, 4],
      [0, 4],
      [3, 8],
      [4, 12],
    ] as const) {
      writer.reserve(count);
      writer.align();
      expect(writer.length).toBe(aligned);
    }
  });
  test("Writer.reserve() refuses a message above 64 MiB", () => {
    const writer = new wire.Writer();
    writer.reserve(1 << 26);
    expect(() => writer.reserve(1)).toThrow(RangeError);
  });
});
