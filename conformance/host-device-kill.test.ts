/**
 * ADD and DEL of host-device, killed before every eighth of their system calls, and with every eighth
 * failing: afterwards DEL, or GC where the runtime never calls DEL, leaves the host as it was.
 *
 * The device is a tap that no program has open: it never has carrier, so nothing changes by itself.
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
import { makeHost } from "./fixtures/host.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { randomFrom, SEED } from "./fixtures/random.ts";

const DEVICE = "wan0";
const ipam = { type: "host-local", ranges: [[{ subnet: "10.9.0.0/24" }]] };
const plugin = { type: "host-device", device: DEVICE, ipam };
const LIST = { cniVersion: "1.1.0", name: "net", plugins: [plugin] };

/** How many system calls. WEFT_FAULTS=all leaves none out, WEFT_SEED repeats the choice. */
const APART = 8;

t.setTimeout(FAULT_CASES.length * FAULTS_TIMEOUT_MS);
t.comment(`WEFT_SEED=${SEED}`);
const lacks = await missing("tun");
for (const [description, { command, mode, fault }] of FAULT_CASES) {
  await t.test(description, { timeout: FAULTS_TIMEOUT_MS }, async (t) => {
    if (lacks) return skip(t, lacks);
    const host = await makeHost(t);
    await host.exec("ip", ["tuntap", "add", "dev", DEVICE, "mode", "tap"]);
    const settings = ["address", "02:00:00:00:00:77", "mtu", "1400", "alias", "to the switch", "up"];
    await host.exec("ip", ["link", "set", DEVICE, ...settings]);
    await host.container("c1");
    const target: FaultTarget = { list: LIST, plugin: "host-device", command };
    const points = await tracePoints(host, target);
    t.ok(points.length >= 30, `${points.length} system calls`);
    await showFaults(t, host, {
      ...target,
      mode,
      faults: faultsAt(sampled(points, APART, randomFrom(SEED)), fault),
    });
    const [device] = await host.ip("link", "show", "dev", DEVICE);
    t.match(device, { address: "02:00:00:00:00:77", mtu: 1400, ifalias: "to the switch" });
    t.ok(device?.flags.includes("UP"), "the device is what it was");
  });
}
