import { expect, test } from "bun:test";
import fc from "fast-check";
import { formatMac, isUnicastMac } from "../netaddr/mac.ts";
import { parsePrefix } from "../netaddr/prefix.ts";
import { bridgeMac, containerMac } from "./mac.ts";

const macOf = (...texts: string[]) => {
  const mac = containerMac(texts.map((text) => ({ address: parsePrefix(text) })));
  return mac && formatMac(mac);
};

test("containerMac() says the first IPv4 address, wherever it stands", () => {
  expect(macOf("10.42.1.9/16")).toBe("02:42:0a:2a:01:09");
  expect(macOf("fd42::9/64", "10.42.1.9/16", "10.43.0.1/16")).toBe("02:42:0a:2a:01:09");
  expect(macOf()).toBeUndefined();
});

test("containerMac() of IPv6 is another for another address, and the same again", () => {
  const macs = Array.from({ length: 20_000 }, (_, index) => macOf(`fd42::${(index + 1).toString(16)}/64`));
  expect(new Set(macs).size).toBe(macs.length);
  expect(macOf("fd42::1/64")).toBe(macs[0]);
});

test("bridgeMac() can be an interface's, and is that of network and VNI", () => {
  fc.assert(
    fc.property(fc.string(), fc.integer({ min: 1, max: 16_777_215 }), (network, vni) => {
      const mac = bridgeMac(network, vni);
      expect([isUnicastMac(mac), mac.length, (mac[0] ?? 0) & 2]).toEqual([true, 6, 2]);
      expect(bridgeMac(network, vni)).toEqual(mac);
    }),
  );
  expect(formatMac(bridgeMac("blue", 42))).not.toBe(formatMac(bridgeMac("blue", 43)));
});
