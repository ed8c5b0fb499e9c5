/**
 * What portmap is told beside the ports, with packets: ranges, conditions, snat, masqAll, addresses it
 * refuses; a packet filter that drops what it forwards; and the hole that route_localnet would be. T7.
 */
import t, { type Test } from "tap";
import { attachChain, type Chain, tryChain } from "./fixtures/chain.ts";
import type { Answer, AskOptions } from "./fixtures/exchange.ts";
import {
  type FilteredNetwork,
  filteredNetwork,
  type PortMapping,
  publishedPort,
} from "./fixtures/filtered-network.ts";
import { type Host, makeHost } from "./fixtures/host.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import {
  answerEveryRefusal,
  BACKENDS,
  connections,
  filterBridgedFrames,
  rulesAbout,
  savedTables,
} from "./fixtures/packet-filter.ts";
import { refused, silent } from "./fixtures/refusal.ts";
import type { Outside } from "./fixtures/wiring.ts";

const TIMEOUT_MS = 120_000;
t.setTimeout(6 * TIMEOUT_MS);
const SUBNETS = ["10.33.0.0/24", "fd00:33::/64"];
const GATEWAYS = { 4: "10.33.0.1", 6: "fd00:33::1" } as const;
const PROTOCOLS = ["tcp", "udp"] as const;
const lacks = await missing("bridge", "br_netfilter", "nf_tables");

interface Stage {
  readonly host: Host;
  readonly outside: Outside;
}

async function makeStage(t: Test): Promise<Stage> {
  const host = await makeHost(t);
  await answerEveryRefusal(host);
  return { host, outside: await host.outside() };
}

/** Attaches a container that publishes, and serves its name at 53. */
async function publish(
  { host }: Stage,
  name: string,
  network: FilteredNetwork & { portMappings: readonly PortMapping[] },
): Promise<Chain> {
  const { portMappings, ...rest } = network;
  const config = filteredNetwork("net", SUBNETS, { portmap: {}, ...rest });
  const chain = await attachChain(await host.container(name), config, { runtime: { portMappings } });
  const greeting = `${name}: `;
  await chain.container.serveAll(PROTOCOLS.map((protocol) => ({ protocol, port: 53, greeting })));
  return chain;
}

/** "c1: hello from 192.0.2.2", or the error. */
function told({ error, text, seenAddress }: Answer): string {
  return error ?? `${text} from ${seenAddress}`;
}

/** Over TCP and UDP, to both addresses of the node. */
function asks({ outside }: Stage, port: number): AskOptions[] {
  const { hostAddress4, hostAddress6 } = outside;
  const addresses = [hostAddress4, hostAddress6];
  return addresses.flatMap((address) => PROTOCOLS.map((protocol) => ({ protocol, address, port })));
}

for (const backend of BACKENDS) {
  await t.test(`snat and masqAll: ${backend}`, { timeout: TIMEOUT_MS }, async (t) => {
    if (lacks) return skip(t, lacks);
    const stage = await makeStage(t);
    const { host, outside } = stage;
    await filterBridgedFrames(host, 0); // else what is bridged is translated back by the host
    const plain = { backend, portmap: { snat: false }, portMappings: publishedPort(8001, 53) };
    const c1 = await publish(stage, "c1", plain);
    const peer = await publish(stage, "peer", { backend, portMappings: [] });
    const own = ["192.0.2.2", "192.0.2.2", "2001:db8:1::2", "2001:db8:1::2"];
    const answers = (await outside.askAll(asks(stage, 8001))).map(told);
    t.same(
      answers,
      own.map((it) => `c1: hello from ${it}`),
      "snat false: an outside host is answered",
    );
    const short = asks(stage, 8001).map((it) => ({ ...it, timeoutMs: 300 }));
    const loopback = { protocol: "tcp", address: "127.0.0.1", port: 8001, timeoutMs: 300 } as const;
    const [unanswered, [local]] = [await peer.container.askAll(short), await host.askAll([loopback])];
    const fails = unanswered.map(({ error }) => error !== undefined);
    t.same(fails, [true, true, true, true], "a peer is not: its answers come from another address");
    t.ok(local?.error, "nor is 127.0.0.1");
    t.equal(
      await host.sysctl("net/ipv4/conf/br-net/route_localnet"),
      "0",
      "which is not let onto the bridge",
    );

    const all = { backend, portmap: { masqAll: true }, portMappings: publishedPort(8002, 53) };
    const c2 = await publish(stage, "c2", all);
    const masqueraded = (await outside.askAll(asks(stage, 8002))).map(told);
    const gateways = [GATEWAYS[4], GATEWAYS[4], GATEWAYS[6], GATEWAYS[6]];
    t.same(
      masqueraded,
      gateways.map((it) => `c2: hello from ${it}`),
      "masqAll: the bridge speaks for everybody",
    );
    for (const chain of [c1, c2]) silent(t, await chain.check(), "CHECK is content");
    for (const chain of [c1, c2]) silent(t, await chain.del(), "DEL says nothing");
    t.same(await rulesAbout(host, ...c1.addresses, ...c2.addresses), [], "and leaves no rule");
  });
}

/** What each backend calls "from this address". */
const FROM = {
  nftables: { 4: (it: string) => ["ip", "saddr", it], 6: (it: string) => ["ip6", "saddr", it] },
  iptables: { 4: (it: string) => ["-s", it], 6: (it: string) => ["-s", it] },
} as const;

for (const backend of BACKENDS) {
  await t.test(`conditions of each container: ${backend}`, { timeout: TIMEOUT_MS }, async (t) => {
    if (lacks) return skip(t, lacks);
    const stage = await makeStage(t);
    const { outside } = stage;
    const clients = [
      [outside.address4, outside.address6],
      ["192.0.2.4", "2001:db8:1::4"],
    ] as const;
    const adds = clients[1].map((address) => `ip address add ${address} dev eth0 nodad`);
    await outside.exec("sh", ["-e", "-c", adds.join("\n")]);
    const chains: Chain[] = [];
    for (const [index, [client4, client6]] of clients.entries()) {
      const conditionsV4 = FROM[backend][4](client4);
      const conditionsV6 = FROM[backend][6](client6);
      const portMappings = publishedPort(8010 + index, 53);
      chains.push(
        await publish(stage, `c${index}`, { backend, portmap: { conditionsV4, conditionsV6 }, portMappings }),
      );
    }
    const open = await publish(stage, "open", { backend, portMappings: publishedPort(8012, 53) });
    for (const [index, [client4, client6]] of clients.entries()) {
      const own = (address: string) => ({ address: address.includes(":") ? client6 : client4 });
      const ports = [8010, 8011, 8012];
      const all = ports.flatMap((port) => asks(stage, port)).map((it) => ({ ...it, from: own(it.address) }));
      const answers = (await outside.askAll(all)).map(({ error, text }) => error ?? text);
      const wanted = ports.map((_, n) =>
        n === index ? `c${n}: hello` : n === 2 ? "open: hello" : "ECONNREFUSED",
      );
      t.same(
        answers,
        wanted.flatMap((it) => Array(4).fill(it)),
        `${client4} reaches what is for it, and no more`,
      );
    }
    for (const chain of [...chains, open]) silent(t, await chain.check(), "CHECK is content");
    silent(t, await (chains[0] as Chain).del(), "DEL says nothing"); // there are two
    const left = (await outside.askAll(asks(stage, 8010))).map(({ error }) => error);
    t.same(left, Array(4).fill("ECONNREFUSED"), "after one's DEL its port is closed");
    silent(t, await (chains[1] as Chain).check(), "and the other's CHECK content"); // there are two
  });
}

await t.test("a range of ports is one element", { timeout: TIMEOUT_MS }, async (t) => {
  if (lacks) return skip(t, lacks);
  const stage = await makeStage(t);
  const { host, outside } = stage;
  const ports = Array.from({ length: 1001 }, (_, index) => 30_000 + index);
  const portMappings = ports.flatMap((port) => publishedPort(port, port));
  const c1 = await publish(stage, "c1", { backend: "nftables", portMappings });
  const sockets = [30_000, 30_500, 31_000].flatMap((port) =>
    PROTOCOLS.map((protocol) => ({ protocol, port })),
  );
  await c1.container.serveAll(sockets);
  const all = [30_000, 30_500, 31_000].flatMap((port) => asks(stage, port));
  const answers = (await outside.askAll(all)).map(({ error, text }) => error ?? text);
  t.same(answers, Array(12).fill("hello"), "its ends and its middle lead to the container");
  const beside = [29_999, 31_001].flatMap((port) => asks(stage, port));
  const errors = (await outside.askAll(beside)).map(({ error }) => error);
  t.same(errors, Array(8).fill("ECONNREFUSED"), "what is beside it does not");
  const about = (await rulesAbout(host, ...c1.addresses)).filter((line) => /30000|30500|31000/.test(line));
  const elements = about.flatMap((line) => line.match(/\b30000-31000\b/g) ?? []);
  t.equal(elements.length, 4, "one element for a protocol and a family", { about });
  t.same(
    about.filter((line) => /\b30500\b/.test(line)),
    [],
    "and none for a port in it",
  );
  silent(t, await c1.check(), "CHECK is content");
  silent(t, await c1.del(), "DEL says nothing");
  t.same(await rulesAbout(host, ...c1.addresses), [], "and leaves no element");
});

for (const backend of BACKENDS) {
  await t.test(`the host's 127.0.0.1 is the host's: ${backend}`, { timeout: TIMEOUT_MS }, async (t) => {
    if (lacks) return skip(t, lacks);
    const stage = await makeStage(t);
    const { host } = stage;
    const { container } = await publish(stage, "c1", { backend, portMappings: publishedPort(8020, 53) });
    const sockets = PROTOCOLS.map((protocol) => ({ protocol, port: 9999 }));
    await host.serveAll(sockets.map((it) => ({ ...it, address: "127.0.0.1" })));
    await host.serveAll(sockets.map((it) => ({ ...it, address: GATEWAYS[4] })));
    const asksFor = (address: string, rest: object = {}) =>
      PROTOCOLS.map((protocol): AskOptions => ({ protocol, address, port: 9999, timeoutMs: 500, ...rest }));
    const reached = async (list: AskOptions[]) =>
      (await container.askAll(list)).map(({ error, text }) => error ?? text);
    t.same(
      await reached(asksFor(GATEWAYS[4])),
      ["hello", "hello"],
      "a container reaches a service of the host",
    );

    // a container that may do all to its own stack; its lo is down
    await container.sysctl("net/ipv4/conf/all/route_localnet", 1);
    await container.exec("ip", ["route", "add", "127.0.0.1", "via", GATEWAYS[4]]);
    const silence = ["ETIMEDOUT", "ETIMEDOUT"];
    t.same(await reached(asksFor("127.0.0.1")), silence, "not one that listens on 127.0.0.1 alone");
    await container.exec("ip", ["route", "del", "127.0.0.1"]);
    await container.exec("ip", ["address", "add", "127.0.0.2/32", "dev", "eth0"]);
    const capture = await container.capture("eth0", "src 127.0.0.2");
    await reached(asksFor(GATEWAYS[4], { from: { address: "127.0.0.2" } }));
    await capture.frame(/127\.0\.0\.2\.\d+ > 10\.33\.0\.1\.9999: UDP/);
    t.same(await connections(host, "-s", "127.0.0.2"), [], "nor does it pass for somebody on the host");
    await capture.stop();
    const [local] = await host.askAll([{ protocol: "tcp", address: "127.0.0.1", port: 8020 }]);
    t.equal(local?.text, "c1: hello", "the host still reaches the port by 127.0.0.1");
  });
}

for (const variant of ["iptables", "iptables-legacy"] as const) {
  await t.test(`a FORWARD policy of DROP in ${variant}`, { timeout: TIMEOUT_MS }, async (t) => {
    const reason = lacks ?? (variant === "iptables" ? undefined : await missing("iptables-legacy"));
    if (reason) return skip(t, reason);
    const stage = await makeStage(t);
    const { host, outside } = stage;
    const policies = [variant, variant.replace("ip", "ip6")].map((command) => `${command} -P FORWARD DROP`);
    await host.exec("sh", ["-e", "-c", policies.join("\n")]);
    const before = await savedTables(host);
    await outside.serveAll(PROTOCOLS.map((protocol) => ({ protocol, port: 7000 })));
    const c1 = await publish(stage, "c1", { firewall: {}, portMappings: publishedPort(8030, 53) });
    const inward = (await outside.askAll(asks(stage, 8030))).map(told);
    const own = ["192.0.2.2", "192.0.2.2", "2001:db8:1::2", "2001:db8:1::2"];
    t.same(
      inward,
      own.map((it) => `c1: hello from ${it}`),
      "published ports are reached",
    );
    const aways = [outside.address4, outside.address6];
    const outward = aways.flatMap((address) =>
      PROTOCOLS.map((protocol) => ({ protocol, address, port: 7000 })),
    );
    const answers = (await c1.container.askAll(outward)).map(({ error, text }) => error ?? text);
    t.same(answers, Array(4).fill("hello"), "and the container reaches the outside");
    silent(t, await c1.check(), "CHECK is content");
    silent(t, await c1.del(), "DEL says nothing");
    t.same(await rulesAbout(host, ...c1.addresses), [], "and leaves no rule");
    const after = await savedTables(host);
    t.same(
      before.filter((line) => !after.includes(line)),
      [],
      "nor does it take anything away",
    );
  });
}

await t.test("what cannot be published is refused", { timeout: TIMEOUT_MS }, async (t) => {
  if (lacks) return skip(t, lacks);
  const { host } = await makeStage(t);
  const container = await host.container("c1");
  const base = { hostPort: 8040, containerPort: 53, protocol: "tcp" };
  const cases: [mapping: object, msg: RegExp][] = [
    [{ ...base, hostIP: "::1" }, /::1/],
    [{ ...base, hostPort: 0 }, /^Invalid host port number: 0/],
    [{ ...base, hostPort: 65_536 }, /^Invalid host port number: 65536/],
    [{ ...base, hostIP: "192.0.2" }, /192\.0\.2/],
    [{ ...base, protocol: "icmp" }, /icmp/],
  ];
  for (const backend of BACKENDS) {
    const config = filteredNetwork("net", SUBNETS, { backend, portmap: {} });
    for (const [mapping, msg] of cases) {
      const chain = await tryChain(container, config, { runtime: { portMappings: [mapping] } });
      if (chain.refused)
        refused(t, chain.refused, { code: 7, msg }, `${backend}: ${JSON.stringify(mapping)}`);
      else t.fail(`${backend} takes ${JSON.stringify(mapping)}`);
      silent(t, await chain.del(), "DEL says nothing");
    }
  }
});
