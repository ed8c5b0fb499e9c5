/**
 * Debian's containerd and a newer one with networks that have no bridge: `ctr run --cni` with macvlan, whose
 * containers are on the host's wire, and with ptp, to whom the host routes.
 */
import { existsSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import t, { type Test } from "tap";
import { type Containerd, containerdLacks, removeGroups, startContainerd } from "./fixtures/containerd.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { normalise } from "./fixtures/normalise.ts";
import { remains } from "./fixtures/remains.ts";
import { makeUnderlay, type Underlay, wireAddresses } from "./fixtures/underlay.ts";
import { newerContainerd } from "./reference.ts";

const TIMEOUT_MS = 180_000;
const QUIET_TIMEOUT_MS = 10_000;
const QUIET_STEP_MS = 50;
t.setTimeout(5 * TIMEOUT_MS);

interface NetworkCase {
  readonly plugin: { type: string; [key: string]: unknown };
  /** What the first two containers get. */
  readonly addresses: readonly (readonly string[])[];
  /** Whether the host reaches its containers, as it does all that it routes to. */
  readonly hostReaches: boolean;
}

const routes = [{ dst: "0.0.0.0/0" }, { dst: "::/0" }];
const ranges = [[{ subnet: "10.89.0.0/24" }], [{ subnet: "fd00:89::/64" }]];
const CASES: readonly NetworkCase[] = [
  {
    plugin: { type: "macvlan", master: "eth0", ipam: { ...wireAddresses(), routes } },
    addresses: [
      ["192.0.2.50", "2001:db8:1::50"],
      ["192.0.2.51", "2001:db8:1::51"],
    ],
    hostReaches: false,
  },
  {
    plugin: { type: "ptp", ipMasq: true, ipam: { type: "host-local", ranges, routes } },
    addresses: [
      ["10.89.0.2", "fd00:89::2"],
      ["10.89.0.3", "fd00:89::3"],
    ],
    hostReaches: true,
  },
];

const installed = {
  version: "of this machine",
  dir: "/usr/bin",
  missing: existsSync("/usr/bin/containerd") ? undefined : "no containerd is installed",
};
for (const { version, dir, missing: absent } of [installed, await newerContainerd()]) {
  const lacks = absent ?? containerdLacks() ?? (await missing("macvlan", "nf_tables"));
  for (const each of CASES) {
    const name = `ctr run --cni with ${each.plugin.type}, containerd ${version}`;
    await t.test(name, { timeout: TIMEOUT_MS }, async (t) => {
      if (lacks) return skip(t, lacks);
      const underlay = await makeUnderlay(t);
      const network = { cniVersion: "1.0.0", name: "net", plugins: [each.plugin] };
      const daemon = await startContainerd(t, dir, network, { host: underlay.host });
      await showContainers(t, { underlay, daemon, each });
    });
  }
}
t.teardown(removeGroups);

interface Stage {
  readonly underlay: Underlay;
  readonly daemon: Containerd;
  readonly each: NetworkCase;
}

async function showContainers(t: Test, { underlay, daemon, each }: Stage): Promise<void> {
  const { host, outside } = underlay;
  const { plugin, addresses, hostReaches } = each;
  const [first = [], second = []] = addresses;
  const untouched = normalise(await host.snapshot());
  const c1 = await daemon.run("c1");
  for (const address of [outside.address4, outside.address6])
    t.ok(await daemon.ping("c1", address), `c1 reaches ${address} beyond the host`);
  const c2 = await daemon.run("c2");
  for (const [index, name] of ["c1", "c2"].entries()) {
    const net = `--net=/proc/${await daemon.pidOf(name)}/ns/net`;
    const { stdout } = await host.exec("nsenter", [net, "ip", "-j", "address", "show", "dev", "eth0"]);
    const held = JSON.parse(stdout)[0].addr_info.map(({ local }: { local: string }) => local);
    t.strictSame(held.slice(0, 2), addresses[index], `${name} holds its addresses`);
  }
  for (const address of second) t.ok(await daemon.ping("c1", address), `c1 reaches c2 at ${address}`);
  for (const address of first) t.ok(await daemon.ping("c2", address), `c2 reaches c1 at ${address}`);
  const all = [...first, ...second];
  t.strictSame(await host.answering(all), hostReaches ? all : [], `the host: ${hostReaches}`);
  for (const container of [c1, c2]) {
    t.equal(await container.end(), 0, `${container.name} ended`);
    await daemon.ctr("container", "rm", container.name);
  }
  await quiet();
  t.strictSame(await left(), [], "DEL leaves nothing");

  await daemon.runDetached("c3");
  t.ok(await daemon.ping("c3", outside.address4), "a detached container is connected");
  await daemon.ctr("task", "rm", "--force", "c3");
  await daemon.ctr("container", "rm", "c3");
  const config = { ...plugin, cniVersion: "1.1.0", name: "net", "cni.dev/valid-attachments": [] };
  t.not((await left()).length, 0, "ctr calls no DEL for it");
  await host.cni(plugin.type, { dir: "/opt/cni/bin", command: "GC", config });
  await quiet();
  t.strictSame(await left(), [], "GC leaves nothing");

  /** ctr calls DEL when the namespace has lost its last process: the kernel empties it a moment later. */
  async function quiet(): Promise<void> {
    const deadline = Date.now() + QUIET_TIMEOUT_MS;
    while ((await host.link("eth0"))["promiscuity"] !== 0 && Date.now() < deadline)
      await delay(QUIET_STEP_MS);
  }

  /** Forwarding stays, with the anycast addresses of an IPv6 router, and the table of ours. */
  async function left(): Promise<string[]> {
    const lines = remains(untouched, await host.snapshot());
    return lines.filter((line) => !/forward|networks\.host\.ruleset|"type":"anycast"/.test(line));
  }
}
