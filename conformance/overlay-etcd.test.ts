/**
 * T8, T13: an overlay whose tables are programmed from etcd. Containers of all hosts reach each other, in
 * both families and with full-size packets, and nothing is ever flooded; a late host is reached, one that
 * changes its address is followed, one that dies is forgotten and its addresses are given to nobody. After
 * each of it the kernels of all hosts hold what the store says.
 */
import t, { type Test } from "tap";
import { startAgent, WEFT } from "./fixtures/agent.ts";
import type { Attachment, NetworkConfig } from "./fixtures/attachment.ts";
import { etcdLacks } from "./fixtures/etcd.ts";
import { eventually } from "./fixtures/eventually.ts";
import type { FabricHost } from "./fixtures/fabric.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { normalise } from "./fixtures/normalise.ts";
import {
  allReachAll,
  attachNew,
  BLUE,
  carries,
  etcdNetwork,
  keysOfNetworks,
  leftOn,
  macOf,
  makeOverlay,
  type NetworkShape,
  OVERHEAD,
  type Overlay,
  RED,
} from "./fixtures/overlay-network.ts";
import { agree, placesOf, readStore } from "./fixtures/overlay-truth.ts";
import { silent } from "./fixtures/refusal.ts";
import { captureVxlan, misdirected, type VxlanWire } from "./fixtures/vxlan-wire.ts";

const TIMEOUT_MS = 180_000;
t.setTimeout(3 * TIMEOUT_MS);
const GRACE_S = 8;
const UNDERLAY6 = "2001:db8:1::/64";
const lacks = (await missing("vxlan", "bridge")) ?? (await etcdLacks());

interface Stage extends Overlay {
  /** Of the underlay. */
  readonly family: 4 | 6;
  readonly wire: VxlanWire;
  /** All that are attached. */
  readonly blue: Attachment[];
  readonly red: Attachment[];
  /** Where each MAC is or was; see misdirected(). */
  readonly places: Map<string, string[]>;
}

for (const family of [4, 6] as const) {
  const name = `T8: an overlay with etcd, over IPv${family}`;
  await t.test(name, { timeout: TIMEOUT_MS }, async (t) => {
    if (lacks) return skip(t, lacks);
    await showOverlay(t, family);
  });
}

async function showOverlay(t: Test, family: 4 | 6): Promise<void> {
  const overlay = await makeOverlay(t, { agentArgs: ["--grace", `${GRACE_S}`] });
  const wire = await captureVxlan(overlay.fabric.hub);
  const stage: Stage = { ...overlay, family, wire, blue: [], red: [], places: new Map() };
  const { fabric, blue } = stage;
  const before = normalise(await fabric.at(0).host.snapshot());
  await t.test("two containers on each of three hosts", (t) => showAll(t, stage));
  await t.test("two networks do not leak into each other", (t) => showSeparate(t, stage));
  await t.test("a container takes another's MAC", (t) => showForeignMac(t, stage));
  await t.test("containers come and go", (t) => showComing(t, stage));
  await t.test("a late host", (t) => showLateHost(t, stage));
  await t.test("a host whose address changes", (t) => showNewAddress(t, stage));
  await t.test("a host that dies", (t) => showDeath(t, stage));
  await t.test("nothing was flooded", (t) => showQuiet(t, stage));
  for (const each of [...blue, ...stage.red]) silent(t, await each.del(), `DEL of ${each.container.name}`);
  t.strictSame(await keysOfNetworks(stage.etcd), [], "the store holds nothing of the networks");
  t.strictSame(await leftOn(fabric.at(0), before), [], "nor the host");
}

/** A network whose hosts reach each other by that family. */
function networkOf({ family }: Stage, shape: NetworkShape): NetworkConfig {
  return etcdNetwork(shape, family === 6 ? { dev: undefined, local: UNDERLAY6 } : {});
}

async function keepPlaces({ etcd, places }: Stage): Promise<void> {
  for (const [mac, at] of placesOf(await readStore(etcd)))
    places.set(mac, [...new Set([...(places.get(mac) ?? []), ...at])]);
}

/** One assertion: kernels and store agree. */
async function settle(
  t: Test,
  stage: Stage,
  live: readonly FabricHost[] = stage.fabric.hosts,
): Promise<void> {
  await agree(t, stage.etcd, live, "all kernels hold what the store says");
  await keepPlaces(stage);
}

async function showAll(t: Test, stage: Stage): Promise<void> {
  const { fabric, blue, family } = stage;
  const config = networkOf(stage, BLUE);
  const mtu = 1500 - OVERHEAD[family];
  const added = fabric.hosts.map(async (at) => {
    return [await attachNew(at, "c1", config), await attachNew(at, "c2", config)];
  });
  blue.push(...(await Promise.all(added)).flat());
  await allReachAll(t, blue, "all reach all at the first try");
  await settle(t, stage);
  const all = blue.flatMap(({ addresses }) => addresses);
  t.equal(new Set(all).size, 2 * blue.length, "all addresses differ");
  const macs: string[] = [];
  for (const { host, address4, address6 } of fabric.hosts) {
    const vxlan = await host.link("vx100");
    const local = family === 4 ? { local: address4 } : { local6: address6 };
    t.match(vxlan.linkinfo?.info_data, { id: 100, port: 4789, learning: false, ...local }, host.name);
    const port = {
      learning: false,
      flood: false,
      mcast_flood: false,
      bcast_flood: false,
      neigh_suppress: true,
    };
    t.match(
      vxlan.linkinfo?.info_slave_data,
      port,
      "learns nothing, floods nothing, and answers for neighbours",
    );
    t.match(vxlan, { mtu, master: "vxbr100" });
    macs.push((await host.link("vxbr100")).address);
  }
  t.equal(new Set(macs).size, 1, "the bridge has one MAC on all hosts");
  for (const { container, address, result } of blue) {
    const link = await container.link("eth0");
    t.match(link, { mtu, address: macOf(address) }, `${address}: its MAC follows from it`);
    t.match(
      result.interfaces?.find(({ sandbox }) => sandbox),
      { mac: macOf(address), mtu },
    );
  }
  const [first, , third] = blue;
  if (first === undefined || third === undefined) throw new Error("six were made");
  await carries(t, first, third, mtu);
  for (const each of blue) silent(t, await each.check(), `CHECK of ${each.address}`);
}

/** What it then sends takes nothing over from the store. */
async function showForeignMac(t: Test, { blue }: Stage): Promise<void> {
  const [first, second, third] = blue;
  if (first === undefined || second === undefined || third === undefined) throw new Error("six were made");
  const own = await second.container.link("eth0");
  const theirs = await third.container.link("eth0");
  await second.container.exec("ip", ["link", "set", "eth0", "address", theirs.address]);
  t.notOk(await second.container.ping(first.address), "nothing comes back to it");
  t.ok(await first.container.ping(third.address), "whose MAC it is is reached");
  await second.container.exec("ip", ["link", "set", "eth0", "address", own.address]);
  t.ok(await second.container.ping(third.address), "and by its own it is a container as ever");
}

async function showSeparate(t: Test, stage: Stage): Promise<void> {
  const { fabric, blue, red } = stage;
  const config = networkOf(stage, RED);
  for (const at of [fabric.at(0), fabric.at(1)]) red.push(await attachNew(at, "r1", config));
  await settle(t, stage);
  await allReachAll(t, red, "the other network's containers reach each other");
  const foreign = red.flatMap(({ addresses }) => addresses);
  const own = blue.flatMap(({ addresses }) => addresses);
  const [sender] = blue;
  const [other] = red;
  const onlyForeign = foreign.filter((address) => !own.includes(address));
  t.strictSame(
    await sender?.container.answering(onlyForeign),
    [],
    "of one network none of the other's is reached",
  );
  const onlyOwn = own.filter((address) => !foreign.includes(address));
  t.strictSame(await other?.container.answering(onlyOwn), [], "nor back");
  const gone = red.pop();
  if (gone === undefined) throw new Error("two were made");
  silent(t, await gone.del(), "DEL of one of them");
  await settle(t, stage);
  await allReachAll(t, blue, "changes nothing for the first network");
}

async function showComing(t: Test, stage: Stage): Promise<void> {
  const { fabric, etcd, blue } = stage;
  const gone = blue.splice(1, 1)[0];
  if (gone === undefined) throw new Error("six were made");
  const came = attachNew(fabric.at(2), "c3", networkOf(stage, BLUE));
  silent(t, await gone.del(), "DEL, while another comes");
  blue.push(await came);
  await settle(t, stage);
  const { addresses, endpoints } = await readStore(etcd);
  for (const address of gone.addresses) {
    t.notOk(addresses.has(`blue ${address}`), `${address} is free`);
    t.notOk(
      endpoints.some((each) => each.addresses.includes(address)),
      "and at no host",
    );
  }
  await allReachAll(t, blue, "all reach all");
  const runtime = { runtimeConfig: { ips: gone.addresses } };
  const again = await attachNew(fabric.at(1), "c4", { ...networkOf(stage, BLUE), ...runtime });
  t.strictSame(again.addresses, gone.addresses, "an address that was given back is had on another host");
  blue.push(again);
  await allReachAll(t, blue, "and reached there by all, at the first try");
  await settle(t, stage);
}

async function showLateHost(t: Test, stage: Stage): Promise<void> {
  const { fabric, etcd, agents, blue } = stage;
  const late = await fabric.addHost();
  agents.push(await startAgent(late, etcd.endpoints, { args: ["--grace", `${GRACE_S}`] }));
  blue.push(await attachNew(late, "c1", networkOf(stage, BLUE)));
  await allReachAll(t, blue, "its container reaches all, and all reach it, at the first try");
  await settle(t, stage);
}

async function showNewAddress(t: Test, stage: Stage): Promise<void> {
  const { fabric, etcd, blue, family } = stage;
  const moved = fabric.at(1);
  const is4 = family === 4;
  const [address, later, former, length] = is4
    ? ["192.0.2.99", "192.0.2.98", moved.address4, 24]
    : ["2001:db8:1::99", "2001:db8:1::98", moved.address6, 64];
  // deleting the first address of a subnet takes those after it along
  const promote = "net/ipv4/conf/eth0/promote_secondaries";
  await moved.host.sysctl(promote, 1);
  // of IPv6 the kernel lists the newest first, which may be another host's in a moment
  for (const each of [address, later]) {
    const nodad = is4 ? [] : ["nodad"];
    await moved.host.exec("ip", ["address", "add", `${each}/${length}`, "dev", "eth0", ...nodad]);
  }
  await moved.host.exec("ip", ["address", "delete", `${former}/${length}`, "dev", "eth0"]);
  const isFollowed = async () => {
    const { vteps } = await readStore(etcd);
    return vteps.filter(({ host }) => host === moved.name).every((vtep) => vtep.address === address);
  };
  await eventually(t, "the store has the new address", isFollowed, { timeoutMs: 20_000 });
  await settle(t, stage);
  await allReachAll(t, blue, "all reach all");
}

/** Its entries stay for the grace, and its addresses for ever, or until somebody says that it is gone. */
async function showDeath(t: Test, stage: Stage): Promise<void> {
  const { fabric, etcd, blue } = stage;
  const dead = fabric.at(2);
  const live = fabric.hosts.filter((each) => each !== dead);
  const isIts = ({ container }: Attachment) => container.host === dead.host;
  const lost = blue.filter(isIts).flatMap(({ addresses }) => addresses);
  await dead.host.close();
  const died = Date.now();
  blue.splice(0, blue.length, ...blue.filter((each) => !isIts(each)));
  await eventually(t, "it is forgotten", async () => !(await readStore(etcd)).hosts.includes(dead.name), {
    timeoutMs: (GRACE_S + 10) * 1_000,
  });
  t.ok(Date.now() - died > (GRACE_S * 1_000) / 3, "not at once");
  await settle(t, stage, live);
  const { addresses, vteps } = await readStore(etcd);
  t.notOk(
    vteps.some(({ host }) => host === dead.name),
    "nothing leads to it any more",
  );
  t.ok(
    lost.every((address) => addresses.has(`blue ${address}`)),
    "its addresses are still its own",
  );
  const [first = ""] = lost;
  const container = await fabric.at(0).host.container("c9");
  const config = { ...networkOf(stage, BLUE), runtimeConfig: { ips: [first] } };
  const outcome = await fabric.at(0).host.cni("vxlan", { command: "ADD", container, config });
  t.not(outcome.code, 0, "who asks for one is refused");
  t.match(`${outcome.error?.msg} ${outcome.error?.details}`, first, "by its name");
  await allReachAll(t, blue, "the others reach each other");
  await fabric.at(0).host.exec(WEFT, ["agent", "--forget", dead.name]);
  const nobody = await fabric.at(0).host.exec(WEFT, ["agent", "--forget", "nix"]);
  t.match(nobody.stdout, /nothing of a host "nix"/, "of a host that nobody knows it says so");
  const left = (await readStore(etcd)).keys.filter((key) => key.split("/").includes(dead.name));
  t.strictSame(left, [], "weft agent --forget: then all of it is gone");
  const again = await fabric.at(0).host.cni("vxlan", { command: "ADD", container, config });
  t.equal(again.code, 0, "and its address is to be had");
  const del = { command: "DEL", container, config: { ...config, prevResult: again.result } };
  silent(t, await fabric.at(0).host.cni("vxlan", del), "DEL");
}

async function showQuiet(t: Test, { wire, places }: Stage): Promise<void> {
  await wire.stop();
  t.ok(wire.frames().length > 100, `${wire.frames().length} frames`);
  t.strictSame(wire.flooded(), [], "none to a group");
  t.strictSame(misdirected(wire.frames(), places), [], "none to where its MAC never was");
}
