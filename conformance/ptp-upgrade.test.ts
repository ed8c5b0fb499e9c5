/**
 * A node with ptp is upgraded in place from the reference plugins, and back, without draining: what one made
 * the other checks and deletes, and containers of both reach each other and the world.
 */
import t, { type Test } from "tap";
import {
  attachChain,
  Chain,
  type ChainConfig,
  collectChain,
  type DelOptions,
  pluginConfig,
} from "./fixtures/chain.ts";
import { type Host, makeHost } from "./fixtures/host.ts";
import { changesSince, hostState } from "./fixtures/host-state.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { publishing } from "./fixtures/nat-network.ts";
import { BACKENDS, type Backend } from "./fixtures/packet-filter.ts";
import type { PluginOutcome } from "./fixtures/plugin-call.ts";
import { BUILT_PLUGINS } from "./fixtures/project.ts";
import { PORT, ptpNetwork } from "./fixtures/ptp-network.ts";
import { silent } from "./fixtures/refusal.ts";
import type { Outside } from "./fixtures/wiring.ts";
import { type Reference, referencePlugins } from "./reference.ts";

const TIMEOUT_MS = 120_000;
t.setTimeout(9 * TIMEOUT_MS);
const SUBNETS = ["10.59.0.0/24", "fd00:59::/64"];
const FIRST_PORTS: Record<string, number> = { c1: 8080, c2: 9090 };
const lacks = await missing("nf_tables");

interface Upgrade {
  readonly reference: Reference;
  readonly backend: Backend;
  readonly cniVersion: string;
}

const UPGRADES: readonly Upgrade[] = (await referencePlugins()).flatMap((reference): Upgrade[] => {
  if (reference.version === "1.1.1") return [{ reference, backend: "iptables", cniVersion: "1.0.0" }];
  return BACKENDS.map((backend) => ({ reference, backend, cniVersion: "1.1.0" }));
});

/** The node's file: a routed pair, masqueraded, with ports. */
function listOf({ backend, cniVersion }: Pick<Upgrade, "backend" | "cniVersion">): ChainConfig {
  const {
    cniVersion: _,
    name,
    ...ptp
  } = ptpNetwork("net", SUBNETS, { ipMasq: true, ipMasqBackend: backend });
  const portmap = { type: "portmap", capabilities: { portMappings: true }, backend };
  return { cniVersion, name, plugins: [ptp, portmap] };
}

/** A new container, attached by the plugins of a folder; ours by default. */
async function start(host: Host, name: string, list: ChainConfig, dir?: string): Promise<Chain> {
  const runtime = publishing({ hostPort: FIRST_PORTS[name] ?? 0, containerPort: PORT, protocol: "tcp" });
  return attachChain(await host.container(name), list, { runtime, ...(dir !== undefined && { dir }) });
}

/** The attachment as another runtime, or the next version, knows it. */
function inherit({ container, options, result }: Chain, list: ChainConfig, dir?: string): Chain {
  const { runtime = {} } = options;
  const chain = new Chain(container, list, { runtime, ...(dir !== undefined && { dir }) });
  chain.lastResult = result;
  return chain;
}

/** CHECK of ptp alone. */
function checkPtp({ host, container, config, result }: Chain, dir = BUILT_PLUGINS): Promise<PluginOutcome> {
  const call = { ...pluginConfig(config, "ptp"), prevResult: result };
  return host.cni("ptp", { command: "CHECK", config: call, container, dir });
}

/** The host's tables of the reference's, which stay empty: ours leaves them too. */
const isTheirTable = (line: string) => /^\+ (table )?(inet|ip6?) cni_/.test(line);

const LOSSES: readonly (readonly [what: string, script: string, del: DelOptions])[] = [
  ["all is there", "true", {}],
  ["the container is gone", "ip netns del c1", {}],
  ["the container is gone, CNI_NETNS is empty", "ip netns del c1", { netns: "" }],
  ["no prevResult", "true", { prevResult: undefined }],
];

async function showDeletedByOurs(t: Test, host: Host, upgrade: Upgrade): Promise<void> {
  const { reference, backend } = upgrade;
  const list = listOf(upgrade);
  const before = await hostState(host);
  for (const [what, script, del] of LOSSES) {
    const made = await start(host, "c1", list, reference.dir);
    t.ok((await changesSince(before, host)).length > 5, `${what}: ADD by the reference`);
    const chain = inherit(made, list);
    // what the reference's nftables backend made is not ours, nor is what its portmap did not claim
    if (backend === "iptables") silent(t, await checkPtp(chain), `${what}: CHECK by ours`);
    await host.exec("sh", ["-c", script]);
    silent(t, await chain.del(del), `${what}: DEL by ours`);
    silent(t, await chain.del(del), `${what}: the second time`);
    const left = (await changesSince(before, host)).filter((line) => !isTheirTable(line));
    t.strictSame(left, [], `${what}: nothing is left`);
    await host.exec("sh", ["-c", "ip netns del c1 2> /dev/null || true"]);
  }
}

async function showDeletedByTheirs(t: Test, host: Host, upgrade: Upgrade): Promise<void> {
  const { reference, backend } = upgrade;
  const list = listOf(upgrade);
  const before = await hostState(host);
  const chain = inherit(await start(host, "c1", list), list, reference.dir);
  t.equal((await checkPtp(chain, reference.dir)).stdout, "", "CHECK by the reference");
  const { stdout } = await chain.del();
  // 1.9.1 deletes masquerade in both backends, and stumbles over a chain that is not there after all is done
  t.match(stdout, /^$|Chain 'CNI-\w+' does not exist/, "DEL by the reference");
  t.notOk(
    (await host.ip("link", "show")).some(({ ifname }) => ifname.startsWith("veth")),
    "no pair is left",
  );
  for (const outcome of await collectChain(host, listOf({ backend, cniVersion: "1.1.0" }), []))
    silent(t, outcome, "GC by ours");
  const left = (await changesSince(before, host)).filter((line) => !line.startsWith("- "));
  t.strictSame(
    left.filter((line) => !/CNI-HOSTPORT|cni_/.test(line)),
    [],
    "after GC nothing is left",
  );
}

/** Each reaches the other, and the outside as the host; each is reached by its port from outside. */
async function showConnected(
  t: Test,
  outside: Outside,
  { backend }: Upgrade,
  [theirs, ours]: readonly [Chain, Chain],
): Promise<void> {
  const aways = [outside.address4, outside.address6];
  const uplinks = [outside.hostAddress4, outside.hostAddress6];
  // our table knows whom it masquerades, not their subnets: theirs are among the outside
  const masked = backend === "nftables" ? ["10.59.0.1", "fd00:59::1"] : ours.addresses;
  for (const [from, to, seenAs] of [
    [theirs, ours, theirs.addresses],
    [ours, theirs, masked],
  ] as const) {
    const asks = [...to.addresses, ...aways].map(
      (address) => ({ protocol: "tcp", address, port: PORT }) as const,
    );
    const seen = (await from.container.askAll(asks)).map(({ error, seenAddress }) => error ?? seenAddress);
    t.strictSame(seen, [...seenAs, ...uplinks], `${from.container.name} reaches the other and outside`);
    const port = FIRST_PORTS[to.container.name] ?? 0;
    const answers = await outside.askAll(uplinks.map((address) => ({ protocol: "tcp", address, port })));
    t.strictSame(
      answers.map(({ error, seenAddress }) => error ?? seenAddress),
      aways,
      "and is reached",
    );
  }
}

async function showSideBySide(t: Test, host: Host, upgrade: Upgrade): Promise<void> {
  const { reference } = upgrade;
  const outside = await host.outside();
  await outside.serveAll([{ protocol: "tcp", port: PORT }]);
  const list = listOf(upgrade);
  const theirs = await start(host, "c1", list, reference.dir);
  const ours = await start(host, "c2", list);
  for (const { container } of [theirs, ours]) await container.serveAll([{ protocol: "tcp", port: PORT }]);
  await showConnected(t, outside, upgrade, [theirs, ours]);
  silent(t, await ours.check(), "CHECK of ours");
  const { stdout } = await theirs.del();
  t.match(stdout, /^$|Chain 'CNI-\w+' does not exist/, "DEL of theirs");
  silent(t, await ours.check(), "ours stays");
  await theirs.add();
  t.equal(theirs.refused, undefined, "theirs comes back");
  silent(t, await ours.del(), "DEL of ours");
  await ours.add();
  t.equal(ours.refused, undefined, "and ours");
  await showConnected(t, outside, upgrade, [theirs, ours]);
}

for (const upgrade of UPGRADES) {
  const { reference, backend } = upgrade;
  const run = (what: string, act: (t: Test, host: Host, upgrade: Upgrade) => Promise<void>) =>
    t.test(`${reference.version}, ${backend}: ${what}`, { timeout: TIMEOUT_MS }, async (t) => {
      const lack = lacks ?? reference.missing;
      if (lack) return skip(t, lack);
      const host = await makeHost(t);
      // the reference would wait for it
      await host.sysctl("net/ipv6/conf/default/dad_transmits", 0);
      await act(t, host, upgrade);
    });
  await run("made by the reference, deleted by ours", showDeletedByOurs);
  await run("made by ours, deleted by the reference", showDeletedByTheirs);
  await run("side by side", showSideBySide);
}
