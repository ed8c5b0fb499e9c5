/**
 * ptp through the reference plugins and ours, in twin namespaces: the same comes out, but for what
 * differences-ptp.ts gives a reason for.
 */
import t from "tap";
import { unexplained } from "./differences.ts";
import { PTP_DIFFERENCES } from "./differences-ptp.ts";
import { makeTwins, type Pair } from "./fixtures/twins.ts";
import { newestPlugins } from "./reference.ts";

const TIMEOUT_MS = 300_000;
t.setTimeout(2 * TIMEOUT_MS);
const leased = (...subnets: string[]) => ({
  ipam: { type: "host-local", ranges: subnets.map((subnet) => [{ subnet }]) },
});
const V4 = leased("10.1.0.0/24");
const DUAL = leased("10.1.0.0/24", "fd01::/64");
const DNS = { nameservers: ["10.1.0.1"], domain: "example.com", search: ["a.example"], options: ["ndots:5"] };
const fixed = (keys: object, ...addresses: string[]) => {
  const gatewayOf = (address: string) => (address.includes(":") ? "fd01::1" : "10.1.0.1");
  const given = addresses.map((address) => ({ address, gateway: gatewayOf(address) }));
  return { ipam: { type: "static", addresses: given, ...keys } };
};

interface Options {
  ifname?: string;
  version?: string;
}

/** One line a case: plugin and what it is about, the keys of the configuration, what else there is to say. */
const CASES: readonly [name: string, keys: object, options?: Options][] = [
  ["ptp: IPv4", V4],
  ["ptp: dual stack", DUAL],
  ["ptp: IPv6", leased("fd01::/64")],
  ["ptp: mtu", { mtu: 1400, ...V4 }],
  ["ptp: ipMasq", { ipMasq: true, ipMasqBackend: "iptables", ...DUAL }],
  ["ptp: two sets", leased("10.1.0.0/24", "10.2.0.0/24")],
  [
    "ptp: routes",
    fixed(
      {
        routes: [
          { dst: "0.0.0.0/0" },
          { dst: "::/0" },
          { dst: "10.7.0.0/16", gw: "10.1.0.1" },
          { dst: "fd07::/48", gw: "fd01::1" },
        ],
      },
      "10.1.0.5/24",
      "fd01::5/64",
    ),
  ],
  ["ptp: dns of IPAM", fixed({ dns: DNS }, "10.1.0.5/24")],
  ["ptp: dns of the network", { dns: { nameservers: ["10.1.0.53"] }, ...fixed({ dns: DNS }, "10.1.0.5/24") }],
  ["ptp: another interface name", V4, { ifname: "net1" }],
  ["ptp: 0.2.0", DUAL, { version: "0.2.0" }],
  ["ptp: 0.4.0", DUAL, { version: "0.4.0" }],
];

const reference = await newestPlugins();
await t.test(`with ${reference.version}`, { jobs: 4, timeout: TIMEOUT_MS }, async (t) => {
  if (reference.missing) return t.plan(0, reference.missing);
  const done = CASES.map(([name, keys, options = {}]) =>
    t.test(name, { buffered: true }, async (t) => {
      const { ifname = "eth0", version = "1.1.0" } = options;
      const config = { cniVersion: version, name: "net", type: "ptp", ...keys };
      const call = { config, ifname };
      const twins = await makeTwins(t, reference);
      const added = await twins.call("ptp", { command: "ADD", ...call });
      t.match(added, [{ code: 0 }, { code: 0 }], "ADD");
      const lines = await twins.compare("added", added);
      const prevResult: Pair<unknown> = [added[0].result, added[1].result];
      const known = { ...call, prevResult: prevResult as never }; // as each printed it
      if (version >= "0.4.0") {
        const checked = await twins.call("ptp", { command: "CHECK", ...known });
        lines.push(...twins.compareAnswers("checked", checked));
      }
      for (const when of ["deleted", "deleted again"]) {
        const deleted = await twins.call("ptp", { command: "DEL", ...(version < "0.4.0" ? call : known) });
        lines.push(...twins.compareAnswers(when, deleted));
      }
      lines.push(...(await twins.compare("after", undefined)));
      t.strictSame(unexplained(name, reference.version, lines, PTP_DIFFERENCES), []);
    }),
  );
  await Promise.all(done);
});
