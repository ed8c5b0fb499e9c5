/**
 * T11 and T13: containers that share their parent's MAC. In l2 they are on the wire beside it, in l3 and l3s
 * it routes for them, and nobody asks for neighbours. Packets are the witness.
 */
import t, { type Test } from "tap";
import { type Attachment, attach, type NetworkConfig } from "./fixtures/attachment.ts";
import type { Container, Host } from "./fixtures/host.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { normalise } from "./fixtures/normalise.ts";
import { refused, silent, unchanged } from "./fixtures/refusal.ts";
import { remains } from "./fixtures/remains.ts";
import { makeUnderlay, type Underlay, underlayNetwork } from "./fixtures/underlay.ts";

const TIMEOUT_MS = 240_000;
t.setTimeout(5 * TIMEOUT_MS);
const NETWORK = underlayNetwork("ipvlan");
const lacks = await missing("ipvlan");

await t.test("T11: l2, one MAC and many addresses", { timeout: TIMEOUT_MS }, async (t) => {
  if (lacks) return skip(t, lacks);
  const { host, wire, outside } = await makeUnderlay(t);
  const [one, two] = [await host.container("c1"), await host.container("c2")];
  const before = normalise(await host.snapshot());
  const capture = await wire.capture("port0", "icmp or icmp6");
  const c1 = await attach(one, NETWORK);
  const away = [outside.address4, outside.address6];
  t.strictSame(await one.answering(away), away, "the first packets of it are answered");
  const c2 = await attach(two, NETWORK);
  const { address: mac, ifindex } = await host.link("eth0");
  for (const { container, result, addresses } of [c1, c2]) {
    const link = await container.link("eth0");
    t.ok(link.flags.includes("LOWER_UP"), "the link is up");
    t.equal(link.address, mac, "the container has the parent's MAC");
    t.match(link, { mtu: 1500, link_index: ifindex }, "on the parent");
    t.match(link.linkinfo, { info_kind: "ipvlan", info_data: { mode: "l2", bridge: true } }, "in l2");
    const interfaces = [{ name: "eth0", mac, mtu: 1500, sandbox: container.path }];
    t.strictSame(result.interfaces, interfaces, "the result says so");
    t.strictSame(await outside.answering(addresses), addresses, "the wire reaches it");
  }
  t.not(c1.address, c2.address, "the addresses differ");
  t.strictSame(await one.answering(c2.addresses), c2.addresses, "container to container");
  t.strictSame(await two.answering(c1.addresses), c1.addresses, "and back");
  for (const { address } of [c1, c2]) {
    const request = new RegExp(`^${mac} > .* ${outside.address4} > ${address}: ICMP echo`);
    const reply = new RegExp(`^${mac} > .* ${address} > ${outside.address4}: ICMP echo reply`);
    t.ok(await capture.frame(reply), `frames of ${address} have the parent's MAC`);
    t.notOk(
      capture.frames.some((frame) => request.test(frame)),
      "and those to it the router's",
    );
  }
  await capture.stop();
  for (const attachment of [c1, c2]) {
    silent(t, await attachment.check(), `CHECK of ${attachment.container.name}`);
    silent(t, await attachment.del(), "DEL");
  }
  t.strictSame(remains(before, await host.snapshot()), [], "nothing is left");
});

/** A network with one address of each family, in a subnet of its own. */
function routedNetwork(mode: string, name: string, subnet: number, keys: object = {}): NetworkConfig {
  const addresses = [{ address: `10.11.${subnet}.2/24` }, { address: `fd00:11:${subnet}::2/64` }];
  const routes = [{ dst: "0.0.0.0/0" }, { dst: "::/0" }];
  const ipam = { type: "static", addresses, routes };
  return { cniVersion: "1.1.0", name, type: "ipvlan", master: "eth0", mode, ipam, ...keys };
}

for (const mode of ["l3", "l3s"]) {
  await t.test(`T11: ${mode} routes between subnets without ARP`, { timeout: TIMEOUT_MS }, async (t) => {
    if (lacks) return skip(t, lacks);
    const { host, wire, outside } = await makeUnderlay(t);
    const [one, two] = [await host.container("c1"), await host.container("c2")];
    const before = normalise(await host.snapshot());
    const back = ["route add 10.11.0.0/16 via 192.0.2.1", "route add fd00:11::/32 via 2001:db8:1::1"];
    await outside.exec("ip", ["-batch", "-"], { input: back.join("\n") });
    const c1 = await attach(one, routedNetwork(mode, "left", 1));
    const c2 = await attach(two, routedNetwork(mode, "right", 2));
    const { linkinfo, flags } = await one.link("eth0");
    t.equal(linkinfo?.info_data?.["mode"], mode, "ip shows the mode");
    t.ok(flags.includes("NOARP"), "and that there is no ARP");
    const inside = await one.capture("eth0", "");
    const onWire = await wire.capture("port0", "");
    t.strictSame(await one.answering(c2.addresses), c2.addresses, "from subnet to subnet");
    t.strictSame(await two.answering(c1.addresses), c1.addresses, "and back");
    const away = [outside.address4, outside.address6];
    t.strictSame(await one.answering(away), away, "by the host's routes");
    for (const address of away) {
      await inside.frame(new RegExp(` > ${address}: ICMP6?,? echo request`));
      await onWire.frame(new RegExp(` > ${address}: ICMP6?,? echo request`));
    }
    t.strictSame(await outside.answering(c2.addresses), c2.addresses, "and from outside");
    const asks = (frame: string) => /\bARP\b|neighbor (solicitation|advertisement)/.test(frame);
    t.strictSame(inside.frames.filter(asks), [], "nobody asked for a neighbour in the container");
    const about = (frame: string) => asks(frame) && /10\.11\.[12]\.2|fd00:11:[12]::2/.test(frame);
    t.strictSame(onWire.frames.filter(about), [], "nor on the wire for a container");
    for (const capture of [inside, onWire]) await capture.stop();
    for (const attachment of [c1, c2]) {
      silent(t, await attachment.check(), "CHECK");
      silent(t, await attachment.del(), "DEL");
    }
    t.strictSame(remains(before, await host.snapshot()), [], "nothing is left");
  });
}

await t.test("flags, and what one master cannot have twice", { timeout: TIMEOUT_MS }, async (t) => {
  if (lacks) return skip(t, lacks);
  const underlay = await makeUnderlay(t);
  const { host, wire } = underlay;
  const [one, two] = [await host.container("c1"), await host.container("c2")];
  await showFlag(t, underlay, "bridge", true);
  await showFlag(t, underlay, "private", false);
  await showFlag(t, underlay, "vepa", false);
  await wire.exec("bridge", ["link", "set", "dev", "port0", "hairpin", "on"]);
  await showFlag(t, underlay, "vepa", true);
  await wire.exec("bridge", ["link", "set", "dev", "port0", "hairpin", "off"]);

  const c1 = await attach(one, { ...NETWORK, mode: "l2" });
  const before = normalise(await host.snapshot());
  const others: [keys: object, named: RegExp][] = [
    [{ mode: "l3" }, /l2.*l3|l3.*l2/],
    [{ mode: "l3s" }, /l2.*l3s|l3s.*l2/],
    [{ flag: "private" }, /private/],
    [{ flag: "vepa" }, /vepa/],
  ];
  for (const [keys, named] of others) {
    const config = { ...NETWORK, name: "other", ...keys };
    const outcome = await host.cni("ipvlan", { command: "ADD", container: two, config });
    refused(
      t,
      outcome,
      { code: 7, msg: /eth0/, details: /|./ },
      `${JSON.stringify(keys)} beside it is refused`,
    );
    const said = `${outcome.error?.msg} ${outcome.error?.details ?? ""}`;
    t.match(said, named, "with what the parent has, and what was asked");
    t.match(said, /c1/, "and who has it");
  }
  await unchanged(t, host, before, "nothing has changed");
  t.ok(await one.ping(underlay.outside.address4), "who goes on");
  silent(t, await c1.del(), "DEL");
  const c2 = await attach(two, { ...NETWORK, mode: "l3" });
  t.equal((await two.link("eth0")).linkinfo?.info_data?.["mode"], "l3", "when nobody is left, it can be had");
  silent(t, await c2.del(), "DEL");
  for (const [keys, msg] of [
    [{ mode: "l4" }, 'unknown ipvlan mode: "l4"'],
    [{ flag: "loud" }, /flag|loud/],
  ] as const) {
    const call = { command: "ADD", container: one, config: { ...NETWORK, ...keys } };
    refused(
      t,
      await host.cni("ipvlan", call),
      { code: 7, msg, details: /|./ },
      `${JSON.stringify(keys)} is none`,
    );
  }
});

/** Attaches both with the flag, asserts what it is for, detaches them. */
async function showFlag(t: Test, { host, outside }: Underlay, flag: string, reached: boolean): Promise<void> {
  const attached: Attachment[] = [];
  for (const container of host.containers.values())
    attached.push(await attach(container, { ...NETWORK, flag }));
  const [c1, c2] = attached;
  if (!c1 || !c2) throw new Error("Two containers");
  const { linkinfo } = await c1.container.link("eth0");
  t.equal(linkinfo?.info_data?.[flag], true, `${flag}: ip shows it`);
  const { addresses } = c2;
  const found = await c1.container.answering(addresses);
  t.strictSame(found, reached ? addresses : [], `container to container: ${reached}`);
  t.strictSame(await outside.answering(addresses), addresses, "whom the wire reaches");
  silent(t, await c1.check(), "CHECK");
  for (const attachment of attached) silent(t, await attachment.del(), "DEL");
}

await t.test("after another plugin, its interface and addresses", { timeout: TIMEOUT_MS }, async (t) => {
  if (lacks) return skip(t, lacks);
  const { host, outside } = await makeUnderlay(t);
  const container = await host.container("c1");
  await showChained(t, host, container);
  const interfaces = [{ name: "eth0" }];
  const many = { interfaces: [{ name: "eth0" }, { name: "eth9" }] };
  for (const [what, result] of [
    ["no interface", { interfaces: [] }],
    ["two of them", many],
  ] as const) {
    const config = { ...NETWORK, master: undefined, prevResult: { cniVersion: "1.1.0", ...result } };
    const outcome = await host.cni("ipvlan", { command: "ADD", container, config });
    const msg = /chained master failure\. PrevResult lacks a single named interface/;
    refused(t, outcome, { msg, details: /|./ }, `prevResult with ${what}: which is the master?`);
  }
  const prevResult = { cniVersion: "1.1.0", interfaces };
  const attachment = await attach(container, { ...NETWORK, master: undefined, prevResult });
  t.ok(await outside.ping(attachment.address), "with IPAM of its own, its addresses count");
  silent(t, await attachment.del(), "DEL");
});

async function showChained(t: Test, host: Host, container: Container): Promise<void> {
  const before = normalise(await host.snapshot());
  const prevResult = {
    cniVersion: "1.1.0",
    interfaces: [{ name: "eth0", mac: "02:00:00:00:00:01" }],
    ips: [{ address: "192.0.2.77/24", gateway: "192.0.2.2" }, { address: "2001:db8:1::77/64" }],
    routes: [{ dst: "10.7.0.0/16", gw: "192.0.2.2" }],
    dns: { nameservers: ["192.0.2.53"] },
  };
  const config = { cniVersion: "1.1.0", name: "net", type: "ipvlan", prevResult };
  const call = { command: "ADD", container, config };
  const { result, stdout } = await host.cni("ipvlan", call);
  t.ok(result, "ADD without master and ipam", { stdout });
  const link = await container.link("eth0");
  t.equal(link.link_index, (await host.link("eth0")).ifindex, "takes prevResult's interface for the master");
  const held = link.addr_info.filter(({ scope }) => scope === "global").map(({ local }) => local);
  t.strictSame(held, ["192.0.2.77", "2001:db8:1::77"], "and its addresses");
  t.match(result?.ips, [{ address: "192.0.2.77/24", gateway: "192.0.2.2" }], "and says so");
  t.strictSame(
    result?.interfaces?.[result?.ips?.[0]?.interface ?? -1]?.sandbox,
    container.path,
    "of its own",
  );
  for (const { address6 } of host.outsides) t.ok(await container.ping(address6), "it is on the wire at once");
  const known = { ...config, prevResult: result };
  silent(t, await host.cni("ipvlan", { ...call, command: "CHECK", config: known }), "CHECK");
  silent(t, await host.cni("ipvlan", { ...call, command: "DEL", config: known }), "DEL");
  t.strictSame(remains(before, await host.snapshot()), [], "nothing is left");
}
