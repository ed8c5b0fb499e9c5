/**
 * DEL of a chain with masquerade, ports and a firewall, of what is no longer whole: it succeeds, leaves
 * nothing of that container, and everything of the others. CNI spec 1.1 §4 DEL.
 */
import t, { type Test } from "tap";
import { attachChain, Chain, type ChainConfig, collectChain, type DelOptions } from "./fixtures/chain.ts";
import { filterDifferences, filterState } from "./fixtures/filter-state.ts";
import { type Host, makeHost } from "./fixtures/host.ts";
import { changesSince, hostState } from "./fixtures/host-state.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { natNetwork, publishing } from "./fixtures/nat-network.ts";
import { BACKENDS, type Backend } from "./fixtures/packet-filter.ts";
import { silent } from "./fixtures/refusal.ts";

const TIMEOUT_MS = 120_000;
t.setTimeout(10 * TIMEOUT_MS);
const lacks = await missing("bridge", "nf_tables");

const KEYS = { bridge: { macspoofchk: true } };
const listOf = (backend: Backend) => natNetwork("net", ["10.9.0.0/24", "fd00:9::/64"], { backend, ...KEYS });
const otherOf = (backend: Backend) =>
  natNetwork("other", ["10.10.0.0/24"], { backend, bridge: { bridge: "other0", macspoofchk: true } });

function portsFrom(first: number) {
  return publishing(
    { hostPort: first, containerPort: 80, protocol: "tcp" },
    { hostPort: first, containerPort: 53, protocol: "udp", hostIP: "192.0.2.1" },
    { hostPort: first + 1, containerPort: first + 1, protocol: "tcp" },
    { hostPort: first + 2, containerPort: first + 2, protocol: "tcp" },
  );
}

const FLUSH_IPTABLES = `
for family in iptables ip6tables; do for table in nat filter raw; do
  $family -t $table -F && $family -t $table -X
done; done`;

interface Stage {
  readonly host: Host;
  readonly list: ChainConfig;
  /** One on the same network, one on another: neither may lose anything. */
  readonly others: readonly Chain[];
  readonly empty: readonly string[];
}

async function makeStage(t: Test, backend: Backend): Promise<Stage> {
  const host = await makeHost(t);
  await host.outside();
  const empty = await hostState(host);
  const list = listOf(backend);
  const near = await attachChain(await host.container("near"), list, { runtime: portsFrom(7000) });
  const far = await attachChain(await host.container("far"), otherOf(backend), { runtime: portsFrom(7010) });
  return { host, list, others: [near, far], empty };
}

/** What happens between ADD and DEL. */
interface Loss {
  readonly script?: string;
  readonly del?: DelOptions;
  /** Another list than ADD's: the file was edited since. */
  readonly edited?: (list: ChainConfig) => ChainConfig;
}

const GONE = "ip netns del c1";
const edit = (type: string, keys: object) => (list: ChainConfig) => ({
  ...list,
  plugins: list.plugins.map((plugin) => (plugin.type === type ? { ...plugin, ...keys } : plugin)),
});

const LOSSES: readonly (readonly [what: string, Loss])[] = [
  ["all is there", {}],
  ["CNI_NETNS is empty", { del: { netns: "" } }],
  ["the container is gone", { script: GONE }],
  ["the container is gone, CNI_NETNS is empty", { script: GONE, del: { netns: "" } }],
  ["no prevResult", { del: { prevResult: undefined } }],
  ["no prevResult, the container is gone", { script: GONE, del: { netns: "", prevResult: undefined } }],
  [
    "another's prevResult",
    { del: { prevResult: { cniVersion: "1.1.0", ips: [{ address: "10.9.9.9/24" }] } } },
  ],
  ["the container's interface is gone", { script: "ip -n c1 link del eth0" }],
  ["no backend in the file", { edited: () => natNetwork("net", ["10.9.0.0/24", "fd00:9::/64"]) }],
  ["no masquerade in the file", { edited: edit("bridge", { ipMasq: false, macspoofchk: false }) }],
  ["a policy that nobody knows", { edited: edit("firewall", { ingressPolicy: "somewhat" }) }],
  ["a wrong bit", { edited: edit("portmap", { markMasqBit: 99 }) }],
];

for (const backend of BACKENDS) {
  await t.test(`${backend}: DEL of what is no longer whole`, { timeout: 2 * TIMEOUT_MS }, async (t) => {
    if (lacks) return skip(t, lacks);
    const { host, list, others } = await makeStage(t, backend);
    const before = await hostState(host);
    for (const [what, { script = "true", del = {}, edited }] of LOSSES) {
      const made = await attachChain(await host.container("c1"), list, { runtime: portsFrom(8000) });
      t.ok((await changesSince(before, host)).length > 10, `${what}: ADD`);
      await host.exec("sh", ["-c", script]);
      const chain = edited ? inherit(made, edited(list)) : made;
      silent(t, await chain.del(del), what);
      t.strictSame(await changesSince(before, host), [], `${what}: nothing of it is left, all of the others`);
      silent(t, await chain.del(del), `${what}: the second time`);
      t.strictSame(await changesSince(before, host), [], `${what}: which changes nothing`);
      await host.exec("sh", ["-c", "ip netns del c1 2> /dev/null || true"]);
    }
    for (const other of others) silent(t, await other.check(), "CHECK of the others is content");
  });

  await t.test(`${backend}: DEL of what was never there`, { timeout: TIMEOUT_MS }, async (t) => {
    if (lacks) return skip(t, lacks);
    const { host, list } = await makeStage(t, backend);
    const before = await hostState(host);
    const container = await host.container("c1");
    const never = new Chain(container, list, { runtime: portsFrom(7000) }); // the ports of another
    silent(t, await never.del(), "DEL of a container that was never attached");
    silent(t, await never.del({ netns: "" }), "nor has a namespace");
    t.strictSame(await changesSince(before, host), [], "changes nothing");
    const bare = new Chain(await (await makeHost(t)).container("c1"), list, {});
    silent(t, await bare.del(), "nor on a host where nothing ever was");
    t.strictSame(await filterState(bare.host), [], "which has no table afterwards");
  });

  await t.test(`${backend}: DEL after /run/weft was lost`, { timeout: TIMEOUT_MS }, async (t) => {
    if (lacks) return skip(t, lacks);
    const { host, list, others, empty } = await makeStage(t, backend);
    const before = await filterState(host);
    for (const del of [{}, { netns: "" }, { prevResult: undefined }] as const) {
      const chain = await attachChain(await host.container("c1"), list, { runtime: portsFrom(8000) });
      await host.exec("rm", ["-rf", "/run/weft"]);
      const how = JSON.stringify(del);
      silent(t, await chain.del(del), `DEL without a record ${how}`);
      const left = filterDifferences(before, await filterState(host));
      t.strictSame(left, [], `leaves nothing, and all of the others ${how}`);
      await chain.container.remove();
    }
    for (const other of others) silent(t, await other.del(), "DEL of the others");
    await collect(t, host, backend);
    t.strictSame(await changesSince(empty, host), [], "and after GC there is nothing at all");
  });

  await t.test(`${backend}: DEL after the rules were flushed`, { timeout: TIMEOUT_MS }, async (t) => {
    if (lacks) return skip(t, lacks);
    const { host, list, others, empty } = await makeStage(t, backend);
    const before = await filterState(host);
    for (const script of ["nft flush ruleset", FLUSH_IPTABLES]) {
      const chain = await attachChain(await host.container("c1"), list, { runtime: portsFrom(8000) });
      await host.exec("sh", ["-c", script]);
      silent(t, await chain.del(), `DEL after: ${script}`);
      const about = (await filterState(host)).filter((line) =>
        chain.addresses.some((it) => line.includes(it)),
      );
      t.strictSame(about, [], "nothing of it is there");
      // the next ADD brings back what the records say
      if (backend === "nftables") {
        silent(t, await (await attachChain(chain.container, list)).del(), "ADD and DEL of another");
        t.strictSame(filterDifferences(before, await filterState(host)), [], "brings back all of the others");
        for (const other of others) silent(t, await other.check(), "CHECK of the others is content");
      }
      await chain.container.remove();
    }
    for (const other of others) silent(t, await other.del(), "DEL of the others");
    await collect(t, host, backend);
    t.strictSame(await changesSince(empty, host), [], "and after GC there is nothing at all");
  });
}

/** The bridges go with GC, and what no claim is known of. */
async function collect(t: Test, host: Host, backend: Backend): Promise<void> {
  for (const list of [listOf(backend), otherOf(backend)]) {
    for (const outcome of await collectChain(host, list, [])) silent(t, outcome, `GC of ${list.name}`);
  }
}

/** The attachment with another file of the node. */
function inherit({ container, options, result }: Chain, list: ChainConfig): Chain {
  const chain = new Chain(container, list, options);
  chain.lastResult = result;
  return chain;
}
