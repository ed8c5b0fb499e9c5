/**
 * ADD and DEL of ptp + host-local, killed before some of their system calls, and with some of them failing:
 * afterwards DEL, or GC where the runtime never calls DEL, leaves the host as it was. With masquerade too, in
 * either backend, fewer with iptables, whose changes are programs that run. A run tries five of these cases;
 * WEFT_FAULTS=all tries them all, every call and further errors, WEFT_SEED repeats the choice.
 */
import t, { type Test } from "tap";
import type { ChainConfig } from "./fixtures/chain.ts";
import {
  FAULT_CASES,
  FAULTS_TIMEOUT_MS,
  type Fault,
  type FaultMode,
  type FaultTarget,
  faultsAt,
  sampled,
  showFaults,
  someOf,
  tracePoints,
} from "./fixtures/faults.ts";
import { makeHost } from "./fixtures/host.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import type { Backend } from "./fixtures/packet-filter.ts";
import { ptpNetwork } from "./fixtures/ptp-network.ts";
import { randomFrom, SEED } from "./fixtures/random.ts";

const lacks = await missing("nf_tables");
t.comment(`WEFT_SEED=${SEED}`);

function listOf(backend: Backend | undefined): ChainConfig {
  const keys = backend && { ipMasq: true, ipMasqBackend: backend };
  const { cniVersion, name, ...ptp } = ptpNetwork("net", ["10.9.0.0/24", "fd00:9::/64"], keys);
  return { cniVersion, name, plugins: [ptp] };
}

interface Case {
  readonly command: FaultTarget["command"];
  readonly mode: FaultMode;
  readonly fault: Fault;
  /** undefined: nothing is masqueraded. */
  readonly backend?: Backend;
  /** How many system calls apart the faults are. */
  readonly every: number;
}

const sampledCases = (cases: typeof FAULT_CASES, how: Pick<Case, "backend" | "every">) =>
  cases.map(([what, each]): [string, Case] => [
    `${how.backend ?? "no masquerade"}: ${what}`,
    { ...each, ...how },
  ]);

const CASES: readonly (readonly [what: string, each: Case])[] = [
  ...sampledCases(FAULT_CASES, { every: 4 }),
  ...sampledCases(FAULT_CASES, { backend: "nftables", every: 8 }),
  ...sampledCases(FAULT_CASES.slice(0, 3), { backend: "iptables", every: 20 }),
];

async function runCase(t: Test, { command, mode, fault, backend, every }: Case): Promise<void> {
  if (backend && lacks) return skip(t, lacks);
  const host = await makeHost(t);
  await host.container("c1");
  const target: FaultTarget = { list: listOf(backend), plugin: "ptp", command };
  const points = await tracePoints(host, target);
  t.ok(points.length >= 30, `${points.length} system calls`);
  const tried = sampled(points, every, randomFrom(SEED));
  const env: Record<string, string> = backend === "iptables" ? { SAVED: "1" } : {};
  await showFaults(t, host, { ...target, mode, faults: faultsAt(tried, fault), env });
}

/** Of the cases, so many in a run. */
const TRIED = 5;

t.setTimeout(CASES.length * FAULTS_TIMEOUT_MS);
for (const [what, each] of someOf(CASES, TRIED, randomFrom(SEED))) {
  await t.test(what, { timeout: FAULTS_TIMEOUT_MS }, (t) => runCase(t, each));
}
