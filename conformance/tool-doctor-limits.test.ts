/**
 * `weft doctor`: the kernel's own limits, which are the machine's: they are changed where that is a test's
 * own, in the second kernel alone.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { execa } from "execa";
import t from "tap";
import { diagnose, makeDoctorStage } from "./fixtures/doctor-stage.ts";
import { IN_SECOND_KERNEL, missing, skip } from "./fixtures/kernel.ts";

const TIMEOUT_MS = 600_000; // emulated
t.setTimeout(3 * TIMEOUT_MS);
const lacks = await missing("bridge", "nf_tables");

/** One for all namespaces: only where the machine is the test's own they may be changed. */
const LIMITS = {
  "neighbour-table-full": {
    setting: "/proc/sys/net/ipv4/neigh/default/gc_thresh3",
    limit: "20",
    cause: `
for i in $(seq 20 60); do
  echo neighbour replace 10.9.0.$i lladdr 02:00:00:00:01:$(printf %02x $i) dev br-front nud stale
done | ip -batch -`,
    after: "ip neighbour flush dev br-front",
  },
  "conntrack-full": {
    setting: "/proc/sys/net/netfilter/nf_conntrack_max",
    limit: "10",
    cause: `
for port in $(seq 1000 1010); do
  conntrack -I -p udp -s 192.0.2.2 -d 192.0.2.1 --sport $port --dport 53 -t 600 --status SEEN_REPLY
done`,
    after: "conntrack -F",
  },
} as const;

await t.test("limits", { timeout: 2 * TIMEOUT_MS }, async (t) => {
  const lack = IN_SECOND_KERNEL ? lacks : "the limits are the machine's";
  if (lack) return skip(t, lack);
  const { host } = await makeDoctorStage(t);
  for (const [fault, { setting, limit, cause, after }] of Object.entries(LIMITS)) {
    await t.test(fault, { timeout: TIMEOUT_MS }, async (t) => {
      const before = readFileSync(setting, "utf8");
      t.teardown(() => writeFileSync(setting, before));
      await host.exec("sh", ["-e", "-c", cause]);
      writeFileSync(setting, limit);
      const findings = await diagnose(host);
      t.same(
        findings.map((each) => each.fault),
        [fault],
        "named",
      );
      const [words = ""] = findings.map(({ remedy }) => remedy);
      await execa("sh", ["-c", words]); // it is the machine's own namespace that has the setting
      await host.exec("sh", ["-c", after]);
      t.same(await diagnose(host), [], "gone");
    });
  }
});
