/**
 * A node is upgraded in place from the reference plugins, and back, without draining: what one made the other
 * deletes. Where each sets its rules is the reference's: chains by a hash of network and container, its own
 * tables by a comment. CNI spec 1.1 asks no such thing.
 */
import t, { type Test } from "tap";
import { attachChain, Chain, type ChainConfig, collectChain, type DelOptions } from "./fixtures/chain.ts";
import { filterState } from "./fixtures/filter-state.ts";
import { type Host, makeHost } from "./fixtures/host.ts";
import { changesSince, hostState } from "./fixtures/host-state.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { natNetwork, publishing } from "./fixtures/nat-network.ts";
import { BACKENDS, type Backend } from "./fixtures/packet-filter.ts";
import type { PluginOutcome } from "./fixtures/plugin-call.ts";
import { silent } from "./fixtures/refusal.ts";
import type { Outside } from "./fixtures/wiring.ts";
import { type Reference, referencePlugins } from "./reference.ts";

const TIMEOUT_MS = 120_000;
const SUBNETS = ["10.9.0.0/24", "fd00:9::/64"];
const PORT = 7000;
const PROTOCOLS = ["tcp", "udp"] as const;
/** Of each container: its first on the host. */
const FIRST_PORTS: Record<string, number> = { c0: 7070, c1: 8080, c2: 9090 };
t.setTimeout(10 * TIMEOUT_MS);
const lacks = await missing("bridge", "nf_tables");

interface Upgrade {
  readonly reference: Reference;
  /** Of masquerade and ports: the reference's firewall has one alone. */
  readonly backend: Backend;
  readonly cniVersion: string;
}

const UPGRADES: readonly Upgrade[] = (await referencePlugins()).flatMap((reference): Upgrade[] => {
  if (reference.version === "1.1.1") return [{ reference, backend: "iptables", cniVersion: "1.0.0" }];
  return BACKENDS.map((backend) => ({ reference, backend, cniVersion: "1.1.0" }));
});

/** The node's file. Without a backend: as somebody writes it who has ours alone. */
function listOf(backend: Backend | undefined, cniVersion: string, firewall?: false): ChainConfig {
  const isolating = backend && { backend: "iptables" };
  return natNetwork("net", SUBNETS, { backend, cniVersion, firewall: firewall ?? { ...isolating } });
}

/** TCP and UDP, and one of a hostIP. */
function portsOf(first: number, outside: Outside) {
  return publishing(
    { hostPort: first, containerPort: PORT, protocol: "tcp" },
    { hostPort: first, containerPort: PORT, protocol: "udp" },
    { hostPort: first + 1, containerPort: PORT, protocol: "tcp", hostIP: outside.hostAddress4 },
  );
}

interface Stage {
  readonly host: Host;
  readonly outside: Outside;
}

async function makeStage(t: Test): Promise<Stage> {
  const host = await makeHost(t);
  // the bridge of the reference plugins would wait for it
  await host.sysctl("net/ipv6/conf/default/dad_transmits", 0);
  return { host, outside: await host.outside() };
}

interface Attaching {
  list: ChainConfig;
  /** Their folder; ours by default. */
  dir?: string | undefined;
}

/** A new container, attached by one or the other. */
async function start({ host, outside }: Stage, name: string, { list, dir }: Attaching): Promise<Chain> {
  const runtime = portsOf(FIRST_PORTS[name] ?? 0, outside);
  return attachChain(await host.container(name), list, { runtime, ...(dir !== undefined && { dir }) });
}

/** The attachment as another runtime, or the next version, knows it. */
function inherit({ container, options, result }: Chain, list: ChainConfig, dir?: string): Chain {
  const { runtime = {} } = options;
  const chain = new Chain(container, list, { runtime, ...(dir !== undefined && { dir }) });
  chain.lastResult = result;
  return chain;
}

/**
 * 1.9.1 deletes masquerade in both backends. What iptables 1.8.9 says of a chain that is missing it takes for
 * a failure, after all is done.
 */
function showTheirs(t: Test, { code, stdout }: PluginOutcome, name: string): void {
  const isDone = code === 0 || /Chain 'CNI-\w+' does not exist/.test(stdout);
  t.equal(isDone ? "" : stdout, "", name);
}

/** Whether each answers from outside, by every port of its own, and sees the client's own address. */
async function showReachable(t: Test, { outside }: Stage, chains: readonly Chain[], when: string) {
  const { hostAddress4, hostAddress6 } = outside;
  const asks = chains.flatMap(({ container: { name } }) => [
    { name, protocol: "tcp", address: hostAddress4, port: FIRST_PORTS[name] ?? 0 } as const,
    { name, protocol: "udp", address: hostAddress4, port: FIRST_PORTS[name] ?? 0 } as const,
    { name, protocol: "tcp", address: hostAddress6, port: FIRST_PORTS[name] ?? 0 } as const,
    { name, protocol: "tcp", address: hostAddress4, port: (FIRST_PORTS[name] ?? 0) + 1 } as const,
  ]);
  const answers = await outside.askAll(asks);
  const found = answers.map(({ error, text, seenAddress }) => error ?? `${text} to ${seenAddress}`);
  const wanted = asks.map(({ name, address }) => {
    return `${name} hello to ${address.includes(":") ? outside.address6 : outside.address4}`;
  });
  t.strictSame(found, wanted, `published ports, ${when}`);
}

/** Each reaches the other on the bridge, and the outside as the host. */
async function showConnected(
  t: Test,
  { outside }: Stage,
  [one, other]: readonly [Chain, Chain],
  when: string,
) {
  const ways = [
    [one, other],
    [other, one],
  ] as const;
  for (const [from, to] of ways) {
    const asks = to.addresses.map((address) => ({ protocol: "tcp", address, port: PORT }) as const);
    const answers = await from.container.askAll(asks);
    const wanted = from.addresses.map((address) => [undefined, address]);
    const found = answers.map(({ error, seenAddress }) => [error, seenAddress]);
    t.strictSame(found, wanted, `${from.container.name} reaches ${to.container.name}, ${when}`);
  }
  const aways = [outside.address4, outside.address6];
  const asks = aways.map((address) => ({ protocol: "tcp", address, port: PORT }) as const);
  for (const { container } of [one, other]) {
    const seen = (await container.askAll(asks)).map(({ error, seenAddress }) => error ?? seenAddress);
    const uplinks = [outside.hostAddress4, outside.hostAddress6];
    t.strictSame(seen, uplinks, `${container.name} is masqueraded, ${when}`);
  }
}

interface Loss {
  readonly script?: string;
  readonly del?: DelOptions;
  /** Its rules are known by their addresses alone, which nobody tells DEL then. */
  readonly firewall?: false;
}

const LOSSES: readonly (readonly [what: string, Loss])[] = [
  ["all is there", {}],
  ["the container is gone", { script: "ip netns del c1" }],
  ["the container is gone, CNI_NETNS is empty", { script: "ip netns del c1", del: { netns: "" } }],
  ["no prevResult", { del: { prevResult: undefined }, firewall: false }],
  [
    "nothing is known",
    { script: "ip netns del c1", del: { netns: "", prevResult: undefined }, firewall: false },
  ],
];

/**
 * What the reference's own DEL leaves of its tables of nftables: ours leaves it too. To delete a table would
 * race with an ADD of the reference's, which makes it in one step and fills it in another.
 */
async function theirTables(t: Test, { reference, backend, cniVersion }: Upgrade): Promise<string[]> {
  if (backend === "iptables") return [];
  const stage = await makeStage(t);
  const theirs = await start(stage, "c1", { list: listOf(backend, cniVersion), dir: reference.dir });
  showTheirs(t, await theirs.del(), "the reference's DEL of its own");
  return (await filterState(stage.host)).filter((line) => /^(table )?(inet|ip6?) cni_/.test(line));
}

async function showDeletedByOurs(t: Test, upgrade: Upgrade): Promise<void> {
  const { reference, backend, cniVersion } = upgrade;
  const stage = await makeStage(t);
  const { host } = stage;
  const before = [...(await hostState(host)), ...(await theirTables(t, upgrade))];
  for (const [what, { script = "true", del = {}, firewall }] of LOSSES) {
    const theirs = listOf(backend, cniVersion, firewall);
    const files = [
      ["the same file", theirs],
      ["no backend in it", listOf(undefined, cniVersion, firewall)],
    ] as const;
    for (const [file, list] of files) {
      const made = await start(stage, "c1", { list: theirs, dir: reference.dir });
      t.ok((await changesSince(before, host)).length > 10, `${what}, ${file}: ADD`);
      await host.exec("sh", ["-c", script]);
      const chain = inherit(made, list);
      silent(t, await chain.del(del), `${what}, ${file}`);
      silent(t, await chain.del(del), `${what}, ${file}: the second time`);
      t.strictSame(await changesSince(before, host), [], `${what}, ${file}: nothing is left`);
      await host.exec("sh", ["-c", "ip netns del c1 2> /dev/null || true"]);
    }
  }
}

async function showDeletedByTheirs(t: Test, { reference, backend, cniVersion }: Upgrade): Promise<void> {
  const stage = await makeStage(t);
  const { host } = stage;
  // the firewall of the reference knows no backend of that name, and goes on with its own
  const list = natNetwork("net", SUBNETS, { backend, cniVersion });
  // what each leaves for ever is there
  const first = await start(stage, "c0", { list, dir: reference.dir });
  showTheirs(t, await first.del(), "the reference's DEL of its own");
  const before = await hostState(host);
  const made = await start(stage, "c1", { list });
  showTheirs(t, await inherit(made, list, reference.dir).del(), "the reference's DEL");

  const about = await filterLinesOf(made)(host);
  const elements = about.filter((line) => /^(inet|bridge) weft /.test(line));
  t.equal(elements.length > 0, backend === "nftables", "with nftables elements of ours are left");
  // who asked for a bridge's rules is written down in a chain that no packet comes to
  const notes = about.filter((line) => line.includes("-A CNI-FORWARD-OWNERS "));
  const rest = about.filter((line) => !elements.includes(line) && !notes.includes(line));
  t.strictSame(rest, [], "no rule has its addresses or its name");
  const jumps = (await filterState(host)).filter((line) => line.includes("-j CNI-FORWARD-OWNERS"));
  t.strictSame(jumps, [], "nor does any lead to where it is only noted");
  // a runtime that knows GC speaks 1.1.0
  const outcomes = await collectChain(host, natNetwork("net", SUBNETS, { backend }), []);
  for (const outcome of outcomes) silent(t, outcome, "GC");
  const after = (await changesSince(before, host)).filter((line) => !line.startsWith("- "));
  t.strictSame(after, [], "after GC nothing is left");
}

/** The first container is attached and detached by `firstDir`, the second by `secondDir`. */
async function showSideBySide(
  t: Test,
  { backend, cniVersion }: Upgrade,
  dirs: readonly [first: string | undefined, second: string | undefined],
): Promise<void> {
  const stage = await makeStage(t);
  await stage.outside.serveAll([{ protocol: "tcp", port: PORT }]);
  const list = listOf(backend, cniVersion);
  const [first, second] = [
    await start(stage, "c1", { list, dir: dirs[0] }),
    await start(stage, "c2", { list, dir: dirs[1] }),
  ];
  for (const { container } of [first, second]) {
    const greeting = `${container.name} `;
    await container.serveAll(PROTOCOLS.map((protocol) => ({ protocol, port: PORT, greeting })));
  }
  const order = dirs[0] === undefined ? "ours first" : "the reference's first";
  await showReachable(t, stage, [first, second], order);
  await showConnected(t, stage, [first, second], order);
  for (const [goes, stays] of [
    [first, second],
    [second, first],
  ] as const) {
    const others = filterLinesOf(stays);
    const had = await others(stage.host);
    const outcome = await goes.del();
    if (goes.options.dir === undefined) silent(t, outcome, `${order}: DEL of ${goes.container.name} by ours`);
    else showTheirs(t, outcome, `${order}: DEL of ${goes.container.name} by the reference`);
    await showReachable(t, stage, [stays], `${order}, without ${goes.container.name}`);
    t.strictSame(await others(stage.host), had, `the rules of ${stays.container.name} are as they were`);
    if (stays.options.dir === undefined) silent(t, await stays.check(), "CHECK is content");
    await goes.add();
    t.equal(goes.refused, undefined, `${order}: ${goes.container.name} comes back`);
  }
}

/** What names the container or its addresses. */
function filterLinesOf({ container, addresses }: Chain): (host: Host) => Promise<string[]> {
  const words = [...addresses, container.containerId];
  return async (host) =>
    (await filterState(host)).filter((line) => words.some((word) => line.includes(`${word}`)));
}

for (const upgrade of UPGRADES) {
  const { reference, backend } = upgrade;
  const run = (what: string, act: (t: Test) => Promise<void>) => {
    return t.test(`${reference.version}, ${backend}: ${what}`, { timeout: TIMEOUT_MS }, async (t) => {
      const lack = lacks ?? reference.missing;
      if (lack) return skip(t, lack);
      await act(t);
    });
  };
  await run("made by the reference, deleted by ours", (t) => showDeletedByOurs(t, upgrade));
  await run("made by ours, deleted by the reference", (t) => showDeletedByTheirs(t, upgrade));
  await run("side by side", async (t) => {
    await showSideBySide(t, upgrade, [reference.dir, undefined]);
    await showSideBySide(t, upgrade, [undefined, reference.dir]);
  });
}
