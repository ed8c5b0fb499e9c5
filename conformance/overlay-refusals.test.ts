/**
 * What vxlan refuses: each with its code, with what is wrong by name, and with nothing changed, neither on
 * the host nor in the store.
 */
import t, { type Test } from "tap";
import { startAgent } from "./fixtures/agent.ts";
import { bridgeNetwork, type NetworkConfig } from "./fixtures/attachment.ts";
import { type Etcd, etcdLacks, makeEtcd } from "./fixtures/etcd.ts";
import { type FabricHost, makeFabric } from "./fixtures/fabric.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { normalise } from "./fixtures/normalise.ts";
import { attachNew, BLUE, etcdNetwork, plainNetwork, RED } from "./fixtures/overlay-network.ts";
import { refused, silent } from "./fixtures/refusal.ts";
import { remains } from "./fixtures/remains.ts";

const TIMEOUT_MS = 120_000;
t.setTimeout(3 * TIMEOUT_MS);
const lacks = await missing("vxlan", "bridge");
const REMOTES = ["192.0.2.12"];

interface Case {
  readonly what: string;
  /** Of the configuration, beside vni, dev and ipam. */
  readonly keys: Readonly<Record<string, unknown>>;
  readonly code: number;
  /** What message or details say. */
  readonly says: RegExp;
}

/** Without looking at the host. */
const KEYS: readonly Case[] = [
  { what: "no vni", keys: { vni: undefined, remotes: REMOTES }, code: 7, says: /vni/ },
  { what: "vni 0", keys: { vni: 0, remotes: REMOTES }, code: 7, says: /vni/ },
  { what: "vni 2^24", keys: { vni: 16_777_216, remotes: REMOTES }, code: 7, says: /vni/ },
  { what: "vni of a text", keys: { vni: "100", remotes: REMOTES }, code: 7, says: /vni/ },
  { what: "port 0", keys: { port: 0, remotes: REMOTES }, code: 7, says: /port/ },
  { what: "port 65536", keys: { port: 65_536, remotes: REMOTES }, code: 7, says: /port/ },
  { what: "ttl 256", keys: { ttl: 256, remotes: REMOTES }, code: 7, says: /ttl/ },
  { what: "no peers", keys: {}, code: 7, says: /remotes.*group.*etcd/s },
  {
    what: "remotes and group",
    keys: { remotes: REMOTES, group: "239.7.7.7" },
    code: 7,
    says: /remotes|group/,
  },
  { what: "remotes and etcd", keys: { remotes: REMOTES, etcd: {} }, code: 7, says: /remotes|etcd/ },
  { what: "a remote that is no address", keys: { remotes: ["h2"] }, code: 7, says: /h2/ },
  { what: "a remote of one link", keys: { remotes: ["fe80::1"] }, code: 7, says: /remotes\[0\].*fe80::1/ },
  {
    what: "a remote that is the host itself",
    keys: { remotes: ["127.0.0.1"] },
    code: 7,
    says: /127\.0\.0\.1/,
  },
  {
    what: "a bridge that is the device",
    keys: { bridge: "vx100", remotes: REMOTES },
    code: 7,
    says: /"bridge".*vx100/,
  },
  { what: "a remote that is a group", keys: { remotes: ["239.7.7.7"] }, code: 7, says: /239\.7\.7\.7/ },
  {
    what: "remotes of two families",
    keys: { remotes: ["192.0.2.12", "2001:db8:1::c"] },
    code: 7,
    says: /2001:db8:1::c|famil/,
  },
  { what: "a group that is none", keys: { group: "192.0.2.12" }, code: 7, says: /192\.0\.2\.12/ },
  {
    what: "a local of another family",
    keys: { dev: undefined, local: "2001:db8:1::b", remotes: REMOTES },
    code: 7,
    says: /famil|2001|192/,
  },
  { what: "an unknown mode", keys: { mode: "switched", remotes: REMOTES }, code: 7, says: /switched/ },
  { what: "mode routed without etcd", keys: { mode: "routed", remotes: REMOTES }, code: 7, says: /etcd/ },
  { what: "hairpin of a text", keys: { remotes: REMOTES, hairpinMode: "yes" }, code: 7, says: /hairpinMode/ },
];

/** By what is there. */
const SURROUNDINGS: readonly Case[] = [
  { what: "an underlay that is not there", keys: { dev: "eth7", remotes: REMOTES }, code: 7, says: /eth7/ },
  {
    what: "an address that is not this host's",
    keys: { dev: undefined, local: "192.0.2.77", remotes: REMOTES },
    code: 7,
    says: /192\.0\.2\.77/,
  },
  { what: "an MTU that does not fit", keys: { mtu: 1451, remotes: REMOTES }, code: 7, says: /1451.*1450/s },
  {
    what: "an MTU that does not fit IPv6",
    keys: { mtu: 1431, dev: undefined, local: "2001:db8:1::b", remotes: ["2001:db8:1::c"] },
    code: 7,
    says: /1431.*1430/s,
  },
  {
    what: "the MTU of a route to a remote",
    keys: { mtu: 1350, remotes: ["203.0.113.5"] },
    code: 7,
    says: /1350.*1250/s,
  },
  {
    what: "a VNI of another network",
    keys: { vni: RED.vni, remotes: REMOTES },
    code: 7,
    says: /200.*red|red.*200/s,
  },
  { what: "a VNI of somebody's device", keys: { vni: 777, remotes: REMOTES }, code: 7, says: /777/ },
  { what: "a UDP port that is taken", keys: { port: 5999, remotes: REMOTES }, code: 7, says: /5999/ },
  {
    what: "another network's bridge",
    keys: { bridge: "vxbr200", remotes: REMOTES },
    code: 7,
    says: /bridge.*red/s,
  },
  {
    what: "plugin bridge's bridge",
    keys: { bridge: "cni0", remotes: REMOTES },
    code: 7,
    says: /cni0.*local/s,
  },
  { what: "a bridge that is none", keys: { bridge: "eth0", remotes: REMOTES }, code: 7, says: /eth0/ },
];

await t.test("refusals without a store", { timeout: TIMEOUT_MS }, async (t) => {
  if (lacks) return skip(t, lacks);
  const at = (await makeFabric(t, { hosts: 1 })).at(0);
  const { host } = at;
  await host.exec("ip", [
    "link",
    "add",
    "mine0",
    "type",
    "vxlan",
    "id",
    "777",
    "dstport",
    "4789",
    "local",
    at.address4,
  ]);
  await host.exec("ip", ["link", "set", "mine0", "up"]);
  await host.exec("ip", ["route", "add", "203.0.113.0/24", "via", "192.0.2.1", "mtu", "1300"]);
  const server = await host.serve({ protocol: "udp", port: 5999 });
  const red = await attachNew(at, "r1", plainNetwork(RED, at, { remotes: REMOTES }));
  const besides = await attachNew(at, "b1", bridgeNetwork("local", ["10.9.0.0/24"]));
  await host.container("c1");
  for (const each of [...KEYS, ...SURROUNDINGS]) {
    await showRefused(t, at, plainNetwork(BLUE, at, each.keys), each);
  }
  for (const each of [red, besides]) silent(t, await each.check(), "the other networks are as they were");
  await server.stop();
});

/** Whether the store is known to hold nothing that this host has not: for the next sweep. */
const SWEPT = /^files\.\/run\/weft\/stores\//;

async function showRefused(t: Test, { host }: FabricHost, config: NetworkConfig, { what, code, says }: Case) {
  const container = host.containers.get("c1");
  if (container === undefined) throw new Error("No container c1");
  const before = normalise(await host.snapshot());
  const outcome = await host.cni("vxlan", { command: "ADD", container, config });
  refused(t, outcome, { code, msg: /./, details: /|./ }, `${what} is refused`);
  t.match(`${outcome.error?.msg} ${outcome.error?.details ?? ""}`, says, "by its name");
  const lines = remains(before, await host.snapshot());
  t.strictSame(
    lines.filter((line) => !SWEPT.test(line)),
    [],
    "and nothing has changed",
  );
  silent(t, await host.cni("vxlan", { command: "DEL", container, config }), "DEL succeeds all the same");
}

/** Of etcd: what the network's hosts have agreed on. */
const AGREED: readonly Case[] = [
  { what: "a VNI of another network", keys: { name: "green" }, code: 7, says: /100.*blue|blue.*100/s },
  { what: "another VNI for the network", keys: { vni: 101 }, code: 7, says: /101.*100|100.*101/s },
  { what: "another port", keys: { port: 4790 }, code: 7, says: /4790|port/ },
  {
    what: "another mode",
    keys: {
      mode: "routed",
      subnets: [{ subnet: "10.8.0.0/16", hostLength: 24 }],
      ipam: { type: "host-local" },
    },
    code: 7,
    says: /mode|bridged/,
  },
  { what: "an MTU that the network has not", keys: { mtu: 1400 }, code: 7, says: /1400|mtu/i },
  {
    what: "an address that another has",
    keys: { runtimeConfig: { ips: ["10.7.0.50"] } },
    code: 11,
    says: /10\.7\.0\.50/,
  },
  { what: "no endpoints", keys: { etcd: { endpoints: [] } }, code: 7, says: /endpoints/ },
  { what: "an endpoint that is none", keys: { etcd: { endpoints: ["here"] } }, code: 7, says: /here/ },
  {
    what: "a file of certificates that is not there",
    keys: { etcd: { caFile: "/nowhere" } },
    code: 7,
    says: /nowhere/,
  },
];

await t.test("refusals with etcd", { timeout: TIMEOUT_MS }, async (t) => {
  const without = lacks ?? (await etcdLacks());
  if (without) return skip(t, without);
  const fabric = await makeFabric(t, { hosts: 2 });
  const etcd = await makeEtcd(t, fabric);
  await Promise.all(fabric.hosts.map((at) => startAgent(at, etcd.endpoints)));
  const [at, other] = [fabric.at(0), fabric.at(1)];
  const first = { ...etcdNetwork(BLUE), runtimeConfig: { ips: ["10.7.0.50"] } };
  const holder = await attachNew(other, "c1", first);
  await at.host.container("c1");
  const held = await keysOf(etcd);
  for (const each of AGREED) {
    await showRefused(t, at, { ...etcdNetwork(BLUE), ...each.keys }, each);
    t.strictSame(await keysOf(etcd), held, "nor in the store");
  }
  await at.host.exec("ip", ["link", "set", "eth0", "mtu", "1400"]);
  const small = {
    what: "an underlay that cannot carry what the others agreed on",
    keys: {},
    code: 7,
    says: /1450.*1350|1350.*1450/s,
  };
  await showRefused(t, at, etcdNetwork(BLUE), small);
  t.strictSame(await keysOf(etcd), held, "nor in the store");
  silent(t, await holder.check(), "the first host is as it was");
});

async function keysOf(etcd: Etcd): Promise<string[]> {
  return [...(await etcd.list("/weft/v1/")).keys()];
}
