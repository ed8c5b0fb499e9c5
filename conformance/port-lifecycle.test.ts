/**
 * Published ports from ADD to DEL: who has a port and who is refused it, connections that outlive a
 * container, ranges, and the hole that route_localnet would be. T7 of the topologies.
 */
import t, { type Test } from "tap";
import { attachChain, type Chain, tryChain } from "./fixtures/chain.ts";
import type { Answer, AskOptions } from "./fixtures/exchange.ts";
import { filteredNetwork, type PortMapping, publishedPort } from "./fixtures/filtered-network.ts";
import { type Host, makeHost } from "./fixtures/host.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { normalise } from "./fixtures/normalise.ts";
import {
  answerEveryRefusal,
  BACKENDS,
  type Backend,
  connections,
  rulesAbout,
} from "./fixtures/packet-filter.ts";
import { silent } from "./fixtures/refusal.ts";
import { remains } from "./fixtures/remains.ts";
import type { Outside } from "./fixtures/wiring.ts";

const TIMEOUT_MS = 120_000;
t.setTimeout(6 * TIMEOUT_MS);
const SUBNETS = ["10.32.0.0/24", "fd00:32::/64"];
const PROTOCOLS = ["tcp", "udp"] as const;
const PORT = 8053;
const CLIENT_PORT = 40_000;
const lacks = await missing("bridge", "br_netfilter", "nf_tables");

interface Stage {
  readonly host: Host;
  readonly outside: Outside;
  readonly backend: Backend;
}

async function makeStage(t: Test, backend: Backend): Promise<Stage> {
  const host = await makeHost(t);
  await answerEveryRefusal(host);
  return { host, outside: await host.outside(), backend };
}

const networkOf = ({ backend }: Stage) => filteredNetwork("net", SUBNETS, { backend, portmap: {} });

/** Attaches a container that publishes, and serves its name at 53. */
async function publish(stage: Stage, name: string, portMappings: readonly PortMapping[]): Promise<Chain> {
  const container = await stage.host.container(name);
  const chain = await attachChain(container, networkOf(stage), { runtime: { portMappings } });
  await serveName(chain);
  return chain;
}

function serveName({ container }: Chain, ports: readonly number[] = [53]) {
  const greeting = `${container.name}: `;
  return container.serveAll(
    ports.flatMap((port) => PROTOCOLS.map((protocol) => ({ protocol, port, greeting }))),
  );
}

/** Both protocols, both addresses of the node; UDP always from the same port, as if from one socket. */
async function askBoth({ outside }: Stage, port = PORT): Promise<string[]> {
  const ends = [
    [outside.hostAddress4, outside.address4],
    [outside.hostAddress6, outside.address6],
  ] as const;
  const asks = ends.flatMap(([address, own]): AskOptions[] => [
    { protocol: "tcp", address, port },
    { protocol: "udp", address, port, from: { address: own, port: CLIENT_PORT } },
  ]);
  return (await outside.askAll(asks)).map(told);
}

function told({ error, text }: Answer): string {
  return error ?? text;
}

const from = (name: string): string[] => Array(4).fill(`${name}: hello`);
const REFUSED: string[] = Array(4).fill("ECONNREFUSED");

for (const backend of BACKENDS) {
  await t.test(`connections that outlive a container: ${backend}`, { timeout: TIMEOUT_MS }, async (t) => {
    if (lacks) return skip(t, lacks);
    const stage = await makeStage(t, backend);
    const bystander = await publish(stage, "bystander", []); // a bridge without a port sends nothing
    t.same(await askBoth(stage), REFUSED, "a client asks before anybody has published");
    const first = await publish(stage, "first", publishedPort(PORT, 53));
    t.same(await askBoth(stage), from("first"), "the same socket reaches the container that publishes");
    t.ok((await connectionsTo(stage, first)).length > 0, "connections lead to it");

    silent(t, await first.del(), "DEL says nothing");
    t.same(await connectionsTo(stage, first), [], "no connection leads to the dead address");
    await showNothingFor(t, stage, first);

    const second = await publish(stage, "second", publishedPort(PORT, 53));
    t.same(await askBoth(stage), from("second"), "after a new ADD the same socket reaches the new container");
    for (const chain of [second, bystander]) silent(t, await chain.check(), "CHECK is content");
    for (const chain of [second, bystander]) silent(t, await chain.del(), "DEL says nothing");
  });
}

/** A client goes on asking. What were sent to the dead address would be seen: it has a neighbour's entry. */
async function showNothingFor(t: Test, stage: Stage, dead: Chain): Promise<void> {
  const { host } = stage;
  const neighbours = [...dead.addresses, "10.32.0.99"].map(
    (address) => `ip neigh replace ${address} lladdr 02:00:00:00:00:99 dev br-net`,
  );
  await host.exec("sh", ["-e", "-c", neighbours.join("\n")]);
  const capture = await host.capture("br-net", "ip or ip6");
  t.same(await askBoth(stage), REFUSED, "the client's next packet is refused by the host");
  await host.ping("10.32.0.99"); // nobody's: has a neighbour's entry, too
  await capture.frame(/> 10\.32\.0\.99: .*echo request/);
  const frames = capture.frames.filter((line) => dead.addresses.some((address) => names(line, address)));
  t.same(frames, [], "and does not reach the dead address");
  await capture.stop();
}

function names(line: string, address: string): boolean {
  return line.split(/[ ,]+/).some((word) => word === address || word.startsWith(`${address}.`));
}

async function connectionsTo({ host }: Stage, { addresses }: Chain): Promise<string[]> {
  const all = [...(await connections(host)), ...(await connections(host, "-f", "ipv6"))];
  return all.filter((line) => line.includes("dport=") && addresses.some((it) => line.includes(`src=${it} `)));
}

for (const backend of BACKENDS) {
  await t.test(`two containers ask for one port: ${backend}`, { timeout: TIMEOUT_MS }, async (t) => {
    if (lacks) return skip(t, lacks);
    const stage = await makeStage(t, backend);
    const { host, outside } = stage;
    const node = outside.hostAddress4;
    const first = await publish(stage, "first", [
      ...publishedPort(PORT, 53),
      ...publishedPort(8054, 53, node),
    ]);
    const container = await host.container("second");
    const before = normalise(await host.snapshot());
    const refusals: [what: string, mappings: PortMapping[], msg: RegExp][] = [
      ["the same port", publishedPort(PORT, 53), /8053/],
      ["one address of a port on all", publishedPort(PORT, 53, node), /8053/],
      ["all addresses of a port on one", publishedPort(8054, 53), /8054/],
      ["a good one and a taken one", [...publishedPort(9000, 53), ...publishedPort(8054, 53, node)], /8054/],
    ];
    for (const [what, portMappings, port] of refusals) {
      const second = await tryChain(container, networkOf(stage), { runtime: { portMappings } });
      const { msg = "" } = second.refused?.error ?? {};
      t.match(second.refused, { code: 1, error: { code: 7, msg: port } }, `${what} is refused`);
      t.match(msg, /tcp/, "by protocol");
      t.match(msg, new RegExp(first.container.containerId), "and the container that has it");
      silent(t, await second.del(), "the runtime's DEL says nothing");
      t.same(remains(before, await host.snapshot()), [], "nothing is left of it");
    }
    t.same(await askBoth(stage), from("first"), "the first is as it was");
    silent(t, await first.check(), "and its CHECK content");
    await showNeighbours(t, stage, container.name);

    silent(t, await first.del(), "the first's DEL");
    const second = await publish(stage, "third", [...publishedPort(PORT, 53), ...publishedPort(8054, 53)]);
    t.same(await askBoth(stage), from("third"), "frees its ports for another");
    t.same(await askBoth(stage, 8054), from("third"), "all of them");
    await showStale(t, stage, second);
  });
}

/** What is beside a port that is taken is free. */
async function showNeighbours(t: Test, stage: Stage, name: string): Promise<void> {
  const { host, outside } = stage;
  const container = host.containers.get(name);
  if (container === undefined) throw new Error(`No container ${name}`);
  await host.exec("ip", ["address", "add", "192.0.2.3", "dev", outside.hostIfname]);
  const portMappings: PortMapping[] = [
    ...publishedPort(8054, 53, "192.0.2.3"),
    ...publishedPort(8055, 53, outside.hostAddress6),
    { hostPort: 8056, containerPort: 53, protocol: "udp" },
  ];
  const chain = await attachChain(container, networkOf(stage), { runtime: { portMappings } });
  const servers = await serveName(chain);
  const asks: AskOptions[] = [
    { protocol: "tcp", address: "192.0.2.3", port: 8054 },
    { protocol: "tcp", address: outside.hostAddress4, port: 8054 },
    { protocol: "tcp", address: outside.hostAddress6, port: 8055 },
    { protocol: "udp", address: outside.hostAddress4, port: 8056 },
    { protocol: "tcp", address: outside.hostAddress4, port: 8056 },
  ];
  const [second, first] = [`${name}: hello`, "first: hello"];
  const answers = (await outside.askAll(asks)).map(told);
  const wanted = [second, first, second, second, "ECONNREFUSED"];
  t.same(answers, wanted, "another address, family or protocol of a taken port is free");
  silent(t, await chain.del(), "DEL says nothing");
  await servers.stop();
}

/** A container that was never detached, and whose namespace is gone, keeps no port. */
async function showStale(t: Test, stage: Stage, stale: Chain): Promise<void> {
  const { host } = stage;
  await stale.container.remove();
  const heir = await publish(stage, "heir", publishedPort(PORT, 53));
  t.same(await askBoth(stage), from("heir"), "a claim of a container whose namespace is gone is taken over");
  silent(t, await stale.del(), "its late DEL says nothing");
  t.same(await askBoth(stage), from("heir"), "and takes nothing from the heir");
  silent(t, await heir.check(), "whose CHECK is content");
  silent(t, await heir.del(), "DEL says nothing");
  t.same(await rulesAbout(host, ...heir.addresses, ...stale.addresses), [], "and no rule is left");
  t.same(await askBoth(stage), REFUSED, "nor an open port");
}
