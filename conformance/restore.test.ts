/**
 * `weft restore`: somebody empties the packet filter, and every packet goes its way again; by each backend.
 * It says what it put back, and what it must not touch. T7 of the topologies.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { attachChain, type Chain } from "./fixtures/chain.ts";
import { filteredNetwork, publishedPort } from "./fixtures/filtered-network.ts";
import { firewalldRoots, startFirewalld } from "./fixtures/firewalld.ts";
import { type Host, makeHost } from "./fixtures/host.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { BACKENDS, type Backend, rulesAbout, rulesOf, savedTables } from "./fixtures/packet-filter.ts";
import { BUILT_PLUGINS } from "./fixtures/project.ts";
import { silent } from "./fixtures/refusal.ts";
import type { Ended } from "./fixtures/running.ts";
import type { Outside } from "./fixtures/wiring.ts";

const TIMEOUT_MS = 120_000;
t.setTimeout(4 * TIMEOUT_MS);
const WEFT = join(BUILT_PLUGINS, "weft");
const SUBNETS = ["10.40.0.0/24", "fd00:40::/64"];
const OTHER_SUBNETS = ["10.41.0.0/24", "fd00:41::/64"];
const PORT = 8080;
/** With conditions: a chain of the container's own. */
const OTHER_PORT = 8081;
const OUTSIDE_PORT = 7000;
const lacks = await missing("bridge", "br_netfilter", "nf_tables");

interface Stage {
  readonly host: Host;
  readonly outside: Outside;
  /** Publishes 8080. */
  readonly web: Chain;
  /** On another network, which must not reach the first; publishes 8081 for the outside host alone. */
  readonly db: Chain;
}

const weft = (host: Host, ...words: string[]): Promise<Ended> => host.exec(WEFT, words, { reject: false });

async function makeStage(t: Test, backend: Backend): Promise<Stage> {
  const host = await makeHost(t);
  const outside = await host.outside();
  const bridge = { macspoofchk: true };
  const firewall = { ingressPolicy: "same-bridge" };
  const conditions = {
    nftables: {
      conditionsV4: ["ip", "saddr", outside.address4],
      conditionsV6: ["ip6", "saddr", outside.address6],
    },
    iptables: { conditionsV4: ["-s", outside.address4], conditionsV6: ["-s", outside.address6] },
  }[backend];
  const front = filteredNetwork("front", SUBNETS, { backend, bridge, portmap: {}, firewall });
  const back = filteredNetwork("back", OTHER_SUBNETS, { backend, bridge, portmap: conditions, firewall });
  const publish = (port: number) => ({ runtime: { portMappings: publishedPort(port, 80) } });
  const web = await attachChain(await host.container("web"), front, publish(PORT));
  const db = await attachChain(await host.container("db"), back, publish(OTHER_PORT));
  for (const { container } of [web, db]) {
    await container.serveAll([{ protocol: "tcp", port: 80, greeting: `${container.name}: ` }]);
  }
  await outside.serveAll([{ protocol: "tcp", port: OUTSIDE_PORT }]);
  return { host, outside, web, db };
}

/** What packets do: in by the ports, out under the host's address, and not from network to network. */
async function flowsOf({ outside, web, db }: Stage): Promise<object> {
  const timeoutMs = 500;
  const to = (address: string, port: number) => ({ protocol: "tcp" as const, address, port, timeoutMs });
  const nodes = [outside.hostAddress4, outside.hostAddress6];
  const [inward, outward, across] = await Promise.all([
    outside.askAll([PORT, OTHER_PORT].flatMap((port) => nodes.map((node) => to(node, port)))),
    web.container.askAll([outside.address4, outside.address6].map((address) => to(address, OUTSIDE_PORT))),
    web.container.askAll(db.addresses.map((address) => to(address, 80))),
  ]);
  return {
    inward: inward.map(({ error, text }) => error ?? text),
    outward: outward.map(({ error, seenAddress }) => error ?? seenAddress),
    across: across.map(({ error }) => error ?? "reached"),
  };
}

const wellFrom = ({ outside }: Stage) => ({
  inward: ["web: hello", "web: hello", "db: hello", "db: hello"],
  outward: [outside.hostAddress4, outside.hostAddress6],
  across: ["ETIMEDOUT", "ETIMEDOUT"],
});
const EMPTIED = {
  inward: Array(4).fill("ECONNREFUSED"),
  outward: Array(2).fill("ETIMEDOUT"),
  across: Array(2).fill("reached"),
};

/** What an administrator does, or a program of theirs; and what of it packets show. */
const EMPTYINGS: Readonly<Record<Backend, readonly (readonly [command: string, seen?: object])[]>> = {
  nftables: [
    ["nft flush ruleset", EMPTIED],
    ["nft delete table inet weft", EMPTIED],
    ["nft flush table inet weft", EMPTIED],
    ["for map in port4 port6 condition4 condition6; do nft flush map inet weft $map; done"],
    ["nft delete table bridge weft"],
    ["nft flush set bridge weft macs; nft flush set inet weft masq4"],
    ["nft flush set inet weft isolated; nft flush map inet weft leaving"],
    ["for chain in $(nft list chains | grep -o 'cond[^ ]*'); do nft flush chain inet weft $chain; done"],
  ],
  iptables: [
    ["nft flush ruleset", EMPTIED],
    ["for x in iptables ip6tables; do for table in filter nat raw; do $x -t $table -F; done; done", EMPTIED],
    ["iptables -t nat -F POSTROUTING; ip6tables -t nat -F CNI-HOSTPORT-DNAT"],
    ["nft delete table bridge weft"],
    ["iptables -F CNI-ISOLATION-STAGE-1; ip6tables -F FORWARD"],
  ],
};

/** A line each attachment: what was missing of it, by the records' words. */
const RESTORED = /^(restored (back|front) \S+ eth0: (masquerade|macspoofchk|portmap|firewall|, )+\n)+$/;

for (const backend of BACKENDS) {
  await t.test(`what was emptied is as it was: ${backend}`, { timeout: TIMEOUT_MS }, async (t) => {
    if (lacks) return skip(t, lacks);
    const stage = await makeStage(t, backend);
    const { host, web, db } = stage;
    const well = wellFrom(stage);
    t.same(await flowsOf(stage), well, "packets go their way");
    t.match(await weft(host, "restore"), { exitCode: 0, stdout: "nothing was missing\n", stderr: "" });
    const before = await sortedRules(host, backend);
    for (const [emptying, seen] of EMPTYINGS[backend]) {
      await host.exec("sh", ["-e", "-c", emptying]);
      if (seen) t.same(await flowsOf(stage), seen, `nothing is as it was after: ${emptying}`);
      t.match(await weft(host, "restore"), { exitCode: 0, stdout: RESTORED, stderr: "" }, emptying);
      t.same(await flowsOf(stage), well, `packets go their way again after: ${emptying}`);
      t.same(await sortedRules(host, backend), before, `and every rule is there, once`);
      for (const chain of [web, db]) silent(t, await chain.check(), "CHECK is content");
    }
    t.match(await weft(host, "restore"), { exitCode: 0, stdout: "nothing was missing\n", stderr: "" });
    for (const chain of [web, db]) silent(t, await chain.del(), "DEL says nothing");
    t.same(await rulesAbout(host, ...web.addresses, ...db.addresses), [], "and leaves no rule");
    await host.exec("nft", ["flush", "ruleset"]);
    t.match(await weft(host, "restore"), { exitCode: 0, stdout: "nothing was missing\n", stderr: "" });
    t.same(await rulesOf(host), [], "of nobody nothing comes back");
  });
}

/** In an order of their own: that of elements and chains is nobody's. */
async function sortedRules(host: Host, backend: Backend): Promise<string[]> {
  const rules = backend === "iptables" ? await savedTables(host) : await rulesOf(host);
  return rules.map((rule) => rule.replace(/^elements = \{ |,$| \}$/g, "")).sort();
}

await t.test("weft restore leaves what is not weft's alone", { timeout: TIMEOUT_MS }, async (t) => {
  if (lacks) return skip(t, lacks);
  const stage = await makeStage(t, "nftables");
  const { host } = stage;
  await host.exec("nft", ["add rule inet weft user tcp dport 9 drop comment mine"]);
  await host.exec("nft", ["flush", "chain", "inet", "weft", "postrouting"]);
  t.match(await weft(host, "restore"), { exitCode: 0, stdout: RESTORED });
  t.match(await rulesOf(host), /tcp dport 9 drop comment "mine"/, "the administrator's rules outlive it");
  await host.exec("sh", ["-c", "nft delete table inet weft; nft add table inet weft"]);
  const refused = await weft(host, "restore");
  t.match(refused, {
    exitCode: 2,
    stdout: "",
    stderr: /^weft: table inet weft was not made by weft\n {2}.*nft delete table inet weft\n$/,
  });
  const { stdout } = await host.exec("nft", ["list", "table", "inet", "weft"]);
  t.equal(stdout, "table inet weft {\n}\n", "nothing is put into somebody else's table");
  writeFileSync(host.view("/run/weft/attachments/front/damaged"), "{");
  await host.exec("nft", ["delete", "table", "inet", "weft"]);
  const rest = await weft(host, "restore");
  t.match(rest, { exitCode: 2, stdout: RESTORED, stderr: /^weft: .*\/front\/damaged is no record: .*\n$/ });
  t.same(await flowsOf(stage), wellFrom(stage), "a record that cannot be read is none");
});

await t.test("weft restore after firewall-cmd --reload", { timeout: TIMEOUT_MS }, async (t) => {
  const { roots, missing: noFirewalld } = await firewalldRoots();
  const lacking = lacks ?? noFirewalld;
  if (lacking) return skip(t, lacking);
  const host = await makeHost(t);
  const firewalld = await startFirewalld(host, roots);
  const network = filteredNetwork("net", SUBNETS, { firewall: { ingressPolicy: "same-bridge" } });
  const chain = await attachChain(await host.container("c1"), network);
  const sources = await firewalld.sources("trusted");
  t.equal(sources.length, 2, "the addresses are sources of the zone");
  t.match(await weft(host, "restore"), { exitCode: 0, stdout: "nothing was missing\n", stderr: "" });
  await firewalld.reload();
  t.same(await firewalld.sources("trusted"), [], "a reload drops them");
  t.match(await weft(host, "restore"), { exitCode: 0, stdout: /^restored net \S+ eth0: firewall\n$/ });
  t.same(await firewalld.sources("trusted"), sources, "and weft restore brings them back");
  silent(t, await chain.check(), "CHECK is content");
  silent(t, await chain.del(), "DEL says nothing");
  t.same(await firewalld.sources("trusted"), [], "and leaves none");
});
