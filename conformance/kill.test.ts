/**
 * ADD and DEL of bridge and of tap with host-local, killed before each of their system calls, and
 * with each of them failing: afterwards DEL, or GC where the runtime never calls DEL, leaves the
 * host as it was. With masquerade, published ports and a firewall: kill-chain.test.ts.
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
import { missing, skip } from "./fixtures/kernel.ts";

const { cniVersion, name, ...bridge } = bridgeNetwork("net", ["10.9.0.0/24", "fd00:9::/64"]);
const tap = { type: "tap", owner: 5, group: 6, mtu: 1400, ipam: bridge["ipam"] };
/**
 * The second makes its interface itself, and is otherwise the same: it has fewer errors unless all are
 * wanted.
 */
const EVERY_ERROR = ["EIO", "ENOMEM", "EBUSY"];
const PLUGINS = [
  { plugin: bridge, feature: "bridge", errors: EVERY_ERROR },
  { plugin: tap, feature: "tun", errors: process.env["WEFT_FAULTS"] === "all" ? EVERY_ERROR : ["EIO"] },
] as const;

type Case = [description: string, command: FaultTarget["command"], mode: FaultMode, fault: string];
const casesOf = (errors: readonly string[]): readonly Case[] => [
  ["ADD killed, then DEL and GC", "ADD", "add-del", "signal=KILL"],
  ["ADD killed, then GC alone", "ADD", "add-gc", "signal=KILL"],
  ["DEL killed, then DEL", "DEL", "del", "signal=KILL"],
  ...errors.flatMap((errno): Case[] => [
    [`ADD with ${errno}`, "ADD", "add", `error=${errno}`],
    [`DEL with ${errno}, then DEL`, "DEL", "del", `error=${errno}`],
  ]),
];
t.setTimeout(PLUGINS.length * casesOf(EVERY_ERROR).length * FAULTS_TIMEOUT_MS);
for (const { plugin, feature, errors } of PLUGINS) {
  for (const [description, command, mode, fault] of casesOf(errors)) {
    const title = `${plugin.type}: ${description}, at every system call`;
    await t.test(title, { timeout: FAULTS_TIMEOUT_MS }, async (t) => {
      const lacks = await missing(feature);
      if (lacks) return skip(t, lacks);
      const host = await makeHost(t);
      await host.container("c1");
      const list = { cniVersion, name, plugins: [plugin] };
      const target: FaultTarget = { list, plugin: plugin.type, command };
      const points = await tracePoints(host, target);
      t.ok(points.length >= 30, `${points.length} system calls`);
      await showFaults(t, host, { ...target, mode, faults: withFault(points, fault) });
    });
  }
}
