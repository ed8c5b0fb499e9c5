/**
 * `weft doctor` beside other programs: NetworkManager, systemd-networkd and firewalld as they are, and
 * daemons of container networks that do not run. Each is named, and gone by the command that was printed.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import t, { type Test } from "tap";
import { diagnose, type FaultCase, makeDoctorStage, showFault, WEFT } from "./fixtures/doctor-stage.ts";
import { etcdLacks, makeEtcd } from "./fixtures/etcd.ts";
import { makeFabric } from "./fixtures/fabric.ts";
import { firewalldRoots, startFirewalld } from "./fixtures/firewalld.ts";
import { type Host, makeHost } from "./fixtures/host.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import {
  networkdLacks,
  networkManagerRoots,
  startNetworkd,
  startNetworkManager,
} from "./fixtures/managers.ts";
import { BLUE, etcdNetwork } from "./fixtures/overlay-network.ts";
import { BUILT_PLUGINS } from "./fixtures/project.ts";
import { referencePlugins } from "./reference.ts";

const TIMEOUT_MS = 120_000;
t.setTimeout(3 * TIMEOUT_MS);
const lacks = await missing("bridge", "br_netfilter", "nf_tables");

const managed = (fault: string, also: readonly string[] = []): FaultCase => ({
  fault,
  cause: ":",
  also,
  // what the manager has done to the bridge's ports meanwhile the doctor mends by itself
  after: "weft doctor --fix --yes || :",
});

await t.test("NetworkManager", { timeout: TIMEOUT_MS }, async (t) => {
  const { roots, missing: none } = await networkManagerRoots();
  const lack = lacks ?? none;
  if (lack) return skip(t, lack);
  const stage = await makeDoctorStage(t);
  await startNetworkManager(stage.host, roots);
  await showFault(t, stage, managed("networkmanager-manages"));
});

await t.test("systemd-networkd", { timeout: TIMEOUT_MS }, async (t) => {
  const lack = lacks ?? (await networkdLacks());
  if (lack) return skip(t, lack);
  const stage = await makeDoctorStage(t);
  await startNetworkd(stage.host);
  // it takes a port off a bridge that no file of its own names
  await showFault(t, stage, managed("networkd-manages", ["not-in-bridge", "hairpin-off"]));
});

await t.test("firewalld", { timeout: TIMEOUT_MS }, async (t) => {
  const { roots, missing: none } = await firewalldRoots();
  const lack = lacks ?? none;
  if (lack) return skip(t, lack);
  const host = await makeHost(t);
  const outside = await host.outside();
  await startFirewalld(host, roots);
  writeNetwork(host, {
    cniVersion: "1.0.0",
    name: "plain",
    plugins: [
      {
        type: "bridge",
        bridge: "br-plain",
        isDefaultGateway: true,
        ipMasq: true,
        ipam: { type: "host-local", subnet: "10.3.0.0/24" },
      },
    ],
  });
  await host.container("c1");
  await host.exec(WEFT, ["add", "plain", "c1"]);
  await showFault(
    t,
    { host, outside },
    {
      fault: "firewalld-blocks",
      cause: ":",
      also: ["forward-dropped"],
      evidence: /br-plain is in none of its zones/,
    },
  );
});

await t.test("the agent of an overlay", { timeout: TIMEOUT_MS }, async (t) => {
  const lack = lacks ?? (await missing("vxlan")) ?? (await etcdLacks());
  if (lack) return skip(t, lack);
  const fabric = await makeFabric(t, { hosts: 1 });
  const { host, name } = fabric.at(0);
  const etcd = await makeEtcd(t, fabric);
  write(host, "/etc/weft/etcd.json", JSON.stringify({ endpoints: etcd.endpoints, host: name }));
  const { cniVersion, name: network, ...vxlan } = etcdNetwork(BLUE, {});
  writeNetwork(host, {
    cniVersion,
    name: network,
    plugins: [{ ...vxlan, etcd: { endpoints: etcd.endpoints, host: name } }],
  });
  await showStarted(t, host, {
    fault: "agent-down",
    unit: "weft-agent",
    daemon: "weft agent",
    until: "weft agent --status",
  });
  await host.container("c1");
  await host.exec(WEFT, ["add", network, "c1"]);
  t.same(await diagnose(host), [], "nor is anything wrong with a container on it");
});

await t.test("the daemon of the dhcp plugin", { timeout: TIMEOUT_MS }, async (t) => {
  const [reference] = await referencePlugins();
  const lack = lacks ?? reference?.missing;
  if (lack || !reference) return skip(t, lack ?? "no reference");
  const host = await makeHost(t);
  await host.outside();
  await host.exec("sh", ["-c", `mkdir -p /opt/cni/bin /run/cni; cp ${reference.dir}/dhcp /opt/cni/bin`]);
  writeNetwork(host, {
    cniVersion: "1.0.0",
    name: "wire",
    plugins: [{ type: "macvlan", master: "uplink0", ipam: { type: "dhcp" } }],
  });
  await showStarted(t, host, {
    fault: "dhcp-daemon-down",
    unit: "cni-dhcp",
    daemon: "/opt/cni/bin/dhcp daemon",
    until: "test -S /run/cni/dhcp.sock",
  });
});

interface Unit {
  readonly fault: string;
  readonly unit: string;
  readonly daemon: string;
  /** Says that it runs. */
  readonly until: string;
}

/** There is no systemd in a host: a script of its name starts the daemon. */
async function showStarted(t: Test, host: Host, { fault, unit, daemon, until }: Unit): Promise<void> {
  const script = `#!/bin/sh
[ "$*" = "start ${unit}" ] || exit 1
${daemon} > /run/daemon.log 2>&1 &
for try in $(seq 100); do ${until} > /dev/null 2>&1 && exit 0; sleep 0.1; done
cat /run/daemon.log; exit 1
`;
  write(host, "/run/bin/systemctl", script, 0o755);
  const findings = await diagnose(host);
  t.same(
    findings.map((each) => each.fault),
    [fault],
    "named",
  );
  const PATH = `/run/bin:${process.env["PATH"]}:${BUILT_PLUGINS}`;
  const ended = await host.exec("sh", ["-c", findings[0]?.remedy ?? "false"], {
    env: { PATH },
    reject: false,
  });
  t.match(ended, { exitCode: 0 }, `${findings[0]?.remedy}: ${ended.stdout}`);
  t.same(await diagnose(host), [], "gone");
}

function writeNetwork(host: Host, network: { readonly name: string; readonly [key: string]: unknown }): void {
  write(host, `/etc/cni/net.d/10-${network.name}.conflist`, JSON.stringify(network));
}

function write(host: Host, path: string, text: string, mode = 0o644): void {
  const file = host.view(path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text, { mode });
}
