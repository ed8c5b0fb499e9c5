/**
 * T10: macvlan and ipvlan on an 802.1Q sub-interface that is made on demand, shared by those who ask for it,
 * and removed with the last of them. One that was there before is never removed.
 */
import t, { type Test } from "tap";
import { type Attachment, attach, type NetworkConfig } from "./fixtures/attachment.ts";
import type { Container, Host } from "./fixtures/host.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import type { Netns } from "./fixtures/netns.ts";
import { normalise } from "./fixtures/normalise.ts";
import { refused, silent } from "./fixtures/refusal.ts";
import { remains } from "./fixtures/remains.ts";
import { makeUnderlay } from "./fixtures/underlay.ts";

const TIMEOUT_MS = 240_000;
t.setTimeout(5 * TIMEOUT_MS);
const TYPES = ["macvlan", "ipvlan"] as const;

/** A network whose container has 10.10.0.<last>. */
function network(type: string, name: string, last: number, keys: object): NetworkConfig {
  const addresses = [{ address: `10.10.0.${last}/24` }, { address: `fd00:10::${last}/64` }];
  return { cniVersion: "1.1.0", name, type, ipam: { type: "static", addresses }, ...keys };
}

/** The VLAN devices of the host: "eth0.10 10". */
async function vlans(host: Host): Promise<string[]> {
  const links = await host.ip("link", "show", "type", "vlan");
  return links.map(({ ifname, linkinfo }) => `${ifname} ${linkinfo?.info_data?.["id"]}`);
}

async function addVlan(netns: Netns, name: string, rest: string[] = []): Promise<void> {
  const lines = [`link add link eth0 name ${name} type vlan id 10`, ...rest, `link set ${name} up`];
  await netns.exec("ip", ["-batch", "-"], { input: lines.join("\n") });
}

async function makeContainers(host: Host): Promise<readonly [Container, Container, Container]> {
  return [await host.container("c1"), await host.container("c2"), await host.container("c3")];
}

for (const type of TYPES) {
  const lacks = await missing("8021q", type);

  await t.test(`${type}: tags on the wire, and who sees whom`, { timeout: TIMEOUT_MS }, async (t) => {
    if (lacks) return skip(t, lacks);
    const { host, wire, outside } = await makeUnderlay(t);
    const [one, two, three] = await makeContainers(host);
    const inTen = ["address add 10.10.0.1/24 dev vlan10", "address add fd00:10::1/64 dev vlan10 nodad"];
    await addVlan(outside, "vlan10", inTen);
    const before = normalise(await host.snapshot());
    const capture = await wire.capture("port0", "vlan");
    const c1 = await attach(one, network(type, "ten", 11, { master: "eth0.10" }));
    t.strictSame(await vlans(host), ["eth0.10 10"], "the sub-interface is made");
    const link = await host.link("eth0.10");
    t.match(link, { link: "eth0", operstate: "UP", mtu: 1500 }, "on eth0, and up");
    t.match(link.linkinfo?.info_data, { protocol: "802.1Q" }, "of 802.1Q");
    const away = ["10.10.0.1", "fd00:10::1"];
    t.strictSame(await one.answering(away), away, "the first packets to VLAN 10 of the wire are answered");
    t.match(await capture.frame(/10\.10\.0\.11 > 10\.10\.0\.1: ICMP echo request/), /\bvlan 10\b/, "tag 10");
    t.match(await capture.frame(/fd00:10::11 > fd00:10::1: ICMP6, echo req/), /\bvlan 10\b/, "IPv6, too");
    const c2 = await attach(two, network(type, "ten", 12, { master: "eth0.10" }));
    const c3 = await attach(three, network(type, "twenty", 13, { master: "eth0", vlan: 20 }));
    t.strictSame(await vlans(host), ["eth0.10 10", "eth0.20 20"], "two VLANs, one of them shared");
    await showSeparate(t, [c1, c2, c3]);
    t.match(await capture.frame(/who-has 10\.10\.0\.1 tell 10\.10\.0\.13/), /\bvlan 20\b/, "tag 20");
    const sent = /\btell 10\.10\.0\.13\b|\b10\.10\.0\.13 > /;
    const wrong = capture.frames.filter((frame) => sent.test(frame) && !/vlan 20\b/.test(frame));
    t.strictSame(wrong, [], "and nothing of it with another tag");
    await capture.stop();

    for (const each of [c1, c2, c3]) silent(t, await each.check(), `CHECK of ${each.container.name}`);
    silent(t, await c1.del(), "DEL of the first in VLAN 10");
    t.ok(await two.ping("10.10.0.1"), "the second goes on");
    silent(t, await c1.del(), "DEL of the first again");
    t.ok(await two.ping("10.10.0.1"), "takes nothing from the second");
    silent(t, await c2.del(), "DEL of the last in VLAN 10");
    t.strictSame(await vlans(host), ["eth0.20 20"], "takes its sub-interface, and no other");
    silent(t, await c3.del(), "DEL of the last in VLAN 20");
    t.strictSame(remains(before, await host.snapshot()), [], "nothing is left");
  });
}

/** The first two are in one VLAN, the third in another, on the same subnet. */
async function showSeparate(t: Test, [c1, c2, c3]: readonly [Attachment, Attachment, Attachment]) {
  const wire = ["10.10.0.1", "fd00:10::1"];
  const all = [...wire, ...[c1, c2, c3].flatMap(({ addresses }) => addresses)];
  /** Without its own, for which its lo would have to be up. */
  const others = ({ addresses }: Attachment, list: readonly string[]) =>
    list.filter((address) => !addresses.includes(address));
  for (const each of [c1, c2]) {
    const found = await each.container.answering(others(each, all));
    t.strictSame(found, others(each, all.slice(0, 6)), "VLAN 10 sees all of VLAN 10, and none of 20");
  }
  t.strictSame(await c3.container.answering(others(c3, all)), [], "VLAN 20 sees none of VLAN 10");
}

await t.test("two networks share a sub-interface", { timeout: TIMEOUT_MS }, async (t) => {
  const lacks = await missing("8021q", "macvlan");
  if (lacks) return skip(t, lacks);
  const { host } = await makeUnderlay(t);
  const [one, two, three] = await makeContainers(host);
  const before = normalise(await host.snapshot());
  const c1 = await attach(one, network("macvlan", "named", 11, { master: "eth0.10" }));
  const c2 = await attach(two, network("macvlan", "numbered", 12, { master: "eth0", vlan: 10 }));
  const c3 = await attach(three, network("macvlan", "routed", 13, { vlan: 10 }));
  t.strictSame(await vlans(host), ["eth0.10 10"], "by its name, by its number, and of the default route");
  t.ok(await one.ping("10.10.0.12"), "they reach each other");
  t.ok(await three.ping("10.10.0.11"), "all three");
  const collect = { ...c1.config, "cni.dev/valid-attachments": [] };
  silent(t, await host.cni("macvlan", { command: "GC", config: collect }), "GC of the first network");
  t.strictSame(await vlans(host), ["eth0.10 10"], "leaves the sub-interface to the others");
  t.ok(await two.ping("10.10.0.13"), "who go on");
  await two.remove();
  silent(t, await c2.del(), "DEL with the namespace gone");
  t.ok((await three.link("eth0")).flags.includes("LOWER_UP"), "leaves it to the last");
  await three.remove();
  const rest = { ...c3.config, "cni.dev/valid-attachments": [] };
  silent(t, await host.cni("macvlan", { command: "GC", config: rest }), "GC with the last namespace gone");
  t.strictSame(await vlans(host), [], "takes it away");
  await one.remove();
  t.strictSame(
    remains(before, await host.snapshot()).filter((line) => !/networks\.c/.test(line)),
    [],
    "and all",
  );
});

await t.test("one that was there before stays", { timeout: TIMEOUT_MS }, async (t) => {
  const lacks = await missing("8021q", "macvlan", "ipvlan");
  if (lacks) return skip(t, lacks);
  const { host } = await makeUnderlay(t);
  const [one] = await makeContainers(host);
  const cases: [type: string, there: string, keys: object][] = [
    ["macvlan", "eth0.10", { master: "eth0.10" }],
    ["ipvlan", "eth0.10", { master: "eth0", vlan: 10 }],
    ["macvlan", "ten", { master: "eth0", vlan: 10 }],
    ["ipvlan", "ten", { master: "eth0.10" }],
    ["macvlan", "ten", { master: "ten" }],
  ];
  for (const [type, there, keys] of cases) {
    await addVlan(host, there);
    const { ifindex } = await host.link(there);
    const attachment = await attach(one, network(type, "net", 11, keys));
    t.equal(
      (await one.link("eth0")).link_index,
      ifindex,
      `${type} ${JSON.stringify(keys)}: is on "${there}"`,
    );
    t.strictSame(await vlans(host), [`${there} 10`], "and no other was made");
    silent(t, await attachment.check(), "CHECK");
    silent(t, await attachment.del(), "DEL");
    const collect = { ...attachment.config, "cni.dev/valid-attachments": [] };
    silent(t, await host.cni(type, { command: "GC", config: collect }), "GC");
    t.strictSame(await vlans(host), [`${there} 10`], "it stays");
    await host.exec("ip", ["link", "delete", there]);
  }
  // its name, and something else
  await host.exec("ip", ["link", "add", "eth0.10", "type", "dummy"]);
  await host.exec("ip", ["link", "set", "eth0.10", "up"]);
  const attachment = await attach(one, network("macvlan", "net", 11, { master: "eth0.10" }));
  t.equal((await one.link("eth0")).link_index, (await host.link("eth0.10")).ifindex, "a link of that name");
  silent(t, await attachment.del(), "DEL");
  const call = { command: "ADD", container: one };
  const config = network("macvlan", "net", 11, { master: "eth0", vlan: 10 });
  const wanted = { msg: /eth0\.10/, details: /|./ };
  refused(t, await host.cni("macvlan", { ...call, config }), wanted, "which is no VLAN 10 of eth0: refused");
});

await t.test("an ADD that fails takes back what it made", { timeout: TIMEOUT_MS }, async (t) => {
  const lacks = await missing("8021q", "macvlan");
  if (lacks) return skip(t, lacks);
  const { host } = await makeUnderlay(t);
  const [one, two] = await makeContainers(host);
  const before = normalise(await host.snapshot());
  const good = network("macvlan", "net", 11, { master: "eth0.10" });
  const bad = { ...good, ipam: { type: "static", addresses: [{ address: "x" }] } };
  const add = (container: Container, config: object) =>
    host.cni("macvlan", { command: "ADD", container, config });
  refused(t, await add(one, bad), { msg: /./, details: /|./ }, "an address that is none");
  refused(t, await add(one, { ...good, mtu: 1501 }), { code: 7, msg: /1501.*1500/, details: /|./ }, "an MTU");
  t.strictSame(remains(before, await host.snapshot()), [], "the sub-interface is taken back");
  const wrong: [keys: object, named: RegExp][] = [
    [{ master: "eth0", vlan: 4095 }, /vlan/i],
    [{ master: "eth0", vlan: "10" }, /vlan/i],
    [{ master: "eth0.4095" }, /eth0\.4095/],
    [{ master: "eth0.x" }, /eth0\.x/],
    [{ master: "eth7.10" }, /eth7/],
    [{ master: "eth7", vlan: 10 }, /eth7/],
  ];
  for (const [keys, named] of wrong) {
    const outcome = await add(one, { ...good, ...keys });
    refused(t, outcome, { code: 7, msg: /|./, details: /|./ }, `${JSON.stringify(keys)} is refused`);
    t.match(`${outcome.error?.msg} ${outcome.error?.details}`, named, "and named");
  }
  t.strictSame(remains(before, await host.snapshot()), [], "and nothing has changed");
  const c1 = await attach(one, good);
  refused(t, await add(two, bad), { msg: /./, details: /|./ }, "beside one that succeeded");
  t.strictSame(await vlans(host), ["eth0.10 10"], "it stays");
  await host.exec("ip", ["link", "delete", "eth0.10"]);
  refused(t, await c1.check(), { code: 100, msg: /./, details: /|./ }, "CHECK, when somebody deleted it");
  silent(t, await c1.del(), "DEL does without");
  t.strictSame(remains(before, await host.snapshot()), [], "nothing is left");

  const status = (keys: object) => host.cni("macvlan", { command: "STATUS", config: { ...good, ...keys } });
  silent(t, await status({}), "STATUS: it can be made");
  const gone = await status({ master: "eth7.10" });
  refused(
    t,
    gone,
    { code: 50, msg: /eth7/, details: /|./ },
    "STATUS: it can not, on a master that is not there",
  );
});
