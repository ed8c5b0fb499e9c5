/**
 * ADD and DEL of bridge + host-local, killed before each of their system calls, and with each of
 * them failing: afterwards DEL, or GC where the runtime never calls DEL, leaves the host as it was.
 * With masquerade, published ports and a firewall: kill-chain.test.ts.
 */
import t from "tap";
import { bridgeNetwork } from "./fixtures/attachment.ts";
import {
  FAULTS_TIMEOUT_MS,
  type FaultMode,
  type FaultTarget,
  showFaults,
  tracePoints,
  withFault,
} from "./fixtures/faults.ts";
import { makeHost } from "./fixtures/host.ts";

const { cniVersion, name, ...bridge } = bridgeNetwork("net", ["10.9.0.0/24", "fd00:9::/64"]);
const LIST = { cniVersion, name, plugins: [bridge] };

type Case = [description: string, command: FaultTarget["command"], mode: FaultMode, fault: string];
const CASES: readonly Case[] = [
  ["ADD killed, then DEL and GC", "ADD", "add-del", "signal=KILL"],
  ["ADD killed, then GC alone", "ADD", "add-gc", "signal=KILL"],
  ["DEL killed, then DEL", "DEL", "del", "signal=KILL"],
  ...["EIO", "ENOMEM", "EBUSY"].flatMap((errno): Case[] => [
    [`ADD with ${errno}`, "ADD", "add", `error=${errno}`],
    [`DEL with ${errno}, then DEL`, "DEL", "del", `error=${errno}`],
  ]),
];
t.setTimeout(CASES.length * FAULTS_TIMEOUT_MS);
for (const [description, command, mode, fault] of CASES) {
  await t.test(`${description}, at every system call`, { timeout: FAULTS_TIMEOUT_MS }, async (t) => {
    const host = await makeHost(t);
    await host.container("c1");
    const target: FaultTarget = { list: LIST, plugin: "bridge", command };
    const points = await tracePoints(host, target);
    t.ok(points.length >= 30, `${points.length} system calls`);
    await showFaults(t, host, { ...target, mode, faults: withFault(points, fault) });
  });
}
