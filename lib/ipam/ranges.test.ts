import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { CniError } from "../cni/error.ts";
import { formatAddress, parseAddress } from "../netaddr/address.ts";
import { formatPrefix } from "../netaddr/prefix.ts";
import { candidatesAfter, formatRangeSet, parseRangeSets, type RangeKeys, type RangeSet } from "./ranges.ts";

const HOST_BITS = "Network has host bits set. For a subnet mask of length 16 the network address is 10.1.0.0";
const NONE = { ipRanges: [] };

function parse(...ranges: RangeKeys[][]): readonly RangeSet[] {
  return parseRangeSets({ cniVersion: "1.1.0", ipam: { ranges }, runtimeConfig: NONE });
}

function parseOne(keys: RangeKeys): RangeSet {
  const [set] = parse([keys]);
  if (!set) throw new Error("no set");
  return set;
}

function refusal(act: () => unknown): { code: number; msg: string; details: string } {
  try {
    act();
  } catch (error) {
    if (error instanceof CniError) return { code: error.code, msg: error.msg, details: error.details };
    throw error;
  }
  throw new Error("not refused");
}

function round(set: RangeSet, after?: string): string[] {
  const last = after === undefined ? undefined : parseAddress(after);
  return [...candidatesAfter(set, last)].map(({ address }) => formatAddress(address));
}

describe("parseRangeSets()", () => {
  test.each([
    ["10.1.2.0/24", "10.1.2.1-10.1.2.254", "10.1.2.1"],
    ["10.1.2.0/30", "10.1.2.1-10.1.2.2", "10.1.2.1"],
    ["fd00::/64", "fd00::1-fd00::ffff:ffff:ffff:ffff", "fd00::1"],
    ["fd00::/126", "fd00::1-fd00::3", "fd00::1"],
  ])(
    "parseRangeSets() takes all of %s but the network itself and an IPv4 broadcast address",
    (subnet, text, gateway) => {
      const set = parseOne({ subnet });
      expect(formatRangeSet(set)).toBe(text);
      expect(set.map((range) => [formatPrefix(range.subnet), formatAddress(range.gateway)])).toEqual([
        [subnet, gateway],
      ]);
    },
  );

  test("parseRangeSets() orders the runtime's sets, the one in ipam itself, ipam.ranges", () => {
    const sets = parseRangeSets({
      cniVersion: "1.1.0",
      ipam: { subnet: "10.2.0.0/24", rangeStart: "10.2.0.9", ranges: [[{ subnet: "10.3.0.0/24" }]] },
      runtimeConfig: { ipRanges: [[{ subnet: "10.0.0.0/24" }, { subnet: "10.1.0.0/24" }]] },
    });
    expect(sets.map(formatRangeSet)).toEqual([
      "10.0.0.1-10.0.0.254,10.1.0.1-10.1.0.254",
      "10.2.0.9-10.2.0.254",
      "10.3.0.1-10.3.0.254",
    ]);
  });

  const A = "ipam.ranges[0][0]";
  test.each<[sets: RangeKeys[][], msg: string, details: string]>([
    [[], "no IP ranges specified", 'set "ipam.ranges" or "ipam.subnet"'],
    [[[]], "invalid range set 0: empty range set", "give it a range"],
    [[[{ subnet: "10.0.0.0" }]], "invalid CIDR address: 10.0.0.0", `"${A}.subnet": Cannot parse`],
    [[[{ subnet: "10.0.0.0/33" }]], "invalid CIDR address: 10.0.0.0/33", "prefix length above 32"],
    [[[{ subnet: "10.0.0.0/8", gateway: "x" }]], "invalid IP address: x", `"${A}.gateway"`],
    [[[{ subnet: "10.0.0.4/31" }]], "invalid range set 0: Network 10.0.0.4/31 too small to allocate from", A],
    [[[{ subnet: "10.0.0.4/32" }]], "invalid range set 0: Network 10.0.0.4/32 too small to allocate from", A],
    [[[{ subnet: "fd00::/127" }]], "invalid range set 0: Network fd00::/127 too small to allocate from", A],
    [
      [[{ subnet: "10.0.0.0/24" }], [{ subnet: "10.1.2.3/16" }]],
      `invalid range set 1: ${HOST_BITS}`,
      'set "ipam.ranges[1][0].subnet" to "10.1.0.0/16"',
    ],
    [
      [[{ subnet: "10.0.0.0/24", rangeStart: "10.0.1.5" }]],
      "invalid range set 0: RangeStart 10.0.1.5 not in network 10.0.0.0/24",
      `"${A}.rangeStart" must be in`,
    ],
    [
      [[{ subnet: "10.0.0.0/24", rangeEnd: "fd00::5" }]],
      "invalid range set 0: RangeEnd fd00::5 not in network 10.0.0.0/24",
      `change "${A}.rangeEnd"`,
    ],
    [
      [[{ subnet: "10.0.0.0/24", rangeStart: "10.0.0.9", rangeEnd: "10.0.0.8" }]],
      "invalid range set 0: RangeStart 10.0.0.9 not in network 10.0.0.0/24",
      "not after",
    ],
    [
      [[{ subnet: "10.0.0.0/24", gateway: "fd00::1" }]],
      "invalid range set 0: gateway fd00::1 is not of the family of network 10.0.0.0/24",
      `change "${A}.gateway"`,
    ],
    [
      [[{ subnet: "10.0.0.0/24" }, { subnet: "fd00::/64" }]],
      "invalid range set 0: mixed address families",
      "a set of its own",
    ],
    [
      [
        [
          { subnet: "10.0.0.0/24", rangeEnd: "10.0.0.9" },
          { subnet: "10.0.0.0/24", rangeStart: "10.0.0.9" },
        ],
      ],
      "invalid range set 0: subnets 10.0.0.1-10.0.0.9 and 10.0.0.9-10.0.0.254 overlap",
      `"${A}" and "ipam.ranges[0][1]"`,
    ],
    [
      [[{ subnet: "10.0.0.0/24" }], [{ subnet: "10.1.0.0/24" }], [{ subnet: "10.0.0.0/16" }]],
      "range set 0 overlaps with 2",
      "10.0.0.1-10.0.0.254",
    ],
  ])("parseRangeSets() refuses %j", (sets, msg, details) => {
    const error = refusal(() => parse(...sets));
    expect(error).toMatchObject({ code: 7, msg });
    expect(error.details).toContain(details);
  });

  test("parseRangeSets() names the key of a range of the runtime, and of one in ipam itself", () => {
    const bad = { subnet: "x" };
    const runtimeConfig = { ipRanges: [[bad]] };
    const ofRuntime = () => parseRangeSets({ cniVersion: "1.1.0", ipam: { ranges: [] }, runtimeConfig });
    expect(refusal(ofRuntime).details).toContain('"runtimeConfig.ipRanges[0][0].subnet"');
    const inline = () =>
      parseRangeSets({ cniVersion: "1.1.0", ipam: { ...bad, ranges: [] }, runtimeConfig: NONE });
    expect(refusal(inline).details).toContain('"ipam.subnet"');
  });

  test("parseRangeSets() refuses a configuration without ipam", () => {
    expect(refusal(() => parseRangeSets({ cniVersion: "1.1.0", runtimeConfig: NONE }))).toMatchObject({
      code: 7,
      msg: "IPAM config missing 'ipam' key",
    });
  });

  test("parseRangeSets() gives versions before 0.3.0 one address of each family", () => {
    const v4 = [{ subnet: "10.0.0.0/24" }];
    const parseOld = (...ranges: RangeKeys[][]) =>
      parseRangeSets({ cniVersion: "0.2.0", ipam: { ranges }, runtimeConfig: NONE });
    expect(parseOld(v4, [{ subnet: "fd00::/64" }])).toHaveLength(2);
    expect(refusal(() => parseOld(v4, [{ subnet: "10.1.0.0/24" }]))).toMatchObject({
      code: 7,
      msg: "CNI version 0.2.0 does not support more than 1 address per family",
    });
  });
});

describe("candidatesAfter()", () => {
  test("candidatesAfter() passes over network, broadcast address and gateway of a range", () => {
    const all = {
      subnet: "10.0.0.8/29",
      rangeStart: "10.0.0.8",
      rangeEnd: "10.0.0.15",
      gateway: "10.0.0.12",
    };
    expect(round(parseOne(all)).join(" ")).toBe("10.0.0.9 10.0.0.10 10.0.0.11 10.0.0.13 10.0.0.14");
    const v6 = { subnet: "fd00::/126", rangeStart: "fd00::" };
    expect(round(parseOne(v6))).toEqual(["fd00::2", "fd00::3"]);
  });

  test("candidatesAfter() goes on behind the last address, through all ranges, and ends with it", () => {
    const [set = []] = parse([
      { subnet: "10.0.0.0/29", rangeStart: "10.0.0.3", rangeEnd: "10.0.0.4" },
      { subnet: "10.0.1.0/29", rangeStart: "10.0.1.5" },
    ]);
    expect(round(set, "10.0.1.5")).toEqual(["10.0.1.6", "10.0.0.3", "10.0.0.4", "10.0.1.5"]);
    expect(round(set, "10.0.9.9")).toEqual(["10.0.0.3", "10.0.0.4", "10.0.1.5", "10.0.1.6"]);
  });

  test("candidatesAfter() begins anywhere in a /64 at once", () => {
    const next = candidatesAfter(parseOne({ subnet: "fd00::/64" }), parseAddress("fd00::8000:0:0:5")).next()
      .value;
    expect(next && formatAddress(next.address)).toBe("fd00::8000:0:0:6");
  });

  test("candidatesAfter() gives of any IPv4 range what a list of its addresses does", () => {
    const host = fc.nat(15);
    fc.assert(
      fc.property(host, host, host, fc.option(host), (start, length, gateway, last) => {
        const at = (n: number) => `10.0.0.${16 + n}`;
        const end = Math.min(start + length, 15);
        const keys = {
          subnet: "10.0.0.16/28",
          rangeStart: at(start),
          rangeEnd: at(end),
          gateway: at(gateway),
        };
        const hosts = Array.from({ length: 16 }, (_, n) => n).filter((n) => n >= start && n <= end);
        const turn = last === null ? 0 : hosts.indexOf(last) + 1;
        const expected = [...hosts.slice(turn), ...hosts.slice(0, turn)].filter(
          (n) => n !== gateway && n !== 0 && n !== 15,
        );
        expect(round(parseOne(keys), last === null ? undefined : at(last))).toEqual(expected.map(at));
      }),
    );
  });
});
