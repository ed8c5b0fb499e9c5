import { describe, expect, test } from "bun:test";
import { fuzzTest } from "../testing/fuzz.ts";
import { COMMENT_MAX, readComment, writeComment } from "./comment.ts";
import { readKey, TYPES, type TypeName, typeBytes, typeNumber, type Word, writeKey } from "./datatype.ts";

const FUZZ_CASES = 1_500;

describe("writeKey()", () => {
  const keys: readonly (readonly [readonly TypeName[], readonly Word[], hex: string])[] = [
    [["inet_service"], [8080], "1f90"],
    [["inet_proto", "inet_service"], ["tcp", 8080], "06000000 1f900000"],
    [["inet_proto", "inet_service"], ["sctp", 0], "84000000 00000000"],
    [["inet_proto", "inet_service"], [253, 65_535], "fd000000 ffff0000"],
    [["ipv4_addr", "inet_service"], ["10.9.0.2", 80], "0a090002 00500000"],
    [["ipv6_addr"], ["fd00:9::2"], "fd000009 00000000 00000000 00000002"],
    [["ifname", "ether_addr"], ["cni0", "02:00:00:00:00:01"], `636e6930${"00".repeat(12)} 02000000 00010000`],
    [["ifname"], ["1-2"], `312d32${"00".repeat(13)}`],
    [["ifname"], ["é"], `c3a9${"00".repeat(14)}`],
  ];
  test.each(keys)("writeKey(%p, %p) is %s, and readKey() gives the words back", (types, words, hex) => {
    const key = writeKey(types, words);
    expect(key.toHex()).toBe(hex.replaceAll(" ", ""));
    expect(readKey(types, key)).toEqual([...words]);
  });

  test("writeKey() gives the first port of a range, and its last", () => {
    const types = ["inet_proto", "inet_service"] as const;
    const [first, last] = [false, true].map((end) => writeKey(types, ["udp", "8000-8010"], { end }));
    expect([first, last].map((key) => key?.toHex())).toEqual(["110000001f400000", "110000001f4a0000"]);
    expect(readKey(types, first as Uint8Array, last)).toEqual(["udp", "8000-8010"]);
  });

  const wrong: readonly (readonly [readonly TypeName[], readonly Word[], message: string])[] = [
    [["inet_service"], [65_536], 'Cannot use "65536" as a number from 0 to 65535'],
    [["inet_service"], [-1], 'Cannot use "-1" as a number from 0 to 65535'],
    [["inet_service"], ["http"], 'Cannot use "http" as a number from 0 to 65535'],
    [["inet_service"], ["1-"], 'Cannot use "" as a number from 0 to 65535'],
    [["inet_service"], [""], 'Cannot use "" as a number from 0 to 65535'],
    [["inet_proto"], ["icmp"], 'Cannot use "icmp" as a number from 0 to 255'],
    [["inet_proto"], ["constructor"], 'Cannot use "constructor" as a number from 0 to 255'],
    [["ipv4_addr"], ["fd00::1"], 'Cannot use "fd00::1" as ipv4_addr'],
    [["ipv6_addr", "inet_service"], ["10.0.0.1", 1], 'Cannot use "10.0.0.1" as ipv6_addr'],
    [["ifname"], ["sixteen-letters-"], 'Cannot encode "sixteen-letters-" as the name of an interface'],
    [["ifname"], ["ééééééé12"], 'Cannot encode "ééééééé12" as the name of an interface'],
    [["ifname"], [""], 'Cannot encode "" as the name of an interface'],
    [["ifname", "ipv4_addr"], ["cni0"], "Cannot use 1 words as a key of ifname,ipv4_addr"],
    [["ifname"], ["cni0", "cni1"], "Cannot use 2 words as a key of ifname"],
  ];
  test.each(wrong)("writeKey(%p, %p) is refused: %s", (types, words, message) => {
    // of a range, the last as well
    expect(() => [false, true].map((end) => writeKey(types, words, { end }))).toThrow(
      new RangeError(message),
    );
  });

  test("writeKey() refuses an address, or a MAC, that is none", () => {
    expect(() => writeKey(["ipv4_addr"], ["10.9.0"])).toThrow(SyntaxError);
    expect(() => writeKey(["ether_addr"], ["02:00"])).toThrow(SyntaxError);
  });
});

test("typeNumber() has six bits for each part, and typeBytes() a multiple of four where there are several", () => {
  expect(typeNumber(["inet_proto"])).toBe(12);
  expect(typeNumber(["inet_proto", "inet_service"])).toBe((12 << 6) | 13);
  expect([typeBytes(["inet_proto"]), typeBytes(["inet_proto", "inet_service"])]).toEqual([1, 8]);
});

describe("comments", () => {
  test("writeComment() is u8 type, u8 length with the NUL, text, NUL; readComment() reads it", () => {
    expect(writeComment("né").toHex()).toBe("00046ec3a900");
    for (const text of ["", "a", "net/c1/eth0", "x".repeat(COMMENT_MAX)]) {
      expect(readComment(writeComment(text))).toBe(text);
    }
  });

  test("writeComment() refuses what nft would not load again", () => {
    expect(() => writeComment("x".repeat(129))).toThrow(new RangeError("Cannot keep a comment of 129 bytes"));
    expect(() => writeComment("é".repeat(65))).toThrow(new RangeError("Cannot keep a comment of 130 bytes"));
  });

  test.each([
    ["nothing", ""],
    ["one byte", "00"],
    ["a comment without a length", "0000"],
    ["another type alone", "0104aabbccdd"],
  ])("readComment() of %s is empty", (_what, hex) => {
    expect(readComment(Uint8Array.fromHex(hex))).toBe("");
    expect(readComment(undefined)).toBe("");
  });

  test("readComment() finds it behind what other programs keep there, and takes one that was cut", () => {
    expect(readComment(Uint8Array.fromHex("0104aabbccdd0003686900"))).toBe("hi");
    expect(readComment(Uint8Array.fromHex("00ff6869"))).toBe("hi");
  });
});

describe("hostile bytes", () => {
  const refusals = [RangeError];
  fuzzTest(
    { name: "readComment()", decode: readComment, samples: [writeComment("net/c1/eth0")], refusals },
    FUZZ_CASES,
  );
  for (const type of Object.keys(TYPES) as TypeName[]) {
    const types = ["inet_proto", type] as const;
    const samples = [new Uint8Array(typeBytes(types)).fill(0x61)];
    const name = `readKey() of ${types.join(" . ")}`;
    fuzzTest({ name, decode: (bytes) => readKey(types, bytes), samples, refusals }, FUZZ_CASES);
  }
});
