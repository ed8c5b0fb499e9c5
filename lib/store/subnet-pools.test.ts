import { expect, test } from "bun:test";
import fc from "fast-check";
import { formatPrefix, type Prefix, parsePrefix, prefixesOverlap } from "../netaddr/prefix.ts";
import { freeSubnet, isOfPool, parsePools } from "./subnet-pools.ts";

function pool(subnet: string, hostLength: number) {
  const [parsed] = parsePools([{ subnet, hostLength }]);
  if (!parsed) throw new Error("no pool");
  return parsed;
}

const at = (place: bigint) => (below: bigint) => place % below;

test("freeSubnet() gives every subnet of a pool once, and then none", () => {
  for (const [subnet, hostLength] of [
    ["10.5.0.0/16", 20],
    ["fd00:5::/60", 64],
    ["10.5.0.0/24", 24],
  ] as const) {
    const small = pool(subnet, hostLength);
    const taken: Prefix[] = [];
    for (let free = freeSubnet(small, taken); free; free = freeSubnet(small, taken)) {
      expect(isOfPool(small, free)).toBe(true);
      expect(taken.some((other) => prefixesOverlap(other, free))).toBe(false);
      taken.push(free);
    }
    expect(taken.length).toBe(2 ** (hostLength - small.network.length));
  }
});

test("freeSubnet() goes on after what others take, of whatever length, and around the end", () => {
  const some = pool("10.5.0.0/16", 24);
  const free = (place: bigint, ...taken: string[]) => {
    const subnet = freeSubnet(some, taken.map(parsePrefix), at(place));
    return subnet && formatPrefix(subnet);
  };
  expect(free(3n)).toBe("10.5.3.0/24");
  expect(free(3n, "10.5.3.0/24", "10.5.4.0/22")).toBe("10.5.8.0/24");
  expect(free(3n, "10.5.3.7/32")).toBe("10.5.4.0/24");
  expect(free(255n, "10.5.255.0/24", "10.5.0.0/24")).toBe("10.5.1.0/24");
  expect(free(9n, "10.5.0.0/17", "10.5.128.0/17")).toBeUndefined();
  expect(free(9n, "10.0.0.0/8")).toBeUndefined();
  expect(free(9n, "10.6.9.0/24", "fd00::/8")).toBe("10.5.9.0/24");
});

test("freeSubnet() never overlaps what is taken, and says there is none only where that is so", () => {
  const taken = fc.array(
    fc.record({ place: fc.nat(31), length: fc.integer({ min: 22, max: 29 }) }).map(({ place, length }) => ({
      address: { family: 4 as const, value: BigInt(0x0a050000 + place * 256) },
      length,
    })),
    { maxLength: 12 },
  );
  fc.assert(
    fc.property(taken, fc.bigInt({ min: 0n, max: 15n }), (others, start) => {
      const some = pool("10.5.0.0/20", 24);
      const free = freeSubnet(some, others, at(start));
      const isFree = (place: number) =>
        !others.some((other) => prefixesOverlap(other, parsePrefix(`10.5.${place}.0/24`)));
      if (free) expect(others.some((other) => prefixesOverlap(other, free))).toBe(false);
      expect(free !== undefined).toBe([...Array(16).keys()].some(isFree));
    }),
  );
});

test.each([
  [[], '"mode": "routed" needs "subnets"'],
  [[{ subnet: "10.5.0.0", hostLength: 24 }], 'invalid "subnets[0].subnet": 10.5.0.0'],
  [[{ subnet: "10.5.1.0/16", hostLength: 24 }], "10.5.1.0/16 has host bits set"],
  ...["127.0.0.0/8", "0.0.0.0/0", "224.0.0.0/8", "fe80::/16", "ff00::/8", "::/0"].map(
    (subnet): [{ subnet: string; hostLength: number }[], string] => [
      [{ subnet, hostLength: 20 }],
      `invalid "subnets[0].subnet": ${subnet}`,
    ],
  ),
  [[{ subnet: "10.5.0.0/16", hostLength: 15 }], 'invalid "subnets[0].hostLength": 15'],
  [[{ subnet: "10.5.0.0/16", hostLength: 31 }], "can have lengths from 16 to 30"],
  [[{ subnet: "fd00::/48", hostLength: 127 }], "can have lengths from 48 to 126"],
  [
    [
      { subnet: "10.5.0.0/16", hostLength: 24 },
      { subnet: "fd00::/48", hostLength: 64 },
      { subnet: "10.0.0.0/8", hostLength: 24 },
    ],
    '"subnets[0]" and "subnets[2]" overlap',
  ],
])("parsePools() refuses %j", (subnets, words) => {
  expect(() => parsePools(subnets)).toThrow(words);
});
