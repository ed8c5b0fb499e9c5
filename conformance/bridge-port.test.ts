/**
 * A container's port of the bridge, with packets: isolation, hairpin, duplicate detection, an address that
 * moves to another container, and what plain ip and bridge tell of it.
 */
import t from "tap";
import { type Attachment, attach, bridgeNetwork } from "./fixtures/attachment.ts";
import { type Container, type Host, makeHost } from "./fixtures/host.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { normalise } from "./fixtures/normalise.ts";
import { refused, silent } from "./fixtures/refusal.ts";
import { remains } from "./fixtures/remains.ts";

const TIMEOUT_MS = 60_000;
t.setTimeout(5 * TIMEOUT_MS);
const SUBNETS = ["10.40.0.0/24", "fd00:40::/64"];

await t.test("portIsolation", { timeout: TIMEOUT_MS }, async (t) => {
  const host = await makeHost(t);
  const open = bridgeNetwork("net", SUBNETS);
  const isolated = { ...open, portIsolation: true };
  const a = await attach(await host.container("a"), isolated);
  const b = await attach(await host.container("b"), isolated);
  const c = await attach(await host.container("c"), open);
  for (const family of [0, 1]) {
    const [toA = "", toB = "", toC = ""] = [a, b, c].map(({ addresses }) => addresses[family]);
    t.notOk(await a.container.ping(toB), `isolated ports do not reach each other: ${toB}`);
    t.notOk(await b.container.ping(toA), `nor back: ${toA}`);
    t.ok(await c.container.ping(toA), `another port reaches them: ${toA}`);
    t.ok(await b.container.ping(toC), `and they reach it: ${toC}`);
    const gateway = a.result.ips?.[family]?.gateway ?? "";
    t.ok(await a.container.ping(gateway), `they reach their gateway: ${gateway}`);
    t.ok(await host.ping(toB), `which reaches them: ${toB}`);
  }
  const broadcast = await b.container.capture("eth0", "arp");
  await a.container.ping("10.40.0.99");
  await c.container.ping("10.40.0.98");
  await broadcast.frame(/who-has 10.40.0.98/);
  t.notOk(
    broadcast.frames.some((line) => /who-has 10.40.0.99/.test(line)),
    "nor do they hear each other",
  );
  await broadcast.stop();
  silent(t, await a.check(), "CHECK is content");
  await host.exec("bridge", ["link", "set", "dev", (await a.hostEnd()).ifname, "isolated", "off"]);
  t.match((await a.check()).error, { code: 100, msg: /isolation off, not on/ }, "and sees it turned off");
});

/** A namespace behind the container's port, as a VEPA macvlan: frames to another go to the bridge first. */
async function behind(
  host: Host,
  { container }: Attachment,
  name: string,
  address: string,
): Promise<Container> {
  const inner = await host.container(name);
  const link = `link add link eth0 name mv0 netns ${name} type macvlan mode vepa`;
  await host.exec("ip", ["-netns", container.name, ...link.split(" ")]);
  await inner.exec("ip", ["address", "add", address, "dev", "mv0"]);
  await inner.exec("ip", ["link", "set", "mv0", "up"]);
  return inner;
}

for (const hairpinMode of [false, true]) {
  await t.test(`hairpinMode: ${hairpinMode}`, { timeout: TIMEOUT_MS }, async (t) => {
    const lacks = await missing("macvlan");
    if (lacks) return skip(t, lacks);
    const host = await makeHost(t);
    const attachment = await attach(
      await host.container("c1"),
      bridgeNetwork("net", SUBNETS, { hairpinMode }),
    );
    const inner = await behind(host, attachment, "inner1", "10.40.0.201/24");
    await behind(host, attachment, "inner2", "10.40.0.202/24");
    t.ok(await inner.ping("10.40.0.1"), "behind the port, the gateway is reached");
    const reached = await inner.ping("10.40.0.202");
    const what = hairpinMode ? "goes out of that port again" : "does not go out of that port again";
    t.equal(reached, hairpinMode, `what came in by a port ${what}`);
    const { ifname } = await attachment.hostEnd();
    const [port] = await host.bridge("link", "show", "dev", ifname);
    t.equal(port?.["hairpin"], hairpinMode, "bridge link says so");
    silent(t, await attachment.check(), "CHECK is content");
    await host.exec("bridge", ["link", "set", "dev", ifname, "hairpin", hairpinMode ? "off" : "on"]);
    if (!hairpinMode) return silent(t, await attachment.check(), "and when portmap turned it on");
    const wanted = { code: 100, msg: /hairpin mode off, not on/ };
    t.match((await attachment.check()).error, wanted, "and sees it changed");
  });
}

await t.test("enabledad: an IPv6 address that a neighbour has", { timeout: TIMEOUT_MS }, async (t) => {
  const host = await makeHost(t);
  const ipam = { type: "static", addresses: [{ address: "fd00:40::5/64" }] };
  const config = bridgeNetwork("net", [], { isDefaultGateway: false, ipam, enabledad: true });
  const first = await attach(await host.container("first"), config);
  const { addr_info } = await first.container.link("eth0");
  t.notOk(
    addr_info.some(({ tentative }) => tentative),
    "after ADD the first to come has its addresses",
  );
  const second = await host.container("second");
  const before = normalise(await host.snapshot());
  const outcome = await host.cni("bridge", { command: "ADD", config, container: second });
  refused(t, outcome, { msg: "address fd00:40::5/64 is in use by another host" }, "the second is refused");
  t.strictSame(remains(before, await host.snapshot()), [], "and nothing is left of it");
  silent(t, await first.check(), "the first keeps it");
});

await t.test("an address that moves to another container", { timeout: TIMEOUT_MS }, async (t) => {
  const host = await makeHost(t);
  const config = bridgeNetwork("net", SUBNETS);
  const neighbour = await attach(await host.container("neighbour"), config);
  const addresses = ["10.40.0.50", "fd00:40::50"];
  const wanted = { ...config, args: { cni: { ips: addresses } } };
  for (const name of ["first", "second", "third"]) {
    const holder = await attach(await host.container(name), wanted);
    for (const address of addresses) {
      const who = `${address}, held by the ${name}`;
      t.ok(await host.ping(address), `the host reaches ${who}`);
      t.ok(await neighbour.container.ping(address), `and so does a neighbour`);
    }
    silent(t, await holder.del(), "DEL says nothing");
  }
});

await t.test("ip link and bridge tell whose a veth is", { timeout: TIMEOUT_MS }, async (t) => {
  const host = await makeHost(t);
  const config = bridgeNetwork("blue-net", SUBNETS);
  const first = await attach(await host.container("c1"), config, { ifname: "eth0" });
  const second = await attach(
    first.container,
    { ...config, name: "red", bridge: "red0" },
    { ifname: "net1" },
  );
  const { containerId } = first.container;
  t.equal(
    (await first.hostEnd())["ifalias"],
    `weft:blue-net/${containerId}/eth0`,
    "container, interface, network",
  );
  t.equal((await second.hostEnd())["ifalias"], `weft:red/${containerId}/net1`, "also of the second");
  const { stdout } = await host.exec("ip", ["link", "show", "dev", (await first.hostEnd()).ifname]);
  t.match(stdout, `alias weft:blue-net/${containerId}/eth0`, "as plain ip link shows it");
  t.equal((await host.link("cni0"))["ifalias"], "weft:blue-net", "the bridge says which network made it");

  await host.ping(first.address);
  const { address: mac } = await first.container.link("eth0");
  const table = () => host.bridge<{ mac: string; ifname: string }>("fdb", "show", "br", "cni0");
  const ports = (await table()).filter((entry) => entry.mac === mac).map(({ ifname }) => ifname);
  t.strictSame(
    ports,
    [(await first.hostEnd()).ifname],
    "the forwarding table holds the container's MAC on its port",
  );
  const { ifname } = await first.hostEnd();
  await first.del();
  const left = (await table()).filter((entry) => entry.mac === mac || entry.ifname === ifname);
  t.strictSame(left, [], "and forgets it with DEL");
});
