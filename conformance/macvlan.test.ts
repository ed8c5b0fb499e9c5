/**
 * T9 and T13: containers on the physical network, each with a MAC of its own. A machine on the same wire
 * reaches them, the modes say who else does, and the host does not: of all that, packets are the witness.
 */
import t, { type Test } from "tap";
import { type Attachment, attach } from "./fixtures/attachment.ts";
import { IN_SECOND_KERNEL, missing, skip } from "./fixtures/kernel.ts";
import type { Netns } from "./fixtures/netns.ts";
import { normalise } from "./fixtures/normalise.ts";
import { refused, silent, unchanged } from "./fixtures/refusal.ts";
import { remains } from "./fixtures/remains.ts";
import { makeUnderlay, type Underlay, underlayNetwork, wireAddresses } from "./fixtures/underlay.ts";

const TIMEOUT_MS = 240_000;
t.setTimeout(5 * TIMEOUT_MS);
const NETWORK = underlayNetwork("macvlan");
const lacks = await missing("macvlan");

/** The MAC that a neighbour resolved the address to, as ip shows it. */
async function neighbour(netns: Netns, address: string): Promise<unknown> {
  const [entry] = await netns.ip("neighbour", "show", "to", address, "dev", "eth0");
  return entry?.["lladdr"];
}

const FAMILIES = [[4, 6], [4], [6]] as const;
for (const families of IN_SECOND_KERNEL ? FAMILIES.slice(0, 1) : FAMILIES) {
  const name = `T9 over ${families.map((family) => `IPv${family}`).join(" and ")}`;
  await t.test(`${name}: a flat network`, { timeout: TIMEOUT_MS }, async (t) => {
    if (lacks) return skip(t, lacks);
    const underlay = await makeUnderlay(t);
    const { host } = underlay;
    const config = { ...NETWORK, ipam: wireAddresses(families) };
    const [one, two] = [await host.container("c1"), await host.container("c2")];
    const before = normalise(await host.snapshot());
    const c1 = await attach(one, config);
    for (const family of families) await showFirstPacket(t, underlay, c1, family);
    const c2 = await attach(two, config);
    for (const index of families.keys()) await showFlat(t, underlay, { c1, c2, index });
    await showLink(t, underlay, c1);
    for (const attachment of [c1, c2]) {
      silent(t, await attachment.check(), `CHECK of ${attachment.container.name}`);
      silent(t, await attachment.del(), "DEL");
    }
    t.strictSame(remains(before, await host.snapshot()), [], "nothing is left");
  });
}

/** Right after ADD: an address under duplicate detection could not be used. */
async function showFirstPacket(
  t: Test,
  { wire, outside }: Underlay,
  { container, result }: Attachment,
  family: 4 | 6,
): Promise<void> {
  const away = family === 4 ? outside.address4 : outside.address6;
  const capture = await wire.capture("port0", family === 4 ? "icmp" : "icmp6");
  t.ok(await container.ping(away), `the first packet to ${away} is answered`);
  const { address: mac } = await container.link("eth0");
  const { address: hostMac } = await container.host.link("eth0");
  const frame = await capture.frame(/echo request/);
  t.ok(frame.startsWith(`${mac} > `), "on the wire it comes from the container's MAC", { frame, mac });
  t.not(mac, hostMac, "which is not the host's");
  t.equal(result.interfaces?.[0]?.mac, mac, "and is the one that ADD printed");
  await capture.stop();
}

interface Flat {
  readonly c1: Attachment;
  readonly c2: Attachment;
  readonly index: number;
}

async function showFlat(t: Test, { host, outside }: Underlay, { c1, c2, index }: Flat): Promise<void> {
  const [first = "", second = ""] = [c1.addresses[index], c2.addresses[index]];
  const isIpv6 = first.includes(":");
  const hostAddress = isIpv6 ? outside.hostAddress6 : outside.hostAddress4;
  t.equal(first, isIpv6 ? "2001:db8:1::50" : "192.0.2.50", "the address is of the physical subnet");
  const all = [first, second, hostAddress];
  t.strictSame(await outside.answering(all), all, "a machine on the wire reaches containers and the host");
  const { address: mac } = await c2.container.link("eth0");
  t.equal(await neighbour(outside, second), mac, "and has the container's MAC for it");
  t.strictSame(await c1.container.answering([second, hostAddress]), [second], "a container, the other alone");
  t.strictSame(await c2.container.answering([first, hostAddress]), [first], "and the other way around");
  t.strictSame(await host.answering([first, second]), [], "the host does not reach its own containers");
}

async function showLink(t: Test, { host }: Underlay, { container, result }: Attachment): Promise<void> {
  const link = await container.link("eth0");
  const { ifindex } = await host.link("eth0");
  t.match(link, { mtu: 1500, operstate: "UP", linkinfo: { info_kind: "macvlan" } }, "the link is up");
  t.equal(link.linkinfo?.info_data?.["mode"], "bridge", "in bridge mode");
  t.equal(link.link_index, ifindex, "on the host's eth0");
  t.equal(link["ifalias"], `weft:net/${container.containerId}/eth0`, "and says whose it is");
  const { interfaces = [], ips = [] } = result;
  const wanted = [{ name: "eth0", mac: link.address, mtu: 1500, sandbox: container.path }];
  t.strictSame(interfaces, wanted, "the result has this one interface");
  t.ok(
    ips.every((ip) => ip.interface === 0 && ip.gateway !== undefined),
    "and the addresses, with the network's gateway, on it",
  );
  const links = (await container.ip("link", "show")).map(({ ifname }) => ifname);
  t.strictSame(links, ["lo", "eth0"], "the container has no other");
}

await t.test("the modes, and who reaches whom", { timeout: 2 * TIMEOUT_MS }, async (t) => {
  if (lacks) return skip(t, lacks);
  const underlay = await makeUnderlay(t);
  const { host, wire, outside } = underlay;
  const [one, two] = [await host.container("c1"), await host.container("c2")];

  /** Attaches both, asserts what the mode is for, detaches them. */
  async function show(t: Test, mode: string, reached: boolean): Promise<void> {
    const config = { ...NETWORK, mode };
    const [c1, c2] = [await attach(one, config), await attach(two, config)];
    const { linkinfo } = await one.link("eth0");
    t.equal(linkinfo?.info_data?.["mode"], mode, "ip shows the mode");
    const wire = [outside.address4, outside.address6];
    t.strictSame(await one.answering(wire), wire, "a container reaches the wire");
    const { addresses } = c2;
    const found = await one.answering(addresses);
    t.strictSame(found, reached ? addresses : [], `container to container: ${reached}`);
    t.strictSame(await outside.answering(addresses), addresses, "whom the wire reaches");
    silent(t, await c1.check(), "CHECK");
    for (const attachment of [c1, c2]) silent(t, await attachment.del(), "DEL");
  }

  await t.test("bridge: containers reach each other", (t) => show(t, "bridge", true));
  await t.test("private: they do not", (t) => show(t, "private", false));
  await t.test("vepa: not as long as the switch sends nothing back", (t) => show(t, "vepa", false));
  await wire.exec("bridge", ["link", "set", "dev", "port0", "hairpin", "on"]);
  await t.test("vepa: they do by a switch that does", (t) => show(t, "vepa", true));
  await t.test("private: not even then", (t) => show(t, "private", false));
  await wire.exec("bridge", ["link", "set", "dev", "port0", "hairpin", "off"]);
  await t.test("passthru: one container has the master for itself", (t) => showPassthru(t, underlay));
});

async function showPassthru(t: Test, { host, outside }: Underlay): Promise<void> {
  const [one, two] = [host.containers.get("c1"), host.containers.get("c2")];
  if (!one || !two) throw new Error("No containers");
  const config = { ...NETWORK, mode: "passthru" };
  const c1 = await attach(one, config);
  const { address: mac } = await host.link("eth0");
  t.equal((await one.link("eth0")).address, mac, "the container has the master's MAC");
  t.equal(c1.result.interfaces?.[0]?.mac, mac, "and ADD prints it");
  t.strictSame(await outside.answering(c1.addresses), c1.addresses, "the wire reaches it");
  silent(t, await c1.check(), "CHECK");
  const before = normalise(await host.snapshot());
  for (const mode of ["passthru", "bridge", "private", "vepa"]) {
    const call = { command: "ADD", container: two, config: { ...NETWORK, mode } };
    const wanted = { code: 7, msg: /eth0/, details: /./ };
    refused(t, await host.cni("macvlan", call), wanted, `a second container, ${mode}, is refused`);
  }
  await unchanged(t, host, before, "and nothing has changed");
  t.ok(await one.ping(outside.address4), "the first goes on");
  silent(t, await c1.del(), "DEL");
  const c2 = await attach(two, NETWORK);
  const other = { command: "ADD", container: one, config };
  refused(t, await host.cni("macvlan", other), { code: 7, msg: /eth0/, details: /./ }, "passthru is");
  t.ok(await two.ping(outside.address4), "for a master in use: who uses it goes on");
  silent(t, await c2.del(), "DEL");
  const c3 = await attach(one, config);
  t.ok(await one.ping(outside.address4), "when nobody does, the next has it");
  silent(t, await c3.del(), "DEL");
  t.equal((await host.link("eth0"))["promiscuity"], 0, "the master is not promiscuous any more");
}
