/**
 * Results in every version, and prevResults of every version: what is kept, dropped, converted and refused.
 */
import t from "tap";
import { makeHost } from "./fixtures/host.ts";
import { normalise } from "./fixtures/normalise.ts";
import { PLUGINS, plainCall, plainConfig, VERSIONS } from "./fixtures/plain-call.ts";
import { answered, refused, silent, unchanged } from "./fixtures/refusal.ts";

const host = await makeHost(t);
const container = await host.container("c1");

type Family = "old" | "middle" | "new";
const FAMILIES: Readonly<Record<Family, readonly string[]>> = {
  old: ["0.1.0", "0.2.0"],
  middle: ["0.3.0", "0.3.1", "0.4.0"],
  new: ["1.0.0", "1.1.0"],
};
// entries() forgets the key's type
const families = Object.entries(FAMILIES) as [Family, readonly string[]][];
const familyOf = (version: string) =>
  families.find(([, versions]) => versions.includes(version))?.[0] ?? "old";

const DNS = { nameservers: ["10.1.0.2"], domain: "example.com", search: ["a.example"], options: ["ndots:5"] };
const ROUTES = [
  { dst: "0.0.0.0/0" },
  { dst: "192.168.0.0/16", gw: "10.1.0.254", mtu: 1400, advmss: 1300, priority: 100, table: 50, scope: 0 },
  { dst: "10.99.0.0/16", table: 0, scope: 253 },
  { dst: "::/0", gw: "fd00:1::2" },
];
const ADDRESSES = [
  { address: "10.1.0.5/24", gateway: "10.1.0.1" },
  { address: "10.1.1.5/24" },
  { address: "fd00:1::5/64", gateway: "fd00:1::1" },
];
/** Up to 0.2.0 there is one address of each family, and static says so. */
const staticKeys = (version: string, routes: object[] = ROUTES) => {
  const addresses = ADDRESSES.filter((_, index) => familyOf(version) !== "old" || index !== 1);
  return { ipam: { type: "static", addresses, routes, dns: DNS } };
};

const STATIC_RESULTS: Readonly<Record<Family, object>> = {
  old: {
    ip4: {
      ip: "10.1.0.5/24",
      gateway: "10.1.0.1",
      routes: [{ dst: "0.0.0.0/0" }, { dst: "192.168.0.0/16", gw: "10.1.0.254" }, { dst: "10.99.0.0/16" }],
    },
    ip6: { ip: "fd00:1::5/64", gateway: "fd00:1::1", routes: [{ dst: "::/0", gw: "fd00:1::2" }] },
    dns: DNS,
  },
  middle: {
    ips: ADDRESSES.map((each) => ({ version: each.address.includes(":") ? "6" : "4", ...each })),
    routes: ROUTES,
    dns: DNS,
  },
  new: { ips: ADDRESSES, routes: ROUTES, dns: DNS },
};

await t.test("a result has the shape of the configuration's version", async (t) => {
  for (const version of [undefined, "", ...VERSIONS]) {
    const cniVersion = version || "0.1.0";
    const config = plainConfig("static", { ...staticKeys(cniVersion), cniVersion: version });
    const wanted = { cniVersion, ...STATIC_RESULTS[familyOf(cniVersion)] };
    answered(
      t,
      await host.cni("static", plainCall("static", "ADD", { config })),
      wanted,
      `static ${version}`,
    );
  }
});

await t.test("two addresses of a family are too many for an old result", async (t) => {
  for (const cniVersion of FAMILIES.old) {
    const config = plainConfig("static", { ...staticKeys("1.1.0"), cniVersion });
    const msg = `CNI version ${cniVersion} does not support more than 1 address per family`;
    refused(t, await host.cni("static", plainCall("static", "ADD", { config })), { msg }, cniVersion);
  }
});

await t.test("DNS settings that are none are printed up to 0.4.0", async (t) => {
  for (const cniVersion of VERSIONS) {
    const { result } = await host.cni(
      "static",
      plainCall("static", "ADD", { config: plainConfig("static", { cniVersion }) }),
    );
    t.strictSame(result?.dns, familyOf(cniVersion) === "new" ? undefined : {}, cniVersion);
  }
});

await t.test("an old result needs an address", async (t) => {
  const before = normalise(await host.snapshot());
  for (const cniVersion of [undefined, ...FAMILIES.old]) {
    const config = plainConfig("bridge", { cniVersion });
    const msg = "cannot convert: no valid IP addresses";
    const name = `bridge without ipam, ${cniVersion}`;
    refused(t, await host.cni("bridge", plainCall("bridge", "ADD", { config })), { msg }, name);
  }
  await unchanged(t, host, before, "what was made before that is undone");
});

await t.test("host-local, loopback and bridge answer in every version", async (t) => {
  const LO = { name: "lo", mac: "00:00:00:00:00:00", sandbox: "/run/netns/c1" };
  for (const cniVersion of VERSIONS) {
    const family = familyOf(cniVersion);
    const ip = { address: "10.1.0.9/24", gateway: "10.1.0.1" };
    const leased = {
      old: { ip4: { ip: ip.address, gateway: ip.gateway }, dns: {} },
      middle: { ips: [{ version: "4", ...ip }], dns: {} },
      new: { ips: [ip] },
    };
    const args = "IP=10.1.0.9";
    const lease = plainCall("host-local", "ADD", { args, config: plainConfig("host-local", { cniVersion }) });
    answered(
      t,
      await host.cni("host-local", lease),
      { cniVersion, ...leased[family] },
      `host-local ${cniVersion}`,
    );

    const lo = plainCall("loopback", "ADD", { config: plainConfig("loopback", { cniVersion }) });
    const { code, result } = await host.cni("loopback", lo);
    t.match(
      { code, result },
      {
        old: { code: 0, result: { ip4: { ip: "127.0.0.1/8" }, ip6: { ip: "::1/128" } } },
        middle: {
          result: {
            interfaces: [LO],
            ips: [
              { version: "4", interface: 0, address: "127.0.0.1/8" },
              { version: "6", interface: 0, address: "::1/128" },
            ],
          },
        },
        new: {
          result: {
            interfaces: [LO],
            ips: [
              { interface: 0, address: "127.0.0.1/8" },
              { interface: 0, address: "::1/128" },
            ],
          },
        },
      }[family],
      `loopback ${cniVersion}`,
    );

    // the kernel takes no gateway with scope link
    const routes = ROUTES.filter(({ scope }) => scope !== 253);
    const config = plainConfig("bridge", { cniVersion, ...staticKeys(cniVersion, routes) });
    const added = await host.cni("bridge", { command: "ADD", config, container });
    const { cniVersion: printed, interfaces, ...rest } = added.result ?? { cniVersion: added.stdout };
    t.equal(printed, cniVersion);
    const names = interfaces?.map(({ name, sandbox }) => [name.replace(/^veth.+/, "veth"), sandbox]);
    const three = [
      ["cni0", undefined],
      ["veth", undefined],
      ["eth0", container.path],
    ];
    t.strictSame(names, family === "old" ? undefined : three, `interfaces in ${cniVersion}`);
    const wanted = JSON.parse(JSON.stringify(STATIC_RESULTS[family]));
    if (family === "old") wanted.ip4.routes.pop();
    else wanted.routes = routes;
    for (const each of wanted.ips ?? []) each.interface = 2;
    t.strictSame(rest, wanted, `the rest in ${cniVersion}`);
    if (cniVersion === "1.1.0")
      t.strictSame(
        interfaces?.map(({ mtu }) => mtu),
        [1500, 1500, 1500],
      );
    if (family === "middle")
      t.notOk(
        interfaces?.some((each) => "mtu" in each),
        `no mtu in ${cniVersion}`,
      );
    for (const plugin of PLUGINS) {
      const which = plugin === "bridge" ? { config, container } : plainCall(plugin, "DEL");
      silent(t, await host.cni(plugin, { ...which, command: "DEL" }), `${plugin} DEL ${cniVersion}`);
    }
  }
});

// A result as a plugin before in the chain would print it, with all that its version knows.
const BEFORE: Readonly<Record<Family, object>> = {
  old: STATIC_RESULTS.old,
  middle: {
    interfaces: [
      { name: "cni7", mac: "02:00:00:00:00:07" },
      { name: "eth0", mac: "02:00:00:00:00:01", sandbox: "/run/netns/c1" },
    ],
    ips: [{ version: "4", interface: 1, address: "10.1.0.5/24", gateway: "10.1.0.1" }],
    routes: ROUTES,
    dns: DNS,
  },
  new: {
    interfaces: [
      { name: "cni7", mac: "02:00:00:00:00:07", mtu: 1400 },
      { name: "eth0", mac: "02:00:00:00:00:01", mtu: 1400, sandbox: "/run/netns/c1" },
      { name: "vf0", socketPath: "/run/vf0.sock", pciID: "0000:00:1f.6" },
    ],
    ips: [{ interface: 1, address: "10.1.0.5/24", gateway: "10.1.0.1" }],
    routes: ROUTES,
    dns: DNS,
  },
};

await t.test("a prevResult of the same family passes, of another it does not", async (t) => {
  for (const from of VERSIONS) {
    for (const cniVersion of VERSIONS) {
      const prevResult = { cniVersion: from, ...BEFORE[familyOf(from)] };
      const config = plainConfig("loopback", { cniVersion, prevResult });
      const outcome = await host.cni("loopback", plainCall("loopback", "ADD", { config }));
      const family = familyOf(cniVersion);
      const name = `${from} for ${cniVersion}`;
      if (familyOf(from) === family) answered(t, outcome, { ...prevResult, cniVersion }, name);
      else {
        const list = FAMILIES[family].join(" ").replaceAll(".", "\\.");
        const reason = `result type supports \\[ ?${list}\\] but unmarshalled CNIVersion is "${from}"`;
        const msg = new RegExp(`^could not parse prevResult: ${reason}$`);
        refused(t, outcome, { code: 7, msg, cniVersion }, name);
      }
    }
  }
});

await t.test("a prevResult without a version has that of the configuration", async (t) => {
  for (const cniVersion of VERSIONS) {
    for (const own of [{}, { cniVersion: "" }]) {
      const given = BEFORE[familyOf(cniVersion)];
      const config = plainConfig("loopback", { cniVersion, prevResult: { ...own, ...given } });
      const outcome = await host.cni("loopback", plainCall("loopback", "ADD", { config }));
      answered(t, outcome, { ...given, cniVersion }, `${cniVersion} ${JSON.stringify(own)}`);
    }
  }
});

await t.test("a prevResult is passed on whole", async (t) => {
  const cases: [what: string, cniVersion: string, prevResult: object, wanted: object][] = [
    [
      "keys nobody knows",
      "1.1.0",
      {
        interfaces: [{ name: "a", color: "red" }],
        ips: [{ address: "10.0.0.1/8", x: 1 }],
        vendor: { y: [1] },
      },
      {
        interfaces: [{ name: "a", color: "red" }],
        ips: [{ address: "10.0.0.1/8", x: 1 }],
        vendor: { y: [1] },
      },
    ],
    [
      "the version of an address that has none",
      "0.4.0",
      { ips: [{ address: "10.0.0.1/8" }, { address: "fd00::1/64" }] },
      {
        ips: [
          { version: "4", address: "10.0.0.1/8" },
          { version: "6", address: "fd00::1/64" },
        ],
        dns: {},
      },
    ],
    [
      "interface 0",
      "1.0.0",
      { ips: [{ interface: 0, address: "10.0.0.1/8" }] },
      { ips: [{ interface: 0, address: "10.0.0.1/8" }] },
    ],
    ["nothing", "1.0.0", {}, {}],
    ["nulls", "1.0.0", { ips: null, interfaces: null, routes: null, dns: null }, {}],
    [
      "the addresses of a host",
      "1.0.0",
      { ips: [{ address: "10.0.0.5/24" }, { address: "fd00::5/128" }] },
      { ips: [{ address: "10.0.0.5/24" }, { address: "fd00::5/128" }] },
    ],
  ];
  for (const [what, cniVersion, prevResult, wanted] of cases) {
    const config = plainConfig("loopback", { cniVersion, prevResult: { cniVersion, ...prevResult } });
    const outcome = await host.cni("loopback", plainCall("loopback", "ADD", { config }));
    answered(t, outcome, { cniVersion, ...wanted }, what);
  }
});

await t.test("a prevResult that is none", async (t) => {
  const cases: [what: string, prevResult: unknown, named: RegExp][] = [
    ["a string", "x", /prevResult/],
    ["a list", [], /prevResult/],
    ["ips no list", { ips: "10.0.0.1/8" }, /ips/],
    ["an address without a prefix length", { ips: [{ address: "10.0.0.1" }] }, /10\.0\.0\.1/],
    ["no address", { ips: [{}] }, /address/],
    ["a gateway that is none", { ips: [{ address: "10.0.0.1/8", gateway: "x" }] }, /gateway/],
    ["a route that is none", { routes: [{ dst: "10.0.0.0" }] }, /dst|10\.0\.0\.0/],
    ["interfaces no list", { interfaces: {} }, /interfaces/],
    ["a version that is none", { cniVersion: "9.9.9" }, /9\.9\.9/],
  ];
  for (const [what, prevResult, msg] of cases) {
    for (const command of ["ADD", "CHECK"]) {
      const config = plainConfig("loopback", { cniVersion: "1.0.0", prevResult });
      const outcome = await host.cni("loopback", plainCall("loopback", command, { config }));
      refused(t, outcome, { code: 7, msg }, `${command}: ${what}`);
    }
    const config = plainConfig("bridge", { prevResult });
    silent(t, await host.cni("bridge", plainCall("bridge", "DEL", { config })), `DEL all the same: ${what}`);
  }
});
