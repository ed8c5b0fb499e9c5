/**
 * T17: mode routed. Each host leases a subnet of its own of each family, unique also when all join at once,
 * has one route, one neighbour and one forwarding entry for each other host, and gives the subnet back with
 * its last container. Containers see each other's addresses, and the world outside sees the node's.
 */
import t, { type Test } from "tap";
import { startAgent } from "./fixtures/agent.ts";
import type { Attachment, NetworkConfig } from "./fixtures/attachment.ts";
import { etcdLacks } from "./fixtures/etcd.ts";
import { eventually } from "./fixtures/eventually.ts";
import { type FabricHost, OUTSIDE4, OUTSIDE6 } from "./fixtures/fabric.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { normalise } from "./fixtures/normalise.ts";
import {
  agentOf,
  allReachAll,
  attachNew,
  carries,
  keysOfNetworks,
  leftOn,
  makeOverlay,
  OVERHEAD,
  type Overlay,
} from "./fixtures/overlay-network.ts";
import { agree, readStore } from "./fixtures/overlay-truth.ts";
import { refused, silent } from "./fixtures/refusal.ts";
import { startTraffic } from "./fixtures/traffic.ts";
import { captureVxlan } from "./fixtures/vxlan-wire.ts";

const TIMEOUT_MS = 180_000;
t.setTimeout(2 * TIMEOUT_MS);
const MTU = 1500 - OVERHEAD[4];
const GRACE_S = 8;
/** Four subnets of IPv4: one more than there are hosts at first. */
const CONFIG: NetworkConfig = {
  cniVersion: "1.1.0",
  name: "routed",
  type: "vxlan",
  vni: 300,
  dev: "eth0",
  mode: "routed",
  etcd: {},
  subnets: [
    { subnet: "10.8.0.0/22", hostLength: 24 },
    { subnet: "fd00:8::/48", hostLength: 64 },
  ],
  isDefaultGateway: true,
  ipMasq: true,
  ipam: { type: "host-local" },
};
const lacks = (await missing("vxlan", "bridge", "nf_tables")) ?? (await etcdLacks());

interface Stage extends Overlay {
  /** Two of each host. */
  readonly all: Attachment[];
}

await t.test("T17: a subnet for each host", { timeout: TIMEOUT_MS }, async (t) => {
  if (lacks) return skip(t, lacks);
  const overlay = await makeOverlay(t, { agentArgs: ["--grace", `${GRACE_S}`] });
  const { fabric, etcd } = overlay;
  const wire = await captureVxlan(fabric.hub);
  const before = normalise(await fabric.at(0).host.snapshot());
  const joins = fabric.hosts.map((at) => attachNew(at, "c1", CONFIG));
  const seconds = fabric.hosts.map((at) => attachNew(at, "c2", CONFIG)); // at the same time, too
  const all = (await Promise.all([...joins, ...seconds])).flat();
  const stage: Stage = { ...overlay, all };
  await allReachAll(t, all, "all reach all, as soon as all have joined");
  await agree(t, etcd, fabric.hosts, "the kernels hold what the store says");
  await t.test("subnets and devices", (t) => showSubnets(t, stage));
  await t.test("packets", (t) => showPackets(t, stage));
  await t.test("a link that flaps, and an agent that is killed", (t) => showUpheaval(t, stage));
  await t.test("a host that leaves, and one that joins", (t) => showLeaving(t, stage));
  await wire.stop();
  t.ok(wire.frames().length > 100);
  t.strictSame(wire.flooded(), [], "nothing was flooded");
  for (const each of all) silent(t, await each.del(), "DEL");
  t.strictSame(await keysOfNetworks(etcd), [], "the store holds nothing of the network");
  t.strictSame(await leftOn(fabric.at(0), before), [], "nor the host");
});

/** Returns the subnet that holds an address: of IPv4 a /24, of IPv6 a /64. */
function subnetOf(address: string): string {
  return address.includes(":")
    ? `${address.split(":").slice(0, 4).join(":").replace(/:+$/, "")}`
    : address.replace(/\.\d+$/, "");
}

async function showSubnets(t: Test, { fabric, etcd, all }: Stage): Promise<void> {
  const perHost = new Map<FabricHost, string[]>();
  for (const at of fabric.hosts) {
    const mine = all.filter(({ container }) => container.host === at.host);
    const subnets = new Set(mine.map(({ address }) => subnetOf(address)));
    t.equal(subnets.size, 1, `${at.name}: its containers are in one subnet`);
    perHost.set(at, [...subnets]);
  }
  t.equal(new Set([...perHost.values()].flat()).size, fabric.hosts.length, "each host has another");
  t.equal(new Set(all.flatMap(({ addresses }) => addresses)).size, 2 * all.length, "all addresses differ");
  const { keys, vteps } = await readStore(etcd);
  const leased = keys.filter((key) => key.startsWith("/weft/v1/subnets/routed/"));
  t.equal(leased.length, 2 * fabric.hosts.length, "a subnet of each family for each host is in the store");
  for (const { host, name, address4 } of fabric.hosts) {
    const vxlan = await host.link("vx300");
    t.match(vxlan.linkinfo?.info_data, { id: 300, local: address4, learning: false }, name);
    t.equal(vxlan.master, undefined, "the device is no port of the bridge");
    t.match(vxlan, { mtu: MTU });
    const own = vteps.find((each) => each.host === name);
    t.equal(own?.mac, vxlan.address, "its MAC is in the store");
    const bridge = await host.link("vxbr300");
    const gateways = bridge.addr_info.filter(({ scope }) => scope === "global").map(({ local }) => local);
    t.strictSame(
      gateways.sort(),
      (own?.subnets ?? []).map(({ gateway }) => gateway).sort(),
      "the bridge is the gateway",
    );
    const fdb = await host.bridge<{ dst?: string }>("fdb", "show", "dev", "vx300");
    t.equal(
      fdb.filter(({ dst }) => dst !== undefined).length,
      fabric.hosts.length - 1,
      "an entry for each other host",
    );
    const routes = await host.ip("-4", "route", "show", "dev", "vx300");
    t.equal(routes.length, fabric.hosts.length - 1, "and a route");
  }
  for (const { container } of all) t.match(await container.link("eth0"), { mtu: MTU });
  for (const each of all) silent(t, await each.check(), `CHECK of ${each.address}`);
}

async function showPackets(t: Test, { fabric, all }: Stage): Promise<void> {
  const [first, second] = all;
  if (first === undefined || second === undefined) throw new Error("six were made");
  await carries(t, first, second, MTU);
  const server = await second.container.serve({ protocol: "tcp" });
  for (const [index, address] of second.addresses.entries()) {
    const { seenAddress } = await first.container.ask({ protocol: "tcp", address, port: server.port });
    t.equal(seenAddress, first.addresses[index], `${address} sees the container's own address`);
    const fromHost = await fabric.at(0).host.ask({ protocol: "tcp", address, port: server.port });
    t.equal(fromHost.error, undefined, "a host reaches it, too");
  }
  const { name, address4, address6 } = fabric.at(0);
  const outside = await fabric.hub.serve({ protocol: "udp" });
  for (const [address, seen] of [
    [OUTSIDE4, address4],
    [OUTSIDE6, address6],
  ] as const) {
    const { seenAddress, error } = await first.container.ask({
      protocol: "udp",
      address,
      port: outside.port,
    });
    t.equal(seenAddress, seen, `${address} sees the address of ${name} ${error ?? ""}`);
  }
  await outside.stop();
  await server.stop();
}

async function showUpheaval(t: Test, stage: Stage): Promise<void> {
  const { fabric, etcd, all } = stage;
  const { host } = fabric.at(0);
  for (const device of ["vx300", "vxbr300"]) {
    await host.exec("ip", ["link", "set", device, "down"]);
    await host.exec("ip", ["link", "set", device, "up"]);
    await agree(t, etcd, fabric.hosts, `${device} down and up: the entries are there again`, {
      timeoutMs: 3_000,
    });
    await allReachAll(t, all, "all reach all");
  }
  const [c1, c2] = all;
  if (c1 === undefined || c2 === undefined) throw new Error("six were made");
  const traffic = await startTraffic(c1.container, c2.address);
  const agent = agentOf(stage, 0);
  await agent.kill();
  await allReachAll(t, all, "without its agent a host goes on");
  await agent.restart();
  const { lost, sent } = await traffic.stop();
  t.equal(lost, 0, `${sent} packets, and none was lost`);
  await agree(t, etcd, fabric.hosts, "and with it");
  const [route] = await host.ip("-4", "route", "show", "dev", "vx300");
  await host.exec("ip", ["route", "delete", route?.dst ?? "", "dev", "vx300"]);
  await agree(t, etcd, fabric.hosts, "a route that somebody deleted is there again", { timeoutMs: 5_000 });
  await host.exec("ip", ["address", "flush", "dev", "vx300"]);
  await agree(t, etcd, fabric.hosts, "routes that went with an address are, too", { timeoutMs: 5_000 });
  silent(t, await c1.check(), "and so is the address");
  await host.exec("ip", ["link", "delete", "vx300"]);
  await agree(t, etcd, fabric.hosts, "and a device that somebody deleted", { timeoutMs: 5_000 });
  silent(t, await c1.check(), "with its addresses and its MAC");
  await agent.kill();
  for (const [script, says] of [
    ["ip address flush dev vx300", /10\.8\.\d\.1\/32/],
    ["ip link set vx300 address 02:00:00:00:00:09", /vx300 Mac.*02:00:00:00:00:09/],
  ] as const) {
    await host.exec("sh", ["-c", script]);
    refused(t, await c1.check(), { code: 100, msg: says, details: /|./ }, `CHECK tells of ${script}`);
  }
  await agent.restart();
  await agent.kill();
  await host.exec("ip", ["route", "delete", route?.dst ?? "", "dev", "vx300"]);
  await host.exec("ip", ["route", "add", "10.8.99.0/24", "dev", "vx300", "protocol", "193"]);
  await agent.restart();
  await agree(t, etcd, fabric.hosts, "what somebody changed meanwhile is as it was");
  t.strictSame(
    await host.ip("-4", "route", "show", "10.8.99.0/24"),
    [],
    "no route is left that nobody is behind",
  );
}

async function showLeaving(t: Test, stage: Stage): Promise<void> {
  const { fabric, etcd, agents, all } = stage;
  const leaver = fabric.at(2);
  const its = all.filter(({ container }) => container.host === leaver.host);
  all.splice(0, all.length, ...all.filter((each) => !its.includes(each)));
  for (const each of its) silent(t, await each.del(), "DEL of all of a host");
  const { keys } = await readStore(etcd);
  t.notOk(keys.includes(`/weft/v1/overlay/vteps/routed/${leaver.name}`), "takes it off the network");
  t.equal(
    keys.filter((key) => key.startsWith("/weft/v1/subnets/routed/")).length,
    4,
    "and gives its subnets back",
  );
  await agree(t, etcd, fabric.hosts, "the others know");
  t.strictSame(
    (await fabric.at(0).host.ip("-4", "route", "show", "dev", "vx300")).length,
    1,
    "by one route less",
  );

  for (let n = 0; n < 2; n++) {
    const late = await fabric.addHost();
    agents.push(await startAgent(late, etcd.endpoints, { args: ["--grace", `${GRACE_S}`] }));
    all.push(await attachNew(late, "c1", CONFIG));
  }
  await allReachAll(t, all, "two late hosts, of which one has the subnet that was given back, or another");
  await agree(t, etcd, fabric.hosts, "the kernels hold what the store says");
  const fifth = await fabric.addHost();
  agents.push(await startAgent(fifth, etcd.endpoints, { args: ["--grace", `${GRACE_S}`] }));
  const container = await fifth.host.container("c1");
  const before = normalise(await fifth.host.snapshot());
  const full = await fifth.host.cni("vxlan", { command: "ADD", container, config: CONFIG });
  refused(
    t,
    full,
    { msg: /10\.8\.0\.0\/22/, details: /|./ },
    "when there is no subnet left, ADD says of which",
  );
  t.strictSame(await leftOn(fifth, before), [], "and leaves nothing");
  const gone = all.pop();
  silent(t, (await gone?.del()) ?? full, "DEL of the last container of a host");
  const made = await fifth.host.cni("vxlan", { command: "ADD", container, config: CONFIG });
  t.equal(made.code, 0, `then there is one ${made.stdout}`);
  const del = { command: "DEL", container, config: { ...CONFIG, prevResult: made.result } };
  silent(t, await fifth.host.cni("vxlan", del), "DEL");
  await eventually(t, "no host keeps a route to it", async () => {
    const routes = await fabric.at(0).host.ip("-4", "route", "show", "dev", "vx300");
    return routes.length === new Set(all.map(({ container: { host } }) => host)).size - 1;
  });
}
