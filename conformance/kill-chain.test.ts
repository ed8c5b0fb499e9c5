/**
 * bridge with masquerade and spoof check, portmap and firewall: each killed before its system calls, and with
 * each of them failing; afterwards DEL of the chain, or GC where the runtime never calls DEL, leaves nothing.
 *
 * It is a sample, or it would take half an hour: a third of the cases, of the system calls every eighth or
 * fewer, from one that chance chooses, and of the errors one for each. WEFT_FAULTS=all tries all, WEFT_SEED
 * repeats a choice. What bridge does without a packet filter is killed everywhere in kill.test.ts.
 */
import t, { type Test } from "tap";
import {
  FAULTS_TIMEOUT_MS,
  type Fault,
  type FaultMode,
  faultsAt,
  sampled,
  showFaults,
  someOf,
  tracePoints,
} from "./fixtures/faults.ts";
import { makeHost } from "./fixtures/host.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { natNetwork, publishing } from "./fixtures/nat-network.ts";
import type { Backend } from "./fixtures/packet-filter.ts";
import { type Random, randomFrom, SEED } from "./fixtures/random.ts";

const SUBNETS = ["10.9.0.0/24", "fd00:9::/64"];
const RUNTIME = publishing(
  { hostPort: 8080, containerPort: 80, protocol: "tcp" },
  { hostPort: 5353, containerPort: 53, protocol: "udp" },
);
/** Of one case: a call that waits is many system calls when the machine is busy. */
const FAULTS_MAX = 30;

const lacks = await missing("bridge", "nf_tables");
t.comment(`WEFT_SEED=${SEED}`);

interface Case {
  readonly backend: Backend;
  readonly plugin: "bridge" | "portmap" | "firewall";
  readonly command: "ADD" | "DEL";
  readonly mode: FaultMode;
  readonly fault: Fault;
  /** Nothing of the packet filter is there when the plugin begins. */
  readonly cold?: boolean;
  /** How many system calls apart the faults are. */
  readonly every: number;
}

async function runCase(t: Test, each: Case, random: Random): Promise<void> {
  const { backend, plugin, command, mode, fault, cold = false } = each;
  if (lacks) return skip(t, lacks);
  const host = await makeHost(t);
  await host.container("c1");
  const list = natNetwork("net", SUBNETS, { backend, bridge: { macspoofchk: true } });
  const target = { list, runtime: RUNTIME, plugin, command };
  const points = await tracePoints(host, target);
  t.ok(points.length >= 20, `${points.length} system calls`);
  const every = Math.max(each.every, Math.ceil(points.length / FAULTS_MAX));
  const faults = faultsAt(sampled(points, every, random), fault);
  t.comment(`${faults.length} faults at ${points.length} system calls`);
  const env = { ...(cold && { COLD: "1" }), ...(backend === "iptables" && { SAVED: "1" }) };
  await showFaults(t, host, { ...target, mode, faults, env });
}

type Kind = readonly [what: string, Pick<Case, "command" | "mode" | "fault" | "cold">, every: number];
const KINDS: readonly Kind[] = [
  ["ADD killed, then DEL and GC", { command: "ADD", mode: "add-del", fault: "kill" }, 8],
  ["ADD killed, then GC alone", { command: "ADD", mode: "add-gc", fault: "kill" }, 8],
  ["DEL killed, then DEL", { command: "DEL", mode: "del", fault: "kill" }, 8],
  ["ADD with an error", { command: "ADD", mode: "add", fault: "error" }, 8],
  ["DEL with an error, then DEL", { command: "DEL", mode: "del", fault: "error" }, 8],
  ["the first ADD killed", { command: "ADD", mode: "add-del", fault: "kill", cold: true }, 10],
];
/** Each of its changes is a program that runs: dear, and the same for all of them. */
const IPTABLES_EVERY = 30;

const CASES: readonly (readonly [description: string, Case])[] = (
  ["bridge", "portmap", "firewall"] as const
).flatMap((plugin) => [
  ...KINDS.map(([what, kind, every]): [string, Case] => {
    return [`nftables, ${plugin}: ${what}`, { backend: "nftables", plugin, every, ...kind }];
  }),
  ...KINDS.slice(0, 3).map(([what, kind]): [string, Case] => {
    return [`iptables, ${plugin}: ${what}`, { backend: "iptables", plugin, every: IPTABLES_EVERY, ...kind }];
  }),
]);

/** Of the cases, so many in a run. */
const TRIED = 9;

t.setTimeout(CASES.length * FAULTS_TIMEOUT_MS);
t.jobs = 2;
for (const [index, [description, each]] of someOf(CASES, TRIED, randomFrom(SEED)).entries()) {
  t.test(description, { timeout: FAULTS_TIMEOUT_MS }, (t) => runCase(t, each, randomFrom(SEED + index)));
}
