/**
 * macvlan, ipvlan, vlan and dummy through the reference plugins and ours, in twin namespaces: the same comes
 * out, but for what differences-underlay.ts gives a reason for.
 */
import t from "tap";
import { unexplained } from "./differences.ts";
import { UNDERLAY_DIFFERENCES } from "./differences-underlay.ts";
import { type Feature, IN_SECOND_KERNEL, missing } from "./fixtures/kernel.ts";
import { makeTwins, type Pair } from "./fixtures/twins.ts";
import { newestPlugins } from "./reference.ts";

const TIMEOUT_MS = 300_000;
t.setTimeout(2 * TIMEOUT_MS);
const leased = (...subnets: string[]) => ({
  ipam: { type: "host-local", ranges: subnets.map((subnet) => [{ subnet }]) },
});
const V4 = leased("10.1.0.0/24");
const DUAL = leased("10.1.0.0/24", "fd01::/64");
const DNS = { nameservers: ["10.1.0.53"], search: ["a.example"] };
const MAC = (last: number) => `02:00:00:00:00:0${last}`;
const routed = (routes: object[]) => {
  const addresses = [{ address: "10.1.0.5/24", gateway: "10.1.0.1" }];
  return { ipam: { type: "static", addresses, routes } };
};
/** A wire with nobody at the other end, and the default route by it. */
const WIRE = `ip link add eth0 type veth peer name wire0; ip link set wire0 up; ip link set eth0 up
  ip address add 192.0.2.1/24 dev eth0; ip route add default via 192.0.2.2`;
const INSIDE = `ip -n c1 link add trunk0 type veth peer name trunk1
  ip -n c1 link set trunk1 up; ip -n c1 link set trunk0 up`;

interface Options {
  /** CNI_ARGS. */
  args?: string;
  ifname?: string;
  /** A shell script on the host, before ADD. */
  before?: string;
  version?: string;
}

/** One line a case: plugin and what it is about, the keys of the configuration, what else there is to say. */
const CASES: readonly [name: string, keys: object, options?: Options][] = [
  ["macvlan: nothing but the link", {}],
  ["macvlan: IPv4", V4],
  ["macvlan: dual stack", DUAL],
  ["macvlan: no master", { master: undefined, ...V4 }],
  ["macvlan: private", { mode: "private", ...V4 }],
  ["macvlan: vepa", { mode: "vepa", ...V4 }],
  ["macvlan: passthru", { mode: "passthru", ...V4 }],
  ["macvlan: mtu", { mtu: 1400, ...V4 }],
  ["macvlan: bcqueuelen", { bcqueuelen: 500, ...V4 }],
  ["macvlan: MAC", { mac: MAC(1), ...V4 }],
  ["macvlan: MAC of CNI_ARGS", { mac: MAC(1), ...V4 }, { args: `IgnoreUnknown=1;MAC=${MAC(2)}` }],
  ["macvlan: MAC of the runtime", { mac: MAC(1), runtimeConfig: { mac: MAC(3) }, ...V4 }],
  ["macvlan: dns of the network", { dns: DNS, ...V4 }],
  ["macvlan: routes", routed([{ dst: "0.0.0.0/0" }, { dst: "10.7.0.0/16", gw: "10.1.0.9", priority: 7 }])],
  [
    "macvlan: link in the container",
    { master: "trunk0", linkInContainer: true, ...V4 },
    { before: INSIDE, ifname: "net1" },
  ],
  ["macvlan: 0.2.0", V4, { version: "0.2.0" }],
  ["macvlan: 0.4.0", DUAL, { version: "0.4.0" }],
  ["macvlan: 1.0.0", DUAL, { version: "1.0.0" }],
  ["ipvlan: dual stack", DUAL],
  ["ipvlan: l3", { mode: "l3", ...V4 }],
  ["vlan: dual stack", { vlanId: 10, ...DUAL }],
  ["dummy: dual stack", DUAL],
];
const NEEDS: Readonly<Record<string, Feature>> = {
  macvlan: "macvlan",
  ipvlan: "ipvlan",
  vlan: "8021q",
  dummy: "dummy",
};

const reference = await newestPlugins();
for (const [name, keys, options = {}] of CASES) {
  const plugin = name.slice(0, name.indexOf(":"));
  if (plugin === "macvlan" && IN_SECOND_KERNEL) continue; // it runs on the other, which is faster
  await t.test(`${name}, with ${reference.version}`, { timeout: TIMEOUT_MS }, async (t) => {
    const lacks = reference.missing ?? (await missing(NEEDS[plugin] ?? "veth"));
    if (lacks) return t.plan(0, lacks);
    const { args, ifname = "eth0", before, version = "1.1.0" } = options;
    const config = { cniVersion: version, name: "net", type: plugin, master: "eth0", ...keys };
    const call = { config, ifname, ...(args === undefined ? {} : { args }) };
    const twins = await makeTwins(t, reference);
    await twins.run(WIRE);
    if (before) await twins.run(before);

    const added = await twins.call(plugin, { command: "ADD", ...call });
    const lines = await twins.compare("added", added);
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
    t.strictSame(unexplained(name, reference.version, lines, UNDERLAY_DIFFERENCES), []);
  });
}
