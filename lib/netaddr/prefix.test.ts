import { expect, test } from "bun:test";
import fc from "fast-check";
import { Address4, Address6 } from "ip-address";
import { type Address, addressBits, formatAddress, parseAddress } from "./address.ts";
import { anyAddress, anyPrefix, prefixAndAddress } from "./arbitrary.ts";
import {
  containsAddress,
  firstAddress,
  formatPrefix,
  hostPrefix,
  lastAddress,
  networkOf,
  type Prefix,
  parsePrefix,
  prefixesOverlap,
  samePrefix,
} from "./prefix.ts";

/** Of `ip, network, _ := net.ParseCIDR(text)`: net.IPNet{ip, network.Mask}, and network, both printed. */
const READ_BY_GO: Record<string, [prefix: string, network: string]> = {
  "10.0.0.5/24": ["10.0.0.5/24", "10.0.0.0/24"],
  "10.0.0.5/0": ["10.0.0.5/0", "0.0.0.0/0"],
  "10.0.0.5/32": ["10.0.0.5/32", "10.0.0.5/32"],
  "10.0.0.5/024": ["10.0.0.5/24", "10.0.0.0/24"],
  "10.0.0.5/00000024": ["10.0.0.5/24", "10.0.0.0/24"],
  "2001:db8::5/64": ["2001:db8::5/64", "2001:db8::/64"],
  "2001:db8::5/128": ["2001:db8::5/128", "2001:db8::5/128"],
  "::/0": ["::/0", "::/0"],
  "::10.0.0.5/120": ["::a00:5/120", "::a00:0/120"],
  "::ffff:10.0.0.5/96": ["10.0.0.5/0", "0.0.0.0/0"],
  "::ffff:10.0.0.5/120": ["10.0.0.5/24", "10.0.0.0/24"],
  "::ffff:a00:5/128": ["10.0.0.5/32", "10.0.0.5/32"],
};

for (const [text, [prefix, network]] of Object.entries(READ_BY_GO)) {
  test(`parsePrefix() reads "${text}" as ${prefix} in ${network}, as Go does`, () => {
    expect(formatPrefix(parsePrefix(text))).toBe(prefix);
    expect(formatPrefix(networkOf(parsePrefix(text)))).toBe(network);
  });
}

const REFUSED: Record<string, string> = {
  "": 'Cannot parse "" as a prefix: no prefix length',
  "10.0.0.0": 'Cannot parse "10.0.0.0" as a prefix: no prefix length',
  "10.0.0.0/33": 'Cannot parse "10.0.0.0/33" as a prefix: prefix length above 32',
  "2001:db8::/129": 'Cannot parse "2001:db8::/129" as a prefix: prefix length above 128',
  "::ffff:10.0.0.0/129": 'Cannot parse "::ffff:10.0.0.0/129" as a prefix: prefix length above 128',
  "::ffff:10.0.0.0/95":
    'Cannot parse "::ffff:10.0.0.0/95" as a prefix: prefix length below 96, but IPv4-mapped',
  "10.0.0.0/99999999999999999999": "prefix length above 32",
  "10.0.0.0/": "the prefix length is not a decimal number",
  "10.0.0/24": 'Cannot parse "10.0.0" as an address: ',
  "/24": 'Cannot parse "" as an address: ',
  "/": 'Cannot parse "" as an address: ',
  "010.0.0.0/24": 'Cannot parse "010.0.0.0" as an address: ',
  "fe80::1%eth0/64": 'Cannot parse "fe80::1%eth0" as an address: ',
};

for (const [text, message] of Object.entries(REFUSED)) {
  test(`parsePrefix() refuses "${text}": ${message}`, () => {
    expect(() => parsePrefix(text)).toThrow(message);
    expect(() => parsePrefix(text)).toThrow(SyntaxError);
  });
}

test("parsePrefix() takes nothing but digits as the length", () => {
  for (const length of "+24|-1|-0| 24|24 |24\n|24\0|24/8|0x18|2e1|24.0|255.255.255.0|٢٤|２４|24_".split(
    "|",
  )) {
    expect(() => parsePrefix(`10.0.0.0/${length}`)).toThrow("the prefix length is not a decimal number");
  }
  expect(() => parsePrefix(`10.0.0.0/${"9".repeat(500_000)}`)).toThrow(
    /^Cannot parse .{66,70} as a prefix: prefix length/,
  );
  expect(() => parsePrefix(`${"/".repeat(500_000)}24`)).toThrow(SyntaxError);
});

test("formatPrefix() is read back by parsePrefix(), host bits and all", () => {
  fc.assert(
    fc.property(anyPrefix, (prefix) => {
      fc.pre(prefix.address.family === 4 || prefix.address.value >> 32n !== 0xffffn);
      expect(parsePrefix(formatPrefix(prefix))).toEqual(prefix);
    }),
  );
});

test("firstAddress() and lastAddress() are those of ip-address, and of BigInt arithmetic", () => {
  fc.assert(
    fc.property(anyPrefix, (prefix) => {
      const { family, value } = prefix.address;
      const size = 2n ** BigInt(addressBits(family) - prefix.length);
      expect(firstAddress(prefix)).toEqual({ family, value: value - (value % size) });
      expect(lastAddress(prefix)).toEqual({ family, value: value - (value % size) + size - 1n });
      const oracle = family === 4 ? new Address4(formatPrefix(prefix)) : new Address6(formatPrefix(prefix));
      expect(firstAddress(prefix).value).toBe(oracle.startAddress().bigInt());
      expect(lastAddress(prefix).value).toBe(oracle.endAddress().bigInt());
    }),
  );
  expect(formatAddress(lastAddress(parsePrefix("10.1.2.3/22")))).toBe("10.1.3.255");
});

test("networkOf() clears the host bits once and for all", () => {
  fc.assert(
    fc.property(anyPrefix, (prefix) => {
      expect(networkOf(prefix)).toEqual({ address: firstAddress(prefix), length: prefix.length });
      expect(networkOf(networkOf(prefix))).toEqual(networkOf(prefix));
    }),
  );
});

test("containsAddress() is being between firstAddress() and lastAddress()", () => {
  fc.assert(
    fc.property(prefixAndAddress, ({ prefix, address }) => {
      const isBetween =
        firstAddress(prefix).value <= address.value && address.value <= lastAddress(prefix).value;
      expect(containsAddress(prefix, address)).toBe(prefix.address.family === address.family && isBetween);
    }),
  );
  expect(containsAddress(parsePrefix("::/0"), parseAddress("10.0.0.1"))).toBe(false);
  expect(containsAddress(parsePrefix("0.0.0.0/0"), parseAddress("::1"))).toBe(false);
});

test("prefixesOverlap() is true exactly when one contains an end of the other", () => {
  const twoPrefixes = fc.tuple(prefixAndAddress, fc.nat(128)).map(([{ prefix, address }, length]) => ({
    a: prefix,
    b: { address, length: Math.min(length, addressBits(address.family)) },
  }));
  fc.assert(
    fc.property(twoPrefixes, ({ a, b }) => {
      const expected = hasEndOf(a, b) || hasEndOf(b, a);
      expect(prefixesOverlap(a, b)).toBe(expected);
      expect(prefixesOverlap(b, a)).toBe(expected);
    }),
  );
  expect(prefixesOverlap(parsePrefix("10.0.0.0/8"), parsePrefix("10.255.0.0/16"))).toBe(true);
  expect(prefixesOverlap(parsePrefix("10.0.0.0/24"), parsePrefix("10.0.1.0/24"))).toBe(false);
  expect(prefixesOverlap(parsePrefix("0.0.0.0/0"), parsePrefix("::/0"))).toBe(false);
});

test("samePrefix() minds the host bits, the length and the family", () => {
  const same = (a: string, b: string) => samePrefix(parsePrefix(a), parsePrefix(b));
  expect(same("10.0.0.5/24", "::ffff:10.0.0.5/120")).toBe(true);
  expect(same("10.0.0.5/24", "10.0.0.0/24")).toBe(false);
  expect(same("10.0.0.0/24", "10.0.0.0/25")).toBe(false);
  expect(same("0.0.0.0/0", "::/0")).toBe(false);
});

test("hostPrefix() holds its address and no other", () => {
  fc.assert(
    fc.property(anyAddress, (address) => {
      expect(firstAddress(hostPrefix(address))).toEqual(address);
      expect(lastAddress(hostPrefix(address))).toEqual(address);
    }),
  );
  expect(formatPrefix(hostPrefix(parseAddress("10.0.0.1")))).toBe("10.0.0.1/32");
  expect(formatPrefix(hostPrefix(parseAddress("::1")))).toBe("::1/128");
});

test("firstAddress() and all that rest on the length throw RangeError for one outside the family", () => {
  const address: Address = parseAddress("10.0.0.1");
  for (const length of [-1, 33, 128, 0.5, Number.NaN]) {
    const prefix: Prefix = { address, length };
    expect(() => firstAddress(prefix)).toThrow(RangeError);
    expect(() => lastAddress(prefix)).toThrow(RangeError);
    expect(() => containsAddress(prefix, address)).toThrow(RangeError);
  }
});

function hasEndOf(a: Prefix, b: Prefix): boolean {
  return containsAddress(a, firstAddress(b)) || containsAddress(a, lastAddress(b));
}
