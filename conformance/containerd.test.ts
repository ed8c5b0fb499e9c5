/**
 * Debian's containerd and a newer one: `ctr run --cni` calls ADD before the container's program starts and
 * DEL after it ended, of the plugins that `weft install` installed.
 */
import { existsSync } from "node:fs";
import t, { type Test } from "tap";
import { type Containerd, containerdLacks, removeGroups, startContainerd } from "./fixtures/containerd.ts";
import { skip } from "./fixtures/kernel.ts";
import { normalise } from "./fixtures/normalise.ts";
import { remains } from "./fixtures/remains.ts";
import { newerContainerd } from "./reference.ts";

const TIMEOUT_MS = 180_000;
t.setTimeout(5 * TIMEOUT_MS);

const NETWORK = {
  cniVersion: "1.0.0",
  name: "net",
  plugins: [
    {
      type: "bridge",
      isDefaultGateway: true,
      ipam: { type: "host-local", ranges: [[{ subnet: "10.88.0.0/24" }], [{ subnet: "fd00:88::/64" }]] },
    },
  ],
};

const installed = {
  version: "of this machine",
  dir: "/usr/bin",
  missing: existsSync("/usr/bin/containerd") ? undefined : "no containerd is installed",
};
for (const { version, dir, missing } of [installed, await newerContainerd()]) {
  const lacks = missing ?? containerdLacks();
  await t.test(`ctr run --cni, containerd ${version}`, { timeout: TIMEOUT_MS }, async (t) => {
    if (lacks) return skip(t, lacks);
    await showContainers(t, await startContainerd(t, dir, NETWORK));
  });
}
t.teardown(removeGroups);

async function showContainers(t: Test, daemon: Containerd): Promise<void> {
  const { host } = daemon;
  t.comment((await daemon.ctr("version")).replaceAll(/\s+/g, " "));
  const untouched = normalise(await host.snapshot());
  const [c1, c2] = [await daemon.run("c1"), await daemon.run("c2")];
  for (const [index, { name }] of [c1, c2].entries()) {
    const net = `--net=/proc/${await daemon.pidOf(name)}/ns/net`;
    const { stdout } = await host.exec("nsenter", [net, "ip", "-j", "address", "show", "dev", "eth0"]);
    const held = JSON.parse(stdout)[0].addr_info.map(({ local }: { local: string }) => local);
    t.strictSame(
      held.slice(0, 2),
      [`10.88.0.${index + 2}`, `fd00:88::${index + 2}`],
      `${name} holds its addresses`,
    );
    const aliases = (await host.ip("link", "show")).map(({ ifalias }) => ifalias);
    t.ok(aliases.includes(`weft:net/default-${name}/eth0`), "ip link on the host tells whose veth it is");
    for (const gateway of ["10.88.0.1", "fd00:88::1"]) {
      t.ok(await daemon.ping(name, gateway), `${name} reaches its gateway ${gateway}`);
    }
  }
  for (const [from, to] of [
    [c1, "10.88.0.3"],
    [c2, "10.88.0.2"],
    [c1, "fd00:88::3"],
  ] as const) {
    t.ok(await daemon.ping(from.name, to), `${from.name} reaches ${to}`);
  }

  for (const container of [c1, c2]) {
    t.equal(await container.end(), 0, `${container.name} ended`);
    await daemon.ctr("container", "rm", container.name);
  }
  const { networks, files } = await host.snapshot();
  t.strictSame(
    networks["host"]?.links.map(({ ifname }) => ifname),
    ["lo", "cni0"],
    "no veth is left",
  );
  t.strictSame(remains({ networks: {}, files: {} }, { networks: {}, files }), [], "no lease, no record");

  await showDetached(t, daemon);
  await host.cni("bridge", { dir: "/opt/cni/bin", command: "GC", config: gcConfig() });
  // what ADD turned on for the host as a whole stays
  const left = remains(untouched, await host.snapshot()).filter(
    (line) => !/forwarding|ip_forward/.test(line),
  );
  t.strictSame(left, [], "after GC nothing is left");
}

/** Nobody calls DEL for a container that ctr did not wait for: that is what GC is for. */
async function showDetached(t: Test, daemon: Containerd): Promise<void> {
  const { host } = daemon;
  await daemon.runDetached("c3");
  t.ok(await daemon.ping("c3", "10.88.0.1"), "a detached container is connected");
  await daemon.ctr("task", "rm", "--force", "c3");
  await daemon.ctr("container", "rm", "c3");
  const lease = host.view("/var/lib/cni/networks/net/10.88.0.4");
  t.ok(existsSync(lease), "and ctr calls no DEL for it");
  await host.cni("bridge", { dir: "/opt/cni/bin", command: "GC", config: gcConfig() });
  t.notOk(existsSync(lease), "GC releases its lease");
}

function gcConfig(): object {
  const { name, plugins } = NETWORK;
  return { ...plugins[0], cniVersion: "1.1.0", name, "cni.dev/valid-attachments": [] };
}
