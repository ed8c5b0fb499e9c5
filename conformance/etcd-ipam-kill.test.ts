/**
 * etcd-ipam while the agent that it asks is frozen or killed, or is killed itself, at some moment of a claim,
 * and one address is left: what an ADD has answered is its container's in the store, and after DEL it is
 * free.
 */
import { setTimeout as delay } from "node:timers/promises";
import t, { type Test } from "tap";
import { type Agent, startAgent, writeSettings } from "./fixtures/agent.ts";
import { type Etcd, etcdLacks, makeEtcd } from "./fixtures/etcd.ts";
import { eventually } from "./fixtures/eventually.ts";
import { type FabricHost, makeFabric } from "./fixtures/fabric.ts";
import { skip } from "./fixtures/kernel.ts";
import { readStore } from "./fixtures/overlay-truth.ts";
import { randomFrom, SEED } from "./fixtures/random.ts";
import { silent } from "./fixtures/refusal.ts";

const TIMEOUT_MS = 240_000;
t.setTimeout(2 * TIMEOUT_MS);
const ROUNDS = 12;
/** A claim with an agent takes less than this. */
const CLAIM_MS = 40;
/** With a child, which has to start. */
const CHILD_MS = 120;
/** What was held up goes on, and is done with what it was at. */
const LATE_MS = 300;
/** Until the agent has swept. */
const SWEPT_MS = 90_000;
/** .2 to .5 */
const RANGES = [[{ subnet: "10.5.0.0/24", rangeEnd: "10.5.0.5" }]];
const CONFIG = {
  cniVersion: "1.1.0",
  name: "net",
  type: "bridge",
  ipam: { type: "etcd-ipam", ranges: RANGES },
};
const lacks = await etcdLacks();
const random = randomFrom(SEED);
t.comment(`WEFT_SEED=${SEED}`);

interface Stage {
  readonly at: FabricHost;
  readonly etcd: Etcd;
}

await t.test("a claim is disturbed", { timeout: TIMEOUT_MS }, async (t) => {
  if (lacks) return skip(t, lacks);
  const fabric = await makeFabric(t, { hosts: 2 });
  const etcd = await makeEtcd(t, fabric);
  const [at, other] = [fabric.at(0), fabric.at(1)];
  for (const each of fabric.hosts) await writeSettings(each, etcd.endpoints);
  for (const id of ["o1", "o2", "o3"]) t.equal((await call(other, "ADD", id)).code, 0, "one is left");
  const stage = { at, etcd };
  await t.test("the plugin is killed", (t) => showKilled(t, stage));
  const agent = await startAgent(at, etcd.endpoints);
  await t.test("the plugin is killed, with an agent", (t) => showKilled(t, stage));
  await t.test("the agent is frozen", (t) => showFrozen(t, stage, agent));
  await t.test("the agent is killed", (t) => showAgentKilled(t, stage, agent));
});

function call({ host }: FabricHost, command: "ADD" | "DEL", containerId: string, under: string[] = []) {
  const netns = "/run/netns/none";
  return host.cni("etcd-ipam", { command, config: CONFIG, containerId, netns, ifname: "eth0", under });
}

async function showKilled(t: Test, { at, etcd }: Stage): Promise<void> {
  for (let round = 0; round < ROUNDS; round++) {
    const afterMs = Math.floor(random() * CHILD_MS);
    await call(at, "ADD", `k${round}`, ["timeout", "-s", "KILL", String(afterMs / 1_000 + 0.001)]);
    silent(t, await call(at, "DEL", `k${round}`), `killed after ${afterMs} ms: DEL`);
    await isFree(t, etcd);
  }
}

async function showFrozen(t: Test, stage: Stage, agent: Agent): Promise<void> {
  for (let round = 0; round < ROUNDS; round++) {
    const afterMs = Math.floor(random() * CLAIM_MS);
    const adding = call(stage.at, "ADD", `f${round}`);
    await delay(afterMs);
    agent.freeze();
    const outcome = await adding;
    agent.thaw();
    await delay(LATE_MS);
    await isItsOwn(t, stage, { id: `f${round}`, outcome, what: `frozen after ${afterMs} ms` });
  }
}

async function showAgentKilled(t: Test, stage: Stage, agent: Agent): Promise<void> {
  for (let round = 0; round < ROUNDS; round++) {
    const afterMs = Math.floor(random() * CLAIM_MS);
    const adding = call(stage.at, "ADD", `a${round}`);
    await delay(afterMs);
    await agent.kill();
    const outcome = await adding;
    await isItsOwn(t, stage, { id: `a${round}`, outcome, what: `agent killed after ${afterMs} ms` });
    await agent.restart();
  }
}

async function isItsOwn(
  t: Test,
  { at, etcd }: Stage,
  { id, outcome, what }: { id: string; outcome: Awaited<ReturnType<typeof call>>; what: string },
): Promise<void> {
  t.equal(outcome.code, 0, `${what}: ADD succeeds`, outcome);
  const address = outcome.result?.ips?.[0]?.address.replace(/\/.*/, "");
  const { addresses, holders } = await readStore(etcd);
  for (const held of [addresses, holders]) {
    t.equal(held.get(`net ${address}`), `${at.name} ${id}:eth0`, "and the address is the container's");
  }
  silent(t, await call(at, "DEL", id), "DEL");
  await isFree(t, etcd);
}

/** What was asked for by one that did not wait may be done after its DEL: a sweep finds it. */
async function isFree(t: Test, etcd: Etcd): Promise<void> {
  const isDone = async () => {
    const { addresses, holders } = await readStore(etcd);
    return addresses.size === 3 && holders.size === 3;
  };
  await eventually(t, "the address is free", isDone, { timeoutMs: SWEPT_MS });
}
