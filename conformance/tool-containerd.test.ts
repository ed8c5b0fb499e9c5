/**
 * containerd with a network that `weft network create` has made, and its containers on a second one, by their
 * id: T3 for a container that another program started. Debian's containerd, and a newer one.
 */
import { existsSync } from "node:fs";
import t, { type Test } from "tap";
import { done, refused } from "./fixtures/command.ts";
import { containerdLacks, removeGroups, startContainerd } from "./fixtures/containerd.ts";
import { makeHost } from "./fixtures/host.ts";
import { changesSince, hostState } from "./fixtures/host-state.ts";
import { skip } from "./fixtures/kernel.ts";
import { newerContainerd } from "./reference.ts";

const TIMEOUT_MS = 180_000;
t.setTimeout(3 * TIMEOUT_MS);
/** Where the daemon of startContainerd() keeps its state, and where one that is installed does. */
const TASKS = "io.containerd.runtime.v2.task";
const SET_UP = `rm /etc/cni/net.d/10-net.conflist
mkdir -p /run/containerd && ln -s /run/daemon/state/${TASKS} /run/containerd/${TASKS}`;

const installed = {
  version: "of this machine",
  dir: "/usr/bin",
  missing: existsSync("/usr/bin/containerd") ? undefined : "no containerd is installed",
};
for (const { version, dir, missing } of [installed, await newerContainerd()]) {
  const lacks = missing ?? containerdLacks();
  await t.test(`containerd ${version}`, { timeout: TIMEOUT_MS }, async (t) => {
    if (lacks) return skip(t, lacks);
    await showContainers(t, dir);
  });
}
t.teardown(removeGroups);

async function showContainers(t: Test, dir: string): Promise<void> {
  const host = await makeHost(t);
  const daemon = await startContainerd(t, dir, { name: "unused" }, { host });
  await host.exec("sh", ["-c", SET_UP]);
  await done(t, host, "network", "create", "blue", "--ipv6");
  await done(t, host, "network", "create", "weft-second");
  const [c1, c2] = [await daemon.run("c1"), await daemon.run("c2")];
  t.ok(await daemon.ping("c1", "10.224.0.3"), "its containers reach each other on the network");

  const before = await hostState(host);
  const connected = await done(t, host, "network", "connect", "weft-second", "c1");
  t.equal(connected, "c1: eth1 10.224.1.2/24\n", "connect takes containerd's id");
  const pid = await daemon.pidOf("c2");
  t.equal(
    await done(t, host, "network", "connect", "weft-second", pid),
    "c2: eth1 10.224.1.3/24\n",
    "and a pid",
  );
  t.ok(await daemon.ping("c1", "10.224.1.3"), "both networks are reached");
  t.ok(await daemon.ping("c1", "10.224.0.3"));
  const attached = await done(t, host, "run", "--network", "container:c1", "--", "ip", "-j", "address");
  t.match(JSON.parse(attached), [{}, { ifname: "eth0" }, { ifname: "eth1" }], "weft run enters its network");
  await refused(t, host, "network rm blue", /"blue" is in use by \S+ \(eth0\), \S+ \(eth0\)\n/);
  for (const name of ["c1", "c2"]) await done(t, host, "network", "disconnect", "weft-second", name);
  t.strictSame(await changesSince(before, host), [], "disconnect leaves nothing");

  await done(t, host, "network", "disconnect", "blue", "c1");
  t.notOk(await daemon.ping("c2", "10.224.0.2"), "also the interface that containerd made can be taken away");
  t.equal(await c1.end(), 0, "and its own DEL does not mind");
  t.equal(await c2.end(), 0);
  t.equal(await done(t, host, "network", "prune", "--yes"), "blue\nweft-second\n");
  t.strictSame(await host.ip("link", "show", "type", "bridge"), [], "nothing is left");
}
