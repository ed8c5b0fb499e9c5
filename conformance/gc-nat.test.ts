/**
 * GC of a chain with masquerade, ports and a firewall; and the table of ours when it is not ours, or an older
 * one. CNI spec 1.1 §4 GC.
 */
import t, { type Test } from "tap";
import { attachChain, type Chain, type ChainConfig, collectChain, tryChain } from "./fixtures/chain.ts";
import { filterState } from "./fixtures/filter-state.ts";
import { type Host, makeHost } from "./fixtures/host.ts";
import { changesSince, hostState } from "./fixtures/host-state.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { natNetwork, publishing } from "./fixtures/nat-network.ts";
import { BACKENDS, type Backend } from "./fixtures/packet-filter.ts";
import { refused, silent } from "./fixtures/refusal.ts";

const TIMEOUT_MS = 120_000;
t.setTimeout(10 * TIMEOUT_MS);
const lacks = await missing("bridge", "nf_tables");

const blueOf = (backend: Backend) =>
  natNetwork("blue", ["10.50.0.0/24", "fd00:50::/64"], { backend, bridge: { macspoofchk: true } });
/** On the same bridge. */
const redOf = (backend: Backend) =>
  natNetwork("red", ["10.51.0.0/24"], { backend, bridge: { macspoofchk: true, isDefaultGateway: false } });
const farOf = (backend: Backend) =>
  natNetwork("far", ["10.52.0.0/24"], { backend, bridge: { bridge: "far0" } });

function port(hostPort: number) {
  return publishing(
    { hostPort, containerPort: 80, protocol: "tcp" },
    { hostPort, containerPort: 53, protocol: "udp" },
  );
}

async function collect(
  t: Test,
  host: Host,
  list: ChainConfig,
  valid: readonly Chain[] | undefined,
  name: string,
) {
  for (const outcome of await collectChain(host, list, valid)) silent(t, outcome, name);
}

for (const backend of BACKENDS) {
  await t.test(`${backend}: stale ones go, others stay`, { timeout: TIMEOUT_MS }, async (t) => {
    if (lacks) return skip(t, lacks);
    const host = await makeHost(t);
    const empty = await hostState(host);
    const [blue, red, far] = [blueOf(backend), redOf(backend), farOf(backend)];
    const kept = await attachChain(await host.container("kept"), blue, { runtime: port(7000) });
    const other = await attachChain(await host.container("other"), red, { runtime: port(7001) });
    const away = await attachChain(await host.container("away"), far, { runtime: port(7002) });
    const before = await hostState(host);
    for (const [what, script] of [
      ["whose namespace is there", "true"],
      ["whose namespace is gone", "ip netns del stale"],
      ["whose records are gone", `rm -rf /run/weft/*/blue/stale*`],
      ["whose interface is gone", "ip -n stale link del eth0"],
    ] as const) {
      await attachChain(await host.container("stale"), blue, { runtime: port(8000) });
      await host.exec("sh", ["-c", script]);
      const all = await hostState(host);
      await collect(t, host, blue, undefined, "a missing list");
      await collect(t, host, red, [other], "another network's list");
      t.strictSame(await changesSince(all, host), [], "neither does anything");
      await collect(t, host, blue, [kept], `one ${what}`);
      t.strictSame(await changesSince(before, host), [], `one ${what}: it goes, all others stay`);
      await host.exec("sh", ["-c", "ip netns del stale 2> /dev/null || true"]);
    }
    for (const chain of [kept, other, away])
      silent(t, await chain.check(), `CHECK of ${chain.container.name}`);
    await collect(t, host, blue, [], "an empty list");
    for (const chain of [other, away]) silent(t, await chain.check(), `CHECK of ${chain.container.name}`);
    await collect(t, host, red, [], "an empty list");
    await collect(t, host, far, [], "an empty list");
    t.strictSame(await changesSince(empty, host), [], "of all networks: nothing is left");
  });
}

const FOREIGN = [
  ["without a comment", "table inet weft { chain mine { type filter hook forward priority 0; drop; }; }"],
  ["with another's comment", 'table inet weft { comment "cloth"; set masq4 { type ipv4_addr; }; }'],
] as const;

/** The list with one plugin that writes into the table. */
const WRITERS: readonly (readonly [plugin: string, ChainConfig])[] = [
  ["bridge", natNetwork("net", ["10.9.0.0/24"], { backend: "nftables", portmap: false, firewall: false })],
  [
    "portmap",
    natNetwork("net", ["10.9.0.0/24"], { backend: "nftables", bridge: { ipMasq: false }, firewall: false }),
  ],
  [
    "firewall",
    natNetwork("net", ["10.9.0.0/24"], { backend: "nftables", bridge: { ipMasq: false }, portmap: false }),
  ],
];

for (const [plugin, list] of WRITERS) {
  await t.test(`${plugin} and a table of somebody else`, { timeout: TIMEOUT_MS }, async (t) => {
    if (lacks) return skip(t, lacks);
    const host = await makeHost(t);
    const container = await host.container("c1");
    for (const [what, ruleset] of FOREIGN) {
      await host.exec("nft", ["-f", "-"], { input: ruleset });
      const before = await tableText(host);
      const chain = await tryChain(container, list, { runtime: port(8000) });
      if (!chain.refused) t.fail(`${what}: ADD is refused`);
      else refused(t, chain.refused, { msg: /inet weft/, details: /.*/ }, `${what}: ADD names the table`);
      t.equal(await tableText(host), before, `${what}: and leaves it as it is`);
      silent(t, await chain.del(), `${what}: DEL succeeds`);
      await collect(t, host, list, [], `${what}: so does GC`);
      t.equal(await tableText(host), before, `${what}: and they leave it too`);
      await host.exec("nft", ["delete", "table", "inet", "weft"]);
    }
    silent(
      t,
      await (await attachChain(container, list, { runtime: port(8000) })).del(),
      "without it all is well",
    );
  });
}

const OLDER = `
table inet weft {
  comment "weft 0"
  set masq4 { type ipv4_addr; elements = { 10.9.0.2 }; }
  chain user { ip saddr 10.99.0.1 counter packets 7 bytes 420 drop comment "the administrator's"; }
  chain postrouting { type nat hook postrouting priority 100; ip saddr @masq4 masquerade; }
}`;

await t.test("a table of an older version", { timeout: TIMEOUT_MS }, async (t) => {
  if (lacks) return skip(t, lacks);
  const host = await makeHost(t);
  const list = natNetwork("net", ["10.9.0.0/24", "fd00:9::/64"], { backend: "nftables" });
  const first = await attachChain(await host.container("c0"), list, { runtime: port(7000) });
  const before = await filterState(host);
  await host.exec("nft", ["-f", "-"], { input: `delete table inet weft\n${OLDER}` });
  const second = await attachChain(await host.container("c1"), list, { runtime: port(8000) });
  const table = await tableText(host);
  t.match(table, /comment "weft [1-9]\d*"/, "is migrated");
  t.match(table, /chain user \{[^}]*ip saddr 10\.99\.0\.1 [^}]*drop/, "and the administrator's rule kept");
  t.notMatch(table, /\t\tip saddr @masq4/, "no rule of the old one is left");
  for (const chain of [first, second]) silent(t, await chain.check(), `CHECK of ${chain.container.name}`);
  silent(t, await second.del(), "DEL of the second");
  const now = (await filterState(host)).filter((line) => !line.startsWith("inet weft user"));
  t.strictSame(now, before, "what was there before is there");
  silent(t, await first.del(), "DEL of the first");
  t.match(await tableText(host), /10\.99\.0\.1/, "the administrator's rule stays to the end");
});

/** Without counters. */
async function tableText(host: Host): Promise<string> {
  return (await host.exec("nft", ["-s", "list", "table", "inet", "weft"])).stdout;
}
