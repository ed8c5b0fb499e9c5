/** What the property tests draw from: addresses with many zeros and ones in them, where the mistakes are. */
import fc from "fast-check";
import { type Address, addressBits } from "./address.ts";
import type { Prefix } from "./prefix.ts";

const ipv6Group = fc.oneof(fc.constantFrom(0, 0, 1, 0xffff), fc.nat(0xffff));
const ipv6Groups = fc.array(ipv6Group, { minLength: 8, maxLength: 8 });

export const ipv4Address: fc.Arbitrary<Address> = fc
  .oneof(fc.constantFrom(0, 0xffffffff), fc.nat(0xffffffff))
  .map((value) => ({ family: 4, value: BigInt(value) }));

export const ipv6Address: fc.Arbitrary<Address> = ipv6Groups.map((groups) => ({
  family: 6,
  value: joinGroups(groups),
}));

export const anyAddress = fc.oneof(ipv4Address, ipv6Address);

export const anyPrefix: fc.Arbitrary<Prefix> = anyAddress.chain((address) =>
  fc.nat(addressBits(address.family)).map((length) => ({ address, length })),
);

/** A prefix and an address that is in it about every other time. */
export const prefixAndAddress = fc
  .tuple(anyPrefix, anyAddress, fc.boolean())
  .map(([prefix, { family, value }, inside]) => {
    if (!inside) return { prefix, address: { family, value } };
    const host = BigInt(addressBits(prefix.address.family) - prefix.length);
    const near = ((prefix.address.value >> host) << host) | BigInt.asUintN(Number(host), value);
    return { prefix, address: { family: prefix.address.family, value: near } };
  });

/** One of the many ways to write an IPv6 address: upper case, leading zeros, "::", a dotted end. */
export const ipv6Spelling = fc
  .record({
    groups: ipv6Groups,
    width: fc.integer({ min: 1, max: 4 }),
    isUpper: fc.boolean(),
    isDotted: fc.boolean(),
    gapAt: fc.nat(7),
    gapLength: fc.nat(8),
  })
  .map(({ groups, width, isUpper, isDotted, gapAt, gapLength }) => {
    const gapEnd = Math.min(gapAt + gapLength, isDotted ? 6 : 8);
    groups.fill(0, gapAt, gapEnd);
    const fields = groups.map((group) => group.toString(16).padStart(width, "0"));
    const [high = 0, low = 0] = groups.slice(6);
    if (isDotted) fields.splice(6, 2, [high >> 8, high & 255, low >> 8, low & 255].join("."));
    const hasGap = gapEnd > gapAt;
    const text = hasGap
      ? `${fields.slice(0, gapAt).join(":")}::${fields.slice(gapEnd).join(":")}`
      : fields.join(":");
    return { text: isUpper ? text.toUpperCase() : text, value: joinGroups(groups) };
  });

function joinGroups(groups: number[]): bigint {
  return groups.reduce((value, group) => (value << 16n) | BigInt(group), 0n);
}
