import { expect, test } from "bun:test";
import fc from "fast-check";
import { parseAddress } from "../netaddr/address.ts";
import { parsePrefix } from "../netaddr/prefix.ts";
import { formatResult, parsePrevResult, parseResult, type Result } from "./result.ts";
import { ALL_VERSIONS } from "./version.ts";

/** Everything a result can say. */
const RESULT: Result = {
  interfaces: [
    { name: "cni0", mac: "02:00:00:00:00:01", mtu: 1500 },
    {
      name: "eth0",
      mac: "02:00:00:00:00:02",
      mtu: 1450,
      sandbox: "/run/netns/a",
      socketPath: "/s",
      pciID: "0:1",
    },
  ],
  ips: [
    { interface: 1, address: parsePrefix("10.1.0.5/16"), gateway: parseAddress("10.1.0.1") },
    { interface: 1, address: parsePrefix("2001:db8::5/64"), gateway: parseAddress("2001:db8::1") },
    { interface: 1, address: parsePrefix("10.2.0.5/16") },
  ],
  routes: [
    { dst: parsePrefix("0.0.0.0/0") },
    {
      dst: parsePrefix("10.9.0.0/16"),
      gw: parseAddress("10.1.0.9"),
      mtu: 1400,
      advmss: 1360,
      priority: 7,
      table: 0,
      scope: 253,
    },
    { dst: parsePrefix("::/0"), gw: parseAddress("2001:db8::1") },
  ],
  dns: { nameservers: ["10.1.0.1"], domain: "example.net", search: ["a", "b"], options: ["ndots:5"] },
};

const ROUTES = [
  { dst: "0.0.0.0/0" },
  { dst: "10.9.0.0/16", gw: "10.1.0.9", mtu: 1400, advmss: 1360, priority: 7, table: 0, scope: 253 },
  { dst: "::/0", gw: "2001:db8::1" },
];

const JSON_100 = {
  interfaces: [
    { name: "cni0", mac: "02:00:00:00:00:01", mtu: 1500 },
    {
      name: "eth0",
      mac: "02:00:00:00:00:02",
      mtu: 1450,
      sandbox: "/run/netns/a",
      socketPath: "/s",
      pciID: "0:1",
    },
  ],
  ips: [
    { interface: 1, address: "10.1.0.5/16", gateway: "10.1.0.1" },
    { interface: 1, address: "2001:db8::5/64", gateway: "2001:db8::1" },
    { interface: 1, address: "10.2.0.5/16" },
  ],
  routes: ROUTES,
  dns: RESULT.dns,
};

const JSON_040 = {
  interfaces: [
    { name: "cni0", mac: "02:00:00:00:00:01" },
    { name: "eth0", mac: "02:00:00:00:00:02", sandbox: "/run/netns/a" },
  ],
  ips: [
    { version: "4", interface: 1, address: "10.1.0.5/16", gateway: "10.1.0.1" },
    { version: "6", interface: 1, address: "2001:db8::5/64", gateway: "2001:db8::1" },
    { version: "4", interface: 1, address: "10.2.0.5/16" },
  ],
  routes: ROUTES,
  dns: RESULT.dns,
};

const JSON_020 = {
  ip4: {
    ip: "10.1.0.5/16",
    gateway: "10.1.0.1",
    routes: [{ dst: "0.0.0.0/0" }, { dst: "10.9.0.0/16", gw: "10.1.0.9" }],
  },
  ip6: { ip: "2001:db8::5/64", gateway: "2001:db8::1", routes: [{ dst: "::/0", gw: "2001:db8::1" }] },
  dns: RESULT.dns,
};

const SHAPES: readonly (readonly [version: string, shape: object])[] = [
  ["0.1.0", JSON_020],
  ["0.2.0", JSON_020],
  ["0.3.0", JSON_040],
  ["0.3.1", JSON_040],
  ["0.4.0", JSON_040],
  ["1.0.0", JSON_100],
  ["1.1.0", JSON_100],
];

test.each(SHAPES)(
  "formatResult() writes version %s, its keys in the order of the specification",
  (cniVersion, shape) => {
    expect(formatResult(RESULT, cniVersion)).toBe(JSON.stringify({ cniVersion, ...shape }, null, 4));
  },
);

test.each(SHAPES)(
  "parseResult() reads version %s, in a configuration of any version",
  (cniVersion, shape) => {
    for (const configVersion of ALL_VERSIONS) {
      const result = parseResult({ cniVersion, ...shape }, configVersion);
      expect(JSON.parse(formatResult(result, cniVersion))).toEqual({ cniVersion, ...shape });
    }
  },
);

test("parseResult() reads addresses into their types and drops what only an old shape says", () => {
  expect(parseResult({ cniVersion: "1.1.0", ...JSON_100 }, "1.1.0")).toEqual({
    cniVersion: "1.1.0",
    ...RESULT,
  });
  const { ips, routes, dns } = RESULT;
  const interfaces = JSON_040.interfaces;
  expect(parseResult(JSON_040, "0.4.0")).toEqual({ interfaces, ips, routes, dns });
});

test("parseResult() takes a result that does not say its version for one of the configuration's", () => {
  const ips = [{ address: parsePrefix("10.1.0.5/16") }];
  expect(parseResult({ ip4: { ip: "10.1.0.5/16" } }, "0.1.0").ips).toEqual(ips);
  expect(parseResult({ cniVersion: "", ips: [{ version: "4", address: "10.1.0.5/16" }] }, "0.3.1")).toEqual({
    ips,
  });
  expect(parseResult({ ips: [{ address: "10.1.0.5/16" }] }, "1.1.0")).toEqual({ ips });
});

test("formatResult() leaves out what is empty, except dns before 1.0.0", () => {
  const empty: Result = { interfaces: [], ips: [], routes: [], dns: { nameservers: [], domain: "" } };
  for (const version of ["1.0.0", "1.1.0"]) {
    expect(JSON.parse(formatResult(empty, version))).toEqual({ cniVersion: version });
    expect(JSON.parse(formatResult({}, version))).toEqual({ cniVersion: version });
  }
  for (const version of ["0.3.0", "0.3.1", "0.4.0"]) {
    expect(JSON.parse(formatResult(empty, version))).toEqual({ cniVersion: version, dns: {} });
    expect(JSON.parse(formatResult({}, version))).toEqual({ cniVersion: version, dns: {} });
  }
  const ips = [{ address: parsePrefix("10.1.0.5/16") }];
  expect(JSON.parse(formatResult({ ips }, "0.2.0"))).toEqual({
    cniVersion: "0.2.0",
    ip4: { ip: "10.1.0.5/16" },
    dns: {},
  });
});

test("formatResult() cannot say a result without addresses in 0.2.0", () => {
  const routes = [{ dst: parsePrefix("0.0.0.0/0") }];
  expect(() => formatResult({ routes }, "0.2.0")).toThrow("cannot convert: no valid IP addresses");
});

test("parseResult() takes null, empty text and a zero that means unset for absent", () => {
  const json = {
    interfaces: [{ name: "", mac: "", mtu: 0 }],
    ips: [{ address: "10.1.0.5/16", gateway: null, interface: 0 }],
    routes: [{ dst: "0.0.0.0/0", gw: "", mtu: 0, advmss: 0, priority: 0, table: 0, scope: null }],
    dns: null,
  };
  expect(parseResult(json, "1.1.0")).toEqual({
    interfaces: [{ name: "" }],
    ips: [{ address: parsePrefix("10.1.0.5/16"), interface: 0 }],
    routes: [{ dst: parsePrefix("0.0.0.0/0"), table: 0 }],
  });
});

test.each(["0.4.0", "1.1.0"])("parseResult() keeps keys of %s that nobody here knows", (cniVersion) => {
  const json = {
    cniVersion,
    ips: [{ ...(cniVersion === "0.4.0" && { version: "4" }), address: "10.1.0.5/16", flags: ["a"] }],
    routes: [{ dst: "0.0.0.0/0", metric: { b: null } }],
    dns: { domain: "d", ttl: 5 },
    vendor: { x: 1 },
    ["__proto__"]: 1,
  };
  expect(JSON.parse(formatResult(parseResult(json, cniVersion), cniVersion))).toEqual(json);
});

test("parseResult() keeps unknown keys from 0.2.0 to 1.1.0", () => {
  const result = parseResult({ ip4: { ip: "10.1.0.5/16", label: "a" }, vendor: 1 }, "0.2.0");
  expect(JSON.parse(formatResult(result, "1.1.0"))).toEqual({
    cniVersion: "1.1.0",
    ips: [{ address: "10.1.0.5/16", label: "a" }],
    vendor: 1,
  });
});

test.each<[json: unknown, message: string]>([
  ["text", '"text" is not an object'],
  [[], "[] is not an object"],
  [undefined, "nothing is not an object"],
  [{ ips: {} }, "ips: {} is not a list"],
  [{ ips: [5] }, "ips[0]: 5 is not an object"],
  [{ ips: [{}] }, "ips[0].address: missing"],
  [{ ips: [{ address: 5 }] }, "ips[0].address: 5 is not a string"],
  [{ ips: [{ address: "10.0.0.0/33" }] }, 'ips[0].address: Cannot parse "10.0.0.0/33"'],
  [{ ips: [{ address: "10.0.0.1/8", interface: "0" }] }, 'ips[0].interface: "0" is not an integer'],
  [{ routes: [{ dst: "10.0.0.0/8", mtu: 1.5 }] }, "routes[0].mtu: 1.5 is not an integer"],
  [{ routes: [{ gw: "10.0.0.1" }] }, "routes[0].dst: missing"],
  [{ interfaces: [{}] }, "interfaces[0].name: missing"],
  [{ dns: { search: ["a", 1] } }, "dns.search[1]: 1 is not a string"],
  [{ cniVersion: "2.0.0" }, 'unsupported CNI result version "2.0.0"'],
  [{ vendor: "x", ips: ["y".repeat(300)] }, `"${"y".repeat(199)}… is not an object`],
])("parseResult() refuses %j by the name of the key", (json, message) => {
  expect(() => parseResult(json, "1.1.0")).toThrow(SyntaxError);
  expect(() => parseResult(json, "1.1.0")).toThrow(message);
});

test.each<[configVersion: string, version: string, family: string]>([
  ["0.4.0", "1.1.0", "0.3.0 0.3.1 0.4.0"],
  ["0.2.0", "0.3.0", "0.1.0 0.2.0"],
  ["1.0.0", "0.4.0", "1.0.0 1.1.0"],
  ["1.1.0", "2.0.0", "1.0.0 1.1.0"],
])("parsePrevResult() refuses in %s a result of version %s", (configVersion, version, family) => {
  const msg = `could not parse prevResult: result type supports [${family}] but unmarshalled CNIVersion is "${version}"`;
  expect(() => parsePrevResult({ cniVersion: version }, configVersion)).toThrow(
    expect.objectContaining({ code: 7, msg }),
  );
});

test("parsePrevResult() reads its own family, and what says no version", () => {
  expect(parsePrevResult({ cniVersion: "1.0.0", vendor: 1 }, "1.1.0")).toMatchObject({ vendor: 1 });
  expect(parsePrevResult({}, "0.4.0")).toEqual({});
  expect(() => parsePrevResult({ ips: 5 }, "1.1.0")).toThrow(
    "could not parse prevResult: ips: 5 is not a list",
  );
});

test("parseResult() and formatResult() change a result once at most, whatever the version", () => {
  const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
  const ipv4 = fc.ipV4().map(parseAddress);
  const ipv6 = fc.bigInt(1n << 64n, (1n << 128n) - 1n).map((value) => ({ family: 6 as const, value }));
  const address = fc.oneof(ipv4, ipv6);
  const prefix = fc.tuple(address, fc.nat(32)).map(([address, length]) => ({ address, length }));
  const small = fc.nat(5000);
  const result: fc.Arbitrary<Result> = fc.record({
    interfaces: optional(
      fc.array(
        fc.record({
          name: fc.string(),
          mac: optional(fc.string()),
          mtu: optional(small),
          sandbox: optional(fc.string()),
        }),
      ),
    ),
    ips: fc.array(fc.record({ address: prefix, gateway: optional(address), interface: optional(small) }), {
      minLength: 1,
    }),
    routes: optional(
      fc.array(
        fc.record({
          dst: prefix,
          gw: optional(address),
          mtu: optional(small),
          table: optional(small),
          scope: optional(small),
        }),
      ),
    ),
    dns: optional(fc.record({ nameservers: optional(fc.array(fc.string())), domain: optional(fc.string()) })),
  });
  fc.assert(
    fc.property(result, fc.constantFrom(...ALL_VERSIONS), (original, version) => {
      const first = parseResult(JSON.parse(formatResult(original, version)), version);
      const text = formatResult(first, version);
      expect(parseResult(JSON.parse(text), version)).toEqual(first);
      expect(text).toBe(formatResult(original, version));
    }),
  );
});
