/**
 * weft's agent on a host of a large cluster: the other hosts are keys in a real etcd, and what it has to make
 * of them are entries in a real kernel.
 */
import { join } from "node:path";
import type { EtcdMember } from "../../conformance/fixtures/etcd.ts";
import type { FabricHost } from "../../conformance/fixtures/fabric.ts";
import { eachLine } from "../../conformance/fixtures/lines.ts";
import { BUN } from "../../conformance/fixtures/project.ts";
import type { AgentFigures } from "./figures.ts";
import { BenchAgent, Site } from "./hosts.ts";

const HOSTS = 1_000;
const ENDPOINTS_OF_HOST = 20;
const CHANGES = 50;
/** Between two changes: the agent has nothing to do any more. */
const CHANGE_PAUSE_MS = 250;
const IDLE_S = 60;
const CONVERGENCE_TIMEOUT_MS = 300_000;
/** Looking takes a processor for a while, which the agent may want. */
const STEP_MS = 200;
const NETWORK = "large";
const VNI = 300;

export async function measureAgent(dir: string): Promise<AgentFigures> {
  await using site = await Site.open(1, dir);
  const etcd = await site.startStore();
  const at = site.fabric.at(0);
  const member = etcd.at(0);
  const endpoints = HOSTS * ENDPOINTS_OF_HOST;
  const agent = await BenchAgent.start(at, dir);
  await site.add(at, "own", {
    name: NETWORK,
    type: "vxlan",
    vni: VNI,
    dev: "eth0",
    etcd: {},
    ipam: { type: "static", addresses: [{ address: "10.200.0.2/16" }] },
  });

  const beforeS = await agent.cpuS();
  const written: { beginMs: number; endMs: number } = JSON.parse(
    await fill(member, `${HOSTS}`, `${ENDPOINTS_OF_HOST}`),
  );
  await awaitEntries(at, endpoints);
  const followMs = now() - written.beginMs;
  const followCpuS = (await agent.cpuS()) - beforeS;
  await agent.stop();

  await forgetAll(at);
  const startedMs = now();
  const again = await BenchAgent.start(at, dir);
  await awaitEntries(at, endpoints);
  const startMs = now() - startedMs;
  const startCpuS = await again.cpuS();

  const changeMs = await measureChanges(at, member);
  const idleFromS = await again.cpuS();
  await Bun.sleep(IDLE_S * 1e3);
  const idleCpuS = (await again.cpuS()) - idleFromS;
  const { writingMs, ...memory } = { writingMs: written.endMs - written.beginMs, ...(await again.memory()) };
  const times = { startMs, followMs, writingMs, startCpuS, followCpuS, idleCpuS };
  return { hosts: HOSTS, endpoints, ...times, ...memory, changeMs };
}

/** Runs fill-store.ts beside etcd. @returns what it prints */
async function fill(member: EtcdMember, ...words: readonly string[]): Promise<string> {
  const { ended } = startFilling(member, words);
  const { exitCode, stdout, stderr } = await ended;
  if (exitCode !== 0) throw new Error(`fill-store.ts: ${stderr}`);
  return stdout;
}

function startFilling({ netns, endpoint }: EtcdMember, words: readonly string[]) {
  return netns.start(BUN, [join(import.meta.dir, "fill-store.ts"), endpoint, NETWORK, ...words]);
}

/** Empties the kernel's tables: the forwarding table of device and bridge, and, by a flap, the neighbours. */
async function forgetAll({ host }: FabricHost): Promise<void> {
  const [device, bridge] = [`vx${VNI}`, `vxbr${VNI}`];
  await host.exec("bridge", ["fdb", "flush", "dev", device, "self"]);
  await host.exec("bridge", ["fdb", "flush", "dev", device, "master", "extern_learn"]);
  for (const state of ["down", "up"]) await host.exec("ip", ["link", "set", bridge, state]);
  const left = await host.exec("sh", [
    "-c",
    `ip -4 neigh show dev ${bridge}; bridge fdb show dev ${device} dynamic`,
  ]);
  if (left.stdout !== "") throw new Error(`The kernel has not forgotten: ${left.stdout.slice(0, 200)}`);
}

/** Until the bridge has a neighbour for each, which the agent makes after the forwarding entry. */
async function awaitEntries(at: FabricHost, count: number): Promise<void> {
  const deadline = performance.now() + CONVERGENCE_TIMEOUT_MS;
  const script = `ip -4 neigh show dev vxbr${VNI} nud noarp | wc -l; bridge fdb show dev vx${VNI} | grep -c dst`;
  for (;;) {
    const { stdout } = await at.host.exec("sh", ["-c", script], { reject: false });
    const [neighbours = 0, forwarding = 0] = stdout.trim().split("\n").map(Number);
    if (neighbours >= count && forwarding >= count) return;
    if (performance.now() > deadline) {
      throw new Error(`${neighbours} neighbours and ${forwarding} forwarding entries, of ${count}`);
    }
    await Bun.sleep(STEP_MS);
  }
}

/** From the put to the kernel's own notification of the neighbour. */
async function measureChanges(at: FabricHost, member: EtcdMember): Promise<number[]> {
  const seen = new Map<string, number>();
  const monitor = at.host.start("ip", ["-4", "monitor", "neigh"]);
  eachLine(monitor.stdout, (line) => {
    const address = /^(10\.200\.1\.\d+) /.exec(line)?.[1];
    if (address !== undefined && !seen.has(address)) seen.set(address, now());
  });
  const printed = await fill(member, "single", `${CHANGES}`, `${CHANGE_PAUSE_MS}`);
  await monitor.stop();
  return printed
    .trim()
    .split("\n")
    .map((line) => {
      const { address, sentMs }: { address: string; sentMs: number } = JSON.parse(line);
      const seenMs = seen.get(address);
      if (seenMs === undefined) throw new Error(`${address} did not come within ${CHANGE_PAUSE_MS} ms`);
      return seenMs - sentMs;
    });
}

function now(): number {
  return performance.timeOrigin + performance.now();
}
