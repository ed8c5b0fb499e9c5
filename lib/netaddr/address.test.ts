import { expect, test } from "bun:test";
import fc from "fast-check";
import { Address4, Address6 } from "ip-address";
import {
  type Address,
  addressBytes,
  addressFromBytes,
  compareAddresses,
  formatAddress,
  isLinkLocal,
  isLoopback,
  isMulticast,
  isUnspecified,
  offsetAddress,
  parseAddress,
  sameAddress,
} from "./address.ts";
import { anyAddress, ipv4Address, ipv6Address, ipv6Spelling } from "./arbitrary.ts";

/** What `fmt.Println(net.ParseIP(text))` prints. */
const READ_BY_GO = {
  "0.0.0.0": "0.0.0.0",
  "10.0.0.1": "10.0.0.1",
  "255.255.255.255": "255.255.255.255",
  "::": "::",
  "::1": "::1",
  "1::": "1::",
  "1:2:3:4:5:6:7:8": "1:2:3:4:5:6:7:8",
  "1:2:3:4:5:6:7::": "1:2:3:4:5:6:7:0",
  "::2:3:4:5:6:7:8": "0:2:3:4:5:6:7:8",
  "2001:DB8::A": "2001:db8::a",
  "2001:0db8:0000::0001": "2001:db8::1",
  "2001:db8:0:0:1:0:0:1": "2001:db8::1:0:0:1", // the first of two runs
  "2001:0:0:1:0:0:0:1": "2001:0:0:1::1", // the longer of two runs
  "1:0:0:2:0:0:3:4": "1::2:0:0:3:4",
  "1:0:2:3:4:5:6:7": "1:0:2:3:4:5:6:7", // one zero is no run
  "0:0:1:0:0:0:0:0": "0:0:1::",
  "::ffff:192.0.2.1": "192.0.2.1",
  "::ffff:c000:201": "192.0.2.1",
  "0:0:0:0:0:FFFF:192.0.2.1": "192.0.2.1",
  "::192.0.2.1": "::c000:201",
  "64:ff9b::192.0.2.1": "64:ff9b::c000:201",
  "1:2:3:4:5:6:192.0.2.1": "1:2:3:4:5:6:c000:201",
};

const REFUSED_BY_GO = [
  ..."1 . hello 256.0.0.1 1.2.3 1.2.3.4.5 01.2.3.4 1.2.3.00 1..3.4 1.2.3. .1.2.3 10.1 167772161".split(" "),
  ..."0x7f.0.0.1 +1.2.3.4 -1.2.3.4 1.2.3.-0 1.2.3.1e1 1.2.3.4/32 1.2.3.4%eth0 192.0.2.1:80".split(" "),
  ...": ::: :::: 1:::2 1::2::3 1:2:3:4::5:6:7:8 1:2:3:4:5:6:7 1:2:3:4:5:6:7:8:9 1:2:3:4:5:6:7:8::".split(" "),
  ...":1:2:3:4:5:6:7 1:2:3:4:5:6:7: ::00001 ::10000 ::g ::-1 ::0x1 [::1] fe80::1%eth0 fe80::1% %eth0".split(
    " ",
  ),
  ..."1:2:3:4:5:6:7:192.0.2.1 1:2:3:4:5:192.0.2.1 ::192.0.2.1:1 192.0.2.1:: ::192.0.2 ::192.0.2.1.1".split(
    " ",
  ),
  ...["", " ", " 1.2.3.4", "1.2.3.4 ", "1.2. 3.4", "1.2.3.4\n", "1.2.3.4\0", "::192.0.2.01"],
  ...["\0::1", "::1\0", "::1\n", "\t::1", ":: 1", "\ufeff::1", "::\u212a", "::ſ", "::\ud800", "\ud83d\ude00"],
  ...["١.٢.٣.٤", "１.2.3.4", "1。2。3。4", "::１"],
];

test.each(Object.entries(READ_BY_GO))(
  "parseAddress() and formatAddress() turn %p into %p, as Go does",
  (text, printed) => {
    expect(formatAddress(parseAddress(text))).toBe(printed);
  },
);

test.each(REFUSED_BY_GO)("parseAddress() refuses %p, as Go does", (text) => {
  expect(() => parseAddress(text)).toThrow(SyntaxError);
});

test("parseAddress() says what it could not parse and why, on one short line", () => {
  expect(() => parseAddress("10.0.0.256\0")).toThrow(
    'Cannot parse "10.0.0.256\\u0000" as an address: not four numbers from 0 to 255 without leading zeros',
  );
  expect(() => parseAddress("fe80::1%eth0")).toThrow(
    'Cannot parse "fe80::1%eth0" as an address: not eight groups of 1 to 4 hex digits, or fewer and "::"',
  );
  for (const part of ["1", "1.", "1:", ":", "::", ".", "0", "1:2.", "\n", "٣"]) {
    expect(() => parseAddress(part.repeat(500_000))).toThrow(
      /^Cannot parse ".{64,128}…" as an address: not .{1,90}$/,
    );
  }
});

test("parseAddress() takes what ip-address takes, of texts that look like addresses", () => {
  const pieces = ": : : :: . 0 1 00 ffff FFFF 12345 10 255 256 1.2.3.4 192.0.2.1 g \n".split(" ");
  const text = fc.array(fc.constantFrom(...pieces), { maxLength: 17 }).map((chosen) => chosen.join(""));
  fc.assert(
    fc.property(text, (text) => {
      expect(canParse(text)).toBe(Address4.isValid(text) || Address6.isValid(text));
    }),
    { numRuns: 3000 },
  );
});

test("parseAddress() reads every spelling of an IPv6 address", () => {
  fc.assert(
    fc.property(ipv6Spelling, ({ text, value }) => {
      expect(new Address6(text).bigInt()).toBe(value);
      const isMapped = value >> 32n === 0xffffn;
      expect(parseAddress(text)).toEqual(
        isMapped ? { family: 4, value: value & 0xffffffffn } : { family: 6, value },
      );
    }),
  );
});

test("formatAddress() writes what ip-address writes, and parseAddress() reads it back", () => {
  fc.assert(
    fc.property(ipv4Address, (address) => {
      expect(formatAddress(address)).toBe(Address4.fromBigInt(address.value).correctForm());
      expect(parseAddress(formatAddress(address))).toEqual(address);
    }),
  );
  fc.assert(
    fc.property(ipv6Address, (address) => {
      fc.pre(address.value >> 32n !== 0xffffn);
      expect(formatAddress(address)).toBe(Address6.fromBigInt(address.value).correctForm());
      expect(parseAddress(formatAddress(address))).toEqual(address);
    }),
  );
});

test("formatAddress() writes an IPv6 address in ::ffff:0:0/96 as `ip` does", () => {
  expect(formatAddress({ family: 6, value: 0xffff_c000_0201n })).toBe("::ffff:192.0.2.1");
  expect(formatAddress({ family: 6, value: 0xffff_0000_0000n })).toBe("::ffff:0.0.0.0");
});

test("addressBytes() is in network order, and addressFromBytes() reads it back", () => {
  expect(addressBytes(parseAddress("192.0.2.1"))).toEqual(Uint8Array.of(192, 0, 2, 1));
  expect(addressBytes(parseAddress("2001:db8::1"))).toEqual(
    Uint8Array.of(0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1),
  );
  fc.assert(
    fc.property(anyAddress, (address) => {
      expect(addressFromBytes(addressBytes(address))).toEqual(address);
    }),
  );
});

test("addressFromBytes() reads a view into a larger buffer, and keeps sixteen bytes IPv6", () => {
  const message = Uint8Array.of(9, 9, 10, 0, 0, 1, 9, 9);
  expect(formatAddress(addressFromBytes(message.subarray(2, 6)))).toBe("10.0.0.1");
  expect(addressFromBytes(Uint8Array.fromHex("00000000000000000000ffffc0000201")).family).toBe(6);
});

test.each([0, 3, 5, 8, 15, 17])("addressFromBytes() refuses %d bytes", (length) => {
  expect(() => addressFromBytes(new Uint8Array(length))).toThrow(RangeError);
});

test("offsetAddress() adds within the family and throws RangeError outside it", () => {
  const offset = fc.oneof(
    fc.bigInt({ min: -(2n ** 128n), max: 2n ** 128n }),
    fc.bigInt({ min: -300n, max: 300n }),
  );
  fc.assert(
    fc.property(anyAddress, offset, (address, by) => {
      const value = address.value + by;
      if (value >= 0n && value < (address.family === 4 ? 2n ** 32n : 2n ** 128n)) {
        expect(offsetAddress(address, by)).toEqual({ family: address.family, value });
      } else {
        expect(() => offsetAddress(address, by)).toThrow(RangeError);
      }
    }),
  );
  expect(formatAddress(offsetAddress(parseAddress("10.0.0.255"), 1))).toBe("10.0.1.0");
  expect(() => offsetAddress(parseAddress("0.0.0.0"), -1)).toThrow(
    "Cannot offset 0.0.0.0 by -1: outside IPv4",
  );
  expect(() => offsetAddress(parseAddress("10.0.0.1"), 0.5)).toThrow(RangeError);
});

test("compareAddresses() sorts IPv4 before IPv6, then by value", () => {
  const texts = ["::", "10.0.0.2", "ff00::", "9.255.255.255", "::1", "255.255.255.255", "10.0.0.10"];
  expect(texts.map(parseAddress).sort(compareAddresses).map(formatAddress)).toEqual([
    "9.255.255.255",
    "10.0.0.2",
    "10.0.0.10",
    "255.255.255.255",
    "::",
    "::1",
    "ff00::",
  ]);
});

test("sameAddress() is compareAddresses() of zero", () => {
  fc.assert(
    fc.property(anyAddress, anyAddress, (a, b) => {
      expect(sameAddress(a, b)).toBe(compareAddresses(a, b) === 0);
      expect(Math.sign(compareAddresses(a, b))).toBe(-Math.sign(compareAddresses(b, a)) + 0);
      expect(sameAddress(a, { ...a })).toBe(true);
    }),
  );
  expect(sameAddress(parseAddress("0.0.0.1"), parseAddress("::1"))).toBe(false);
});

/** The first and the last of each class, then their neighbours outside. */
const CLASSES: [(address: Address) => boolean, inside: string, outside: string][] = [
  [isMulticast, "224.0.0.0 239.255.255.255 ff00:: ffff::1", "223.255.255.255 240.0.0.0 feff:ffff:: e000::"],
  [isLoopback, "127.0.0.0 127.255.255.255 ::1", "126.255.255.255 128.0.0.0 :: ::2 ::7f00:1"],
  [isUnspecified, "0.0.0.0 ::", "0.0.0.1 ::1"],
  [isLinkLocal, "169.254.0.0 169.254.255.255 fe80:: febf::1", "169.253.255.255 169.255.0.0 fe7f:: fec0::"],
];

for (const [predicate, inside, outside] of CLASSES) {
  test(`${predicate.name}() is true for ${inside}, and false for ${outside}`, () => {
    expect(inside.split(" ").map(parseAddress).filter(predicate).map(formatAddress)).toEqual(
      inside.split(" "),
    );
    expect(outside.split(" ").map(parseAddress).filter(predicate)).toEqual([]);
  });
}

function canParse(text: string): boolean {
  try {
    parseAddress(text);
    return true;
  } catch {
    return false;
  }
}
