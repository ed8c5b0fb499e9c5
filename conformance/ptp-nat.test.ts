/**
 * ptp with masquerade, published ports and a firewall, with packets and by each backend: who is masqueraded,
 * who reaches a published port, what DEL and GC take away. T17 and T13 of the topologies.
 */
import t, { type Test } from "tap";
import { attachChain, type Chain, type ChainConfig, collectChain } from "./fixtures/chain.ts";
import type { Answer, AskOptions } from "./fixtures/exchange.ts";
import { type Host, makeHost } from "./fixtures/host.ts";
import { changesSince, hostState } from "./fixtures/host-state.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { publishing } from "./fixtures/nat-network.ts";
import type { Netns } from "./fixtures/netns.ts";
import { answerEveryRefusal, BACKENDS, type Backend, rulesAbout } from "./fixtures/packet-filter.ts";
import { ptpNetwork, twice } from "./fixtures/ptp-network.ts";
import { refused, silent } from "./fixtures/refusal.ts";
import type { Outside } from "./fixtures/wiring.ts";

const TIMEOUT_MS = 120_000;
t.setTimeout(6 * TIMEOUT_MS);
const PORT = 7000;
const HOST_PORT = 8080;
const LOOPBACK_PORT = 8127;
const SUBNETS = ["10.55.0.0/24", "fd00:55::/64"];
const FAR_SUBNETS = ["10.56.0.0/24", "fd00:56::/64"];
const PROTOCOLS = ["tcp", "udp"] as const;
const lacks = await missing("nf_tables");

/** ptp, portmap and firewall, as a node's file has them. */
function natNetwork(name: string, subnets: readonly string[], backend: Backend): ChainConfig {
  const { cniVersion, name: _, ...ptp } = ptpNetwork(name, subnets, { ipMasq: true, ipMasqBackend: backend });
  const plugins = [
    ptp,
    { type: "portmap", capabilities: { portMappings: true }, backend },
    { type: "firewall", backend },
  ];
  return { cniVersion, name, plugins };
}

interface Stage {
  readonly host: Host;
  readonly outside: Outside;
  /** Publishes its ports. */
  readonly server: Chain;
  /** On the same network. */
  readonly peer: Chain;
  /** On another. */
  readonly far: Chain;
}

async function makeStage(t: Test, backend: Backend): Promise<Stage> {
  const host = await makeHost(t);
  await answerEveryRefusal(host);
  const outside = await host.outside();
  const near = natNetwork("near", SUBNETS, backend);
  const runtime = publishing(
    ...PROTOCOLS.map((protocol) => ({ hostPort: HOST_PORT, containerPort: PORT, protocol })),
    { hostPort: LOOPBACK_PORT, containerPort: PORT, protocol: "tcp", hostIP: "127.0.0.1" },
  );
  const server = await attachChain(await host.container("server"), near, { runtime });
  const peer = await attachChain(await host.container("peer"), near);
  const far = await attachChain(await host.container("far"), natNetwork("far", FAR_SUBNETS, backend));
  const sockets = PROTOCOLS.map((protocol) => ({ protocol, port: PORT }));
  const servers = [outside, server.container, peer.container, far.container];
  await Promise.all(servers.map((netns) => netns.serveAll(sockets)));
  // a UDP server answers from the address it is bound to, or else from the nearest
  const uplinks = [outside.hostAddress4, outside.hostAddress6];
  await host.serveAll(uplinks.flatMap((address) => sockets.map((socket) => ({ ...socket, address }))));
  return { host, outside, server, peer, far };
}

/** Every address over TCP and UDP: what the server there saw as the client, or the error. */
async function seenFrom(client: Netns, addresses: readonly string[], port = PORT): Promise<string[][]> {
  const asks = addresses.flatMap((address) =>
    PROTOCOLS.map((protocol): AskOptions => ({ protocol, address, port })),
  );
  const seen = ({ error, seenAddress }: Answer) => error ?? seenAddress;
  const answers = (await client.askAll(asks)).map(seen);
  return addresses.map((_, index) => answers.slice(2 * index, 2 * index + 2));
}

async function showMasquerade(t: Test, { outside, server, peer, far }: Stage, backend: Backend) {
  const uplinks = [outside.hostAddress4, outside.hostAddress6];
  const aways = [outside.address4, outside.address6];
  const { container, addresses } = peer;
  t.same(await seenFrom(container, aways), twice(uplinks), "an outside host sees the node's address");
  t.same(await seenFrom(container, server.addresses), twice(addresses), "a container of the network its own");
  // with the reference's rules, which are iptables' here, all is masqueraded that leaves the subnet
  const gateways = (far.result.ips ?? []).map(({ gateway = "" }) => gateway);
  const known = backend === "nftables" ? addresses : gateways;
  t.same(await seenFrom(container, far.addresses), twice(known), "and one of another network");
  t.same(await seenFrom(container, uplinks), twice(addresses), "the host sees the container");
}

async function showPublished(t: Test, { host, outside, server, peer, far }: Stage): Promise<void> {
  const nodes = [outside.hostAddress4, outside.hostAddress6];
  const away = [outside.address4, outside.address6];
  t.same(
    await seenFrom(outside, nodes, HOST_PORT),
    twice(away),
    "from outside, and the server sees who asks",
  );
  const reached = (answers: string[][]) =>
    answers.flat().map((answer) => (/^E/.test(answer) ? answer : "reached"));
  const all = Array(4).fill("reached");
  for (const { container } of [peer, far, server]) {
    t.same(reached(await seenFrom(container, nodes, HOST_PORT)), all, `from ${container.name}`);
  }
  t.same(reached(await seenFrom(host, nodes, HOST_PORT)), all, "from the host, by its addresses");
  t.same(reached(await seenFrom(host, ["127.0.0.1"], HOST_PORT)), ["reached", "reached"], "and by 127.0.0.1");
  const local = { protocol: "tcp", address: "127.0.0.1", port: LOOPBACK_PORT } as const;
  t.equal((await host.ask(local)).error, undefined, "a port of 127.0.0.1 alone");
  const closed = { protocol: "tcp", address: outside.hostAddress4, port: LOOPBACK_PORT } as const;
  t.equal((await outside.ask(closed)).error, "ECONNREFUSED", "which is closed outside");
}

for (const backend of BACKENDS) {
  await t.test(`who sees whom: ${backend}`, { timeout: TIMEOUT_MS }, async (t) => {
    if (lacks) return skip(t, lacks);
    const stage = await makeStage(t, backend);
    const { host, outside, server, peer, far } = stage;
    await showMasquerade(t, stage, backend);
    await showPublished(t, stage);
    for (const chain of [server, peer, far]) silent(t, await chain.check(), "CHECK is content");
    silent(t, await server.del(), "DEL says nothing");
    t.same(await rulesAbout(host, ...server.addresses), [], "and leaves no rule");
    const gone = await seenFrom(outside, [outside.hostAddress4, outside.hostAddress6], HOST_PORT);
    t.same(gone.flat(), Array(4).fill("ECONNREFUSED"), "after DEL the port is closed");
    silent(t, await peer.check(), "the others stay");
    const aways = await seenFrom(peer.container, [outside.address4, outside.address6]);
    t.same(aways, twice([outside.hostAddress4, outside.hostAddress6]), "and are masqueraded");
  });

  await t.test(`FORWARD drops what nobody accepts: ${backend}`, { timeout: TIMEOUT_MS }, async (t) => {
    if (lacks) return skip(t, lacks);
    const host = await makeHost(t);
    for (const family of ["iptables", "ip6tables"]) await host.exec(family, ["-P", "FORWARD", "DROP"]);
    const outside = await host.outside();
    await outside.serveAll(PROTOCOLS.map((protocol) => ({ protocol, port: PORT })));
    const { plugins, ...list } = natNetwork("near", SUBNETS, backend);
    const aways = [outside.address4, outside.address6];
    const closed = await attachChain(await host.container("c1"), { ...list, plugins: plugins.slice(0, 1) });
    const errors = (await seenFrom(closed.container, aways)).flat();
    t.same(errors, Array(4).fill("ETIMEDOUT"), "without a firewall nothing passes");
    // which accepts in the filter that drops
    const accepting = plugins.map((plugin) => (plugin.type === "firewall" ? { type: "firewall" } : plugin));
    const open = await attachChain(await host.container("c2"), { ...list, plugins: accepting });
    const uplinks = [outside.hostAddress4, outside.hostAddress6];
    t.same(await seenFrom(open.container, aways), twice(uplinks), "with one it does");
    silent(t, await open.check(), "CHECK is content");
  });

  await t.test(`what goes: ${backend}`, { timeout: TIMEOUT_MS }, async (t) => {
    if (lacks) return skip(t, lacks);
    const host = await makeHost(t);
    await host.outside();
    const list = natNetwork("near", SUBNETS, backend);
    const runtime = publishing({ hostPort: HOST_PORT, containerPort: PORT, protocol: "tcp" });
    const stays = await attachChain(await host.container("stays"), list);
    const before = await hostState(host);
    const removals: [how: string, script: string, remove: (chain: Chain) => Promise<unknown>][] = [
      ["DEL", "true", async (chain) => silent(t, await chain.del(), "DEL")],
      ["no namespace", "ip netns del c1", async (chain) => silent(t, await chain.del({ netns: "" }), "DEL")],
      [
        "no interface and no result",
        "ip -n c1 link del eth0",
        async (chain) => silent(t, await chain.del({ prevResult: undefined }), "DEL"),
      ],
      [
        "GC",
        "true",
        async () => {
          for (const outcome of await collectChain(host, list, [stays])) silent(t, outcome, "GC");
        },
      ],
      [
        "GC without records",
        "rm -rf /run/weft/attachments/near/c1*",
        async () => {
          for (const outcome of await collectChain(host, list, [stays])) silent(t, outcome, "GC");
        },
      ],
    ];
    for (const [how, script, remove] of removals) {
      const chain = await attachChain(await host.container("c1"), list, { runtime });
      t.ok((await changesSince(before, host)).length > 5, `${how}: ADD`);
      await host.exec("sh", ["-c", script]);
      await remove(chain);
      t.same(await changesSince(before, host), [], `${how}: nothing is left, nothing missing`);
      await host.exec("sh", ["-c", "ip netns del c1 2> /dev/null || true"]);
    }
    silent(t, await stays.check(), "the other is as it was");
    t.ok(
      (await collectChain(host, list, undefined)).every(({ code }) => code === 0),
      "GC without a list",
    );
    silent(t, await stays.check(), "which takes nothing away");
    for (const outcome of await collectChain(host, list, [])) silent(t, outcome, "GC of all");
    const left = (await hostState(host)).filter((line) => /veth|near/.test(line));
    t.same(left, [], "takes the last");
  });
}

await t.test("CHECK names what masquerade lacks", { timeout: TIMEOUT_MS }, async (t) => {
  if (lacks) return skip(t, lacks);
  const host = await makeHost(t);
  const rows: readonly [backend: Backend, script: string, msg: RegExp][] = [
    ["nftables", "nft flush set inet weft masq4", /masq4/],
    ["nftables", "nft flush set inet weft masq6", /masq6/],
    ["nftables", "nft flush chain inet weft postrouting", /postrouting/],
    [
      "nftables",
      'nft flush set inet weft masq4; nft add element inet weft masq4 "{ other0 . $IP4 }"',
      /masq4/,
    ],
    ["iptables", "iptables -t nat -F POSTROUTING", /POSTROUTING/],
    ["iptables", "ip6tables -t nat -F", /CNI-|POSTROUTING/],
  ];
  for (const [backend, script, msg] of rows) {
    const { plugins, ...list } = natNetwork("near", SUBNETS, backend);
    const chain = await attachChain(await host.container("c1"), { ...list, plugins: plugins.slice(0, 1) });
    silent(t, await chain.check(), "untouched it is good");
    await host.exec("sh", ["-e", "-c", `IP4=${chain.address(4)}; ${script}`]);
    const checked = await chain.check();
    refused(t, checked, { code: 100, msg: /.+/, details: /.*/ }, `${backend}: ${script}`);
    t.match(`${checked.error?.msg}: ${checked.error?.details}`, msg, "it is named");
    silent(t, await chain.del(), "DEL");
    await host.exec("sh", ["-c", "nft flush ruleset; ip netns del c1"]);
  }
});
