/**
 * bridge with masquerade and spoof check, portmap and firewall: each killed before its system calls, and with
 * each of them failing; afterwards DEL of the chain, or GC where the runtime never calls DEL, leaves nothing.
 *
 * Every system call is killed at; of the errors each gets one that chance chose. WEFT_FAULTS=all tries all
 * three, WEFT_SEED repeats a choice. With iptables, whose every change is a program that runs, it is a sample.
 */
import t, { type Test } from "tap";
import { FAULTS_TIMEOUT_MS, type FaultMode, showFaults, tracePoints, withFault } from "./fixtures/faults.ts";
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
const ERRORS = ["EIO", "ENOMEM", "EBUSY"] as const;
const ALL = process.env["WEFT_FAULTS"] === "all";
const EVERY_NTH_OF_IPTABLES = 5;

const lacks = await missing("bridge", "nf_tables");
t.comment(`WEFT_SEED=${SEED}`);

interface Case {
  readonly backend: Backend;
  readonly plugin: "bridge" | "portmap" | "firewall";
  readonly command: "ADD" | "DEL";
  readonly mode: FaultMode;
  readonly fault: "kill" | "error";
  /** Nothing of the packet filter is there when the plugin begins. */
  readonly cold?: boolean;
}

async function runCase(
  t: Test,
  { backend, plugin, command, mode, fault, cold = false }: Case,
  random: Random,
) {
  if (lacks) return skip(t, lacks);
  const host = await makeHost(t);
  await host.container("c1");
  const list = natNetwork("net", SUBNETS, { backend, bridge: { macspoofchk: true } });
  const target = { list, runtime: RUNTIME, plugin, command };
  const points = await tracePoints(host, target);
  t.ok(points.length >= 20, `${points.length} system calls`);
  const nth = backend === "iptables" && !ALL ? EVERY_NTH_OF_IPTABLES : 1;
  const first = Math.floor(random() * nth);
  const tried = points.filter((_, index) => index % nth === first);
  const faults = fault === "kill" ? withFault(tried, "signal=KILL") : withErrors(tried, random);
  if (faults.length < points.length)
    t.comment(`${faults.length} of ${points.length} faults: WEFT_FAULTS=all`);
  const env = { ...(cold && { COLD: "1" }), ...(backend === "iptables" && { SAVED: "1" }) };
  await showFaults(t, host, { ...target, mode, faults, env });
}

function withErrors(points: readonly string[], random: Random): string[] {
  if (ALL) return ERRORS.flatMap((errno) => withFault(points, `error=${errno}`));
  const first = Math.floor(random() * ERRORS.length);
  return points.flatMap((point, index) =>
    withFault([point], `error=${ERRORS[(first + index) % ERRORS.length]}`),
  );
}

const PLUGINS = ["bridge", "portmap", "firewall"] as const;
const KILLS: readonly [string, Pick<Case, "command" | "mode" | "fault" | "cold">][] = [
  ["ADD killed, then DEL and GC", { command: "ADD", mode: "add-del", fault: "kill" }],
  ["ADD killed, then GC alone", { command: "ADD", mode: "add-gc", fault: "kill" }],
  ["DEL killed, then DEL", { command: "DEL", mode: "del", fault: "kill" }],
];
const FAULTS: typeof KILLS = [
  ...KILLS,
  ["ADD with an error", { command: "ADD", mode: "add", fault: "error" }],
  ["DEL with an error, then DEL", { command: "DEL", mode: "del", fault: "error" }],
];
const CASES: readonly [description: string, Case][] = [
  ...PLUGINS.flatMap((plugin) =>
    FAULTS.map(([what, rest]): [string, Case] => {
      return [`nftables, ${plugin}: ${what}`, { backend: "nftables", plugin, ...rest }];
    }),
  ),
  ...PLUGINS.map((plugin): [string, Case] => {
    const cold = { command: "ADD", mode: "add-del", fault: "kill", cold: true } as const;
    return [`nftables, ${plugin}: the first ADD killed`, { backend: "nftables", plugin, ...cold }];
  }),
  ...PLUGINS.flatMap((plugin) =>
    KILLS.map(([what, rest]): [string, Case] => {
      return [`iptables, ${plugin}: ${what}`, { backend: "iptables", plugin, ...rest }];
    }),
  ),
];

t.setTimeout(CASES.length * FAULTS_TIMEOUT_MS);
t.jobs = 2;
for (const [index, [description, each]] of CASES.entries()) {
  t.test(description, { timeout: FAULTS_TIMEOUT_MS }, (t) => runCase(t, each, randomFrom(SEED + index)));
}
