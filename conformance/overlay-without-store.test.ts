/**
 * T8, T13: an overlay that floods and learns, with the other hosts' addresses in its configuration or with a
 * multicast group, over IPv4 and IPv6. There is no store and no agent. Two networks share subnets and hosts,
 * and see nothing of each other.
 */
import t, { type Test } from "tap";
import { type Attachment, attach, type NetworkConfig } from "./fixtures/attachment.ts";
import { type Fabric, type FabricHost, makeFabric } from "./fixtures/fabric.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { normalise } from "./fixtures/normalise.ts";
import {
  allReachAll,
  attachNew,
  BLUE,
  carries,
  leftOn,
  macOf,
  type NetworkShape,
  OVERHEAD,
  plainNetwork,
  RED,
} from "./fixtures/overlay-network.ts";
import { silent } from "./fixtures/refusal.ts";
import { captureVxlan, type VxlanWire } from "./fixtures/vxlan-wire.ts";

const TIMEOUT_MS = 120_000;
t.setTimeout(5 * TIMEOUT_MS);
const MTU = 1500;
const NOTHING = { networks: {}, files: {} };
const lacks = await missing("vxlan", "bridge");

interface Case {
  readonly mode: "remotes" | "group";
  readonly family: 4 | 6;
  /** Of the network, on a host. */
  readonly keys: (fabric: Fabric, at: FabricHost) => Record<string, unknown>;
}

const remotes = ({ hosts }: Fabric, at: FabricHost, key: "address4" | "address6") =>
  hosts.filter((each) => each !== at).map((each) => each[key]);

const CASES: readonly Case[] = [
  { mode: "remotes", family: 4, keys: (fabric, at) => ({ remotes: remotes(fabric, at, "address4") }) },
  {
    mode: "remotes",
    family: 6,
    keys: (fabric, at) => ({ dev: undefined, local: at.address6, remotes: remotes(fabric, at, "address6") }),
  },
  { mode: "group", family: 4, keys: () => ({ group: "239.7.7.7" }) },
  { mode: "group", family: 6, keys: () => ({ group: "ff05::7:7" }) },
];

for (const each of CASES) {
  const name = `T8: ${each.mode}, over IPv${each.family}`;
  await t.test(name, { timeout: TIMEOUT_MS }, async (t) => {
    if (lacks) return skip(t, lacks);
    await showOverlay(t, each);
  });
}

/** Where a host is gateway, a container's own announcements do not leave it. */
await t.test("an address that moves to another host", { timeout: TIMEOUT_MS }, async (t) => {
  if (lacks) return skip(t, lacks);
  const fabric = await makeFabric(t);
  const attachAt = async (at: FabricHost, name: string, address: string) => {
    const container = await at.host.container(name);
    // IPv6 tells of itself by multicast, which does leave
    await container.exec("sysctl", ["-qw", "net.ipv6.conf.default.disable_ipv6=1"]);
    const ipam = { type: "static", addresses: [{ address, gateway: "10.7.0.1" }] };
    const keys = { remotes: remotes(fabric, at, "address4"), isGateway: true, ipam };
    return attach(container, plainNetwork(BLUE, at, keys));
  };
  const peer = await attachAt(fabric.at(2), "c1", "10.7.0.3/24");
  for (const index of [0, 1, 0]) {
    const name = `moving${fabric.at(index).host.containers.size}`;
    const moving = await attachAt(fabric.at(index), name, "10.7.0.9/24");
    t.ok(await peer.container.ping(moving.address), `on ${fabric.at(index).name} it is reached at once`);
    t.ok(await moving.container.ping(peer.address), "and reaches");
    silent(t, await moving.del(), "DEL");
  }
});

interface Stage {
  readonly each: Case;
  readonly fabric: Fabric;
  /** Two of each host. */
  readonly blue: readonly Attachment[];
  /** One of the first and of the second. */
  readonly red: readonly Attachment[];
  readonly mtu: number;
}

async function showOverlay(t: Test, each: Case): Promise<void> {
  const { family, keys } = each;
  const fabric = await makeFabric(t, { mtu: MTU });
  const before = await Promise.all(fabric.hosts.map(async ({ host }) => normalise(await host.snapshot())));
  const wire = await captureVxlan(fabric.hub);
  const networkOn = (shape: NetworkShape, at: FabricHost): NetworkConfig =>
    plainNetwork(shape, at, keys(fabric, at));
  const blue: Attachment[] = [];
  for (const at of fabric.hosts)
    for (const n of [1, 2]) blue.push(await attachNew(at, `c${n}`, networkOn(BLUE, at)));
  const red: Attachment[] = [];
  for (const at of fabric.hosts.slice(0, 2)) {
    const config = networkOn(RED, at);
    // beyond the addresses of the other network's, so that each is unique
    const addresses = [{ address: `10.7.0.20${red.length}/24` }, { address: `fd00:7::20${red.length}/64` }];
    red.push(await attachNew(at, "r1", { ...config, ipam: { type: "static", addresses } }));
  }
  const stage: Stage = { each, fabric, blue, red, mtu: MTU - OVERHEAD[family] };
  await showDevices(t, stage);
  await allReachAll(t, blue, "all containers reach all others, in both families");
  await allReachAll(t, red, "and so do the other network's");
  const [c1, , c3] = blue;
  if (c1 === undefined || c3 === undefined) throw new Error("six were made");
  await carries(t, c1, c3, stage.mtu);
  await showBroadcast(t, stage);
  await showSeparate(t, stage, wire);
  for (const attachment of [...blue, ...red])
    silent(t, await attachment.check(), `CHECK of ${attachment.container.name}`);
  await showDel(t, stage);
  for (const [index, at] of fabric.hosts.entries())
    t.strictSame(await leftOn(at, before[index] ?? NOTHING), [], "nothing is left");
}

async function showDevices(t: Test, { each, fabric, blue, mtu }: Stage): Promise<void> {
  const macs: string[] = [];
  for (const { host, address4, address6 } of fabric.hosts) {
    const vxlan = await host.link("vx100");
    const data = vxlan.linkinfo?.info_data ?? {};
    const local = each.family === 4 ? { local: address4 } : { local6: address6 };
    const wanted = { id: BLUE.vni, port: 4789, learning: true, ...local };
    t.match(data, wanted, `${host.name}: the device`);
    t.match(vxlan, { mtu, master: "vxbr100", operstate: /UP|UNKNOWN/ }, "is a port of the bridge, and fits");
    t.equal(vxlan.addr_info.length, 0, "without an address of its own");
    const bridge = await host.link("vxbr100");
    t.match(bridge, { mtu, operstate: "UP" }, "and so does the bridge");
    macs.push(bridge.address);
  }
  t.equal(new Set(macs).size, 1, "the bridge has one MAC on all hosts");
  for (const { container, addresses, result } of blue.slice(0, 3)) {
    const link = await container.link("eth0");
    t.match(link, { mtu, address: macOf(addresses[0] ?? ""), operstate: "UP" }, "MAC by the address");
    const [inside] = (result.interfaces ?? []).filter(({ sandbox }) => sandbox !== undefined);
    t.match(inside, { name: "eth0", mac: link.address, mtu }, "as ADD answered");
  }
}

/** Broadcast and multicast come to every container of the network, and to none of the other. */
async function showBroadcast(t: Test, { blue, red }: Stage): Promise<void> {
  const [sender, ...others] = blue;
  if (sender === undefined) throw new Error("six were made");
  const captures = await Promise.all(
    [...others, ...red].map(({ container }) => container.capture("eth0", "icmp or icmp6")),
  );
  const { container, address } = sender;
  await container.exec("ping", ["-b", "-c", "1", "-W", "1", "10.7.0.255"], { reject: false });
  await container.exec("ping", ["-c", "1", "-W", "1", "ff02::1%eth0"], { reject: false });
  const broadcast = new RegExp(
    `> ff:ff:ff:ff:ff:ff, .*${address.replaceAll(".", "\\.")} > 10\\.7\\.0\\.255: ICMP echo`,
  );
  const multicast = /> 33:33:00:00:00:01, .* > ff02::1: ICMP6, echo request/;
  const seen = (pattern: RegExp, index: number) => captures[index]?.frame(pattern, 5_000) ?? Promise.reject();
  const all = others.map(async (_, index) => [await seen(broadcast, index), await seen(multicast, index)]);
  t.equal((await Promise.all(all)).length, others.length, "broadcast and multicast come to all containers");
  const wrong = captures
    .slice(others.length)
    .flatMap(({ frames }) => frames.filter((line) => broadcast.test(line)));
  t.strictSame(wrong, [], "and to none of the other network");
  await Promise.all(captures.map((capture) => capture.stop()));
}

async function showSeparate(t: Test, { each, fabric, blue, red }: Stage, wire: VxlanWire): Promise<void> {
  const [, first] = blue;
  const [second] = red;
  if (first === undefined || second === undefined) throw new Error("eight were made");
  t.strictSame(await first.container.answering(second.addresses), [], "of one network to the other");
  const others = blue.flatMap(({ addresses }) => addresses);
  t.strictSame(await second.container.answering(others), [], "and back: nobody answers");
  const frames = wire.frames();
  t.strictSame(
    [...new Set(frames.map(({ vni }) => vni))].sort(),
    [BLUE.vni, RED.vni],
    "two numbers on the wire",
  );
  const senders = new Set(frames.map(({ from }) => from));
  const hosts = fabric.hosts.map(({ address4, address6 }) => (each.family === 4 ? address4 : address6));
  t.ok(
    [...senders].every((address) => hosts.includes(address)),
    "from the hosts' addresses of that family",
  );
  await wire.stop();
}

/** The devices stay while a container needs them, and go with the last. */
async function showDel(t: Test, { fabric, blue, red }: Stage): Promise<void> {
  const devices = async () => {
    const links = await fabric.at(0).host.ip("link", "show");
    return links
      .map(({ ifname }) => ifname)
      .filter((ifname) => ifname.startsWith("vx"))
      .sort();
  };
  const [c1, c2, c3, ...rest] = blue;
  if (c1 === undefined || c2 === undefined || c3 === undefined) throw new Error("six were made");
  silent(t, await c1.del(), "DEL of the first container");
  t.ok(await c2.container.ping(c3.address), "the second goes on");
  for (const { container, ifname } of [c1]) {
    const links = await container.ip("link", "show");
    t.notOk(
      links.some((link) => link.ifname === ifname),
      "its interface is gone",
    );
  }
  silent(t, await c2.del(), "DEL of the last one of this network");
  t.strictSame(await devices(), ["vx200", "vxbr200"], "takes the network's devices, and no others");
  silent(t, await c2.del(), "DEL again");
  for (const each of [c3, ...rest, ...red]) silent(t, await each.del(), `DEL of ${each.container.name}`);
  t.strictSame(await devices(), [], "nor those of the other network stay");
}
