/**
 * What stands on an overlay: the gateway that every host is, masquerading, published ports and the firewall,
 * with etcd and with remotes. A container's packets to another host keep their source, those to the world
 * have the node's; who asks for the gateway is answered by its own host.
 */
import t, { type Test } from "tap";
import { startAgent } from "./fixtures/agent.ts";
import { attachChain, type Chain, type ChainConfig } from "./fixtures/chain.ts";
import { etcdLacks, makeEtcd } from "./fixtures/etcd.ts";
import { type Fabric, type FabricHost, makeFabric, OUTSIDE4, OUTSIDE6 } from "./fixtures/fabric.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { normalise } from "./fixtures/normalise.ts";
import {
  BLUE,
  etcdNetwork,
  leftOn,
  type NetworkShape,
  plainNetwork,
  RED,
} from "./fixtures/overlay-network.ts";
import { silent } from "./fixtures/refusal.ts";
import { captureVxlan } from "./fixtures/vxlan-wire.ts";

const TIMEOUT_MS = 120_000;
t.setTimeout(3 * TIMEOUT_MS);
const GATEWAYS = ["10.7.0.1", "fd00:7::1"];
const GREEN: NetworkShape = { ...RED, name: "green", subnet4: "10.9.0.0/24", subnet6: "fd00:9::/64" };
const PORT = 8080;
const lacks = await missing("vxlan", "bridge", "nf_tables");

for (const kind of ["etcd", "remotes"] as const) {
  await t.test(`gateway, masquerading, ports, firewall: ${kind}`, { timeout: TIMEOUT_MS }, async (t) => {
    const without = lacks ?? (kind === "etcd" ? await etcdLacks() : undefined);
    if (without) return skip(t, without);
    const fabric = await makeFabric(t, { hosts: 2 });
    if (kind === "etcd") {
      const etcd = await makeEtcd(t, fabric);
      await Promise.all(fabric.hosts.map((at) => startAgent(at, etcd.endpoints)));
    }
    await showChain(t, fabric, kind);
  });
}

function listOf(kind: "etcd" | "remotes", fabric: Fabric, at: FabricHost, shape: NetworkShape): ChainConfig {
  const others = fabric.hosts.filter((each) => each !== at).map(({ address4 }) => address4);
  const keys = { isDefaultGateway: true, ipMasq: true, hairpinMode: true };
  const network =
    kind === "etcd" ? etcdNetwork(shape, keys) : plainNetwork(shape, at, { ...keys, remotes: others });
  const { cniVersion, name, ...vxlan } = network;
  const portmap = { type: "portmap", capabilities: { portMappings: true } };
  return { cniVersion, name, plugins: [vxlan, portmap, { type: "firewall", ingressPolicy: "same-bridge" }] };
}

async function showChain(t: Test, fabric: Fabric, kind: "etcd" | "remotes"): Promise<void> {
  const [h1, h2] = [fabric.at(0), fabric.at(1)];
  const before = normalise(await h1.host.snapshot());
  const wire = await captureVxlan(fabric.hub);
  const portMappings = [{ hostPort: PORT, containerPort: 80, protocol: "tcp" }];
  const options = { runtime: { portMappings } };
  const c1 = await attachChain(await h1.host.container("c1"), listOf(kind, fabric, h1, BLUE), options);
  const c2 = await attachChain(await h2.host.container("c2"), listOf(kind, fabric, h2, BLUE));
  const g1 = await attachChain(await h1.host.container("g1"), listOf(kind, fabric, h1, GREEN));
  await c1.container.serve({ protocol: "tcp", port: 80, greeting: "c1: " });
  await showGateway(t, fabric, [c1, c2]);
  await showSources(t, fabric, [c1, c2]);
  await showPort(t, fabric, c2);
  t.strictSame(await g1.container.answering(c1.addresses), [], "another network of the host is kept out");
  await wire.stop();
  const asked = wire.frames().filter(({ text }) => /who-has 10\.7\.0\.1\b|who has fd00:7::1,/.test(text));
  t.strictSame(
    asked.map(({ text }) => text),
    [],
    "no question for a gateway has left a host",
  );
  if (kind === "etcd") t.strictSame(wire.flooded(), [], "nor anything else that is flooded");
  const all = [c1, c2, g1];
  for (const each of all) silent(t, await each.check(), `CHECK of ${each.container.name}`);
  for (const each of all) silent(t, await each.del(), `DEL of ${each.container.name}`);
  const closed = await fabric.hub.ask({ protocol: "tcp", address: h1.address4, port: PORT });
  t.equal(closed.error, "ECONNREFUSED", "the port is closed");
  t.strictSame(await leftOn(h1, before), [], "nothing is left");
}

async function showGateway(t: Test, { hosts }: Fabric, pair: readonly Chain[]): Promise<void> {
  for (const { container } of pair)
    t.strictSame(await container.answering(GATEWAYS), GATEWAYS, `${container.name}: its gateway answers`);
  const macs: string[] = [];
  for (const { host } of hosts) {
    const { address, addr_info } = await host.link("vxbr100");
    macs.push(address);
    const held = addr_info.filter(({ scope }) => scope === "global").map(({ local }) => local);
    t.strictSame(held.sort(), GATEWAYS, `${host.name} is the gateway`);
  }
  t.equal(macs[0], macs[1], "with the same MAC");
}

async function showSources(t: Test, fabric: Fabric, [c1, c2]: readonly [Chain, Chain]): Promise<void> {
  for (const family of [4, 6] as const) {
    const address = c1.address(family);
    const answer = await c2.container.ask({ protocol: "tcp", address, port: 80 });
    t.match(answer, { text: "c1: hello", seenAddress: c2.address(family) }, `${address} sees who it is`);
  }
  const server = await fabric.hub.serve({ protocol: "tcp" });
  const { address4, address6 } = fabric.at(1);
  for (const [address, node] of [
    [OUTSIDE4, address4],
    [OUTSIDE6, address6],
  ] as const) {
    const { seenAddress } = await c2.container.ask({ protocol: "tcp", address, port: server.port });
    t.equal(seenAddress, node, `${address} sees the node`);
  }
}

async function showPort(t: Test, fabric: Fabric, c2: Chain): Promise<void> {
  const [h1, h2] = [fabric.at(0), fabric.at(1)];
  for (const address of [h1.address4, h1.address6]) {
    const request = { protocol: "tcp" as const, address, port: PORT };
    t.match(await fabric.hub.ask(request), { text: "c1: hello" }, `${address} port ${PORT}, from outside`);
    t.match(await h2.host.ask(request), { text: "c1: hello" }, "from the other host");
    t.match(await c2.container.ask(request), { text: "c1: hello" }, "from a container of the other host");
  }
}
