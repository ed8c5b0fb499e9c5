/**
 * GC of a bridge that two networks share, and when what tells of attachments is lost; STATUS of a network
 * that cannot take another container. The specification's rules for both are in garbage-collection.test.ts.
 */
import t, { type Test } from "tap";
import { type Attachment, attach, bridgeNetwork, type NetworkConfig } from "./fixtures/attachment.ts";
import { type Host, makeHost } from "./fixtures/host.ts";
import { has, IN_SECOND_KERNEL, skip } from "./fixtures/kernel.ts";
import { normalise } from "./fixtures/normalise.ts";
import { refused, silent, unchanged } from "./fixtures/refusal.ts";
import { remains } from "./fixtures/remains.ts";

const TIMEOUT_MS = 120_000;
t.setTimeout(5 * TIMEOUT_MS);
const PORTS_MAX = 1_023;
const BLUE = bridgeNetwork("blue", ["10.50.0.0/24", "fd00:50::/64"]);
const RED = bridgeNetwork("red", ["10.51.0.0/24"], { isDefaultGateway: false });

interface Stage {
  readonly host: Host;
  /** On blue, and in the list of what is valid. */
  readonly kept: Attachment;
  /** On blue, and not in the list. */
  readonly stale: Attachment;
  /** On red, on the same bridge. */
  readonly other: Attachment;
}

async function makeStage(t: Test): Promise<Stage> {
  const host = await makeHost(t);
  const kept = await attach(await host.container("kept"), BLUE);
  const stale = await attach(await host.container("stale"), BLUE);
  const other = await attach(await host.container("other"), RED);
  return { host, kept, stale, other };
}

function collect(host: Host, config: NetworkConfig, valid?: readonly Attachment[]) {
  const list = valid?.map(({ container, ifname }) => ({ containerID: container.containerId, ifname }));
  return host.cni("bridge", { command: "GC", config: { ...config, "cni.dev/valid-attachments": list } });
}

/** Links that are nobody's business, however like ours they look. */
async function addForeign(host: Host): Promise<string[]> {
  const steps = [
    "link add foreign0 master cni0 type veth peer name foreign1",
    "link add veth00000000 master cni0 type veth peer name foreign2",
    "link set foreign2 alias weft:bluebird/stale-0123456789abcdef/eth0",
    "link set veth00000000 alias blue/stale-0123456789abcdef/eth0",
    "link add foreign3 type bridge",
    "link set foreign3 alias weft:blue/stale-0123456789abcdef/eth0",
  ];
  await host.exec("ip", ["-batch", "-"], { input: steps.join("\n") });
  const links = await host.ip("link", "show");
  return links.map(({ ifname }) => ifname).filter((name) => /^foreign|00000000$/.test(name));
}

await t.test("GC on a bridge that two networks share", { timeout: TIMEOUT_MS }, async (t) => {
  const { host, kept, stale, other } = await makeStage(t);
  const foreign = await addForeign(host);
  t.equal(foreign.length, 5, "there are links of others");
  await host.exec("sh", ["-c", "cp -r /var/lib/cni/networks/blue /var/lib/cni/networks/bluebird"]);
  const before = normalise(await host.snapshot());
  silent(t, await collect(host, BLUE), "a missing list");
  await unchanged(t, host, before, "does nothing");
  silent(t, await collect(host, BLUE, [kept, stale]), "a complete list");
  t.strictSame(remains(before, await host.snapshot()), [], "does nothing either");

  silent(t, await collect(host, BLUE, [kept]), "a list without the stale one");
  const left = (await host.ip("link", "show")).filter(({ ifalias }) => String(ifalias).endsWith("/eth0"));
  const ours = left.filter(({ ifname }) => !foreign.includes(ifname)).map(({ ifalias }) => ifalias);
  const alias = (network: string, name: string) => `weft:${network}/${name}-0123456789abcdef/eth0`;
  t.strictSame(ours.sort(), [alias("blue", "kept"), alias("red", "other")], "takes its veth");
  await showKept(t, { host, kept, stale, other });
  const links = (await host.ip("link", "show")).map(({ ifname }) => ifname);
  t.ok(
    foreign.every((name) => links.includes(name)),
    "links of others are still there",
  );
  const { files } = await host.snapshot();
  const copies = Object.keys(files).filter((path) => path.includes("/bluebird/10.50.0."));
  t.equal(copies.length, 2, "and so are leases of another network");
});

/** What must be so after the stale one was collected, whatever GC found it by. */
async function showKept(t: Test, { host, kept, stale, other }: Stage): Promise<void> {
  t.strictSame((await stale.container.ip("link", "show")).length, 1, "the stale container holds lo alone");
  const { files } = await host.snapshot();
  const leases = Object.entries(files).filter(([path]) => /networks\/(blue|red)\/[\da-f.:]+$/.test(path));
  const held = leases.map(([path, text]) => `${path.split("/").at(-1)} ${text.split("\r\n")[0]}`);
  const expected = [kept, other].flatMap(({ addresses, container }) =>
    addresses.map((address) => `${address} ${container.containerId}`),
  );
  t.strictSame(held.sort(), expected.sort(), "its leases are gone, the others are there");
  for (const address of kept.addresses) t.ok(await host.ping(address), `${address} is still reached`);
  t.ok(await kept.container.ping("fd00:50::1"), "and reaches its gateway");
  silent(t, await kept.check(), "CHECK of the one that is valid is content");
  t.match(await other.container.link("eth0"), { operstate: "UP" }, "and the other network's is up");
}

const LOSSES: readonly [what: string, command: string][] = [
  ["the records", "rm /run/weft/attachments/*/*"],
  ["the aliases", 'for link in /sys/class/net/veth*; do ip link set "${link##*/}" alias ""; done'],
  ["/run/weft", "rm -r /run/weft"],
  ["the index of the leases", "rm -r /run/weft/leases"],
];
for (const [what, command] of LOSSES) {
  await t.test(`GC without ${what}`, { timeout: TIMEOUT_MS }, async (t) => {
    const stage = await makeStage(t);
    const { host, kept } = stage;
    await host.exec("sh", ["-e", "-c", command]);
    silent(t, await collect(host, BLUE, [kept]), "GC");
    await showKept(t, stage);
    silent(t, await stage.kept.del(), "DEL of what is left");
    silent(t, await stage.other.del(), "on both networks");
    const veths = (await host.ip("link", "show")).filter(({ linkinfo }) => linkinfo?.info_kind === "veth");
    t.strictSame(veths, [], "leaves no veth");
  });
}

await t.test("DEL without records and aliases", { timeout: TIMEOUT_MS }, async (t) => {
  const { host, kept, stale, other } = await makeStage(t);
  for (const [, command] of LOSSES.slice(0, 3)) await host.exec("sh", ["-e", "-c", command]);
  for (const attachment of [kept, stale, other]) silent(t, await attachment.del(), "DEL");
  const links = (await host.ip("link", "show")).map(({ ifname }) => ifname);
  t.strictSame(links, ["lo", "cni0"], "no veth is left");
  const { files } = await host.snapshot();
  t.strictSame(remains({ networks: {}, files: {} }, { networks: {}, files }), [], "no lease either");
});

await t.test("GC with an empty list, and the bridge", { timeout: TIMEOUT_MS }, async (t) => {
  const { host } = await makeStage(t);
  const links = async () =>
    (await host.ip("link", "show")).map(({ ifname }) => ifname.replace(/^veth.*/, "veth"));
  silent(t, await collect(host, BLUE, []), "GC of the network that made the bridge");
  t.strictSame((await links()).sort(), ["cni0", "lo", "veth"], "leaves it to the other network");
  silent(t, await collect(host, RED, []), "GC of the other");
  t.strictSame(await links(), ["lo", "cni0"], "leaves it to its owner");
  silent(t, await collect(host, BLUE, []), "who removes it when it has no port");
  t.strictSame(await links(), ["lo"], "and then nothing is left");
});

await t.test("STATUS of a pool that is exhausted", { timeout: TIMEOUT_MS }, async (t) => {
  const host = await makeHost(t);
  const narrow = { subnet: "fd00:52::/64", rangeStart: "fd00:52::8", rangeEnd: "fd00:52::8" };
  const ipam = { type: "host-local", ranges: [[{ subnet: "10.52.0.0/24" }], [narrow]] };
  const config = bridgeNetwork("net", [], { ipam });
  const status = () => host.cni("bridge", { command: "STATUS", config });
  silent(t, await status(), "ready before");
  const attachment = await attach(await host.container("c1"), config);
  const before = normalise(await host.snapshot());
  const wanted = {
    code: 50,
    msg: "no IP addresses available in range set: fd00:52::8-fd00:52::8",
    details: /GC/,
  };
  refused(t, await status(), wanted, "one set of two is enough, and it is named");
  await unchanged(t, host, before, "STATUS changes nothing");
  silent(t, await attachment.del(), "DEL");
  silent(t, await status(), "and it is ready again");
});

await t.test("STATUS when the bridge's name is something else's", { timeout: TIMEOUT_MS }, async (t) => {
  const host = await makeHost(t);
  const config = bridgeNetwork("net", ["10.53.0.0/24"]);
  for (const kind of ["veth", "ifb", "dummy"] as const) {
    if (!(await has(kind))) {
      t.comment(`this kernel has no ${kind}`);
      continue;
    }
    await host.exec("ip", ["link", "add", "cni0", "type", kind]);
    const before = normalise(await host.snapshot());
    const wanted = { code: 50, msg: '"cni0" exists but is not a bridge' };
    refused(t, await host.cni("bridge", { command: "STATUS", config }), wanted, kind);
    await unchanged(t, host, before, "STATUS changes nothing");
    await host.exec("ip", ["link", "delete", "cni0"]);
  }
});

await t.test("a bridge that is full", { timeout: TIMEOUT_MS }, async (t) => {
  if (IN_SECOND_KERNEL) return skip(t, "a thousand links take minutes on an emulated processor");
  const host = await makeHost(t);
  const config = bridgeNetwork("net", ["10.54.0.0/24"]);
  await attach(await host.container("c1"), config);
  // both ends of a pair are ports; they stay down, or frames would go round
  const pairs = Array.from(
    { length: (PORTS_MAX - 1) / 2 },
    (_, n) => `link add a${n} master cni0 type veth peer name b${n}`,
  );
  const others = pairs.map((_, n) => `link set b${n} master cni0`);
  await host.exec("ip", ["-batch", "-"], { input: [...pairs, ...others].join("\n") });
  const ports = await host.ip("link", "show", "master", "cni0");
  t.equal(ports.length, PORTS_MAX, "there is no room for another");
  const status = () => host.cni("bridge", { command: "STATUS", config });
  const wanted = { code: 50, msg: `bridge "cni0" is full: it has ${PORTS_MAX} ports` };
  refused(t, await status(), wanted, "STATUS says so");
  await host.exec("ip", ["link", "set", "a0", "alias", "weft:net"]);
  refused(t, await status(), wanted, "also when one of them is the network's own, for a gateway in a VLAN");
  const container = await host.container("c2");
  const add = () => host.cni("bridge", { command: "ADD", config, container });
  refused(
    t,
    await add(),
    { msg: "the bridge is full: it takes no further port", details: /.*/ },
    "and so does ADD",
  );
  t.equal((await host.ip("link", "show", "master", "cni0")).length, PORTS_MAX, "which leaves no port");
  t.strictSame((await container.ip("link", "show")).length, 1, "and no interface");
  await host.exec("ip", ["link", "set", "b0", "nomaster"]);
  silent(t, await status(), "with one port less it is ready");
  t.match(await add(), { code: 0 }, "and ADD succeeds");
});
