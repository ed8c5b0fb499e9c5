/** The same configuration through the reference plugins and ours, in twin namespaces: the same comes out. */
import t from "tap";
import { unexplained } from "./differences.ts";
import { makeTwins, type Pair } from "./fixtures/twins.ts";
import { referencePlugins } from "./reference.ts";

const set = (...subnets: string[]) => subnets.map((subnet) => ({ subnet }));
const leased = (...ranges: object[][]) => ({ ipam: { type: "host-local", ranges } });
const V4 = leased(set("10.1.0.0/24"));
const DUAL = leased(set("10.1.0.0/24"), set("fd01::/64"));
const DNS = { nameservers: ["10.1.0.1"], domain: "example.com", search: ["a.example"], options: ["ndots:5"] };
const MAC = (last: number) => `02:00:00:00:00:0${last}`;
const fixed = (keys: object, ...addresses: string[]) => ({
  ipam: {
    type: "static",
    addresses: addresses.map((address) => ({ address, gateway: gatewayOf(address) })),
    ...keys,
  },
});
const gatewayOf = (address: string) => (address.includes(":") ? "fd01::1" : "10.1.0.1");
const BRIDGE = "ip link add cni0 type bridge";
const PREVIOUS = {
  cniVersion: "1.0.0",
  interfaces: [{ name: "eth0", mac: MAC(9), sandbox: "/run/netns/c1" }],
  ips: [{ interface: 0, address: "10.1.0.5/24", gateway: "10.1.0.1" }],
  routes: [{ dst: "0.0.0.0/0" }],
  dns: DNS,
};

const TIMEOUT_MS = 300_000;

interface Options {
  /** CNI_ARGS. */
  args?: string;
  ifname?: string;
  /** A shell script on the host, before ADD. */
  before?: string;
  /** Container eth0's MAC on both sides. */
  mac?: string;
  /** The reference plugins that know what it is about. Default: all. */
  only?: string;
  version?: string;
}

/** One line a case: plugin and what it is about, the keys of the configuration, what else there is to say. */
const CASES: readonly [name: string, keys: object, options?: Options][] = [
  ["bridge: nothing but links", {}],
  ["bridge: IPv4", V4],
  ["bridge: dual stack", DUAL],
  ["bridge: IPv6", leased(set("fd01::/64"))],
  ["bridge: gateway", { isGateway: true, ...V4 }],
  ["bridge: gateway of two families", { isGateway: true, ...DUAL }],
  ["bridge: default gateway", { isDefaultGateway: true, ...DUAL }],
  [
    "bridge: a gateway of the range's own",
    { isGateway: true, ...leased([{ subnet: "10.1.0.0/24", gateway: "10.1.0.254" }]) },
  ],
  ["bridge: mtu", { mtu: 1400, isGateway: true, ...V4 }],
  ["bridge: hairpin", { hairpinMode: true, ...V4 }],
  ["bridge: promiscuous", { promiscMode: true, ...V4 }],
  ["bridge: MAC of args", { args: { cni: { mac: MAC(1) } }, ...V4 }, { mac: MAC(1) }],
  ["bridge: MAC of the runtime", { runtimeConfig: { mac: MAC(2) }, ...V4 }, { mac: MAC(2) }],
  ["bridge: MAC of CNI_ARGS", V4, { args: `IgnoreUnknown=1;MAC=${MAC(3)}`, mac: MAC(3) }],
  [
    "bridge: MAC of all three",
    { args: { cni: { mac: MAC(1) } }, runtimeConfig: { mac: MAC(2) }, ...V4 },
    { args: `IgnoreUnknown=1;MAC=${MAC(3)}`, mac: MAC(2) },
  ],
  [
    "bridge: MAC of two",
    { args: { cni: { mac: MAC(1) } }, ...V4 },
    { args: `IgnoreUnknown=1;MAC=${MAC(3)}`, mac: MAC(1) },
  ],
  ["bridge: isolated port", { portIsolation: true, ...V4 }, { only: "1.9.1" }],
  ["bridge: container interface off", { disableContainerInterface: true }, { only: "1.9.1" }],
  ["bridge: duplicate detection", { enabledad: true, ...DUAL }, { only: "1.9.1" }],
  [
    "bridge: forced address",
    { isGateway: true, forceAddress: true, ...DUAL },
    { before: `${BRIDGE}; ip address add 10.1.0.99/24 dev cni0; ip address add fd01::99/64 dev cni0` },
  ],
  [
    "bridge: one that exists",
    { isGateway: true, ...V4 },
    { before: `${BRIDGE}; ip link set cni0 mtu 1300 up` },
  ],
  [
    "bridge: one that exists, with the address",
    { isGateway: true, ...V4 },
    { before: `${BRIDGE}; ip address add 10.1.0.1/24 dev cni0` },
  ],
  ["bridge: two sets", { ...leased(set("10.1.0.0/24"), set("10.2.0.0/24")) }],
  [
    "bridge: a set of two ranges",
    leased([
      { subnet: "10.1.0.0/24", rangeStart: "10.1.0.50", rangeEnd: "10.1.0.60" },
      { subnet: "10.2.0.0/24" },
    ]),
  ],
  [
    "bridge: routes",
    {
      isGateway: true,
      ...fixed(
        {
          routes: [
            { dst: "0.0.0.0/0" },
            { dst: "10.7.0.0/16", gw: "10.1.0.9" },
            { dst: "fd07::/48", gw: "fd01::9" },
          ],
        },
        "10.1.0.5/24",
        "fd01::5/64",
      ),
    },
  ],
  [
    "bridge: route attributes",
    fixed(
      { routes: [{ dst: "10.7.0.0/16", priority: 77, table: 100, mtu: 1300, advmss: 1200 }] },
      "10.1.0.5/24",
    ),
    { only: "1.9.1" },
  ],
  [
    "bridge: default gateway beside a route",
    { isDefaultGateway: true, ...fixed({ routes: [{ dst: "10.7.0.0/16" }] }, "10.1.0.5/24") },
  ],
  ["bridge: dns of IPAM", fixed({ dns: DNS }, "10.1.0.5/24")],
  [
    "bridge: dns of the network",
    { dns: { nameservers: ["10.1.0.53"] }, ...fixed({ dns: DNS }, "10.1.0.5/24") },
  ],
  ["bridge: another interface name", V4, { ifname: "net1" }],
  ["bridge: a long name", { bridge: "bridge-15-bytes", isGateway: true, ...V4 }],
  ["bridge: 0.2.0", { isDefaultGateway: true, ...DUAL }, { version: "0.2.0" }],
  ["bridge: 0.3.1", { isDefaultGateway: true, ...DUAL }, { version: "0.3.1" }],
  ["bridge: 0.4.0", { isDefaultGateway: true, ...DUAL }, { version: "0.4.0" }],
  ["bridge: 1.0.0", { isDefaultGateway: true, ...DUAL }, { version: "1.0.0" }],
  ["bridge: one that exists, without IPAM", {}, { before: `${BRIDGE}; ip link set cni0 up` }],
  [
    "bridge: one that exists, and is promiscuous",
    { isGateway: true, ...V4 },
    { before: `${BRIDGE}; ip link set cni0 promisc on up` },
  ],
  ["loopback: alone", {}],
  ["loopback: after others", { prevResult: PREVIOUS }],
  ["loopback: 0.2.0", {}, { version: "0.2.0" }],
  ["loopback: 0.4.0", {}, { version: "0.4.0" }],
];

for (const reference of await referencePlugins()) {
  await t.test(`with ${reference.version}`, { jobs: 4, timeout: TIMEOUT_MS }, async (t) => {
    if (reference.missing) return t.plan(0, reference.missing);
    const newest = reference.version === "1.1.1" ? "1.0.0" : "1.1.0";
    const cases = CASES.filter(([, , options]) => (options?.only ?? reference.version) === reference.version);
    const done = cases.map(([name, keys, options = {}]) =>
      t.test(name, { buffered: true }, async (t) => {
        const { args, ifname = "eth0", before, mac, version = newest } = options;
        const plugin = name.slice(0, name.indexOf(":"));
        const config = { cniVersion: version, name: "net", type: plugin, ...keys };
        const call = { config, ifname, ...(args === undefined ? {} : { args }) };
        const twins = await makeTwins(t, reference);
        if (before) await twins.run(before);

        const added = await twins.call(plugin, { command: "ADD", ...call });
        const lines = await twins.compare("added", added);
        if (mac) {
          const [theirs, ours] = await twins.each((host) => host.containers.get("c1")!.link(ifname));
          t.strictSame([theirs.address, ours.address], [mac, mac], "both have the MAC");
        }
        const prevResult: Pair<unknown> = [added[0].result, added[1].result];
        const known = { ...call, prevResult: prevResult as never }; // as each printed it
        if (version >= "0.4.0") {
          const checked = await twins.call(plugin, { command: "CHECK", ...known });
          lines.push(...twins.compareAnswers("checked", checked));
        }
        for (const when of ["deleted", "deleted again"]) {
          const deleted = await twins.call(plugin, { command: "DEL", ...(version < "0.4.0" ? call : known) });
          lines.push(...twins.compareAnswers(when, deleted));
        }
        lines.push(...(await twins.compare("after", undefined)));
        t.strictSame(unexplained(name, reference.version, lines), []);
      }),
    );
    await Promise.all(done);
  });
}
