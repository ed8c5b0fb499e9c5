import { expect, test } from "bun:test";
import fc from "fast-check";
import { addressBytes, isLinkLocal } from "./address.ts";
import { linkLocalOfMac, randomLinkLocal } from "./link-local.ts";
import { parseMac } from "./mac.ts";
import { formatPrefix } from "./prefix.ts";

test.each([
  ["34-56-78-9a-bc-de", "fe80::3656:78ff:fe9a:bcde/64"], // RFC 2464 §4
  ["00:00:5e:00:53:01", "fe80::200:5eff:fe00:5301/64"], // universal: the bit is set
  ["02:00:5e:00:53:01", "fe80::5eff:fe00:5301/64"], // local: it is cleared
  ["ff:ff:ff:ff:ff:ff", "fe80::fdff:ffff:feff:ffff/64"],
])("linkLocalOfMac() puts ff:fe in the middle of %s, and turns one bit over: %s", (mac, expected) => {
  expect(formatPrefix(linkLocalOfMac(parseMac(mac)))).toBe(expected);
});

test("linkLocalOfMac() keeps all of a MAC but one bit: no two have the same address", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 6, maxLength: 6 }), (mac) => {
      const { address, length } = linkLocalOfMac(mac);
      expect([isLinkLocal(address), length]).toEqual([true, 64]);
      const [a = 0, b = 0, c = 0, ff, fe, ...rest] = addressBytes(address).subarray(8);
      expect([ff, fe]).toEqual([0xff, 0xfe]);
      expect([a ^ 2, b, c, ...rest]).toEqual([...mac]);
    }),
  );
});

test("randomLinkLocal() is another each time, and all of its 64 bits vary", () => {
  const drawn = Array.from({ length: 100 }, () => randomLinkLocal());
  expect(new Set(drawn.map(formatPrefix)).size).toBe(100);
  const identifiers = drawn.map(({ address }) => BigInt.asUintN(64, address.value));
  const everSet = identifiers.reduce((all, each) => all | each, 0n);
  const everClear = identifiers.reduce((all, each) => all | ~each, 0n);
  expect([everSet, BigInt.asUintN(64, everClear)]).toEqual([0xffff_ffff_ffff_ffffn, 0xffff_ffff_ffff_ffffn]);
  for (const { address, length } of drawn) {
    expect([address.value >> 64n, length]).toEqual([0xfe80n << 48n, 64]);
  }
});
