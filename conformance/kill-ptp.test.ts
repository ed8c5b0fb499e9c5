/**
 * ADD and DEL of ptp + host-local, killed before each of their system calls, and with each of them failing:
 * afterwards DEL, or GC where the runtime never calls DEL, leaves the host as it was. With masquerade too, in
 * either backend, at some of the calls, fewer with iptables, whose changes are programs that run.
 * WEFT_FAULTS=all tries all of them and further errors, WEFT_SEED repeats the choice.
 */
import t, { type Test } from "tap";
import type { ChainConfig } from "./fixtures/chain.ts";
import {
  FAULTS_TIMEOUT_MS,
  type FaultMode,
  type FaultTarget,
  showFaults,
  tracePoints,
  withFault,
} from "./fixtures/faults.ts";
import { makeHost } from "./fixtures/host.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import type { Backend } from "./fixtures/packet-filter.ts";
import { ptpNetwork } from "./fixtures/ptp-network.ts";
import { randomFrom, SEED } from "./fixtures/random.ts";

const ALL = process.env["WEFT_FAULTS"] === "all";
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
  readonly fault: string;
  /** undefined: nothing is masqueraded. */
  readonly backend?: Backend;
  /** How many system calls apart the faults are. */
  readonly every?: number;
}

const KILLS: Readonly<Record<string, Case>> = {
  "ADD killed, then DEL and GC": { command: "ADD", mode: "add-del", fault: "signal=KILL" },
  "ADD killed, then GC alone": { command: "ADD", mode: "add-gc", fault: "signal=KILL" },
  "DEL killed, then DEL": { command: "DEL", mode: "del", fault: "signal=KILL" },
};
const errors = (errno: string): Record<string, Case> => ({
  [`ADD with ${errno}`]: { command: "ADD", mode: "add", fault: `error=${errno}` },
  [`DEL with ${errno}, then DEL`]: { command: "DEL", mode: "del", fault: `error=${errno}` },
});
const masquerading = (cases: Readonly<Record<string, Case>>, how: Pick<Case, "backend" | "every">) =>
  Object.entries(cases).map(([what, each]): [string, Case] => [
    `${how.backend}: ${what}`,
    { ...each, ...how },
  ]);

const CASES: readonly (readonly [what: string, each: Case])[] = [
  ...Object.entries({ ...KILLS, ...errors("EIO"), ...(ALL && { ...errors("ENOMEM"), ...errors("EBUSY") }) }),
  ...masquerading({ ...KILLS, ...errors("EIO") }, { backend: "nftables", every: 2 }),
  ...masquerading(KILLS, { backend: "iptables", every: 10 }),
];

async function runCase(t: Test, { command, mode, fault, backend, every = 1 }: Case): Promise<void> {
  if (backend && lacks) return skip(t, lacks);
  const host = await makeHost(t);
  await host.container("c1");
  const target: FaultTarget = { list: listOf(backend), plugin: "ptp", command };
  const points = await tracePoints(host, target);
  t.ok(points.length >= 30, `${points.length} system calls`);
  const apart = ALL ? 1 : every;
  const first = Math.floor(randomFrom(SEED)() * apart);
  const tried = points.filter((_, index) => index % apart === first);
  const env: Record<string, string> = backend === "iptables" ? { SAVED: "1" } : {};
  await showFaults(t, host, { ...target, mode, faults: withFault(tried, fault), env });
}

t.setTimeout(CASES.length * FAULTS_TIMEOUT_MS);
for (const [what, each] of CASES) {
  await t.test(what, { timeout: FAULTS_TIMEOUT_MS }, (t) => runCase(t, each));
}
