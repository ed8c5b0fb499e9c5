/**
 * What one attachment must not take from another, nor from itself when its ADD is repeated: a network's
 * policy, isolation and hairpin mode of a port, and the guard of the host's 127.0.0.1.
 */
import t from "tap";
import { attachChain, type Chain, type ChainConfig, pluginConfig } from "./fixtures/chain.ts";
import { filteredNetwork, publishedPort } from "./fixtures/filtered-network.ts";
import { type Host, makeHost } from "./fixtures/host.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { BACKENDS } from "./fixtures/packet-filter.ts";

const lacks = await missing("bridge", "nf_tables", "br_netfilter");
const TIMEOUT_MS = 60_000;
const SUBNET = "10.37.0.0/24";

/** ADD of one plugin of the chain again, with what bridge answered. */
async function addAgain(chain: Chain, list: ChainConfig, type: string) {
  const runtime = { portMappings: publishedPort(8080, 80) };
  const config = pluginConfig(list, type, { runtime, prevResult: chain.result });
  const { host, container, ifname } = chain;
  return (await host.cni(type, { command: "ADD", config, container, ifname })).code;
}

/** The settings of the container's port of the bridge. */
async function portOf(host: Host, chain: Chain): Promise<{ isolated: boolean; hairpin: boolean }> {
  const { link_index } = await chain.container.link(chain.ifname);
  const port = (await host.ip("link", "show")).find(({ ifindex }) => ifindex === link_index);
  const { isolated, hairpin } = port?.linkinfo?.info_slave_data ?? {};
  return { isolated: isolated === true, hairpin: hairpin === true };
}

async function filterBridged(host: Host, value: 0 | 1): Promise<void> {
  for (const key of ["iptables", "ip6tables"]) await host.sysctl(`net/bridge/bridge-nf-call-${key}`, value);
}

for (const backend of BACKENDS) {
  const firewall = { ingressPolicy: "isolated" };
  const runtime = { portMappings: publishedPort(8080, 80) };

  await t.test(`ADD again keeps the port's settings: ${backend}`, { timeout: TIMEOUT_MS }, async (t) => {
    if (lacks) return skip(t, lacks);
    for (const bridged of [0, 1] as const) {
      const host = await makeHost(t);
      await filterBridged(host, bridged);
      const list = filteredNetwork("net", [SUBNET], { backend, portmap: {}, firewall });
      const chain = await attachChain(await host.container("c1"), list, { runtime });
      const before = await portOf(host, chain);
      t.same(before, { isolated: bridged === 0, hairpin: bridged === 1 }, `bridge-nf-call ${bridged}`);
      for (const type of ["portmap", "firewall"]) t.equal(await addAgain(chain, list, type), 0, type);
      t.same(await portOf(host, chain), before, "is as it was");
      t.equal((await chain.check()).code, 0, "CHECK");
    }
  });

  await t.test(`two policies on one bridge: ${backend}`, { timeout: TIMEOUT_MS }, async (t) => {
    if (lacks) return skip(t, lacks);
    const host = await makeHost(t);
    await filterBridged(host, 1);
    const strict = filteredNetwork("net", [SUBNET], { backend, firewall });
    const weak = { ...filteredNetwork("net", ["10.37.0.0/24"], { backend, firewall: {} }), name: "weak" };
    weak.plugins = weak.plugins.map((plugin) =>
      plugin.type === "firewall" ? { ...plugin, ingressPolicy: "same-bridge" } : plugin,
    );
    const [c1, c2] = [await host.container("c1"), await host.container("c2")];
    const first = await attachChain(c1, strict);
    await attachChain(c2, strict);
    t.notOk(await c2.ping(first.address(4)), "containers of a bridge do not reach each other");
    const ipam = { type: "host-local", ranges: [[{ subnet: SUBNET, rangeStart: "10.37.0.100" }]] };
    weak.plugins = weak.plugins.map((plugin) => (plugin.type === "bridge" ? { ...plugin, ipam } : plugin));
    const third = await attachChain(await host.container("c3"), weak);
    t.notOk(await c2.ping(first.address(4)), "nor beside a network with a weaker policy");
    t.equal((await third.check()).code, 0, "whose CHECK takes the stricter one");
    t.equal((await third.del()).code, 0);
    t.notOk(await c2.ping(first.address(4)), "nor after it");
  });

  await t.test(`127.0.0.1 after the last port: ${backend}`, { timeout: TIMEOUT_MS }, async (t) => {
    if (lacks) return skip(t, lacks);
    const host = await makeHost(t);
    const list = filteredNetwork("net", [SUBNET], { backend, portmap: {} });
    const chain = await attachChain(await host.container("c1"), list, { runtime });
    await attachChain(await host.container("c2"), list);
    const key = "net/ipv4/conf/br-net/route_localnet";
    t.equal(await host.sysctl(key), "1", "a published port needs route_localnet");
    t.equal((await chain.del()).code, 0);
    t.equal(await host.sysctl(key), "0", "which goes with the last");
  });
}
