/**
 * Networks that are kept apart, with packets: T2, T3, T13 and T14 of the topologies, by each backend and with
 * bridged frames filtered or not. What is told of every pair is in POLICIES, a network each.
 */
import t, { type Test } from "tap";
import { attachChain, type Chain } from "./fixtures/chain.ts";
import { filteredNetwork, publishedPort } from "./fixtures/filtered-network.ts";
import { type Host, makeHost } from "./fixtures/host.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import type { Netns } from "./fixtures/netns.ts";
import { normalise } from "./fixtures/normalise.ts";
import { filterBridgedFrames, rulesAbout, SURROUNDINGS } from "./fixtures/packet-filter.ts";
import { greet, reaches, type Target } from "./fixtures/reach.ts";
import { silent } from "./fixtures/refusal.ts";
import { remains } from "./fixtures/remains.ts";
import type { Outside } from "./fixtures/wiring.ts";

const TIMEOUT_MS = 120_000;
t.setTimeout(9 * TIMEOUT_MS);
const lacks = await missing("bridge", "br_netfilter", "nf_tables");
const FAMILIES = [4, 6] as const;
type Surroundings = (typeof SURROUNDINGS)[number];

/** Keys of firewall. */
const POLICIES = {
  open: {},
  bridge: { ingressPolicy: "same-bridge" },
  other: { ingressPolicy: "same-bridge" },
  isolated: { ingressPolicy: "isolated" },
  published: { ingressPolicy: "published" },
  internal: { internal: true },
  quiet: { icc: false },
} as const;
type Network = keyof typeof POLICIES;
const NETWORKS: readonly Network[] = [
  "open",
  "bridge",
  "other",
  "isolated",
  "published",
  "internal",
  "quiet",
];

/** Whether containers of one network reach those of another at their own addresses. */
function reachesDirectly(from: Network | "outside", to: Network): boolean {
  if (from === to) return from !== "isolated" && from !== "quiet";
  if (from === "internal" || to === "internal" || to === "published") return false;
  return !(isApart(from) && isApart(to));
}

const isApart = (network: Network | "outside") => ["bridge", "other", "isolated"].includes(network);

/** Whether they reach the ports that a container of another network publishes, at the node's address. */
function reachesPublished(from: Network | "outside", to: Network): boolean {
  return from !== "internal" && to !== "internal";
}

const subnetsOf = (index: number) => [`10.4${index}.0.0/24`, `fd00:4${index}::/64`];
const hostPortOf = (network: Network) => 8100 + NETWORKS.indexOf(network);

function networkOf(
  network: Network,
  { backend }: Surroundings,
  keys: { bridge?: object; firewall?: object } = {},
) {
  const subnets = subnetsOf(NETWORKS.indexOf(network));
  const firewall = { ...POLICIES[network], ...keys.firewall };
  return filteredNetwork(network, subnets, { backend, portmap: {}, ...keys, firewall });
}

interface Stage {
  readonly host: Host;
  readonly outside: Outside;
  /** Two containers of each network; the first publishes a port. */
  readonly members: ReadonlyMap<Network, readonly [Chain, Chain]>;
}

async function makeStage(t: Test, surroundings: Surroundings, networks: readonly Network[]): Promise<Stage> {
  const host = await makeHost(t);
  await filterBridgedFrames(host, surroundings.filtered);
  const outside = await host.outside();
  const members = new Map<Network, readonly [Chain, Chain]>();
  for (const network of networks) {
    const config = networkOf(network, surroundings);
    const portMappings = publishedPort(hostPortOf(network), 80);
    const first = await attachChain(await host.container(`${network}1`), config, {
      runtime: { portMappings },
    });
    const second = await attachChain(await host.container(`${network}2`), config);
    members.set(network, [first, second]);
  }
  const containers = [...members.values()].flat().map(({ container }) => container);
  await Promise.all(containers.map((container) => greet(container, [80])));
  // it knows the way to the containers, as a host on the same wire may
  const ways = networks.flatMap((network) => {
    const [subnet4, subnet6] = subnetsOf(NETWORKS.indexOf(network));
    return [
      `ip route add ${subnet4} via ${outside.hostAddress4}`,
      `ip route add ${subnet6} via ${outside.hostAddress6}`,
    ];
  });
  await outside.exec("sh", ["-e", "-c", ways.join("\n")]);
  await greet(outside, [80]);
  return { host, outside, members };
}

/** The containers of a network at their own addresses, but for the one that asks. */
function directly({ members }: Stage, to: Network, asking: Netns, reached: boolean): Target[] {
  const others = (members.get(to) ?? []).filter(({ container }) => container !== asking);
  return others.flatMap((chain) =>
    FAMILIES.map((family) => {
      const { name } = chain.container;
      return { name, way: "directly", address: chain.address(family), port: 80, reached };
    }),
  );
}

function published({ outside }: Stage, to: Network, reached: boolean): Target[] {
  const addresses = [outside.hostAddress4, outside.hostAddress6];
  return addresses.map((address) => {
    return { name: `${to}1`, way: "published", address, port: hostPortOf(to), reached };
  });
}

function away({ outside }: Stage, reached: boolean): Target[] {
  const addresses = [outside.address4, outside.address6];
  return addresses.map((address) => ({ name: outside.name, way: "directly", address, port: 80, reached }));
}

for (const surroundings of SURROUNDINGS) {
  await t.test(`who reaches whom: ${surroundings.name}`, { timeout: TIMEOUT_MS }, async (t) => {
    if (lacks) return skip(t, lacks);
    const stage = await makeStage(t, surroundings, NETWORKS);
    const { host, outside, members } = stage;
    const everyone = (from: Network | "outside", asking: Netns) =>
      NETWORKS.flatMap((to) => [
        ...directly(stage, to, asking, reachesDirectly(from, to)),
        // what an internal network does with its own ports is nobody's business
        ...(from === "internal" && to === from ? [] : published(stage, to, reachesPublished(from, to))),
      ]);
    const asked: Promise<void>[] = [reaches(t, outside, everyone("outside", outside), "an outside host")];
    for (const [network, [first, second]] of members) {
      for (const { container } of [first, second]) {
        const targets = [...everyone(network, container), ...away(stage, network !== "internal")];
        asked.push(reaches(t, container, targets, `a container of the network "${network}"`));
      }
    }
    const own = NETWORKS.flatMap((to) => [
      ...directly(stage, to, host, true),
      ...(to === "internal" ? [] : published(stage, to, true)),
    ]);
    asked.push(reaches(t, host, own, "the host"));
    await Promise.all(asked);
    for (const chain of [...members.values()].flat()) {
      silent(t, await chain.check(), `CHECK of ${chain.container.name} is content`);
    }
  });
}

for (const surroundings of SURROUNDINGS) {
  await t.test(
    `a permitted pair, a second network: ${surroundings.name}`,
    { timeout: TIMEOUT_MS },
    async (t) => {
      if (lacks) return skip(t, lacks);
      const stage = await makeStage(t, surroundings, ["bridge", "other"]);
      const { host, members } = stage;
      const second = await host.outside();
      await greet(second, [80]);
      await showForwarding(t, stage, second, "the rest of the host is forwarded");
      const before = normalise(await host.snapshot());
      await showPair(t, stage, "networks are apart", { apart: true });

      const permitting = networkOf("bridge", surroundings, {
        firewall: { permittedInterfaces: ["br-other"] },
      });
      const third = await attachChain(await host.container("bridge3"), permitting);
      await greet(third.container, [80]);
      await showPair(t, stage, "a permitted pair is not", { apart: false });
      silent(t, await third.check(), "CHECK is content");
      silent(t, await third.del(), "DEL says nothing");
      await third.container.remove();
      t.same(remains(before, await host.snapshot()), [], "and leaves nothing");
      await showPair(t, stage, "and the pair is apart again", { apart: true });

      await showSecondNetwork(t, stage, surroundings);
      t.same(remains(before, await host.snapshot()), [], "disconnect takes away what connect brought");
      await showForwarding(t, stage, second, "the rest of the host is still forwarded");
      for (const chain of [...members.values()].flat()) silent(t, await chain.del(), "DEL says nothing");
      const about = [...members.values()].flat().flatMap(({ addresses }) => addresses);
      t.same(await rulesAbout(host, ...about), [], "the last DEL leaves no rule for a container");
      t.same(await rulesAbout(host, "br-bridge", "br-other"), [], "nor for a network");
    },
  );
}

/** Hosts on two cables, to which this one is a router. */
async function showForwarding(t: Test, { outside }: Stage, second: Outside, name: string): Promise<void> {
  const ways = [
    `ip route replace ${second.address4} via ${outside.hostAddress4}`,
    `ip route replace ${second.address6} via ${outside.hostAddress6}`,
  ];
  await outside.exec("sh", ["-e", "-c", ways.join("\n")]);
  const back = [
    `ip route replace ${outside.address4} via ${second.hostAddress4}`,
    `ip route replace ${outside.address6} via ${second.hostAddress6}`,
  ];
  await second.exec("sh", ["-e", "-c", back.join("\n")]);
  const target = { name: second.name, way: "directly", port: 80, reached: true };
  const targets = [second.address4, second.address6].map((address) => ({ ...target, address }));
  await reaches(t, outside, targets, name);
}

async function showPair(t: Test, stage: Stage, name: string, { apart }: { apart: boolean }): Promise<void> {
  const pairs = [
    ["bridge", "other"],
    ["other", "bridge"],
  ] as const;
  const asked = pairs.map(([from, to]) => {
    const [client] = stage.members.get(from) ?? [];
    if (client === undefined) throw new Error(`No container of ${from}`);
    const targets = [
      ...directly(stage, to, client.container, !apart),
      ...directly(stage, from, client.container, true),
      ...published(stage, to, true),
    ];
    return reaches(t, client.container, targets, `${name}: from "${from}"`);
  });
  await Promise.all(asked);
}

/** T3: a container of both networks is in each, and no way from one to the other. */
async function showSecondNetwork(t: Test, stage: Stage, surroundings: Surroundings): Promise<void> {
  const { host, members } = stage;
  const [both, near] = members.get("bridge") ?? [];
  const [far] = members.get("other") ?? [];
  if (both === undefined || near === undefined || far === undefined) throw new Error("No containers");
  const second = networkOf("other", surroundings, { bridge: { isDefaultGateway: false, isGateway: true } });
  const eth1 = await attachChain(both.container, second, { ifname: "eth1" });
  const { name } = both.container;
  const at = (chain: Chain, reached: boolean) =>
    FAMILIES.map(
      (family): Target => ({
        name,
        way: `at ${chain.ifname}`,
        address: chain.address(family),
        port: 80,
        reached,
      }),
    );
  await Promise.all([
    reaches(
      t,
      near.container,
      [...at(both, true), ...at(eth1, false)],
      "a neighbour reaches its address there alone",
    ),
    reaches(
      t,
      far.container,
      [...at(both, false), ...at(eth1, true)],
      "one of the other network reaches it there alone",
    ),
    reaches(t, host, [...at(both, true), ...at(eth1, true)], "the host reaches both"),
  ]);
  silent(t, await eth1.check(), "CHECK of eth1 is content");
  silent(t, await eth1.del(), "DEL of eth1 says nothing");
  silent(t, await both.check(), "CHECK of eth0 is content");
}
