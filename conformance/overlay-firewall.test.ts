/**
 * The firewall over an overlay, by either packet filter. The containers of other hosts are neighbours: what
 * a policy lets pass between two containers of a bridge passes between hosts, what it keeps apart is kept
 * apart between hosts, and another network of a host comes as far with the one as with the other.
 */
import t, { type Test } from "tap";
import { attachChain, type Chain, type ChainConfig, type PluginConfig } from "./fixtures/chain.ts";
import { etcdLacks } from "./fixtures/etcd.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { normalise } from "./fixtures/normalise.ts";
import { keysOfNetworks, leftOn, makeOverlay, type Overlay } from "./fixtures/overlay-network.ts";
import { BACKENDS, type Backend } from "./fixtures/packet-filter.ts";
import { silent } from "./fixtures/refusal.ts";

const TIMEOUT_MS = 120_000;
t.setTimeout(3 * TIMEOUT_MS);
const PORT = 8080;
const lacks = (await missing("vxlan", "bridge", "nf_tables")) ?? (await etcdLacks());

interface Policy {
  readonly name: string;
  readonly mode: "bridged" | "routed";
  readonly firewall: Record<string, unknown>;
  /** Whether containers of two hosts reach each other. */
  readonly within: boolean;
  /** Whether another network of the host, which has a policy, reaches a container: here, and elsewhere. */
  readonly fromOthers: boolean;
  /** Whether the container reaches the world. */
  readonly out: boolean;
}

const POLICIES: readonly Policy[] = [
  { name: "open", mode: "routed", firewall: {}, within: true, fromOthers: true, out: true },
  {
    name: "same-bridge",
    mode: "routed",
    firewall: { ingressPolicy: "same-bridge" },
    within: true,
    fromOthers: false,
    out: true,
  },
  {
    name: "published",
    mode: "routed",
    firewall: { ingressPolicy: "published" },
    within: true,
    fromOthers: false,
    out: true,
  },
  {
    name: "isolated",
    mode: "routed",
    firewall: { ingressPolicy: "isolated" },
    within: false,
    fromOthers: false,
    out: true,
  },
  {
    name: "internal",
    mode: "routed",
    firewall: { internal: true },
    within: true,
    fromOthers: false,
    out: false,
  },
  {
    name: "icc-off",
    mode: "bridged",
    firewall: { ingressPolicy: "same-bridge", icc: false },
    within: false,
    fromOthers: false,
    out: true,
  },
];

for (const backend of BACKENDS) {
  await t.test(`firewall of an overlay: ${backend}`, { timeout: TIMEOUT_MS }, async (t) => {
    if (lacks) return skip(t, lacks);
    const overlay = await makeOverlay(t, { hosts: 2 });
    // what nobody accepts is dropped there, as Docker has it
    const drop = "iptables -P FORWARD DROP && ip6tables -P FORWARD DROP";
    if (backend === "iptables")
      for (const { host } of overlay.fabric.hosts) await host.exec("sh", ["-c", drop]);
    const other = await attachChain(
      await overlay.fabric.at(0).host.container("other"),
      otherNetwork(backend),
    );
    for (const policy of POLICIES) {
      await t.test(`${policy.mode}, ${policy.name}`, (t) =>
        showPolicy(t, overlay, { backend, policy, other }),
      );
    }
    silent(t, await other.del(), "DEL of the other network");
  });
}

/** A bridge of one host, with the policy that knows of other networks. */
function otherNetwork(backend: Backend): ChainConfig {
  const ipam = { type: "host-local", ranges: [[{ subnet: "10.66.0.0/24" }], [{ subnet: "fd00:66::/64" }]] };
  const bridge = { type: "bridge", bridge: "other0", isDefaultGateway: true, ipMasq: true, ipam };
  return {
    cniVersion: "1.1.0",
    name: "other",
    plugins: chained(bridge, backend, { ingressPolicy: "same-bridge" }),
  };
}

function chained(main: PluginConfig, backend: Backend, firewall: Record<string, unknown>): PluginConfig[] {
  return [
    { ...main, ipMasqBackend: backend },
    { type: "portmap", backend, capabilities: { portMappings: true } },
    { type: "firewall", backend, ...firewall },
  ];
}

function overlayNetwork({ name, mode, firewall }: Policy, backend: Backend): ChainConfig {
  const pools = [
    { subnet: "10.8.0.0/16", hostLength: 24 },
    { subnet: "fd00:8::/48", hostLength: 64 },
  ];
  const ranges = [[{ subnet: "10.8.0.0/24" }], [{ subnet: "fd00:8::/64" }]];
  const addresses =
    mode === "routed"
      ? { subnets: pools, ipam: { type: "host-local" } }
      : { ipam: { type: "etcd-ipam", etcd: {}, ranges } };
  const keys = { vni: 300, dev: "eth0", etcd: {}, isDefaultGateway: true, ipMasq: true };
  const vxlan = { type: "vxlan", mode, ...keys, ...addresses };
  return { cniVersion: "1.1.0", name, plugins: chained(vxlan, backend, firewall) };
}

interface Shown {
  readonly backend: Backend;
  readonly policy: Policy;
  readonly other: Chain;
}

async function showPolicy(
  t: Test,
  { fabric, etcd }: Overlay,
  { backend, policy, other }: Shown,
): Promise<void> {
  const [h1, h2] = [fabric.at(0), fabric.at(1)];
  const before = normalise(await h1.host.snapshot());
  const config = overlayNetwork(policy, backend);
  const portMappings = [{ hostPort: PORT, containerPort: 80, protocol: "tcp" }];
  const c1 = await attachChain(await h1.host.container(`${policy.name}-1`), config);
  const c2 = await attachChain(await h2.host.container(`${policy.name}-2`), config, {
    runtime: { portMappings },
  });
  const server = await c2.container.serve({ protocol: "tcp", port: 80, greeting: "c2: " });
  const answering = async (from: Chain, to: Chain) =>
    (await from.container.answering(to.addresses)).length === 2;
  t.equal(await answering(c1, c2), policy.within, "a container reaches one of another host");
  t.equal(await answering(c2, c1), policy.within, "and back");
  t.equal(await answering(other, c1), policy.fromOthers, "another network reaches one of its own host");
  if (!policy.fromOthers) t.equal(await answering(other, c2), false, "nor does it one of another host");
  if (policy.within) {
    const seen = await c1.container.ask({ protocol: "tcp", address: c2.address(4), port: 80 });
    t.equal(seen.seenAddress, c1.address(4), "a container sees who asks");
  }
  const published = await fabric.hub.ask({ protocol: "tcp", address: h2.address4, port: PORT });
  if (policy.name !== "internal")
    t.match(published, { text: "c2: hello" }, "a published port answers the world");
  const outside = await fabric.hub.serve({ protocol: "udp" });
  const asked = await c1.container.ask({ protocol: "udp", address: "192.0.2.1", port: outside.port });
  t.equal(asked.error === undefined, policy.out, "the world");
  await outside.stop();
  await server.stop();
  for (const each of [c1, c2]) silent(t, await each.check(), "CHECK");
  for (const each of [c1, c2]) silent(t, await each.del(), "DEL");
  t.strictSame(await keysOfNetworks(etcd), [], "the store holds nothing of the network");
  t.strictSame(await leftOn(h1, before), [], "nor the host");
}
