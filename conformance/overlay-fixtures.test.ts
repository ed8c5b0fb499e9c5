/**
 * What the cases of the overlay stand on, shown with an overlay that is made by hand, with ip, bridge and
 * etcdctl: the hosts on a switch, etcd, the check that the kernels hold what the store says, and the one that
 * nothing is flooded.
 */
import t, { type Test } from "tap";
import { type Etcd, etcdLacks, makeEtcd } from "./fixtures/etcd.ts";
import { eventually } from "./fixtures/eventually.ts";
import { type Fabric, type FabricHost, makeFabric } from "./fixtures/fabric.ts";
import type { Container } from "./fixtures/host.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { agree, placesOf, readStore, untruths } from "./fixtures/overlay-truth.ts";
import { startTraffic } from "./fixtures/traffic.ts";
import { captureVxlan, misdirected } from "./fixtures/vxlan-wire.ts";

const TIMEOUT_MS = 120_000;
t.setTimeout(3 * TIMEOUT_MS);
const VNI = 100;

interface Endpoint {
  readonly mac: string;
  readonly addresses: readonly string[];
}

const endpointOf = (index: number): Endpoint => ({
  mac: `02:42:0a:00:00:0${index + 2}`,
  addresses: [`10.0.0.${index + 2}`, `fd00::${index + 2}`],
});

/** A container on a host of an overlay, as the plugin is to make it. */
async function makeByHand({ host, address4 }: FabricHost, { mac, addresses }: Endpoint): Promise<Container> {
  const container = await host.container("c1");
  const vxlan = `type vxlan id ${VNI} dstport 4789 local ${address4} nolearning`;
  const port = "learning off neigh_suppress on flood off mcast_flood off bcast_flood off";
  const lines = [
    `link add vxbr${VNI} mtu 1450 type bridge mcast_snooping 0`,
    `link set vxbr${VNI} addrgenmode none up`,
    `link add vx${VNI} mtu 1450 ${vxlan}`,
    `link set vx${VNI} master vxbr${VNI} addrgenmode none up`,
    `link add veth1 mtu 1450 type veth peer name eth0 address ${mac} mtu 1450 netns c1`,
    `link set veth1 master vxbr${VNI} addrgenmode none up`,
    `link set vx${VNI} type bridge_slave ${port}`,
  ];
  await host.exec("ip", ["-batch", "-"], { input: lines.join("\n") });
  const [address4In = "", address6In = ""] = addresses;
  const inside = [
    "link set eth0 up",
    `address add ${address4In}/24 dev eth0`,
    `address add ${address6In}/64 dev eth0 nodad`,
  ];
  await container.exec("ip", ["-batch", "-"], { input: inside.join("\n") });
  return container;
}

/** What the agent of a host is to do for a container of another. */
async function program({ host }: FabricHost, { mac, addresses }: Endpoint, vtep: string): Promise<void> {
  const fdb = `fdb replace ${mac} dev vx${VNI} self master extern_learn permanent dst ${vtep}`;
  await host.exec("bridge", fdb.split(" "));
  for (const address of addresses) {
    const words = `neigh replace ${address} lladdr ${mac} dev vxbr${VNI} nud noarp extern_learn`;
    await host.exec("ip", words.split(" "));
  }
}

async function putByHand(etcd: Etcd, { hosts }: Fabric): Promise<void> {
  const root = "/weft/v1";
  await etcd.put(`${root}/networks/blue`, {
    v: 1,
    vni: VNI,
    mode: "bridged",
    port: 4789,
    family: 4,
    mtu: 1450,
  });
  for (const [index, { name, address4 }] of hosts.entries()) {
    await etcd.put(`${root}/overlay/vteps/blue/${name}`, { v: 1, address: address4 });
    await etcd.put(`${root}/overlay/endpoints/blue/${name}/c1:eth0`, { v: 1, ...endpointOf(index) });
  }
}

await t.test("an overlay by hand, with one etcd", { timeout: TIMEOUT_MS }, async (t) => {
  const lacks = (await missing("vxlan", "bridge")) ?? (await etcdLacks());
  if (lacks) return skip(t, lacks);
  const fabric = await makeFabric(t);
  const etcd = await makeEtcd(t, fabric);
  await putByHand(etcd, fabric);
  const containers: Container[] = [];
  for (const [index, each] of fabric.hosts.entries())
    containers.push(await makeByHand(each, endpointOf(index)));
  const wire = await captureVxlan(fabric.hub);
  const lacking = await untruths(await readStore(etcd), fabric.hosts);
  t.equal(lacking.length, 3 * 2 * 4, "each host lacks two entries of each table and family for each other");
  for (const at of fabric.hosts) {
    for (const [index, other] of fabric.hosts.entries())
      if (other !== at) await program(at, endpointOf(index), other.address4);
  }
  await agree(t, etcd, fabric.hosts, "then the kernels hold what the store says");
  await showTraffic(t, { fabric, containers });
  t.strictSame(wire.flooded(), [], "nothing is flooded");
  const places = placesOf(await readStore(etcd));
  t.ok(wire.frames().length > 10, "and much was sent");
  t.strictSame(misdirected(wire.frames(), places), [], "each frame to where its MAC is");
  t.equal(misdirected(wire.frames(), new Map()).length, wire.frames().length, "which it may not have been");
  await showTampering(t, { fabric, etcd });
  await fabric
    .at(0)
    .host.exec("bridge", ["fdb", "append", "0:0:0:0:0:0", "dev", "vx100", "dst", "192.0.2.12"]);
  await fabric
    .at(0)
    .host.exec("bridge", ["link", "set", "dev", "vx100", "mcast_flood", "on", "bcast_flood", "on"]);
  await containers[0]?.exec("ping", ["-b", "-c", "1", "-W", "1", "10.0.0.255"], { reject: false });
  await wire.frame(/ff:ff:ff:ff:ff:ff/);
  t.not(wire.flooded().length, 0, "and what is flooded is seen");
});

interface Stage {
  readonly fabric: Fabric;
  readonly containers: readonly Container[];
}

async function showTraffic(t: Test, { fabric, containers: [c1, c2] }: Stage): Promise<void> {
  if (c1 === undefined || c2 === undefined) throw new Error("three were made");
  const others = ["10.0.0.3", "10.0.0.4", "fd00::3", "fd00::4"];
  t.strictSame(await c1.answering(others), others, "all others are reached, in both families");
  t.ok(await c1.ping("10.0.0.3", { size: 1450 - 28, df: true }), "with a full-size packet");
  t.notOk(await c1.ping("10.0.0.3", { size: 1450 - 27, df: true }), "and no larger one");
  const traffic = await startTraffic(c1, "10.0.0.3");
  await fabric.cut(fabric.at(1).port);
  t.notOk(await c1.ping("10.0.0.3"), "a host whose cable is cut is not reached");
  t.ok(await c1.ping("10.0.0.4"), "the other one is");
  await fabric.mend(fabric.at(1).port);
  t.ok(await c2.ping("10.0.0.2"), "until it is mended");
  const { sent, lost } = await traffic.stop();
  t.ok(lost > 10 && lost < sent, `${lost} of ${sent} packets were lost meanwhile`);
}

/** Whatever is taken away, or put there beside, is told of. */
async function showTampering(t: Test, { fabric, etcd }: { fabric: Fabric; etcd: Etcd }): Promise<void> {
  const { host } = fabric.at(0);
  const mac = "02:42:0a:00:00:03";
  const tamperings: [command: string, says: string[]][] = [
    [`bridge fdb del ${mac} dev vx100 self`, [`lacks fdb ${mac} dst 192.0.2.12`]],
    [`bridge fdb del ${mac} dev vx100 master`, [`lacks fdb ${mac} master`]],
    ["ip neigh del 10.0.0.3 dev vxbr100", [`lacks bridge neighbour 10.0.0.3 ${mac}`]],
    ["ip neigh del fd00::3 dev vxbr100", [`lacks bridge neighbour fd00::3 ${mac}`]],
    [
      `bridge fdb replace ${mac} dev vx100 self permanent dst 192.0.2.13`,
      [`lacks fdb ${mac} dst 192.0.2.12`, `has fdb ${mac} dst 192.0.2.13`],
    ],
    [
      "bridge fdb add 02:00:00:00:00:99 dev vx100 self master extern_learn permanent dst 192.0.2.13",
      ["has fdb 02:00:00:00:00:99 dst 192.0.2.13", "has fdb 02:00:00:00:00:99 master"],
    ],
    [
      "ip neigh add 10.0.0.9 dev vxbr100 lladdr 2:0:0:0:0:9 nud permanent",
      ["has bridge neighbour 10.0.0.9 02:00:00:00:00:09"],
    ],
    ["ip link set vx100 type vxlan id 100 local 192.0.2.77", ["vtep 192.0.2.11, and vx100 local 192.0.2.77"]],
  ];
  const undo = [
    "bridge fdb del 02:00:00:00:00:99 dev vx100 self; bridge fdb del 02:00:00:00:00:99 dev vx100 master",
    "ip neigh del 10.0.0.9 dev vxbr100; ip link set vx100 type vxlan id 100 local 192.0.2.11",
  ];
  for (const [command, says] of tamperings) {
    await host.exec("sh", ["-c", command]);
    const found = await untruths(await readStore(etcd), fabric.hosts);
    t.strictSame(found.sort(), says.map((line) => `h1 blue: ${line}`).sort(), command);
    await host.exec("sh", ["-c", `${undo.join("; ")}; true`], { reject: false });
    await program(fabric.at(0), endpointOf(1), fabric.at(1).address4);
  }
  await etcd.put("/weft/v1/addresses/blue/10.0.0.2", { v: 1, host: "h1", containerId: "c1", ifname: "eth0" });
  await etcd.delete("/weft/v1/overlay/endpoints/blue/h3/");
  const found = await untruths(await readStore(etcd), [fabric.at(0)]);
  t.ok(
    found.some((line) => line.startsWith("addresses blue 10.0.0.2 is of h1 c1:eth0")),
    "a claim by halves",
  );
  t.ok(found.includes("h1 blue: has fdb 02:42:0a:00:00:04 dst 192.0.2.13"), "what the store has no more");
  await etcd.delete("/weft/v1/");
  const empty = await untruths(await readStore(etcd), [fabric.at(0)]);
  t.strictSame(empty, ["h1: has vx100, and no vtep"], "all of it");
}

await t.test(
  "three members, of which one is cut off, paused, stopped",
  { timeout: TIMEOUT_MS },
  async (t) => {
    const lacks = await etcdLacks();
    if (lacks) return skip(t, lacks);
    const fabric = await makeFabric(t, { hosts: 0 });
    const etcd = await makeEtcd(t, fabric, { members: 3 });
    await etcd.put("/weft/a", { v: 1 });
    t.strictSame([...(await etcd.list("/weft/"))], [["/weft/a", '{"v":1}']]);
    const third = etcd.at(2);
    await fabric.cut(third.port);
    // the third may have been the leader, and asks are refused until the others have elected one
    const isPut = () =>
      etcd.put("/weft/b", { v: 1 }).then(
        () => true,
        () => false,
      );
    await eventually(t, "two are enough", isPut, { timeoutMs: 30_000 });
    t.equal((await etcd.list("/weft/")).size, 2, "and both keys are there");
    const serializable = ["get", "--prefix", "/weft/", "--keys-only", "--consistency=s"];
    t.notMatch(await etcd.ctl(serializable, { member: third }), "/weft/b", "the third knows nothing of it");
    await fabric.mend(third.port);
    t.equal((await etcd.list("/weft/", third)).size, 2, "until it is back");
    await etcd.at(0).stop();
    third.pause();
    const blocked = etcd.ctl(["put", "--command-timeout=1s", "/weft/c", "x"], { member: etcd.at(1) });
    await t.rejects(blocked, /deadline exceeded|timed out/, "one is not enough");
    third.resume();
    etcd.at(0).start();
    await etcd.at(0).ready();
    await etcd.compact();
    t.ok((await etcd.list("/weft/")).size >= 2, "and all is there again");
  },
);
