/**
 * Many chains of bridge, portmap and firewall at a time: no call fails that need not, no port leads to two
 * containers, every container is reached through its own, and when all is detached nothing is left.
 */
import t, { type Test } from "tap";
import { attachChain, type Chain, type ChainConfig, collectChain, tryChain } from "./fixtures/chain.ts";
import { AT_A_TIME, atATime, failureOf, makeContainers } from "./fixtures/crowd.ts";
import { filterDifferences, filterState } from "./fixtures/filter-state.ts";
import { type Container, type Host, makeHost } from "./fixtures/host.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { natNetwork, type PortMapping, publishing } from "./fixtures/nat-network.ts";
import { type NormalSnapshot, normalise } from "./fixtures/normalise.ts";
import { BACKENDS, type Backend } from "./fixtures/packet-filter.ts";
import { pick, randomFrom, SEED, shuffled } from "./fixtures/random.ts";
import { remains } from "./fixtures/remains.ts";
import type { Outside } from "./fixtures/wiring.ts";

const TIMEOUT_MS = 300_000;
const ATTACHMENTS = 100;
const ROUNDS = 10;
const SUBNETS = ["10.30.0.0/16", "fd00:30::/64"];
const lacks = await missing("bridge", "nf_tables");

t.setTimeout(6 * TIMEOUT_MS);
t.comment(`WEFT_SEED=${SEED}`);

interface Stage {
  readonly host: Host;
  readonly outside: Outside;
  readonly list: ChainConfig;
  readonly before: NormalSnapshot;
  readonly filter: readonly string[];
}

/** A host that had a container once: what stays of any is there. */
async function makeStage(t: Test, backend: Backend): Promise<Stage> {
  const host = await makeHost(t);
  const outside = await host.outside();
  const filter = await filterState(host);
  const list = natNetwork("net", SUBNETS, { backend, bridge: { macspoofchk: true } });
  const subnets = ["10.31.0.0/24", "fd00:31::/64"];
  const once = natNetwork("once", subnets, { backend, bridge: { bridge: "once0", macspoofchk: true } });
  const [container] = await makeContainers(host, 1);
  if (!container) throw new Error("No container");
  await (await attachChain(container, once, { runtime: publishing(...portsOf(400, outside)) })).del();
  await collectChain(host, once, []);
  return { host, outside, list, before: normalise(await host.snapshot()), filter };
}

/** Five: one that is translated, two that make a range, UDP, and one of an address alone. */
function portsOf(index: number, { hostAddress4 }: Outside): PortMapping[] {
  const first = 20_000 + 10 * index;
  return [
    { hostPort: first, containerPort: 80, protocol: "tcp" },
    { hostPort: first + 1, containerPort: first + 1, protocol: "tcp" },
    { hostPort: first + 2, containerPort: first + 2, protocol: "tcp" },
    { hostPort: first + 3, containerPort: 53, protocol: "udp" },
    { hostPort: first + 4, containerPort: 81, protocol: "tcp", hostIP: hostAddress4 },
  ];
}

function protocolOf({ protocol }: PortMapping): "tcp" | "udp" {
  return protocol === "udp" ? "udp" : "tcp";
}

/** One process a container with a socket for each of its ports; it says its name. */
async function serve(container: Container, ports: readonly PortMapping[]): Promise<void> {
  const sockets = ports.map((port) => ({
    protocol: protocolOf(port),
    port: port.containerPort,
    greeting: `${container.name} `,
  }));
  await container.serveAll(sockets);
}

for (const backend of BACKENDS) {
  await t.test(`${backend}: 100 ADDs, 16 at a time, then DELs`, { timeout: TIMEOUT_MS }, async (t) => {
    if (lacks) return skip(t, lacks);
    const random = randomFrom(SEED);
    const stage = await makeStage(t, backend);
    const { host, outside, list } = stage;
    const containers = await makeContainers(host, ATTACHMENTS);
    const ports = containers.map((_, index) => portsOf(index, outside));
    await atATime([...containers.entries()], ([index, container]) => serve(container, ports[index] ?? []));

    const chains = await atATime([...containers.entries()], ([index, container]) =>
      tryChain(container, list, { runtime: publishing(...(ports[index] ?? [])) }),
    );
    t.strictSame(refusals(chains), [], "every ADD succeeds");
    const asked = chains.map((_, index) => pick(ports[index] ?? [], random));
    await showReached(t, stage, chains, asked);
    const checked = await atATime(chains, (chain) => chain.check());
    t.strictSame(checked.map(failureOf).filter(Boolean), [], "every CHECK is content");

    const [stay, go] = [chains.slice(0, 5), shuffled(chains.slice(5), random)];
    const deleted = await atATime(go, (chain) => chain.del());
    t.strictSame(deleted.map(failureOf).filter(Boolean), [], "every DEL succeeds");
    await showReached(t, stage, stay, asked);
    const last = await atATime(stay, (chain) => chain.del());
    t.strictSame(last.map(failureOf).filter(Boolean), [], "and that of the last");
    await showNothingLeft(t, stage);
  });

  await t.test(`${backend}: all at once come and go`, { timeout: TIMEOUT_MS }, async (t) => {
    if (lacks) return skip(t, lacks);
    const stage = await makeStage(t, backend);
    const { problems, ports } = await comeAndGo(stage, randomFrom(SEED));
    t.strictSame(
      problems,
      [],
      `${AT_A_TIME} containers, ${ROUNDS} times each, with ${ports} ports that change hands`,
    );
    await showNothingLeft(t, stage);
  });

  await t.test(`${backend}: one port for all of them`, { timeout: TIMEOUT_MS }, async (t) => {
    if (lacks) return skip(t, lacks);
    const stage = await makeStage(t, backend);
    await showOneWinner(t, stage);
    await showNothingLeft(t, stage);
  });
}

/** Each container takes five ports that are free, is attached, gives them back when it is not. */
async function comeAndGo({ host, outside, list }: Stage, random: () => number) {
  const problems: string[] = [];
  // two more than containers, so that each is soon another's
  const free = Array.from({ length: AT_A_TIME + 2 }, (_, index) => index);
  const ports = free.length * portsOf(0, outside).length;
  const containers = await makeContainers(host, AT_A_TIME);
  await atATime(containers, async (container) => {
    for (let round = 0; round < ROUNDS; round++) {
      const [group = 0] = free.splice(Math.floor(random() * free.length), 1);
      const runtime = publishing(...portsOf(group, outside));
      const chain = await tryChain(container, list, { runtime });
      const outcomes = [chain.refused, chain.refused ? undefined : await chain.check(), await chain.del()];
      const failures = outcomes.map((outcome) => outcome && failureOf(outcome)).filter(Boolean);
      problems.push(...failures.map((failure) => `${container.name}, round ${round}: ${failure}`));
      free.push(group);
    }
  });
  return { problems, ports };
}

/** All ask for the same: one gets it, the others are told whose it is, and nothing of them is left. */
async function showOneWinner(t: Test, stage: Stage): Promise<void> {
  const { host, outside, list } = stage;
  const containers = await makeContainers(host, AT_A_TIME);
  const [wanted] = portsOf(0, outside);
  if (!wanted) throw new Error("No port");
  await atATime(containers, (container) => serve(container, [wanted]));
  const chains = await atATime(containers, (container) =>
    tryChain(container, list, { runtime: publishing(wanted) }),
  );
  const winners = chains.filter(({ refused }) => refused === undefined);
  t.equal(winners.length, 1, "one has the port");
  const [winner] = winners;
  if (!winner) return;
  const id = winner.container.containerId;
  const unclear = chains.flatMap(({ refused }) => {
    const { code, msg = "", details = "" } = refused?.error ?? {};
    const isClear = code === 7 && `${msg} ${details}`.includes(id) && msg.includes(`${wanted.hostPort}`);
    return refused === undefined || isClear ? [] : refused.stdout;
  });
  t.strictSame(unclear, [], "each of the others is told which port, and whose it is");
  await showReached(t, stage, [winner], [wanted]);
  const losers = chains.filter((chain) => chain !== winner);
  const deleted = await atATime(losers, (chain) => chain.del());
  t.strictSame(deleted.map(failureOf).filter(Boolean), [], "DEL of those that have none");
  await showReached(t, stage, [winner], [wanted]);
  t.equal(failureOf(await winner.del()), undefined, "DEL of the one");
}

function refusals(chains: readonly Chain[]): string[] {
  return chains.flatMap(({ refused }) => (refused === undefined ? [] : (failureOf(refused) ?? [])));
}

/** From outside, all of them asked by one process. */
async function showReached(
  t: Test,
  { outside }: Stage,
  chains: readonly Chain[],
  asked: readonly (PortMapping | undefined)[],
): Promise<void> {
  const asks = chains.map((_, index) => {
    const port = asked[index];
    if (port === undefined) throw new Error("No port");
    const timeoutMs = 10_000;
    return { protocol: protocolOf(port), address: outside.hostAddress4, port: port.hostPort, timeoutMs };
  });
  const answers = await outside.askAll(asks);
  const found = answers.map(({ error, text, seenAddress }) => error ?? `${text} to ${seenAddress}`);
  const wanted = chains.map(({ container }) => `${container.name} hello to ${outside.address4}`);
  t.strictSame(found, wanted, `${chains.length} containers answer from outside, each at its own port`);
}

async function showNothingLeft(t: Test, { host, list, before, filter }: Stage): Promise<void> {
  t.strictSame(filterDifferences(filter, await filterState(host)), [], "no rule and no element is left");
  const outcomes = await collectChain(host, list, []);
  t.strictSame(outcomes.map(failureOf).filter(Boolean), [], "GC");
  t.strictSame(remains(before, await host.snapshot()), [], "and then nothing at all");
}
