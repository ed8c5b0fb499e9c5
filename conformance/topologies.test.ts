/**
 * The networks that users build, with packets: the default bridge over IPv4, IPv6 and
 * both, a second network for a running container, a stack that two containers share,
 * and no network at all. Each assertion is a sentence of what the topology has to show.
 *
 * Without masquerading the outside host needs a route back, and then sees the container's own address.
 */
import t, { type Test } from "tap";
import { type Attachment, attach, bridgeNetwork } from "./fixtures/attachment.ts";
import { type Container, type Host, makeHost } from "./fixtures/host.ts";
import type { Netns } from "./fixtures/netns.ts";
import { normalise } from "./fixtures/normalise.ts";
import { answered, refused, silent, unchanged } from "./fixtures/refusal.ts";
import { remains } from "./fixtures/remains.ts";
import type { Outside } from "./fixtures/wiring.ts";

const TIMEOUT_MS = 120_000;
t.setTimeout(5 * TIMEOUT_MS);
const MAC = "02:00:00:00:00:01"; // of the second container, asked for

interface FamilyCase {
  readonly subnet: string;
  readonly addresses: readonly [first: string, second: string];
  readonly gateway: string;
  readonly defaultRoute: string;
  readonly forwarding: string;
  readonly outside: (outside: Outside) => string;
  readonly back: (outside: Outside) => string;
}

const IPV4: FamilyCase = {
  subnet: "172.17.0.0/16",
  addresses: ["172.17.0.2/16", "172.17.0.3/16"],
  gateway: "172.17.0.1",
  defaultRoute: "-4",
  forwarding: "net/ipv4/ip_forward",
  outside: ({ address4 }) => address4,
  back: ({ hostAddress4 }) => hostAddress4,
};
const IPV6: FamilyCase = {
  subnet: "fd00:17::/64",
  addresses: ["fd00:17::2/64", "fd00:17::3/64"],
  gateway: "fd00:17::1",
  defaultRoute: "-6",
  forwarding: "net/ipv6/conf/all/forwarding",
  outside: ({ address6 }) => address6,
  back: ({ hostAddress6 }) => hostAddress6,
};

const DEFAULT_BRIDGES: readonly [name: string, families: readonly FamilyCase[]][] = [
  ["T1: the default bridge", [IPV4]],
  ["T13: the default bridge over IPv6", [IPV6]],
  ["T13: the default bridge over IPv4 and IPv6", [IPV4, IPV6]],
];

for (const [name, families] of DEFAULT_BRIDGES) {
  await t.test(name, { timeout: TIMEOUT_MS }, async (t) => {
    const host = await makeHost(t);
    const outside = await host.outside();
    const network = bridgeNetwork(
      "net",
      families.map(({ subnet }) => subnet),
      { bridge: "docker0" },
    );
    const c1 = await attach(await host.container("c1"), network);
    for (const { gateway } of families) t.ok(await c1.container.ping(gateway), `${gateway} answers at once`);
    await noneTentative(t, c1);
    const c2 = await attach(await host.container("c2"), { ...network, args: { cni: { mac: MAC } } });
    await noneTentative(t, c2);
    for (const [index, family] of families.entries()) {
      await t.test(family.subnet, (t) => showDefaultBridge(t, { host, outside, c1, c2, family, index }));
    }
    t.equal((await c2.container.link("eth0")).address, MAC, "the MAC that was asked for");
    await showHostSide(t, host, c1);
    await showHostSide(t, host, c2);
    silent(t, await c1.check(), "CHECK finds all of it");
    silent(t, await c2.check(), "CHECK finds all of it, for both");
  });
}

/** No time is measured: an address under duplicate detection says so, and cannot be used until it is over. */
async function noneTentative(t: Test, { container, ifname }: Attachment): Promise<void> {
  const places: [Netns, string][] = [
    [container, ifname],
    [container.host, "docker0"],
  ];
  for (const [netns, link] of places) {
    const addresses = (await netns.link(link)).addr_info.filter(({ scope }) => scope === "global");
    const waiting = addresses.filter(({ tentative, dadfailed }) => tentative || dadfailed);
    t.same(waiting, [], `no address of ${link} waits for duplicate-address detection`);
  }
}

interface DefaultBridge {
  readonly host: Host;
  readonly outside: Outside;
  readonly c1: Attachment;
  readonly c2: Attachment;
  readonly family: FamilyCase;
  readonly index: number;
}

async function showDefaultBridge(t: Test, stage: DefaultBridge): Promise<void> {
  const { host, outside, c1, c2, family, index } = stage;
  const { subnet, gateway, defaultRoute, addresses } = family;
  for (const [n, { container, result }] of [c1, c2].entries()) {
    const { addr_info } = await container.link("eth0");
    const held = addr_info
      .filter(({ scope }) => scope === "global")
      .map((it) => `${it.local}/${it.prefixlen}`);
    const name = `eth0 of ${container.name} holds an address of the subnet`;
    t.equal(held[index], addresses[n], name, { held });
    t.match(result.ips?.[index], { address: addresses[n], gateway, interface: 2 }, "and the result says so");
    const routes = await container.ip(defaultRoute, "route", "show", "default");
    const found = routes.map((route) => ({ gateway: route.gateway, dev: route.dev }));
    t.strictSame(found, [{ gateway, dev: "eth0" }], "default route by the bridge's address");
  }
  const bridge = await host.link("docker0");
  t.ok(
    bridge.addr_info.some(({ local }) => local === gateway),
    "which the bridge has",
  );

  const [first = "", second = ""] = [c1.addresses[index], c2.addresses[index]];
  t.ok(await c1.container.ping(second), "container to container by IP");
  t.ok(await c2.container.ping(first), "and back");
  t.ok(await host.ping(first), "the host reaches the container");

  const away = family.outside(outside);
  t.notOk(await c1.container.ping(away), "an outside host without a route back does not answer");
  await outside.exec("ip", ["route", "add", subnet, "via", family.back(outside)]);
  for (const protocol of ["tcp", "udp"] as const) {
    const server = await outside.serve({ protocol });
    const answer = await c1.container.ask({ protocol, address: away, port: server.port });
    const name = `container to an outside host over ${protocol}, which sees the container's address as the source`;
    t.match(answer, { error: undefined, text: "hello", seenAddress: first }, name);
    await server.stop();
  }
  t.equal(await host.sysctl(family.forwarding), "1", `${family.forwarding} is 1`);
}

async function showHostSide(t: Test, host: Host, attachment: Attachment): Promise<void> {
  const { container, result } = attachment;
  // /sys shows the namespace it was mounted in
  const ownSys = 'mount -t sysfs sysfs /sys && exec cat "$1"';
  const read = ["--mount", "sh", "-c", ownSys, "sh", "/sys/class/net/eth0/iflink"];
  const iflink = Number((await container.exec("unshare", read)).stdout);
  const veth = (await host.ip("link", "show")).find(({ ifindex }) => ifindex === iflink);
  const name = "iflink of eth0 is the host veth's ifindex";
  t.match(veth, { ifname: result.interfaces?.[1]?.name, linkinfo: { info_kind: "veth" } }, name);
  t.equal(veth?.master, "docker0", "and the host veth's master is the bridge");

  const { address: mac } = await container.link("eth0");
  t.equal(result.interfaces?.[2]?.mac, mac, "the MAC of the result is the container's");
  const table = await host.bridge<{ mac: string; ifname: string }>("fdb", "show", "br", "docker0");
  const ports = table.filter((entry) => entry.mac === mac).map(({ ifname }) => ifname);
  t.strictSame(ports, [veth?.ifname], "the bridge's forwarding table holds the container's MAC on its port");
}

await t.test("T3: a second network for a running container", { timeout: TIMEOUT_MS }, async (t) => {
  const host = await makeHost(t);
  await host.outside();
  const [c1, c2, c3] = [await host.container("c1"), await host.container("c2"), await host.container("c3")];
  const front = bridgeNetwork("front", ["10.18.0.0/24"], { bridge: "br-front" });
  // Two networks with gateways on one host are routed into each other: to forbid that is a firewall's work.
  const back = bridgeNetwork("back", ["10.19.0.0/24"], { bridge: "br-back", isDefaultGateway: false });
  const first = await attach(c1, front);
  const inFront = await attach(c2, front);
  const inBack = await attach(c3, back);
  const before = normalise(await host.snapshot());

  const second = await attach(c1, back, { ifname: "eth1" });
  await t.test("connected", async (t) => {
    t.same(await waysOf(c1, [inFront.address, inBack.address]), ["eth0", "eth1"], "a way to each network");
    t.ok(await c1.ping(inFront.address, { from: "eth0" }), "the first is reachable through eth0");
    t.ok(await c1.ping(inBack.address, { from: "eth1" }), "the second is reachable through eth1");
    t.ok(await c3.ping(second.address), "and reaches the container at its address there");
    const defaults = (await c1.ip("route", "show", "default")).map(({ dev, gateway }) => [dev, gateway]);
    t.strictSame(defaults, [["eth0", "10.18.0.1"]], "the default route stays with the first");
    const across: [Container, string][] = [
      [c2, inBack.address],
      [c2, second.address],
      [c3, inFront.address],
      [c3, first.address],
    ];
    for (const [from, to] of across) {
      t.notOk(await from.ping(to), `the address on the other network is still not reachable across: ${to}`);
    }
    silent(t, await first.check(), "CHECK of eth0 is content");
    silent(t, await second.check(), "CHECK of eth1 is content");
  });

  await t.test("disconnected", async (t) => {
    silent(t, await second.del(), "DEL says nothing");
    const left = remains(before, await host.snapshot());
    t.strictSame(left, [], "disconnect takes away exactly eth1, its address, its lease and its rules");
    t.ok(await c1.ping(inFront.address), "the first network is as it was");
    t.notOk(await c1.ping(inBack.address), "the second is gone");
    silent(t, await first.check(), "CHECK of eth0 is content");
  });
});

/** The interface that the kernel would send to each of the addresses by. */
async function waysOf(netns: Netns, addresses: readonly string[]): Promise<(string | undefined)[]> {
  const ways = await Promise.all(addresses.map((address) => netns.ip("route", "get", address)));
  return ways.map(([way]) => way?.dev);
}

await t.test("T4: two containers share one network stack", { timeout: TIMEOUT_MS }, async (t) => {
  const host = await makeHost(t);
  const pod = await host.container("pod");
  const network = bridgeNetwork("net", ["10.4.0.0/24", "fd00:4::/64"]);
  await attach(pod, { cniVersion: "1.1.0", name: "net", type: "loopback" }, { ifname: "lo" });
  const attachment = await attach(pod, network);

  // Two containers of a pod differ in everything but the network.
  const separate = ["--mount", "--pid", "--fork", "--uts", "--ipc", "ip", "-j", "address", "show"];
  const seen = [await pod.exec("unshare", separate), await pod.exec("unshare", separate)];
  const [left, right] = seen.map(({ stdout }) => JSON.parse(stdout));
  t.strictSame(left, right, "same addresses and same MAC seen by both");
  const eth0 = left.find(({ ifname }: { ifname: string }) => ifname === "eth0");
  t.match(eth0, { address: attachment.result.interfaces?.[2]?.mac }, "those of the one ADD");

  const server = await pod.serve({ protocol: "tcp", greeting: "one: " });
  const loopbacks = ["127.0.0.1", "::1"];
  for (const address of loopbacks) {
    const answer = await pod.ask({ protocol: "tcp", address, port: server.port });
    t.match(answer, { text: "one: hello", seenAddress: address }, `they talk over ${address}`);
  }

  const before = normalise(await host.snapshot());
  const again = await host.cni("bridge", { command: "ADD", config: network, container: pod });
  const msg = 'container interface "eth0" already exists in "/run/netns/pod"';
  const details = "choose another CNI_IFNAME, or run DEL first";
  refused(
    t,
    again,
    { code: 4, msg, details },
    "a second ADD of the same ifname is refused with a clear error",
  );
  const other = { ...network, name: "other", bridge: "br-other" };
  const elsewhere = await host.cni("bridge", { command: "ADD", config: other, container: pod });
  refused(t, elsewhere, { code: 4, msg, details }, "also on another network");
  await unchanged(t, host, before, "and harms nothing");
  silent(t, await attachment.check(), "CHECK of the first is content");
  t.ok(await pod.ping("10.4.0.1"), "and its packets pass");
});

await t.test("T6: no network", { timeout: TIMEOUT_MS }, async (t) => {
  const host = await makeHost(t);
  const outside = await host.outside();
  const neighbour = await attach(await host.container("neighbour"), bridgeNetwork("net", ["10.6.0.0/24"]));
  const container = await host.container("c1");
  t.notOk(await container.ping("127.0.0.1"), "before ADD not even itself is reachable");
  const config = { cniVersion: "1.1.0", name: "none", type: "loopback" };
  const call = { config, container, ifname: "lo" };
  const added = await host.cni("loopback", { ...call, command: "ADD" });
  const mac = "00:00:00:00:00:00";
  const result = {
    cniVersion: "1.1.0",
    interfaces: [{ name: "lo", mac, mtu: 65_536, sandbox: container.path }],
    ips: [
      { interface: 0, address: "127.0.0.1/8" },
      { interface: 0, address: "::1/128" },
    ],
  };
  answered(t, added, result, "the result says what is there");

  const links = await container.ip("address", "show");
  t.strictSame(
    links.map(({ ifname }) => ifname),
    ["lo"],
    "lo is the only interface",
  );
  const [lo] = links;
  t.ok(lo?.flags.includes("UP"), "lo is up");
  const held = lo?.addr_info.map(({ local }) => local);
  t.strictSame(held, ["127.0.0.1", "::1"], "with 127.0.0.1 and ::1");
  for (const address of ["127.0.0.1", "::1"]) t.ok(await container.ping(address), `${address} answers`);
  const others = [neighbour.address, "10.6.0.1", outside.address4, outside.address6, outside.hostAddress4];
  for (const address of others)
    t.notOk(await container.ping(address), `nothing else is reachable: ${address}`);

  silent(t, await host.cni("loopback", { ...call, command: "DEL" }), "DEL says nothing");
  t.notOk((await container.link("lo")).flags.includes("UP"), "after DEL lo is down");
});
