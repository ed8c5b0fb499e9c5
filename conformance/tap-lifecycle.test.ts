/**
 * DEL and CHECK of taps that are no longer as ADD left them, with what the reference plugin makes
 * of it beside it: a case fails when that is no longer so. GC, STATUS, a second ADD.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { attach, type NetworkConfig } from "./fixtures/attachment.ts";
import { type Host, makeHost } from "./fixtures/host.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { normalise } from "./fixtures/normalise.ts";
import type { PluginCall } from "./fixtures/plugin-call.ts";
import { refused, silent, unchanged } from "./fixtures/refusal.ts";
import { makeTwins, type Twins } from "./fixtures/twins.ts";
import { referencePlugins } from "./reference.ts";

const TIMEOUT_MS = 300_000;
t.setTimeout(3 * TIMEOUT_MS);
const lacks = await missing("tun", "bridge");
if (lacks) {
  skip(t, lacks);
  process.exit();
}

const ranges = [[{ subnet: "10.9.0.0/24" }], [{ subnet: "fd00:9::/64" }]];
const ipam = { type: "host-local", ranges, routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0" }] };
/** Neither owner nor group, so that the reference applies the MTU as well. */
const FULL: NetworkConfig = { cniVersion: "1.1.0", name: "net", type: "tap", mtu: 1400, bridge: "br0", ipam };
const LEASES = "/var/lib/cni/networks/net";
/** Without carrier an address stays tentative, for which the reference waits five seconds. */
const BRIDGE = `
ip -n c1 link add br0 type bridge
ip netns exec c1 sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0`;
/** In front of every script. */
const NAMES = `
C="ip -n c1"
IP4=$($C -4 -o address show dev eth0 2> /dev/null | grep -o '10[.]9[.][0-9.]*/24' | head -1) || true
IP6=$($C -6 -o address show dev eth0 2> /dev/null | grep -o 'fd00:9::[0-9a-f]*/64') || true
`;

/** "cleans": exit 0, nothing left. "leaves": exit 0, something left. "fails": exit 1. */
type Fate = "cleans" | "leaves" | "fails";

interface Rest {
  /** Over the call of ADD. */
  call?: Pick<PluginCall, "netns">;
  /** Over the configuration of ADD. */
  keys?: object;
  /** No prevResult, or another one. */
  prevResult?: unknown;
}

/** What was done between ADD and DEL, what the reference makes of it, what else differs in DEL. */
type DelRow = [what: string, script: string, reference: Fate, rest?: Rest];

const NO_NETNS: Rest = { call: { netns: "" } };
const DEL_ROWS: readonly DelRow[] = [
  ["all is there", "", "cleans"],
  ["CNI_NETNS is empty", "", "leaves", NO_NETNS],
  ["CNI_NETNS is empty, the container is gone", "ip netns del c1", "cleans", NO_NETNS],
  ["the container is gone", "ip netns del c1", "cleans"],
  ["the container's file is no namespace any more", "umount /run/netns/c1", "fails"],
  ["the tap is gone", "$C link del eth0", "cleans"],
  ["the tap has no alias", "$C link set eth0 alias ''", "cleans"],
  ["the tap is down, and another's port", "$C link set eth0 down; $C link set eth0 nomaster", "cleans"],
  ["the bridge is gone", "$C link del br0", "cleans"],
  ["the records are gone", "rm -rf /run/weft", "cleans"],
  ["records and container are gone", "rm -rf /run/weft; ip netns del c1", "cleans"],
  ["the leases are gone", `rm ${LEASES}/10.9.0.* ${LEASES}/fd00*`, "cleans"],
  ["the lease folder is gone", `rm -r ${LEASES}`, "cleans"],
  ["no prevResult", "", "cleans", { prevResult: undefined }],
  ["an empty prevResult", "", "cleans", { prevResult: {} }],
  ["another bridge is configured", "", "cleans", { keys: { bridge: "br9" } }],
  ["a wrong mtu since", "", "fails", { keys: { mtu: "many" } }],
  ["a wrong owner since", "", "fails", { keys: { owner: -1 } }],
  ["SELinux is asked for since", "", "cleans", { keys: { selinuxContext: "a:b:c:s0" } }],
];

/** A container of its own for each row, with the bridge that the tap becomes a port of. */
async function renew(twins: Twins): Promise<void> {
  await twins.each(async (host) => {
    await host.exec("sh", ["-c", "ip netns del c1 2> /dev/null || rm -f /run/netns/c1"]);
    await host.exec("sh", ["-c", `rm -rf ${LEASES}/[1f]*`]); // what the reference left
    await host.container("c1");
  });
  await twins.run(BRIDGE);
}

/** What is left: the tap, leases, records. */
async function leftOn(host: Host): Promise<string[]> {
  const script = `ip -n c1 -br link show eth0; ls -d ${LEASES}/[1f]*; find /run/weft/attachments -type f`;
  const { stdout } = await host.exec("sh", ["-c", `{ ${script}; } 2> /dev/null || true`]);
  return stdout.split("\n").filter(Boolean);
}

async function detach(t: Test, twins: Twins, row: DelRow): Promise<void> {
  const [what, script, reference, { call, keys, ...rest } = {}] = row;
  await renew(twins);
  const added = await twins.call("tap", { command: "ADD", config: FULL });
  t.strictSame(
    added.map(({ code }) => code),
    [0, 0],
    `${what}: ADD`,
  );
  await twins.run(`${NAMES}${script}`);
  const given = "prevResult" in rest ? rest.prevResult : undefined;
  const results = [added[0].result, added[1].result] as const;
  const prevResult = "prevResult" in rest ? ([given, given] as never) : results;
  const config = { ...FULL, ...keys };
  const deleted = await twins.call("tap", { command: "DEL", config, prevResult, ...call });
  const left = await twins.each(leftOn);
  silent(t, deleted[1], `${what}: ours says nothing`);
  t.strictSame(left[1], [], `${what}: and leaves nothing`);
  const fate = deleted[0].code !== 0 ? "fails" : left[0].length > 0 ? "leaves" : "cleans";
  t.equal(fate, reference, `${what}: the reference`);
  silent(t, (await twins.call("tap", { command: "DEL", config, ...call }))[1], `${what}: DEL again`);
}

/** What was done, how, what ours says, whether the reference says anything. */
type CheckRow = [what: string, script: string, msg: RegExp, reference: "notices" | "does not"];

const TUNTAP = "$C link del eth0; $C tuntap add eth0";
const AGAIN = "$C link set eth0 master br0 mtu 1400 address $MAC up";
const ADDRESSES = "$C address add $IP4 dev eth0; $C address add $IP6 dev eth0 nodad";
const ROUTES = "$C route add default via 10.9.0.1; $C -6 route add default via fd00:9::1";
const WHOLE = `${AGAIN}; ${ADDRESSES}; ${ROUTES}`;
const MAC = "MAC=$($C -o link show eth0 | sed 's/.*ether //; s/ .*//')";
const CHECK_ROWS: readonly CheckRow[] = [
  ["the address is gone", "$C address del $IP4 dev eth0", /10\.9\.0\.\d+\/24/, "notices"],
  ["the IPv6 address is gone", "$C address del $IP6 dev eth0", /fd00:9::/, "notices"],
  ["the default route is gone", "$C route del default", /^Expected Route .* not found/, "notices"],
  ["the IPv6 default route is gone", "$C -6 route del default", /^Expected Route .* not found/, "notices"],
  ["the tap is down", "$C link set eth0 down", /eth0 is down/, "notices"],
  ["the tap is gone", "$C link del eth0", /eth0/, "notices"],
  ["the MAC is another", "$C link set eth0 address 02:00:00:00:00:99", /eth0.*02:00:00:00:00:99/, "does not"],
  ["the MTU is another", "$C link set eth0 mtu 1300", /eth0.*1300/, "does not"],
  ["the tap is off the bridge", "$C link set eth0 nomaster", /eth0 is not a port of br0/, "does not"],
  ["the bridge is gone", "$C link del br0", /Bridge br0 not found/, "does not"],
  [
    "a dummy has its place",
    `${MAC}; $C link del eth0; $C link add eth0 type bridge; ${WHOLE.replace("master br0", "")}`,
    /eth0 not of type tun/,
    "does not",
  ],
  [
    "a tun has its place",
    `${MAC}; ${TUNTAP} mode tun; $C link set eth0 mtu 1400 up; ${ADDRESSES}; ${ROUTES}`,
    /eth0/,
    "does not",
  ],
  [
    "another's tap has its place",
    `${MAC}; ${TUNTAP} mode tap user 7; ${WHOLE}`,
    /eth0 owner.*none expected, 7 found/,
    "does not",
  ],
  [
    "a group's tap has its place",
    `${MAC}; ${TUNTAP} mode tap group 7; ${WHOLE}`,
    /eth0 group.*none expected, 7 found/,
    "does not",
  ],
  [
    "one of several queues has its place",
    `${MAC}; ${TUNTAP} mode tap multi_queue; ${WHOLE}`,
    /eth0 multiQueue/,
    "does not",
  ],
  [
    "the leases are gone",
    `rm ${LEASES}/10.9.0.* ${LEASES}/fd00*`,
    /^host-local: Failed to find address/,
    "notices",
  ],
];

const TOLERATED: readonly [what: string, script: string][] = [
  ["another address", "$C address add 10.77.0.1/24 dev eth0"],
  ["another route", "$C route add 10.77.0.0/16 via 10.9.0.1"],
  ["another alias", "$C link set eth0 alias mine"],
  ["no record of ours", "rm -rf /run/weft"],
];

async function tamper(t: Test, twins: Twins, row: CheckRow): Promise<void> {
  const [what, script, msg, reference] = row;
  await renew(twins);
  const added = await twins.call("tap", { command: "ADD", config: FULL });
  const prevResult = [added[0].result, added[1].result] as const;
  const good = await twins.call("tap", { command: "CHECK", config: FULL, prevResult });
  t.strictSame(
    good.map(({ code }) => code),
    [0, 0],
    `${what}: CHECK before`,
  );
  await twins.run(`${NAMES}${script}`);
  const [theirs, ours] = await twins.call("tap", { command: "CHECK", config: FULL, prevResult });
  refused(t, ours, { code: 100, msg, details: /.*/s }, `${what}: ours says so`);
  t.equal(theirs.code, reference === "notices" ? 1 : 0, `${what}: the reference`);
}

for (const reference of await referencePlugins()) {
  const { version, dir } = reference;
  if (!reference.missing && !existsSync(join(dir, "tap"))) continue; // 1.1.1 has none
  await t.test(`DEL, beside ${version}`, { timeout: TIMEOUT_MS }, async (t) => {
    if (reference.missing) return t.plan(0, reference.missing);
    const twins = await makeTwins(t, reference);
    for (const row of DEL_ROWS) await detach(t, twins, row);
  });
  await t.test(`CHECK, beside ${version}`, { timeout: TIMEOUT_MS }, async (t) => {
    if (reference.missing) return t.plan(0, reference.missing);
    const twins = await makeTwins(t, reference);
    for (const row of CHECK_ROWS) await tamper(t, twins, row);
    for (const [what, script] of TOLERATED) {
      await renew(twins);
      const added = await twins.call("tap", { command: "ADD", config: FULL });
      const prevResult = [added[0].result, added[1].result] as const;
      await twins.run(`${NAMES}${script}`);
      silent(t, (await twins.call("tap", { command: "CHECK", config: FULL, prevResult }))[1], what);
    }
  });
}

const PLAIN: NetworkConfig = { ...FULL, bridge: "" };

await t.test("CHECK of owner, group and queues that were asked for", { timeout: TIMEOUT_MS }, async (t) => {
  const host = await makeHost(t);
  const container = await host.container("c1");
  const asked = { owner: 5, group: 6, multiQueue: true };
  const attachment = await attach(container, { ...PLAIN, ...asked });
  silent(t, await attachment.check(), "as it was made");
  for (const [key, value, msg] of [
    ["owner", 7, /owner doesn't match: 7 expected, 5 found/],
    ["group", null, /group doesn't match: none expected, 6 found/],
    ["multiQueue", false, /multiQueue doesn't match/],
    ["bridge", "lo", /eth0 is not a port of lo/],
  ] as const) {
    const config = { ...PLAIN, ...asked, [key]: value, prevResult: attachment.result };
    const checked = await host.cni("tap", { command: "CHECK", config, container });
    refused(t, checked, { code: 100, msg }, `another ${key} is configured`);
  }
});

await t.test("GC takes the taps that are not valid, and no other's", { timeout: TIMEOUT_MS }, async (t) => {
  const host = await makeHost(t);
  const start = async (name: string, network: string) =>
    attach(await host.container(name), { ...PLAIN, name: network });
  const [kept, stale, gone] = [
    await start("kept", "net"),
    await start("stale", "net"),
    await start("gone", "net"),
  ];
  const other = await start("other", "red");
  await gone.container.remove();
  await stale.container.exec("ip", ["tuntap", "add", "mine", "mode", "tap"]);
  const before = normalise(await host.snapshot());
  const collect = (valid?: readonly string[]) => {
    const list = valid?.map((containerID) => ({ containerID, ifname: "eth0" }));
    return host.cni("tap", { command: "GC", config: { ...PLAIN, "cni.dev/valid-attachments": list } });
  };
  silent(t, await collect(), "a missing list");
  await unchanged(t, host, before, "does nothing");
  silent(t, await collect([kept.container.containerId]), "a list of one");
  const left = async ({ container }: typeof kept) => (await container.ip("link")).map(({ ifname }) => ifname);
  t.strictSame(await left(stale), ["lo", "mine"], "the stale tap is gone, the other one there is not");
  silent(t, await kept.check(), "the valid one is whole");
  silent(t, await other.check(), "and that of another network");
  const { files } = await host.snapshot();
  const leases = Object.keys(files).filter((path) => /networks\/net\/(10|fd)/.test(path));
  t.equal(leases.length, 2, "the others' leases are given back");
  const records = Object.keys(files).filter((path) => path.startsWith("/run/weft/attachments/net/"));
  t.match(records, [/\/kept-/], "and their records are gone");
  t.equal(records.length, 1);
});

await t.test("a second ADD", { timeout: TIMEOUT_MS }, async (t) => {
  const host = await makeHost(t);
  const container = await host.container("c1");
  const attachment = await attach(container, PLAIN);
  const before = normalise(await host.snapshot());
  const again = await host.cni("tap", { command: "ADD", config: PLAIN, container });
  refused(t, again, { code: 4, msg: /"eth0" already exists/, details: /DEL/ }, "is refused");
  const elsewhere = await host.container("c2");
  const call = { command: "ADD", config: PLAIN, container, netns: elsewhere.path };
  const moved = await host.cni("tap", call);
  refused(t, moved, { code: 4, msg: /already has "eth0"/, details: /DEL/ }, "also in another namespace");
  await elsewhere.remove();
  await unchanged(t, host, before, "and changes nothing");
  silent(t, await attachment.check(), "the first is whole");
});

await t.test("STATUS", { timeout: TIMEOUT_MS }, async (t) => {
  const host = await makeHost(t);
  const container = await host.container("c1");
  const one = { subnet: "10.9.0.0/24", rangeStart: "10.9.0.8", rangeEnd: "10.9.0.8" };
  const config = { ...PLAIN, ipam: { type: "host-local", ranges: [[one]] } };
  const status = () => host.cni("tap", { command: "STATUS", config });
  silent(t, await status(), "ready");
  const before = normalise(await host.snapshot());
  silent(t, await status(), "again");
  await unchanged(t, host, before, "it changes nothing");
  await attach(container, config);
  refused(t, await status(), { code: 50, msg: /./, details: /.*/ }, "no address is left");
});
