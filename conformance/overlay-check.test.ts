/**
 * CHECK of vxlan finds what somebody has changed since ADD, each property of each device, and says what. DEL
 * copes with all of it. DEL by every row of what may be gone or wrong by then; GC; STATUS.
 */
import t, { type Test } from "tap";
import { startAgent } from "./fixtures/agent.ts";
import { type Attachment, attach, type NetworkConfig } from "./fixtures/attachment.ts";
import { etcdLacks, makeEtcd } from "./fixtures/etcd.ts";
import { makeFabric } from "./fixtures/fabric.ts";
import type { Container, Host } from "./fixtures/host.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { normalise } from "./fixtures/normalise.ts";
import { attachNew, BLUE, etcdNetwork, leftOn, plainNetwork, RED } from "./fixtures/overlay-network.ts";
import { readStore } from "./fixtures/overlay-truth.ts";
import type { PluginCall } from "./fixtures/plugin-call.ts";
import { refused, silent } from "./fixtures/refusal.ts";

const TIMEOUT_MS = 240_000;
t.setTimeout(4 * TIMEOUT_MS);
const lacks = await missing("vxlan", "bridge", "nf_tables");
const KEYS = { remotes: ["192.0.2.12", "192.0.2.13"], isDefaultGateway: true, ipMasq: true };

interface Tampering {
  readonly what: string;
  /** A shell script on the host. */
  readonly script: string;
  /** What CHECK's message or details say. */
  readonly says: RegExp;
  /** Of the configuration. */
  readonly keys?: Readonly<Record<string, unknown>>;
}

const REMAKE = (type: string) =>
  `ip link delete vx100; ip link add vx100 mtu 1450 type vxlan ${type}
   ip link set vx100 alias weft:blue; ip link set vx100 master vxbr100 up`;
const LOCAL = "local 192.0.2.11 dev eth0";
const ZERO = "00:00:00:00:00:00 dev vx100";

const TAMPERINGS: readonly Tampering[] = [
  { what: "the VXLAN device is gone", script: "ip link delete vx100", says: /vx100/ },
  { what: "it is down", script: "ip link set vx100 down", says: /vx100.*(down|not up)/i },
  { what: "it is no port", script: "ip link set vx100 nomaster", says: /vx100/ },
  { what: "it has another MTU", script: "ip link set vx100 mtu 1400", says: /mtu|1400/i },
  {
    what: "it has another local address",
    script: "ip link set vx100 type vxlan id 100 local 192.0.2.77",
    says: /192\.0\.2\.77|local/,
  },
  { what: "it does not learn", script: "ip link set vx100 type vxlan id 100 nolearning", says: /learn/i },
  { what: "it has another TTL", script: "ip link set vx100 type vxlan id 100 ttl 7", says: /ttl/i },
  { what: "it has another VNI", script: REMAKE(`id 101 dstport 4789 ${LOCAL}`), says: /101|vni/i },
  { what: "it has another port", script: REMAKE(`id 100 dstport 4790 ${LOCAL}`), says: /4790|port/i },
  {
    what: "it is of another kind",
    script:
      "ip link delete vx100; ip link add vx100 type veth peer name vx101; ip link set vx100 master vxbr100 up",
    says: /vx100/,
  },
  { what: "a remote is missing", script: `bridge fdb delete ${ZERO} dst 192.0.2.13`, says: /192\.0\.2\.13/ },
  { what: "its port does not flood", script: "bridge link set dev vx100 mcast_flood off", says: /flood/i },
  {
    what: "its port floods no broadcast",
    script: "bridge link set dev vx100 bcast_flood off",
    says: /flood/i,
  },
  { what: "its port does not learn", script: "bridge link set dev vx100 learning off", says: /learn/i },
  {
    what: "its port does not answer",
    script: "bridge link set dev vx100 neigh_suppress off",
    says: /suppress/i,
  },
  { what: "the bridge is gone", script: "ip link delete vxbr100", says: /vxbr100/ },
  { what: "the bridge is down", script: "ip link set vxbr100 down", says: /vxbr100/ },
  {
    what: "the bridge has another MAC",
    script: "ip link set vxbr100 address 02:00:00:00:00:77",
    says: /mac|02:00:00:00:00:77/i,
  },
  { what: "the bridge has another MTU", script: "ip link set vxbr100 mtu 1400", says: /mtu|1400/i },
  { what: "the gateway is gone", script: "ip address delete 10.7.0.1/24 dev vxbr100", says: /10\.7\.0\.1/ },
  {
    what: "the IPv6 gateway is gone",
    script: "ip address delete fd00:7::1/64 dev vxbr100",
    says: /fd00:7::1/,
  },
  { what: "forwarding is off", script: "echo 0 > /proc/sys/net/ipv4/ip_forward", says: /forward/i },
  { what: "nothing masquerades", script: "nft flush ruleset", says: /masq|nft|table/i },
  {
    what: "the container's port is off the bridge",
    script: "ip link set $VETH nomaster",
    says: /veth|vxbr100|port/i,
  },
  { what: "the container's port is down", script: "ip link set $VETH down", says: /veth|down|up/i },
  {
    what: "hairpin mode is off",
    keys: { hairpinMode: true },
    script: "bridge link set dev $VETH hairpin off",
    says: /hairpin/i,
  },
  {
    what: "the port is not isolated",
    keys: { portIsolation: true },
    script: "bridge link set dev $VETH isolated off",
    says: /isolat/i,
  },
  { what: "the container's link is gone", script: "ip -n c1 link delete eth0", says: /eth0/ },
  { what: "it is down", script: "ip -n c1 link set eth0 down", says: /eth0|down|route/i },
  {
    what: "it has another MAC",
    script: "ip -n c1 link set eth0 address 02:00:00:00:00:77",
    says: /mac|02:00:00:00:00:77/i,
  },
  { what: "it has another MTU", script: "ip -n c1 link set eth0 mtu 1400", says: /mtu|1400/i },
  { what: "its address is gone", script: "ip -n c1 address delete $ADDRESS dev eth0", says: /10\.7\.0\./ },
  {
    what: "its IPv6 address is gone",
    script: "ip -n c1 address delete $ADDRESS6 dev eth0",
    says: /fd00:7::/,
  },
  {
    what: "its default route is gone",
    script: "ip -n c1 route delete default",
    says: /0\.0\.0\.0|default|route/i,
  },
  { what: "its lease is gone", script: "rm -rf /var/lib/cni/networks/blue/10.*", says: /./ },
];

await t.test("CHECK of vxlan with remotes", { timeout: TIMEOUT_MS }, async (t) => {
  if (lacks) return skip(t, lacks);
  const fabric = await makeFabric(t, { hosts: 1 });
  const at = fabric.at(0);
  const { host } = at;
  const container = await host.container("c1");
  const before = normalise(await host.snapshot());
  const config = plainNetwork(BLUE, at, KEYS);
  const first = await attach(container, config);
  silent(t, await first.check(), "untouched: content");
  const harmless = `ip -n c1 address add 10.9.9.9/32 dev eth0; ip address add 10.9.9.8/32 dev vxbr100
    ip neighbour add 10.7.0.99 lladdr 02:00:00:00:00:99 dev vxbr100`;
  await host.exec("sh", ["-e", "-c", harmless]);
  silent(t, await first.check(), "what else there is is nobody's business");
  const blind = await host.cni("vxlan", { command: "CHECK", container, config });
  refused(t, blind, { code: 7, msg: /prevResult/, details: /|./ }, "without prevResult it is refused");
  silent(t, await first.del(), "DEL");
  for (const each of TAMPERINGS) await showTampering(t, container, { ...config, ...each.keys }, each);
  t.strictSame(await leftOn(at, before), [], "nothing is left of all that");
});

async function showTampering(
  t: Test,
  container: Container,
  config: NetworkConfig,
  { what, script, says }: Tampering,
) {
  const { host } = container;
  const attachment = await attach(container, config);
  const [ip4, ip6] = attachment.result.ips ?? [];
  const names = { VETH: (await attachment.hostEnd()).ifname, ADDRESS: ip4?.address, ADDRESS6: ip6?.address };
  await host.exec("sh", ["-e", "-c", script], { env: names });
  const outcome = await attachment.check();
  refused(t, outcome, { code: 100, msg: /./, details: /|./ }, `${what}: CHECK fails`);
  t.match(`${outcome.error?.msg} ${outcome.error?.details ?? ""}`, says, "and says what is wrong");
  silent(t, await attachment.del(), "DEL");
  const undo =
    "ip link delete vx100; ip link delete vx101; ip link delete vxbr100; ip -n c1 link delete eth0";
  await host.exec("sh", ["-c", `${undo}; true`]);
}

const GONE = "ip netns delete c1";
interface Row {
  readonly what: string;
  /** A shell script on the host, between ADD and DEL. */
  readonly script?: string;
  /** What DEL's configuration has instead of ADD's. */
  readonly keys?: object;
  /** How DEL's variables differ from ADD's. */
  readonly call?: PluginCall;
  /** What nobody knows to be needed no more: GC without any valid attachment takes it. */
  readonly leaves?: readonly string[];
}

const ROWS: readonly Row[] = [
  { what: "nothing is wrong" },
  { what: "CNI_NETNS is empty", call: { netns: "" } },
  { what: "the namespace is gone", script: GONE },
  { what: "the namespace is gone, and CNI_NETNS empty", script: GONE, call: { netns: "" } },
  { what: "the underlay is gone", script: "ip link delete dum0" },
  { what: "the devices are gone", script: "ip link delete vx100; ip link delete vxbr100" },
  { what: "the link is gone", script: "ip -n c1 link delete eth0" },
  { what: "there is no prevResult", keys: { prevResult: undefined } },
  {
    what: "the configuration is broken",
    keys: { vni: "x", port: 0, dev: 5, remotes: "no", mtu: -1, group: [], mode: "?" },
  },
  { what: "the records are lost", script: "rm -rf /run/weft", leaves: ["vx100", "vxbr100"] },
  { what: "the lease is gone", script: "rm -rf /var/lib/cni/networks/blue/*" },
];

await t.test("DEL of vxlan", { timeout: TIMEOUT_MS }, async (t) => {
  if (lacks) return skip(t, lacks);
  const at = (await makeFabric(t, { hosts: 1 })).at(0);
  const { host } = at;
  const underlay = `ip link add dum0 type veth peer name dum1; ip link set dum0 up; ip link set dum1 up
    ip address add 198.51.100.1/24 dev dum0`;
  const container = await host.container("c1");
  await host.exec("sh", ["-e", "-c", underlay]);
  const before = normalise(await host.snapshot());
  const config = plainNetwork(BLUE, at, { dev: "dum0", remotes: ["198.51.100.2"] });
  for (const { what, script, keys, call, leaves = [] } of ROWS) {
    const { result: prevResult } = await attach(container, config);
    if (script) await host.exec("sh", ["-c", script]);
    const del = () =>
      host.cni("vxlan", { command: "DEL", container, config: { ...config, prevResult, ...keys }, ...call });
    silent(t, await del(), `${what}: DEL succeeds`);
    t.strictSame(await heldOf(host), leaves, "no lease, no record, no device");
    silent(t, await del(), "DEL again");
    const collect = { ...config, "cni.dev/valid-attachments": [] };
    if (leaves.length > 0) silent(t, await host.cni("vxlan", { command: "GC", config: collect }), "GC");
    t.strictSame(await heldOf(host), [], "nothing is held");
    if (script)
      await host.exec("sh", [
        "-c",
        `ip netns add c1 2> /dev/null; ip link show dum0 > /dev/null || { ${underlay}
      }; ip -n c1 link delete eth0 2> /dev/null; true`,
      ]);
  }
  t.strictSame(await leftOn(at, before), [], "nothing is left of all that");
});

/** Leases, records and devices of the network. */
async function heldOf(host: Host): Promise<string[]> {
  const { files } = await host.snapshot();
  const paths = Object.keys(files).filter((path) => {
    return /networks\/blue\/(10\.|fd)|\/run\/weft\/(attachments|claims|shared)/.test(path);
  });
  const links = (await host.ip("link", "show")).map(({ ifname }) => ifname);
  return [...paths, ...links.filter((ifname) => /^vx|^veth/.test(ifname)).sort()];
}

await t.test("a second ADD, GC and STATUS", { timeout: TIMEOUT_MS }, async (t) => {
  if (lacks) return skip(t, lacks);
  const at = (await makeFabric(t, { hosts: 1 })).at(0);
  const { host } = at;
  const config = plainNetwork(BLUE, at, KEYS);
  const kept = await attachNew(at, "c1", config);
  const again = await host.cni("vxlan", { command: "ADD", container: kept.container, config });
  refused(t, again, { code: 4, msg: /eth0.*already exists/, details: /DEL/ }, "a second ADD is refused");
  silent(t, await kept.check(), "and harms nothing");
  const stale = await attachNew(at, "c2", config);
  const other = await attachNew(at, "c3", plainNetwork(RED, at, { remotes: KEYS.remotes, ipam: {} }));
  await stale.container.remove();
  const collect = (network: NetworkConfig, valid: readonly Attachment[]) => {
    const list = valid.map(({ container, ifname }) => ({ containerID: container.containerId, ifname }));
    return host.cni("vxlan", { command: "GC", config: { ...network, "cni.dev/valid-attachments": list } });
  };
  silent(t, await collect(config, [kept]), "GC without the stale one");
  const leases = Object.keys((await host.snapshot()).files).filter((path) =>
    /networks\/blue\/(10\.|fd)/.test(path),
  );
  t.equal(leases.length, kept.addresses.length, "releases its addresses");
  silent(t, await kept.check(), "and leaves the valid one");
  silent(t, await other.check(), "and the other network's");
  silent(t, await collect(config, []), "GC of all of the network");
  const links = (await host.ip("link", "show")).map(({ ifname }) => ifname);
  t.strictSame(
    links.filter((ifname) => ifname.startsWith("vx")).sort(),
    ["vx200", "vxbr200"],
    "takes its devices",
  );
  silent(t, await other.check(), "and leaves the other network's");

  const status = (keys: object) => host.cni("vxlan", { command: "STATUS", config: { ...config, ...keys } });
  silent(t, await status({}), "STATUS: it can be made");
  refused(
    t,
    await status({ dev: "eth7" }),
    { code: 50, msg: /eth7/, details: /|./ },
    "not on what is not there",
  );
});

await t.test("CHECK and GC with etcd", { timeout: TIMEOUT_MS }, async (t) => {
  const without = lacks ?? (await etcdLacks());
  if (without) return skip(t, without);
  const fabric = await makeFabric(t, { hosts: 2 });
  const etcd = await makeEtcd(t, fabric);
  const [agent] = await Promise.all(fabric.hosts.map((at) => startAgent(at, etcd.endpoints)));
  const { host } = fabric.at(0);
  const config = etcdNetwork(BLUE);
  const other = await attachNew(fabric.at(1), "c1", config);
  const endpoints = "/weft/v1/overlay/endpoints/blue/h1/";
  const rows: readonly [what: string, tamper: () => Promise<unknown>, says: RegExp][] = [
    [
      "the device learns",
      () => host.exec("ip", "link set vx100 type vxlan id 100 learning".split(" ")),
      /learn/i,
    ],
    ["the endpoint is not in the store", () => etcd.delete(endpoints), /endpoint|store|etcd/i],
    ["the address is not in the store", () => etcd.delete("/weft/v1/addresses/blue/"), /10\.7\.0|address/i],
  ];
  const container = await host.container("c1");
  for (const [what, tamper, says] of rows) {
    const attachment = await attach(container, config);
    silent(t, await attachment.check(), "untouched: content");
    await tamper();
    const outcome = await attachment.check();
    refused(t, outcome, { code: 100, msg: /./, details: /|./ }, `${what}: CHECK fails`);
    t.match(`${outcome.error?.msg} ${outcome.error?.details ?? ""}`, says, "and says what is wrong");
    silent(t, await attachment.del(), "DEL");
  }
  const kept = await attach(container, config);
  for (const flag of ["learning on", "flood on", "mcast_flood on", "neigh_suppress off"]) {
    await agent?.kill();
    await host.exec("bridge", `link set dev vx100 ${flag}`.split(" "));
    const outcome = await kept.check();
    refused(
      t,
      outcome,
      { code: 100, msg: /vx100/, details: /|./ },
      `${flag}, without the agent: CHECK fails`,
    );
    await agent?.restart();
    silent(t, await kept.check(), "and is content when the agent is back");
  }
  const stale = await attachNew(fabric.at(0), "c2", config);
  await stale.container.remove();
  const list = [{ containerID: container.containerId, ifname: "eth0" }];
  const collect = { ...config, "cni.dev/valid-attachments": list };
  silent(t, await host.cni("vxlan", { command: "GC", config: collect }), "GC");
  const store = await readStore(etcd);
  const mine = store.endpoints.filter((each) => each.host === "h1").flatMap(({ addresses }) => addresses);
  t.strictSame(mine.sort(), [...kept.addresses].sort(), "releases what is not valid, of this host");
  t.ok(
    store.endpoints.some((each) => each.addresses.includes(other.address)),
    "and nothing of another",
  );
  const held = [...store.holders].filter(([, owner]) => owner.startsWith("h1 ")).map(([address]) => address);
  t.strictSame(held.sort(), kept.addresses.map((address) => `blue ${address}`).sort(), "nor its addresses");
});
