/**
 * Published ports, with packets: every client there is, over TCP and UDP, IPv4 and IPv6, by each backend and
 * with bridged frames filtered or not; what is not published is closed. T7 and T13 of the topologies.
 */
import t, { type Test } from "tap";
import { attachChain, type Chain } from "./fixtures/chain.ts";
import type { Answer } from "./fixtures/exchange.ts";
import { filteredNetwork, publishedPort } from "./fixtures/filtered-network.ts";
import { type Host, makeHost } from "./fixtures/host.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import type { Netns } from "./fixtures/netns.ts";
import {
  answerEveryRefusal,
  type Backend,
  filterBridgedFrames,
  rulesAbout,
  SURROUNDINGS,
} from "./fixtures/packet-filter.ts";
import { silent } from "./fixtures/refusal.ts";
import type { Outside } from "./fixtures/wiring.ts";

const TIMEOUT_MS = 120_000;
t.setTimeout(5 * TIMEOUT_MS);
const SUBNETS = ["10.30.0.0/24", "fd00:30::/64"];
const OTHER_SUBNETS = ["10.31.0.0/24", "fd00:31::/64"];
// further addresses of the host's uplink
const OTHER_ADDRESSES = ["192.0.2.3", "2001:db8:1::3"] as const;
const PROTOCOLS = ["tcp", "udp"] as const;
const FAMILIES = [4, 6] as const;
const ON_ANY = 8080; // published on every address of the host
const ON_ONE = { 4: 8084, 6: 8086 } as const; // with hostIP
const ON_FAMILY = { 4: 8184, 6: 8186 } as const; // with hostIP 0.0.0.0 and ::
const ON_LOOPBACK = 8127; // with hostIP 127.0.0.1
const UNPUBLISHED = 82;
const lacks = await missing("bridge", "br_netfilter", "nf_tables");

interface Stage {
  readonly host: Host;
  readonly outside: Outside;
  /** Publishes its ports. */
  readonly server: Chain;
  /** On the same bridge. */
  readonly peer: Chain;
  /** On another bridge. */
  readonly far: Chain;
}

async function makeStage(t: Test, { backend, filtered }: (typeof SURROUNDINGS)[number]): Promise<Stage> {
  const host = await makeHost(t);
  await filterBridgedFrames(host, filtered);
  await answerEveryRefusal(host);
  const outside = await host.outside();
  const { hostIfname, hostAddress4, hostAddress6 } = outside;
  const others = OTHER_ADDRESSES.map((address) => `ip address add ${address} dev ${hostIfname} nodad`);
  await host.exec("sh", ["-c", others.join("\n")]);
  const near = filteredNetwork("near", SUBNETS, { backend, portmap: {} });
  const away = filteredNetwork("far", OTHER_SUBNETS, { backend, portmap: {} });
  const portMappings = [
    ...publishedPort(ON_ANY, 80),
    ...publishedPort(ON_ONE[4], 81, hostAddress4),
    ...publishedPort(ON_ONE[6], 81, hostAddress6),
    ...publishedPort(ON_FAMILY[4], 81, "0.0.0.0"),
    ...publishedPort(ON_FAMILY[6], 81, "::"),
    ...publishedPort(ON_LOOPBACK, 81, "127.0.0.1"),
  ];
  const server = await attachChain(await host.container("server"), near, { runtime: { portMappings } });
  const peer = await attachChain(await host.container("peer"), near);
  const far = await attachChain(await host.container("far"), away);
  const sockets = [80, 81, UNPUBLISHED].flatMap((port) =>
    PROTOCOLS.map((protocol) => ({ protocol, port, greeting: `${port}: ` })),
  );
  await server.container.serveAll(sockets);
  return { host, outside, server, peer, far };
}

/** What a client asks, and what it must get. */
interface Flow {
  readonly to: string;
  readonly address: string;
  readonly port: number;
  /** The error, or what the server says before our own words. */
  readonly expected: string;
  /** The client, as the server must see it; undefined where that may be an address of the host. */
  readonly seenAs?: string | undefined;
}

interface Client {
  readonly name: string;
  readonly netns: Netns;
  readonly flows: readonly Flow[];
}

function clientsOf({ host, outside, server, peer, far }: Stage, backend: Backend): Client[] {
  const own = { 4: outside.address4, 6: outside.address6 };
  // with the reference's rules, which are iptables' here, ipMasq hides whatever leaves its subnet
  const seenFar = (family: 4 | 6) => (backend === "nftables" ? far.address(family) : undefined);
  const flowsOf = (seenAs: (family: 4 | 6) => string | undefined) =>
    FAMILIES.flatMap((family) => flowsTo(outside, family, seenAs(family)));
  const loopback: Flow[] = [
    { to: "127.0.0.1", address: "127.0.0.1", port: ON_ANY, expected: "80: hello" },
    { to: "127.0.0.1 as hostIP", address: "127.0.0.1", port: ON_LOOPBACK, expected: "81: hello" },
    { to: "[::1], at once", address: "::1", port: ON_ANY, expected: "ECONNREFUSED" },
  ];
  return [
    { name: "an outside host", netns: outside, flows: flowsOf((family) => own[family]) },
    { name: "the host", netns: host, flows: [...flowsOf(() => undefined), ...loopback] },
    { name: "a peer on the bridge", netns: peer.container, flows: flowsOf(() => undefined) },
    { name: "the container itself", netns: server.container, flows: flowsOf(() => undefined) },
    {
      name: "a container on another bridge",
      netns: far.container,
      flows: flowsOf(seenFar),
    },
  ];
}

function flowsTo(outside: Outside, family: 4 | 6, seenAs: string | undefined): Flow[] {
  const node = family === 4 ? outside.hostAddress4 : outside.hostAddress6;
  const other = OTHER_ADDRESSES[family === 4 ? 0 : 1];
  const closed = "ECONNREFUSED";
  const notOurs = family === 4 ? 6 : 4;
  return [
    { to: "the node's address", address: node, port: ON_ANY, expected: "80: hello", seenAs },
    { to: "another address of the node", address: other, port: ON_ANY, expected: "80: hello", seenAs },
    { to: "hostIP", address: node, port: ON_ONE[family], expected: "81: hello", seenAs },
    { to: "an address that is not hostIP", address: other, port: ON_ONE[family], expected: closed },
    { to: "hostIP's port over the other family", address: node, port: ON_ONE[notOurs], expected: closed },
    { to: "any address of a family", address: other, port: ON_FAMILY[family], expected: "81: hello", seenAs },
    { to: "no address of the other", address: other, port: ON_FAMILY[notOurs], expected: closed },
    { to: "a port for 127.0.0.1 alone", address: node, port: ON_LOOPBACK, expected: closed },
    { to: "a port that is not published", address: node, port: UNPUBLISHED, expected: closed },
    { to: "the container's port, by the node's address", address: node, port: 80, expected: closed },
  ];
}

/** One process asks all; one assertion tells every flow that is not as it must be. */
async function showClient(t: Test, { name, netns, flows }: Client): Promise<void> {
  const asked = flows.flatMap((flow) => PROTOCOLS.map((protocol) => ({ protocol, ...flow })));
  const answers = await netns.askAll(
    asked.map(({ protocol, address, port }) => ({ protocol, address, port })),
  );
  const lines = (of: (flow: (typeof asked)[number], answer: Answer | undefined) => string) =>
    asked.map((flow, index) => {
      const { to, protocol, address, port } = flow;
      return `${to}, ${protocol} ${address} port ${port}: ${of(flow, answers[index])}`;
    });
  const found = lines(({ seenAs }, answer) => {
    const told = answer?.error ?? answer?.text;
    return seenAs === undefined || answer?.error ? `${told}` : `${told} from ${answer?.seenAddress}`;
  });
  const wanted = lines(({ expected, seenAs }) =>
    seenAs === undefined ? expected : `${expected} from ${seenAs}`,
  );
  t.same(found, wanted, `${name} reaches what is published, and nothing else`);
}

for (const surroundings of SURROUNDINGS) {
  await t.test(`every client: ${surroundings.name}`, { timeout: TIMEOUT_MS }, async (t) => {
    if (lacks) return skip(t, lacks);
    const stage = await makeStage(t, surroundings);
    const { host, outside, server, peer, far } = stage;
    await Promise.all(clientsOf(stage, surroundings.backend).map((client) => showClient(t, client)));
    for (const chain of [server, peer, far]) silent(t, await chain.check(), "CHECK is content");
    silent(t, await server.del(), "DEL says nothing");
    t.same(await rulesAbout(host, ...server.addresses), [], "and leaves no rule");
    const gone = PROTOCOLS.flatMap((protocol) =>
      [outside.hostAddress4, outside.hostAddress6].map((address) => ({ protocol, address, port: ON_ANY })),
    );
    const errors = (await outside.askAll(gone)).map(({ error }) => error);
    t.same(errors, Array(4).fill("ECONNREFUSED"), "after DEL the port is closed, over TCP and UDP");
  });
}
