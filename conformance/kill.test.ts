/**
 * ADD and DEL of bridge with host-local, killed before each of their system calls, and with each of them
 * failing: afterwards DEL, or GC where the runtime never calls DEL, leaves the host as it was. Of tap every
 * sixth; WEFT_FAULTS=all leaves none out. With masquerade, published ports and a firewall:
 * kill-chain.test.ts.
 */
import t from "tap";
import { bridgeNetwork } from "./fixtures/attachment.ts";
import {
  FAULT_CASES,
  FAULTS_TIMEOUT_MS,
  type FaultTarget,
  faultsAt,
  sampled,
  showFaults,
  tracePoints,
} from "./fixtures/faults.ts";
import { makeHost } from "./fixtures/host.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { randomFrom, SEED } from "./fixtures/random.ts";

const { cniVersion, name, ...bridge } = bridgeNetwork("net", ["10.9.0.0/24", "fd00:9::/64"]);
const tap = { type: "tap", owner: 5, group: 6, mtu: 1400, ipam: bridge["ipam"] };
const PLUGINS = [
  { plugin: bridge, feature: "bridge", every: 1 },
  { plugin: tap, feature: "tun", every: 6 }, // makes its interface itself
] as const;

t.setTimeout(PLUGINS.length * FAULT_CASES.length * FAULTS_TIMEOUT_MS);
t.comment(`WEFT_SEED=${SEED}`);
for (const { plugin, feature, every } of PLUGINS) {
  for (const [description, { command, mode, fault }] of FAULT_CASES) {
    await t.test(`${plugin.type}: ${description}`, { timeout: FAULTS_TIMEOUT_MS }, async (t) => {
      const lacks = await missing(feature);
      if (lacks) return skip(t, lacks);
      const host = await makeHost(t);
      await host.container("c1");
      const list = { cniVersion, name, plugins: [plugin] };
      const target: FaultTarget = { list, plugin: plugin.type, command };
      const points = await tracePoints(host, target);
      t.ok(points.length >= 30, `${points.length} system calls`);
      await showFaults(t, host, {
        ...target,
        mode,
        faults: faultsAt(sampled(points, every, randomFrom(SEED)), fault),
      });
    });
  }
}
