/**
 * T16, weft trace against packets: what it says passes passes, and is answered by whom it says, and what it
 * says drops drops. Over pairs that chance chooses on T1, T2, T3, T7, T8, T9, T13, T14 and T17, with other
 * people's rules in between. WEFT_SEED=… repeats a run.
 */
import { join } from "node:path";
import t, { type Test } from "tap";
import { undocumentedKeys } from "../scripts/man-json.ts";
import { attach } from "./fixtures/attachment.ts";
import { attachChain, type Chain } from "./fixtures/chain.ts";
import { makeFabric } from "./fixtures/fabric.ts";
import { filteredNetwork, publishedPort } from "./fixtures/filtered-network.ts";
import { type ForeignFilter, foreignRules } from "./fixtures/foreign-filter.ts";
import { makeHost } from "./fixtures/host.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import type { Netns } from "./fixtures/netns.ts";
import { attachNew, BLUE, plainNetwork } from "./fixtures/overlay-network.ts";
import { filterBridgedFrames } from "./fixtures/packet-filter.ts";
import { BUILT_PLUGINS } from "./fixtures/project.ts";
import { ptpNetwork } from "./fixtures/ptp-network.ts";
import { randomFrom, SEED } from "./fixtures/random.ts";
import {
  answerWithNames,
  choosePairs,
  type Destination,
  type Pair,
  type Party,
  saysWhatPacketsSay,
} from "./fixtures/traced-pairs.ts";
import { makeUnderlay, underlayNetwork } from "./fixtures/underlay.ts";
import type { Outside } from "./fixtures/wiring.ts";

const TIMEOUT_MS = 240_000;
t.setTimeout(12 * TIMEOUT_MS);
t.comment(`WEFT_SEED=${SEED}`);
const random = randomFrom(SEED);
const PORTS = [80, 81];
const WEFT = join(BUILT_PLUGINS, "weft");

const party = (netns: Netns): Party => ({ netns, word: netns.name });
const servedAt = (...addresses: readonly string[]): Destination[] =>
  addresses.flatMap((address) => PORTS.map((port) => ({ address, port })));
const addressesOf = (outside: Outside) => [outside.address4, outside.address6];
const hostAddressesOf = (outside: Outside) => [outside.hostAddress4, outside.hostAddress6];

/** Keys of firewall, a network each; the containers of each publish a port. */
const POLICIES = {
  open: {},
  bridge: { ingressPolicy: "same-bridge" },
  isolated: { ingressPolicy: "isolated" },
  internal: { internal: true },
  quiet: { icc: false },
} as const;
const NETWORKS = Object.keys(POLICIES) as (keyof typeof POLICIES)[];
const hostPortOf = (index: number) => 8100 + index;

interface Bridged {
  readonly backend: "nftables" | "iptables";
  readonly filtered: 0 | 1;
  readonly foreign: ForeignFilter;
}

const BRIDGED: readonly Bridged[] = [
  { backend: "nftables", filtered: 0, foreign: "none" },
  { backend: "nftables", filtered: 1, foreign: "nft" },
  { backend: "nftables", filtered: 0, foreign: "nft that drops" },
  { backend: "iptables", filtered: 0, foreign: "iptables-nft that drops" },
  { backend: "iptables", filtered: 1, foreign: "iptables-nft" },
  { backend: "nftables", filtered: 1, foreign: "iptables-legacy" },
  { backend: "iptables", filtered: 0, foreign: "iptables-legacy that drops" },
];

for (const { backend, filtered, foreign } of BRIDGED) {
  const name = `T1, T2, T3, T7, T13, T14: ${backend}, bridge-nf-call ${filtered}, foreign rules: ${foreign}`;
  await t.test(name, { timeout: TIMEOUT_MS }, async (t) => {
    const lacks = await missing("bridge", "br_netfilter", "nf_tables");
    if (lacks) return skip(t, lacks);
    const host = await makeHost(t);
    await filterBridgedFrames(host, filtered);
    const outside = await host.outside();
    const chains: Chain[] = [];
    for (const [index, network] of NETWORKS.entries()) {
      const subnets = [`10.4${index}.0.0/24`, `fd00:4${index}::/64`];
      const firewall = POLICIES[network];
      const config = filteredNetwork(network, subnets, { backend, portmap: {}, firewall });
      const runtime = { portMappings: publishedPort(hostPortOf(index), 80) };
      chains.push(await attachChain(await host.container(`${network}1`), config, { runtime }));
      chains.push(await attachChain(await host.container(`${network}2`), config));
    }
    await connectToAnother(chains);
    const containers = [...new Set(chains.map(({ container }) => container))];
    const everyone: Netns[] = [host, outside, ...containers];
    const addresses = [...chains.flatMap((chain) => chain.addresses), ...addressesOf(outside)];
    await foreignRules(host, foreign, { addresses, ports: PORTS, random });
    await answerWithNames(everyone.map(party), PORTS);
    const published = NETWORKS.flatMap((_, index) =>
      hostAddressesOf(outside).map((address) => ({ address, port: hostPortOf(index) })),
    );
    const destinations = [
      ...servedAt(...addresses, ...hostAddressesOf(outside)),
      ...published,
      ...published,
      { address: "127.0.0.1", port: hostPortOf(0), asker: host },
    ];
    const pairs = choosePairs(everyone.map(party), destinations, { random, count: 20 });
    await saysWhatPacketsSay(t, host, pairs, `${pairs.length} pairs`);
  });
}

/** T3: the first container of "open" is on "bridge" too. */
async function connectToAnother(chains: Chain[]): Promise<void> {
  const [first] = chains;
  const other = chains.find(({ config }) => config.name === "bridge");
  if (first && other) {
    const plugins = other.config.plugins.map((plugin) =>
      plugin.type === "bridge" ? { ...plugin, isDefaultGateway: false, isGateway: true } : plugin,
    );
    chains.push(await attachChain(first.container, { ...other.config, plugins }, { ifname: "eth1" }));
  }
}

for (const mode of ["bridge", "private", "vepa"] as const) {
  await t.test(`T9, T13: macvlan in mode ${mode}`, { timeout: TIMEOUT_MS }, async (t) => {
    const lacks = await missing("macvlan");
    if (lacks) return skip(t, lacks);
    await showUnderlay(t, "macvlan", { mode });
  });
}

for (const mode of ["l2", "l3", "l3s"] as const) {
  await t.test(`T11, T13: ipvlan in mode ${mode}`, { timeout: TIMEOUT_MS }, async (t) => {
    const lacks = await missing("ipvlan");
    if (lacks) return skip(t, lacks);
    await showUnderlay(t, "ipvlan", { mode });
  });
}

async function showUnderlay(t: Test, type: string, keys: Record<string, unknown>): Promise<void> {
  const { host, outside } = await makeUnderlay(t);
  const config = underlayNetwork(type, keys);
  const attachments = [
    await attach(await host.container("c1"), config),
    await attach(await host.container("c2"), config),
  ];
  const everyone: Netns[] = [host, outside, ...attachments.map(({ container }) => container)];
  await answerWithNames(everyone.map(party), PORTS);
  const addresses = attachments.flatMap((attachment) => attachment.addresses);
  const destinations = servedAt(...addresses, ...addressesOf(outside), ...hostAddressesOf(outside));
  const pairs = choosePairs(everyone.map(party), destinations, { random, count: 20 });
  await saysWhatPacketsSay(t, host, pairs, `${pairs.length} pairs`);
}

await t.test("T17, T13: routed pairs", { timeout: TIMEOUT_MS }, async (t) => {
  const host = await makeHost(t);
  const outside = await host.outside();
  const open = ptpNetwork("open", ["10.51.0.0/24", "fd00:51::/64"], { ipMasq: true });
  const plain = ptpNetwork("plain", ["10.52.0.0/24", "fd00:52::/64"]);
  const attachments = [
    await attach(await host.container("c1"), open),
    await attach(await host.container("c2"), open),
    await attach(await host.container("c3"), plain),
  ];
  const everyone: Netns[] = [host, outside, ...attachments.map(({ container }) => container)];
  const addresses = [...attachments.flatMap((attachment) => attachment.addresses), ...addressesOf(outside)];
  await foreignRules(host, "nft", { addresses, ports: PORTS, random });
  await answerWithNames(everyone.map(party), PORTS);
  const destinations = servedAt(...addresses, ...hostAddressesOf(outside));
  const pairs = choosePairs(everyone.map(party), destinations, { random, count: 30 });
  await saysWhatPacketsSay(t, host, pairs, `${pairs.length} pairs`);
});

await t.test("T8, T13: an overlay, up to the host beyond", { timeout: TIMEOUT_MS }, async (t) => {
  const lacks = await missing("vxlan");
  if (lacks) return skip(t, lacks);
  const fabric = await makeFabric(t, { hosts: 2 });
  const [here, there] = [fabric.at(0), fabric.at(1)];
  const remote = (other: typeof here) => ({ remotes: [other.address4] });
  const own = [
    await attachNew(here, "c1", plainNetwork(BLUE, here, remote(there))),
    await attachNew(here, "c2", plainNetwork(BLUE, here, remote(there))),
  ];
  const far = await attachNew(there, "c3", plainNetwork(BLUE, there, remote(here)));
  const containers = own.map(({ container }) => container);
  const parties = [{ netns: here.host, word: "host" }, ...containers.map(party)];
  await answerWithNames([...parties, party(far.container)], PORTS);
  const addresses = [...own, far].flatMap((attachment) => attachment.addresses);
  const destinations = servedAt(...addresses, here.address4, here.address6);
  // the host itself is not on the overlay, and who is beyond its default route is not known
  const isTold = ({ from, to }: Pair) => from.netns !== here.host || !far.addresses.includes(to.address);
  const pairs = choosePairs(parties, destinations, { random, count: 24 }).filter(isTold);
  await saysWhatPacketsSay(t, here.host, pairs, `${pairs.length} pairs`);
});

await t.test("T16: --live tells of the rules that a packet meets, and leaves nothing", async (t) => {
  const host = await makeHost(t);
  const config = filteredNetwork("open", ["10.40.0.0/24"], { backend: "nftables", firewall: {} });
  const one = await attachChain(await host.container("c1"), config);
  const two = await attachChain(await host.container("c2"), config);
  await answerWithNames(
    [one, two].map(({ container }) => party(container)),
    PORTS,
  );
  const live = (...args: readonly string[]) =>
    host.exec(WEFT, ["trace", "--live", ...args, "c1", two.address(4)], { reject: false });
  const passed = await live("--json");
  t.equal(passed.exitCode, 0, "a ping passes", passed);
  const document = JSON.parse(passed.stdout);
  const { verdict, isAnswered, events } = document;
  t.match({ verdict, isAnswered }, { verdict: "passes", isAnswered: true });
  const places = new Set(events.map(({ place }: { place: string }) => place));
  t.strictSame([...places].sort(), ["c1", "c2", "host"].sort(), "in every namespace of its way");
  const still = await host.exec(WEFT, ["trace", "--json", "c1", two.address(4)]);
  for (const each of [document, JSON.parse(still.stdout)]) {
    t.strictSame(undocumentedKeys("trace", each), [], "the manual knows the keys");
  }
  const rules =
    "table bridge no { chain c { type filter hook forward priority 0; icmp type echo-request drop\n}\n}";
  await host.exec("nft", ["-f", "-"], { input: rules });
  const dropped = await live("--wait", "1");
  t.equal(dropped.exitCode, 2, "a rule drops it");
  t.match(dropped.stdout, /dropped in host: bridge no c/, "which is named");
  const killed = `${WEFT} trace --live --listen --wait 60 c1 ${two.address(4)} > /run/live & sleep 1
    nft list tables; ${WEFT} trace --live c1 ${two.address(4)}; kill -9 $!; wait; nft list tables`;
  const { stdout, stderr } = await host.exec("sh", ["-c", killed]);
  t.match(stderr, /^weft: another weft trace --live \(pid \d+\) listens in c1: one at a time$/m);
  t.equal(stdout.split("inet weft-trace").length, 2, "a kill takes the table away", { stdout });
});
