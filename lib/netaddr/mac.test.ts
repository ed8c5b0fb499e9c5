import { expect, test } from "bun:test";
import fc from "fast-check";
import { formatMac, isUnicastMac, parseMac, randomMac } from "./mac.ts";

/** What `fmt.Println(net.ParseMAC(text))` prints; the last form in newer Go (golang/go issue 66682). */
const READ_BY_GO = {
  "02:00:5e:00:53:01": "02:00:5e:00:53:01",
  "02-00-5E-00-53-01": "02:00:5e:00:53:01",
  "0200.5e00.5301": "02:00:5e:00:53:01",
  "02005e005301": "02:00:5e:00:53:01",
  "00:00:00:00:00:00": "00:00:00:00:00:00",
  "FF:ff:FF:ff:FF:ff": "ff:ff:ff:ff:ff:ff",
};

const REFUSED_BY_GO = [
  ..."02:00-5e:00:53:01 02-00:5e-00:53-01 02:00:5e:00:53 02:00:5e:00:53:01: :02:00:5e:00:53:01".split(" "),
  ..."02:00:5e:00:53:1 2:0:5e:0:53:1 02:00:5e:00:53:0g 02:00:5e:00:53:+1 02::5e:00:53:01".split(" "),
  ..."0200:5e00:5301 0200-5e00-5301 0200.5e005301 02.00.5e.00.53.01 02005e00530 0x02005e0053".split(" "),
  ...[
    "",
    "02:00:5e:00:53:01\n",
    " 02:00:5e:00:53:01",
    "02:00:5e:00:53:01\0",
    "02:00:5e:00:53:٠١",
    "０２005e005301",
  ],
];

for (const [text, printed] of Object.entries(READ_BY_GO)) {
  test(`parseMac() reads "${text}" as ${printed}, as Go does`, () => {
    expect(formatMac(parseMac(text))).toBe(printed);
  });
}

for (const text of REFUSED_BY_GO) {
  test(`parseMac() refuses ${JSON.stringify(text)}, as Go does`, () => {
    expect(() => parseMac(text)).toThrow(SyntaxError);
  });
}

test("parseMac() refuses the eight and twenty bytes that Go also takes: no Ethernet device has them", () => {
  expect(() => parseMac("02:00:5e:10:00:00:00:01")).toThrow(
    'Cannot parse "02:00:5e:10:00:00:00:01" as a MAC address: not six bytes as "02:00:5e:00:53:01"',
  );
  expect(() => parseMac(`00${":00".repeat(19)}`)).toThrow(SyntaxError);
  expect(() => parseMac("00:".repeat(500_000))).toThrow(/^.{1,150}$/);
});

test("formatMac() is read back by parseMac(), in every spelling", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 6, maxLength: 6 }), (bytes) => {
      const text = formatMac(bytes);
      expect(text).toMatch(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/);
      for (const spelling of [
        text,
        text.toUpperCase(),
        text.replaceAll(":", "-"),
        text.replaceAll(":", ""),
      ]) {
        expect(parseMac(spelling)).toEqual(bytes);
      }
    }),
  );
});

test("formatMac() writes addresses of any length", () => {
  expect(formatMac(new Uint8Array(20).fill(0xfe))).toBe(`fe${":fe".repeat(19)}`); // InfiniBand
  expect(formatMac(Uint8Array.of(10))).toBe("0a");
  expect(formatMac(new Uint8Array())).toBe(""); // tun
});

test("randomMac() is unicast and locally administered, and another one each time", () => {
  const macs = Array.from({ length: 200 }, randomMac);
  expect(macs.every(([first = 0, ...rest]) => (first & 0b11) === 0b10 && rest.length === 5)).toBe(true);
  expect(new Set(macs.map(formatMac)).size).toBe(200);
});

test("isUnicastMac() refuses multicast, broadcast and all zeros", () => {
  const refused = ["01:00:5e:00:00:01", "33:33:00:00:00:01", "ff:ff:ff:ff:ff:ff", "00:00:00:00:00:00"];
  expect(refused.filter((text) => isUnicastMac(parseMac(text)))).toEqual([]);
  expect(isUnicastMac(parseMac("00:00:00:00:00:01"))).toBe(true);
});
