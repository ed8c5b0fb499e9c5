/** containerd on two hosts of an overlay with etcd: `ctr run --cni`, and containers that reach each other. */
import { existsSync } from "node:fs";
import t from "tap";
import { startAgent } from "./fixtures/agent.ts";
import { containerdLacks, removeGroups, startContainerd } from "./fixtures/containerd.ts";
import { etcdLacks, makeEtcd } from "./fixtures/etcd.ts";
import { makeFabric } from "./fixtures/fabric.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { BLUE, etcdNetwork, keysOfNetworks } from "./fixtures/overlay-network.ts";
import { agree, readStore } from "./fixtures/overlay-truth.ts";

const TIMEOUT_MS = 120_000;
t.setTimeout(2 * TIMEOUT_MS);
t.teardown(removeGroups);

await t.test("ctr run --cni on two hosts", { timeout: TIMEOUT_MS }, async (t) => {
  const installed = existsSync("/usr/bin/containerd") ? undefined : "no containerd is installed";
  const lacks = installed ?? containerdLacks() ?? (await missing("vxlan")) ?? (await etcdLacks());
  if (lacks) return skip(t, lacks);
  const fabric = await makeFabric(t, { hosts: 2 });
  const etcd = await makeEtcd(t, fabric);
  const { name, cniVersion: _, ...plugin } = etcdNetwork(BLUE);
  const network = { cniVersion: "1.0.0", name, plugins: [plugin] };
  const daemons = await Promise.all(
    fabric.hosts.map(async (at) => {
      await startAgent(at, etcd.endpoints);
      return startContainerd(t, "/usr/bin", network, { host: at.host });
    }),
  );
  const running = await Promise.all(daemons.map((daemon, index) => daemon.run(`c${index}`)));
  const { endpoints } = await readStore(etcd);
  t.equal(endpoints.length, 2, "both are in the store");
  for (const [index, daemon] of daemons.entries()) {
    const other = endpoints.find(({ host }) => host !== fabric.at(index).name);
    for (const address of other?.addresses ?? [])
      t.ok(await daemon.ping(`c${index}`, address), `c${index} reaches ${address}`);
  }
  for (const container of running) t.equal(await container.end(), 0, `${container.name} ended`);
  await agree(t, etcd, fabric.hosts, "and left the kernels as the store says");
  t.strictSame(await keysOfNetworks(etcd), [], "which holds nothing more");
});
