/**
 * vlan: the container has a VLAN of the master to itself. Its tag is on the wire, and what cannot be is said
 * before anything is made.
 */
import t from "tap";
import { attach } from "./fixtures/attachment.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { normalise } from "./fixtures/normalise.ts";
import { refused, silent, unchanged } from "./fixtures/refusal.ts";
import { remains } from "./fixtures/remains.ts";
import { makeUnderlay, underlayNetwork } from "./fixtures/underlay.ts";

const TIMEOUT_MS = 240_000;
t.setTimeout(4 * TIMEOUT_MS);
const addresses = [{ address: "10.10.0.11/24" }, { address: "fd00:10::11/64" }];
const ipam = { type: "static", addresses };
const NETWORK = underlayNetwork("vlan", { vlanId: 10, ipam });
const lacks = await missing("8021q");

await t.test("the tag is on the wire", { timeout: TIMEOUT_MS }, async (t) => {
  if (lacks) return skip(t, lacks);
  const { host, wire, outside } = await makeUnderlay(t, { mtu: 1450 });
  const [one, two] = [await host.container("c1"), await host.container("c2")];
  const steps = ["address add 10.10.0.1/24 dev vlan10", "address add fd00:10::1/64 dev vlan10 nodad"];
  const link = ["link add link eth0 name vlan10 type vlan id 10", ...steps, "link set vlan10 up"];
  await outside.exec("ip", ["-batch", "-"], { input: link.join("\n") });
  const before = normalise(await host.snapshot());
  const capture = await wire.capture("port0", "vlan");
  const c1 = await attach(one, NETWORK);
  const away = ["10.10.0.1", "fd00:10::1"];
  t.strictSame(await one.answering(away), away, "the first packets of it are answered");
  t.match(await capture.frame(/10\.10\.0\.11 > 10\.10\.0\.1: ICMP echo request/), /\bvlan 10\b/, "tag 10");
  t.match(await capture.frame(/fd00:10::11 > fd00:10::1: ICMP6, echo req/), /\bvlan 10\b/, "IPv6, too");
  await capture.stop();
  const { linkinfo, ...shown } = await one.link("eth0");
  t.match(linkinfo, { info_kind: "vlan", info_data: { protocol: "802.1Q", id: 10 } }, "ip shows the VLAN");
  const { ifindex } = await host.link("eth0");
  t.match(shown, { mtu: 1450, operstate: "UP", link_index: ifindex }, "on the master, with its MTU");
  const interfaces = [{ name: "eth0", mac: shown.address, mtu: 1450, sandbox: one.path }];
  t.strictSame(c1.result.interfaces, interfaces, "the result says so");
  t.equal((await host.ip("link", "show", "type", "vlan")).length, 0, "the host has none of it");

  const used = await host.cni("vlan", { command: "ADD", container: two, config: NETWORK });
  refused(
    t,
    used,
    { code: 7, msg: /VLAN 10.*eth0|eth0.*VLAN 10/i, details: /./ },
    "the same VLAN again is refused",
  );
  t.match(`${used.error?.msg} ${used.error?.details}`, /use|exist/, "as one that is in use");
  const c2 = await attach(two, { ...NETWORK, vlanId: 20, mtu: 1400 });
  t.equal((await two.link("eth0")).mtu, 1400, "another is to be had, with an MTU below the master's");
  t.strictSame(await two.answering(away), [], "and does not see the first");
  for (const attachment of [c1, c2]) {
    silent(t, await attachment.check(), `CHECK of ${attachment.container.name}`);
    silent(t, await attachment.del(), "DEL");
  }
  t.strictSame(remains(before, await host.snapshot()), [], "nothing is left");
  const again = await attach(two, NETWORK);
  silent(t, await again.del(), "the VLAN is to be had again");
  await host.exec("ip", ["link", "add", "link", "eth0", "name", "mine", "type", "vlan", "id", "10"]);
  const taken = await host.cni("vlan", { command: "ADD", container: two, config: NETWORK });
  refused(t, taken, { code: 7, msg: /VLAN 10/i, details: /./ }, "nor one that the host has");
});

await t.test("vlanId, and the container's own master", { timeout: TIMEOUT_MS }, async (t) => {
  if (lacks) return skip(t, lacks);
  const { host } = await makeUnderlay(t);
  const container = await host.container("c1");
  for (const [keys, id] of [
    [{ vlanId: 1 }, 1],
    [{ vlanId: 4094 }, 4094],
    [{ VLANID: 0 }, 0],
  ] as const) {
    const config = { ...underlayNetwork("vlan", { ipam }), ...keys };
    const attachment = await attach(container, config);
    const { linkinfo } = await container.link("eth0");
    t.equal(linkinfo?.info_data?.["id"], id, JSON.stringify(keys));
    silent(t, await attachment.check(), "CHECK");
    silent(t, await attachment.del(), "DEL");
  }
  const own = ["link add trunk0 type veth peer name trunk1", "link set trunk0 up", "link set trunk1 up"];
  await container.exec("ip", ["-batch", "-"], { input: own.join("\n") });
  const before = normalise(await host.snapshot());
  const config = { ...NETWORK, master: "trunk0", linkInContainer: true };
  const attachment = await attach(container, config, { ifname: "net1" });
  t.match(
    await container.link("net1"),
    { link: "trunk0" },
    "linkInContainer: it is on the container's trunk0",
  );
  silent(t, await attachment.check(), "CHECK");
  silent(t, await attachment.del(), "DEL");
  t.strictSame(remains(before, await host.snapshot()), [], "nothing is left");
  const lost = await attach(container, config, { ifname: "net1" });
  await container.remove();
  silent(t, await lost.del(), "DEL when it is gone, and the master with it");
  const call = { command: "ADD", container: await host.container("c2"), config, ifname: "net1" };
  const left = normalise(await host.snapshot());
  refused(t, await host.cni("vlan", call), { code: 7, msg: /trunk0/, details: /|./ }, "a master it has not");
  await unchanged(t, host, left, "and nothing has changed");
});
