/**
 * ADD and DEL of macvlan + host-local with hostAccess, killed before every eighth of their system calls, and
 * with every eighth failing: afterwards DEL, or GC where the runtime never calls DEL, leaves the host as it
 * was, with neither the container's link nor the one that the host had for it.
 */
import t from "tap";
import {
  FAULT_CASES,
  FAULTS_TIMEOUT_MS,
  type FaultTarget,
  faultsAt,
  sampled,
  showFaults,
  tracePoints,
} from "./fixtures/faults.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { randomFrom, SEED } from "./fixtures/random.ts";
import { makeUnderlay } from "./fixtures/underlay.ts";

const lacks = await missing("macvlan");
const PLUGIN = {
  type: "macvlan",
  master: "eth0",
  hostAccess: true,
  hostAccessAddresses: ["10.9.0.250", "fd00:9::250"], // of lo
  ipam: { type: "host-local", ranges: [[{ subnet: "10.9.0.0/24" }], [{ subnet: "fd00:9::/64" }]] },
};
const LIST = { cniVersion: "1.1.0", name: "net", plugins: [PLUGIN] };

/** How many system calls. WEFT_FAULTS=all leaves none out, WEFT_SEED repeats the choice. */
const APART = 8;

t.setTimeout(FAULT_CASES.length * FAULTS_TIMEOUT_MS);
t.comment(`WEFT_SEED=${SEED}`);
for (const [description, { command, mode, fault }] of FAULT_CASES) {
  await t.test(description, { timeout: FAULTS_TIMEOUT_MS }, async (t) => {
    if (lacks) return skip(t, lacks);
    const { host } = await makeUnderlay(t);
    for (const address of PLUGIN.hostAccessAddresses)
      await host.exec("ip", ["address", "add", address, "dev", "lo"]);
    await host.container("c1");
    const target: FaultTarget = { list: LIST, plugin: "macvlan", command };
    const points = await tracePoints(host, target);
    t.ok(points.length >= 30, `${points.length} system calls`);
    await showFaults(t, host, {
      ...target,
      mode,
      faults: faultsAt(sampled(points, APART, randomFrom(SEED)), fault),
    });
  });
}
