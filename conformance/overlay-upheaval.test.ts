/**
 * What may happen on a host of an overlay with etcd: the bridge or the VXLAN device goes down and up, entries
 * are deleted, or added, by hand, the agent is killed and comes back to another store. Traffic goes on, and
 * the kernels hold what the store says again.
 */
import t, { type Test } from "tap";
import type { Attachment } from "./fixtures/attachment.ts";
import { etcdLacks } from "./fixtures/etcd.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import {
  agentOf,
  allReachAll,
  attachNew,
  BLUE,
  etcdNetwork,
  makeOverlay,
  type Overlay,
} from "./fixtures/overlay-network.ts";
import { agree, readStore, untruths } from "./fixtures/overlay-truth.ts";
import { refused, silent } from "./fixtures/refusal.ts";
import { startTraffic } from "./fixtures/traffic.ts";
import { captureVxlan } from "./fixtures/vxlan-wire.ts";

const TIMEOUT_MS = 180_000;
t.setTimeout(2 * TIMEOUT_MS);
/** Without the agent it is known at once that there is none. */
const AT_ONCE_MS = 3_000;
const lacks = (await missing("vxlan", "bridge")) ?? (await etcdLacks());

interface Stage extends Overlay {
  /** One of each host, in their order. */
  readonly all: readonly [Attachment, Attachment, Attachment];
}

await t.test("upheaval on a host", { timeout: TIMEOUT_MS }, async (t) => {
  if (lacks) return skip(t, lacks);
  const overlay = await makeOverlay(t);
  const { fabric, etcd } = overlay;
  const add = (index: number) => attachNew(fabric.at(index), "c1", etcdNetwork(BLUE));
  const stage: Stage = { ...overlay, all: [await add(0), await add(1), await add(2)] };
  await agree(t, etcd, fabric.hosts, "all is as the store says");
  const wire = await captureVxlan(fabric.hub);
  await t.test("devices go down and up", (t) => showFlaps(t, stage));
  await t.test("entries are changed by hand", (t) => showTampering(t, stage));
  await t.test("the agent is killed, and comes back", (t) => showAgentAway(t, stage));
  await t.test("a DEL goes around a frozen agent", (t) => showFrozen(t, stage));
  await t.test("the agent is told to end", (t) => showTerm(t, stage));
  await wire.stop();
  t.ok(wire.frames().length > 100);
  t.strictSame(wire.flooded(), [], "through all that, nothing was flooded");
});

async function showFlaps(t: Test, { fabric, etcd, all }: Stage): Promise<void> {
  const { host } = fabric.at(0);
  for (const device of ["vxbr100", "vx100"]) {
    await host.exec("ip", ["link", "set", device, "down"]);
    await host.exec("ip", ["link", "set", device, "up"]);
    await agree(t, etcd, fabric.hosts, `${device}: the entries are there again`, { timeoutMs: 3_000 });
    await allReachAll(t, all, "all reach all");
    for (const each of all) silent(t, await each.check(), "and CHECK is content");
  }
}

async function showTampering(t: Test, { fabric, etcd, all }: Stage): Promise<void> {
  const [, c2] = all;
  const { host } = fabric.at(0);
  const { address: mac } = await c2.container.link("eth0");
  const [address4 = "", address6 = ""] = c2.addresses;
  const commands = [
    `bridge fdb delete ${mac} dev vx100 self`,
    `bridge fdb delete ${mac} dev vx100 master`,
    `ip neighbour delete ${address4} dev vxbr100`,
    `ip neighbour delete ${address6} dev vxbr100`,
    "ip neighbour flush dev vxbr100 nud all",
    `bridge fdb replace ${mac} dev vx100 self permanent dst ${fabric.at(2).address4}`,
    `ip neighbour replace ${address4} lladdr 02:00:00:00:00:99 dev vxbr100 nud permanent`,
    "bridge fdb add 02:00:00:00:00:99 dev vx100 self permanent dst 192.0.2.98",
  ];
  for (const command of commands) {
    await host.exec("sh", ["-c", command]);
    await agree(t, etcd, fabric.hosts, command, { timeoutMs: 5_000 });
  }
  await allReachAll(t, all, "all reach all");
}

/** While there is none, nothing changes: what runs goes on, and who asks for more is told to come back. */
async function showAgentAway(t: Test, { fabric, etcd, agents, all }: Stage): Promise<void> {
  const [c1, c2] = all;
  const { host } = fabric.at(0);
  const traffic = await startTraffic(c1.container, c2.address);
  const second = await attachNew(fabric.at(0), "c2", etcdNetwork(BLUE));
  const agent = agentOf({ fabric, etcd, agents }, 0);
  await agent.kill();
  t.not((await agent.status()).exitCode, 0, "weft agent --status says that there is none");

  const container = await host.container("c3");
  const started = Date.now();
  const add = await host.cni("vxlan", { command: "ADD", container, config: etcdNetwork(BLUE) });
  refused(t, add, { code: 11, msg: /agent/i, details: /|./ }, "ADD is refused with 11");
  t.ok(Date.now() - started < AT_ONCE_MS, `within ${Date.now() - started} ms`);
  const status = await host.cni("vxlan", { command: "STATUS", config: etcdNetwork(BLUE) });
  refused(t, status, { code: 51, msg: /agent/i, details: /|./ }, "STATUS with 51");
  silent(t, await second.del(), "DEL succeeds");
  const { addresses } = await readStore(etcd);
  t.notOk(addresses.has(`blue ${second.address}`), "and gives the address back: the store is there");

  const new2 = await attachNew(fabric.at(1), "c2", etcdNetwork(BLUE));
  const new3 = await attachNew(fabric.at(2), "c2", etcdNetwork(BLUE));
  silent(t, await new3.del(), "another host's containers come and go meanwhile");
  const stale =
    "bridge fdb add 02:00:00:00:00:98 dev vx100 self master extern_learn permanent dst 192.0.2.98";
  const neighbour = "ip neighbour replace 10.7.0.250 lladdr 02:00:00:00:00:98 dev vxbr100 nud noarp";
  // what an agent before this one made, and did not live to take away
  await host.exec("sh", ["-e", "-c", `${stale}; ${neighbour} extern_learn protocol 193`]);
  t.not((await untruths(await readStore(etcd), [fabric.at(0)])).length, 0, "the kernel knows nothing of it");
  await agent.restart();
  await agree(t, etcd, fabric.hosts, "when the agent is back, it does", { timeoutMs: 3_000 });
  const { sent, lost } = await traffic.stop();
  t.strictSame({ lost }, { lost: 0 }, `of ${sent} packets meanwhile none was lost`);
  await allReachAll(t, [...all, new2], "all reach all");
  silent(t, await new2.del(), "DEL");
  t.equal(
    (await host.cni("vxlan", { command: "STATUS", config: etcdNetwork(BLUE) })).code,
    0,
    "STATUS is content",
  );
}

/** What was removed meanwhile stays so, and whoever has the address next is reached. */
async function showFrozen(t: Test, { fabric, etcd, agents, all }: Stage): Promise<void> {
  const agent = agentOf({ fabric, etcd, agents }, 0);
  const former = await attachNew(fabric.at(0), "c4", etcdNetwork(BLUE));
  await agent.inStep();
  agent.freeze();
  silent(t, await former.del(), "DEL succeeds");
  agent.thaw();
  const ips = { runtimeConfig: { ips: former.addresses } };
  const next = await attachNew(fabric.at(1), "c4", { ...etcdNetwork(BLUE), ...ips });
  await agent.outOfStep();
  await agent.inStep();
  const keys = (await readStore(etcd)).keys.filter((key) =>
    key.includes(`/h1/${former.container.containerId}:`),
  );
  t.strictSame(keys, [], "it puts back nothing of it");
  await agree(t, etcd, fabric.hosts, "the kernels hold what the store says");
  await allReachAll(t, [...all, next], "all reach all");
  silent(t, await next.del(), "DEL");
}

/** A stop of the service is none of the network. */
async function showTerm(t: Test, { fabric, etcd, agents, all }: Stage): Promise<void> {
  const agent = agentOf({ fabric, etcd, agents }, 1);
  const { exitCode, stderr } = await agent.terminate();
  t.equal(exitCode, 0, `SIGTERM: it ends well ${stderr.slice(-200)}`);
  t.strictSame(await untruths(await readStore(etcd), fabric.hosts), [], "and leaves everything in place");
  await allReachAll(t, all, "all reach all");
  await agent.restart();
  await agree(t, etcd, fabric.hosts, "and comes back");
}
