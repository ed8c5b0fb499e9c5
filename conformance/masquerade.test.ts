/**
 * ipMasq of bridge, with packets, by each backend and with bridged frames filtered or not: who is masqueraded
 * and who is not, what CHECK notices, what DEL and GC take away. T1 and T13 of the topologies.
 */
import t, { type Test } from "tap";
import { type Attachment, attach, bridgeNetwork, type NetworkConfig } from "./fixtures/attachment.ts";
import type { Answer, AskOptions } from "./fixtures/exchange.ts";
import { type Host, makeHost } from "./fixtures/host.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { routeMulticast } from "./fixtures/multicast-router.ts";
import { type NormalSnapshot, normalise } from "./fixtures/normalise.ts";
import {
  BACKENDS,
  type Backend,
  filterBridgedFrames,
  rulesAbout,
  SURROUNDINGS,
} from "./fixtures/packet-filter.ts";
import type { PluginCall, PluginOutcome } from "./fixtures/plugin-call.ts";
import { refused, silent } from "./fixtures/refusal.ts";
import { remains } from "./fixtures/remains.ts";
import type { Outside } from "./fixtures/wiring.ts";

const TIMEOUT_MS = 120_000;
t.setTimeout(8 * TIMEOUT_MS);
const PORT = 7000;
const SUBNETS = ["10.20.0.0/24", "fd00:20::/64"];
const OTHER_SUBNETS = ["10.21.0.0/24", "fd00:21::/64"];
const GROUPS = ["239.20.0.1", "ff0e::20:1"];
const PROTOCOLS = ["tcp", "udp"] as const;
const lacks = await missing("bridge", "br_netfilter", "nf_tables");

type Removal = (attachment: Attachment, stage: Lasting) => Promise<PluginOutcome>;

const REMOVALS: readonly [how: string, remove: Removal][] = [
  ["DEL", (attachment) => attachment.del()],
  ["DEL when CNI_NETNS is empty", (attachment) => delWith(attachment, { netns: "" })],
  [
    "DEL when the namespace is gone",
    async (attachment) => {
      await attachment.container.remove();
      return attachment.del();
    },
  ],
  [
    "DEL when the interface is gone and there is no result",
    async (attachment) => {
      await attachment.container.exec("ip", ["link", "delete", "eth0"]);
      return delWith(attachment, {});
    },
  ],
  [
    "GC",
    ({ container: { host }, config }, { stays }) => {
      const { containerId } = stays.container;
      const valid = [{ containerID: containerId, ifname: "eth0" }];
      const keys = { ...config, "cni.dev/valid-attachments": valid };
      return host.cni("bridge", { command: "GC", config: keys });
    },
  ],
];

const TAMPERINGS: Readonly<Record<Backend, readonly string[]>> = {
  nftables: [
    "nft flush set inet weft masq4",
    "nft flush set inet weft masq6",
    "nft flush table inet weft",
    "nft delete table inet weft",
    "nft flush ruleset",
  ],
  iptables: [
    "iptables -t nat -F",
    "ip6tables -t nat -F",
    "iptables -t nat -F POSTROUTING",
    "ip6tables -t nat -F POSTROUTING",
    "iptables -t nat -F $(iptables -t nat -S POSTROUTING | grep -o 'CNI-[0-9a-f]*')",
  ],
};

const SAVE: Readonly<Record<Backend, string>> = {
  nftables: "nft -s list ruleset > /run/saved",
  iptables: "iptables-save > /run/saved; ip6tables-save > /run/saved6",
};
const RESTORE: Readonly<Record<Backend, string>> = {
  nftables: "nft flush ruleset; nft -f /run/saved",
  iptables: "iptables-restore /run/saved; ip6tables-restore /run/saved6",
};

function masquerading(name: string, subnets: readonly string[], backend: Backend) {
  return bridgeNetwork(name, subnets, { bridge: `br-${name}`, ipMasq: true, ipMasqBackend: backend });
}

interface Stage {
  readonly host: Host;
  readonly outside: Outside;
  readonly c1: Attachment;
  readonly c2: Attachment;
  readonly far: Attachment;
}

/** Two containers on one network, one on another, and servers in all of them and outside. */
async function makeStage(t: Test, backend: Backend, filtered: 0 | 1): Promise<Stage> {
  const host = await makeHost(t);
  await filterBridgedFrames(host, filtered);
  const outside = await host.outside();
  const near = masquerading("near", SUBNETS, backend);
  const c1 = await attach(await host.container("c1"), near);
  const c2 = await attach(await host.container("c2"), near);
  const far = await attach(await host.container("far"), masquerading("far", OTHER_SUBNETS, backend));
  const sockets = PROTOCOLS.map((protocol) => ({ protocol, port: PORT }));
  const servers = [outside, c2.container, far.container];
  await Promise.all(servers.map((netns) => netns.serveAll(sockets)));
  // a UDP server answers from the address it is bound to, or else from the nearest
  const uplinks = [outside.hostAddress4, outside.hostAddress6];
  await host.serveAll(uplinks.flatMap((address) => sockets.map((socket) => ({ ...socket, address }))));
  return { host, outside, c1, c2, far };
}

/** Every address by both protocols: what the server there saw as the client, or the error. */
async function seenFrom({ container }: Attachment, addresses: readonly string[]): Promise<string[][]> {
  const asks = addresses.flatMap((address) =>
    PROTOCOLS.map((protocol): AskOptions => ({ protocol, address, port: PORT })),
  );
  const answers = await container.askAll(asks);
  return addresses.map((_, index) => answers.slice(2 * index, 2 * index + 2).map(seen));
}

function seen({ error, seenAddress }: Answer): string {
  return error ?? seenAddress;
}

for (const { backend, filtered, name } of SURROUNDINGS) {
  await t.test(`who is masqueraded: ${name}`, { timeout: TIMEOUT_MS }, async (t) => {
    if (lacks) return skip(t, lacks);
    const stage = await makeStage(t, backend, filtered);
    const { host, outside, c1, c2, far } = stage;
    const uplinks = [outside.hostAddress4, outside.hostAddress6];
    const aways = [outside.address4, outside.address6];
    const [masqueraded, peers, fars, nodes] = [
      await seenFrom(c1, aways),
      await seenFrom(c1, c2.addresses),
      await seenFrom(c1, far.addresses),
      await seenFrom(c1, uplinks),
    ];
    const twice = (addresses: readonly string[]) => addresses.map((address) => [address, address]);
    t.same(masqueraded, twice(uplinks), "an outside host sees the node's address, over TCP and UDP");
    t.same(peers, twice(c1.addresses), "a container of the same bridge sees the container");
    // with the reference's rules, which are iptables' here, all is masqueraded that leaves the subnet
    const known =
      backend === "nftables" ? c1.addresses : (far.result.ips ?? []).map(({ gateway = "" }) => gateway);
    const farName = `a container of another network sees ${backend === "nftables" ? "the container" : "its gateway"}`;
    t.same(fars, twice(known), farName);
    t.same(nodes, twice(c1.addresses), "the host sees the container");
    await showMulticast(t, stage);
    for (const attachment of [c1, c2, far]) silent(t, await attachment.check(), "CHECK is content");
    t.equal((await rulesAbout(host, ...c1.addresses)).length > 0, true, "the rules name the container");
  });
}

/** A group that the host forwards: the packet leaves with the source it came with. */
async function showMulticast(t: Test, { host, outside, c1 }: Stage): Promise<void> {
  for (const [index, group] of GROUPS.entries()) {
    const source = c1.addresses[index] ?? "";
    const ip = group.includes(":") ? "ip6" : "ip";
    await routeMulticast(host, { group, source, from: "br-near", to: outside.hostIfname });
    const capture = await outside.capture("eth0", `${ip} dst ${group}`);
    await c1.container.exec("ping", ["-c", "1", "-W", "0.1", "-t", "8", group], { reject: false });
    const frame = await capture.frame(/echo request/);
    t.ok(frame.includes(` ${source} > ${group}:`), `multicast is not masqueraded: ${group}`, { frame });
    await capture.stop();
  }
}

for (const backend of BACKENDS) {
  await t.test(`what stays and what goes: ${backend}`, { timeout: TIMEOUT_MS }, async (t) => {
    if (lacks) return skip(t, lacks);
    const host = await makeHost(t);
    const outside = await host.outside();
    await outside.serveAll([{ protocol: "tcp", port: PORT }]);
    const config = masquerading("near", SUBNETS, backend);
    const stays = await attach(await host.container("stays"), config);
    const before = normalise(await host.snapshot());
    await showRemoval(t, { host, outside, config, stays, before });
    await showTampering(t, { host, outside, config, stays, before });
    await showFlush(t, { host, outside, config, stays, before });
  });
}

interface Lasting {
  readonly host: Host;
  readonly outside: Outside;
  readonly config: NetworkConfig;
  readonly stays: Attachment;
  /** With the one that stays alone. */
  readonly before: NormalSnapshot;
}

/** As a runtime that has lost what ADD answered. */
function delWith({ container, config }: Attachment, call: PluginCall): Promise<PluginOutcome> {
  return container.host.cni("bridge", { command: "DEL", container, config, ...call });
}

async function showRemoval(t: Test, stage: Lasting): Promise<void> {
  const { host, outside, config, stays, before } = stage;
  for (const [index, [how, remove]] of REMOVALS.entries()) {
    const attachment = await attach(await host.container(`goes${index}`), config);
    const about = [...attachment.addresses, attachment.container.containerId];
    t.ok((await rulesAbout(host, ...about)).length > 0, "rules tell of a container");
    silent(t, await remove(attachment, stage), `${how} says nothing`);
    t.same(await rulesAbout(host, ...about), [], `${how} leaves no rule`);
    if (host.containers.has(attachment.container.name)) await attachment.container.remove();
    t.same(remains(before, await host.snapshot()), [], `${how} leaves nothing else`);
  }
  t.same(
    await seenOutside(stays, outside),
    [outside.hostAddress4, outside.hostAddress6],
    "the other is as it was",
  );
}

async function seenOutside({ container }: Attachment, outside: Outside): Promise<string[]> {
  const addresses = [outside.address4, outside.address6];
  const asks = addresses.map(
    (address): AskOptions => ({ protocol: "tcp", address, port: PORT, timeoutMs: 500 }),
  );
  return (await container.askAll(asks)).map(seen);
}

async function showTampering(t: Test, { host, config, stays }: Lasting): Promise<void> {
  const backend: Backend = config["ipMasqBackend"] === "iptables" ? "iptables" : "nftables";
  await host.exec("sh", ["-e", "-c", SAVE[backend]]);
  silent(t, await stays.check(), "CHECK is content");
  for (const tampering of TAMPERINGS[backend]) {
    await host.exec("sh", ["-e", "-c", tampering]);
    refused(
      t,
      await stays.check(),
      { code: 100, msg: /masq|table inet weft|CNI-/ },
      `CHECK notices: ${tampering}`,
    );
    await host.exec("sh", ["-e", "-c", RESTORE[backend]]);
  }
  silent(t, await stays.check(), "CHECK is content again");
}

/** Somebody empties the packet filter. */
async function showFlush(t: Test, { host, outside, config, stays }: Lasting): Promise<void> {
  const nodes = [outside.hostAddress4, outside.hostAddress6];
  const other = await attach(await host.container("other"), config);
  await host.exec("nft", ["flush", "ruleset"]);
  t.same(
    await seenOutside(stays, outside),
    ["ETIMEDOUT", "ETIMEDOUT"],
    "after a flush nothing is masqueraded",
  );
  silent(t, await other.del(), "DEL after a flush says nothing");
  const next = await attach(await host.container("next"), config);
  t.same(await seenOutside(next, outside), nodes, "the next ADD works");
  silent(t, await next.check(), "its CHECK is content");
  if (config["ipMasqBackend"] === "nftables") {
    t.same(await seenOutside(stays, outside), nodes, "and it brought back what was there before");
    silent(t, await stays.check(), "whose CHECK is content");
    t.same(await rulesAbout(host, ...other.addresses), [], "but not what was detached meanwhile");
  }
  for (const attachment of [next, stays]) silent(t, await attachment.del(), "DEL says nothing");
  t.same(await rulesAbout(host, ...next.addresses, ...stays.addresses), [], "and leaves no rule");
}
