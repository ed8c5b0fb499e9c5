/**
 * CHECK of ptp after each tampering with a good attachment, and DEL of what is no longer whole. Ours notices
 * all of it, and leaves nothing; what the reference plugins do is written beside it, and a case fails when
 * that is no longer so.
 */
import t, { type Test } from "tap";
import type { Host } from "./fixtures/host.ts";
import { type NormalSnapshot, normalise } from "./fixtures/normalise.ts";
import type { CniResult, PluginCall } from "./fixtures/plugin-call.ts";
import { refused, silent } from "./fixtures/refusal.ts";
import { remains } from "./fixtures/remains.ts";
import { makeTwins, type Pair, type Twins } from "./fixtures/twins.ts";
import { newestPlugins } from "./reference.ts";

const TIMEOUT_MS = 300_000;
t.setTimeout(2 * TIMEOUT_MS);

const ranges = [[{ subnet: "10.1.0.0/24" }], [{ subnet: "fd01::/64" }]];
const routes = [{ dst: "0.0.0.0/0" }, { dst: "::/0" }];
const FULL = { mtu: 1400, ipMasq: true, ipam: { type: "host-local", ranges, routes } };
const LEASES = "/var/lib/cni/networks/net";
/** In front of every script: the container's addresses, and the host's end of its veth. */
const NAMES = `
C="ip -n c1"
IP4=$($C -4 -o address show dev eth0 2> /dev/null | grep -o '10[.]1[.]0[.][0-9]*' | head -1) || true
IP6=$($C -6 -o address show dev eth0 2> /dev/null | grep -o 'fd01::[0-9a-f]*' | head -1) || true
VETH=$(ip -o link show type veth | sed -n 's/^[0-9]*: \\(veth[^@]*\\)@.*/\\1/p' | head -1)
`;

const config = { cniVersion: "1.1.0", name: "net", type: "ptp", ...FULL };

/** What was done, how, what ours says, whether the reference says anything, what to put back afterwards. */
type CheckRow = [
  what: string,
  script: string,
  msg: RegExp,
  reference: "notices" | "does not",
  restore?: string,
];

const ROUTE_GONE = (route: string) => new RegExp(`^Expected Route ${route} not found on interface eth0$`);

const CHECKS: readonly CheckRow[] = [
  ["the address is gone", "$C address del $IP4/24 dev eth0", /10\.1\.0\.\d+\/24/, "notices"],
  ["the IPv6 address is gone", "$C address del $IP6/64 dev eth0", /fd01::/, "notices"],
  [
    "the address has another prefix length",
    "$C address add $IP4/25 dev eth0 noprefixroute; $C address del $IP4/24 dev eth0",
    /10\.1\.0\.\d+\/24/,
    "notices",
  ],
  ["the default route is gone", "$C route del default", ROUTE_GONE(".*default.*"), "notices"],
  ["the IPv6 default route is gone", "$C -6 route del default", ROUTE_GONE(".*default.*"), "notices"],
  [
    "the subnet's route is gone",
    "$C route del 10.1.0.0/24",
    ROUTE_GONE("10\\.1\\.0\\.0/24 via 10\\.1\\.0\\.1"),
    "notices",
  ],
  [
    "the IPv6 subnet's route is gone",
    "$C -6 route del fd01::/64",
    ROUTE_GONE("fd01::/64 via fd01::1"),
    "notices",
  ],
  [
    "the subnet is thought to be on the link",
    "$C route del 10.1.0.0/24; $C route add 10.1.0.0/24 dev eth0",
    ROUTE_GONE("10\\.1\\.0\\.0/24 via 10\\.1\\.0\\.1"),
    "does not",
  ],
  ["the gateway's route is gone", "$C route del 10.1.0.1", ROUTE_GONE("10\\.1\\.0\\.1/32"), "does not"],
  ["the IPv6 gateway's route is gone", "$C -6 route del fd01::1", ROUTE_GONE("fd01::1/128"), "does not"],
  ["the container's interface is down", "$C link set eth0 down", /eth0/, "notices"],
  ["the container's interface is gone", "$C link del eth0", /eth0/, "notices"],
  [
    "the container's interface has another name",
    "$C link set eth0 down; $C link set eth0 name eth9",
    /eth0/,
    "notices",
    "ip -n c1 link del eth9 || true", // the reference leaves it
  ],
  [
    "the container's interface is of another kind",
    "$C link del eth0; $C link add eth0 type bridge",
    /eth0/,
    "notices",
    "ip -n c1 link del eth0 || true",
  ],
  [
    "the container's MAC is another",
    "$C link set eth0 address 02:00:00:00:00:99",
    /eth0.*02:00:00:00:00:99/i,
    "notices",
  ],
  ["the container's MTU is another", "$C link set eth0 mtu 1300", /eth0.*1300/, "does not"],
  ["the host's MTU is another", "ip link set $VETH mtu 1300", /veth\w+.*1300/, "does not"],
  [
    "the host's MAC is another",
    "ip link set $VETH address 02:00:00:00:00:99",
    /veth\w+.*02:00:00:00:00:99/i,
    "does not",
  ],
  ["the host's end is down", "ip link set $VETH down", /^Interface veth\w+ is down$/, "does not"],
  [
    "the host's end is elsewhere",
    "ip netns add c9; ip link set $VETH netns c9",
    /^Interface eth0 has no other end on this host$/,
    "does not",
    "ip netns del c9",
  ],
  [
    "the gateway's address is gone",
    "ip address del 10.1.0.1/32 dev $VETH",
    /^Gateway address 10\.1\.0\.1\/32 not found on veth/,
    "does not",
  ],
  [
    "the gateway's IPv6 address is gone",
    "ip address del fd01::1/128 dev $VETH",
    /^Gateway address fd01::1\/128 not found on veth/,
    "does not",
  ],
  [
    "the host's route is gone",
    "ip route del $IP4",
    /^Route to 10\.1\.0\.\d+ by veth\w+ not found$/,
    "does not",
  ],
  [
    "the host's IPv6 route is gone",
    "ip -6 route del $IP6",
    /^Route to fd01::\w+ by veth\w+ not f/,
    "does not",
  ],
  [
    "the host's route leads elsewhere",
    "ip route del $IP4; ip link add other0 type bridge; ip link set other0 up; ip route add $IP4 dev other0",
    /^Route to 10\.1\.0\.\d+ by veth\w+ not found$/,
    "does not",
    "ip link del other0",
  ],
  ["IPv4 is not forwarded", "sysctl -qw net.ipv4.ip_forward=0", /^IPv4 forwarding is off$/, "does not"],
  [
    "IPv6 is not forwarded",
    "sysctl -qw net.ipv6.conf.all.forwarding=0",
    /^IPv6 forwarding is off$/,
    "does not",
  ],
  ["nothing is masqueraded", "nft flush ruleset", /masq|inet weft/, "does not"],
  ["IPv6 is not masqueraded", "nft flush set inet weft masq6 || nft flush ruleset", /masq6/, "does not"],
  [
    "both leases are gone",
    `rm ${LEASES}/10.1.0.[2-9]* ${LEASES}/fd01*`,
    /^host-local: Failed to find address added by container c1-0123456789abcdef/,
    "notices",
  ],
];

/** What CHECK has to put up with: later plugins and the administrator may add to an attachment. */
const TOLERATED: readonly [what: string, script: string][] = [
  ["another route", "$C route add 10.77.0.0/16 via 10.1.0.1"],
  ["another address", "$C address add 10.77.0.1/24 dev eth0"],
  ["another interface", "$C link add other0 type bridge"],
  ["another address of the host's end", "ip address add 10.88.0.1/24 dev $VETH"],
  ["another route by the host's end", "ip route add 10.99.0.0/24 via $IP4"],
  ["no record of ours", "rm -rf /run/weft"],
];

async function attach(twins: Twins, config: object): Promise<Pair<CniResult | undefined>> {
  const added = await twins.call("ptp", { command: "ADD", config });
  return [added[0].result, added[1].result];
}

async function tamper(t: Test, twins: Twins, config: object, row: CheckRow): Promise<void> {
  const [what, script, msg, reference, restore] = row;
  const prevResult = await attach(twins, config);
  const good = await twins.call("ptp", { command: "CHECK", config, prevResult });
  await twins.run(`${NAMES}${script}`);
  const [theirs, ours] = await twins.call("ptp", { command: "CHECK", config, prevResult });
  const wanted = { good: 0, ours: 1, reference: reference === "notices" ? 1 : 0 };
  t.strictSame({ good: good[1].code, ours: ours.code, reference: theirs.code }, wanted, what);
  if (ours.code !== 0) refused(t, ours, { code: 100, msg, details: /.*/ }, `${what}: ours says so`);
  await twins.call("ptp", { command: "DEL", config, prevResult });
  if (restore) await twins.run(restore);
}

/** "cleans": exit 0, nothing left. "leaves": exit 0, something left. "fails": exit 1. */
type Fate = "cleans" | "leaves" | "fails";

interface Rest {
  /** Over the call of ADD. */
  call?: Pick<PluginCall, "netns">;
  /** Over the configuration of ADD. */
  keys?: object;
  prevResult?: undefined;
}

/** What was done between ADD and DEL ("" is nothing), what the reference makes of it, what else differs. */
type DelRow = [what: string, script: string, reference: Fate, rest?: Rest];

const NO_NETNS = { netns: "" };
/** What the reference left, on both hosts. */
const SWEEP = `
links=$(ip -o link show type veth | sed -n 's/^[0-9]*: \\(veth[^@]*\\)@.*/\\1/p')
for link in $links; do ip link del $link; done
rm -f ${LEASES}/10.1.0.* ${LEASES}/fd01*
iptables -t nat -F; iptables -t nat -X; ip6tables -t nat -F; ip6tables -t nat -X
ip netns del c9 2> /dev/null || true`;

const DELS: readonly DelRow[] = [
  ["all is there", "", "cleans"],
  ["CNI_NETNS is empty", "", "leaves", { call: NO_NETNS }],
  ["CNI_NETNS is empty, the container is gone", "ip netns del c1", "leaves", { call: NO_NETNS }],
  ["the container is gone", "ip netns del c1", "leaves"],
  ["the container's file is no namespace any more", "umount /run/netns/c1", "fails"],
  ["the container's interface is gone", "ip -n c1 link del eth0", "leaves"],
  ["the host's end is gone", "ip link del $VETH", "leaves"],
  [
    "the container's interface has another name",
    "ip -n c1 link set eth0 down; ip -n c1 link set eth0 name eth9",
    "leaves",
  ],
  ["the container's interface was moved away", "ip netns add c9; ip -n c1 link set eth0 netns c9", "leaves"],
  ["the host's end has another name", "ip link set $VETH down; ip link set $VETH name other0", "cleans"],
  ["the host's end has no alias", "ip link set $VETH alias ''", "cleans"],
  ["the records are gone", "rm -rf /run/weft", "cleans"],
  ["records and container are gone", "rm -rf /run/weft; ip netns del c1", "leaves"],
  ["the records are gone, CNI_NETNS is empty", "rm -rf /run/weft", "leaves", { call: NO_NETNS }],
  ["the leases are gone", `rm ${LEASES}/10.1.0.* ${LEASES}/fd01*`, "cleans"],
  ["the rules are gone", "nft flush ruleset", "fails"],
  ["no prevResult", "", "cleans", { prevResult: undefined }],
  ["the ranges are no longer configured", "", "fails", { keys: { ipam: { type: "host-local" } } }],
  ["no IPAM is configured any more", "", "fails", { keys: { ipam: {} } }],
  ["another version", "", "cleans", { keys: { cniVersion: "0.3.1" }, prevResult: undefined }],
  ["a wrong mtu since", "", "fails", { keys: { mtu: "many" } }],
  ["no masquerade since", "", "leaves", { keys: { ipMasq: false } }],
];

/** A container of its own for each row: some of them do not outlive it. */
async function renew(twins: Twins): Promise<void> {
  await twins.each(async (host) => {
    await host.exec("sh", ["-c", "ip netns del c1 2> /dev/null || rm -f /run/netns/c1"]);
    await host.container("c1");
  });
}

/** What is on the host that was not. Not in the container: it may be gone, or hold what was put there. */
async function leftOn(host: Host, before: NormalSnapshot): Promise<string[]> {
  host.containers.clear();
  return remains(before, await host.snapshot()).filter((line) => !line.endsWith("| nothing"));
}

async function lose(
  t: Test,
  twins: Twins,
  config: object,
  clean: Pair<NormalSnapshot>,
  row: DelRow,
): Promise<void> {
  const [what, script, fate, { call = {}, keys = {}, ...rest } = {}] = row;
  await renew(twins);
  const added = await twins.call("ptp", { command: "ADD", config });
  t.match(added, [{ code: 0 }, { code: 0 }], `${what}: ADD`);
  if (script !== "") await twins.run(`${NAMES}${script}`);
  const given = "prevResult" in rest ? {} : { prevResult: [added[0].result, added[1].result] as const };
  const again = { ...call, command: "DEL", config: { ...config, ...keys }, ...given };
  const [theirs, ours] = await twins.call("ptp", again);
  silent(t, ours, `${what}: ours says nothing`);
  silent(t, (await twins.call("ptp", again))[1], `${what}: nor does it the second time`);
  const left = [await leftOn(twins.hosts[0], clean[0]), await leftOn(twins.hosts[1], clean[1])] as const;
  // nobody tells where a lease is without the plugin that gave it
  const isLost = (line: string) => what.startsWith("no IPAM") && line.includes(`files.${LEASES}/`);
  t.strictSame(
    left[1].filter((line) => !isLost(line)),
    [],
    `${what}: ours leaves nothing`,
  );
  const found = theirs.code !== 0 ? "fails" : left[0].length > 0 ? "leaves" : "cleans";
  t.equal(found, fate, `${what}: the reference`, { left: left[0], theirs: theirs.stdout });
  await twins.run(SWEEP);
}

t.jobs = 4; // they wait, above all: the reference for seconds on IPv6
const reference = await newestPlugins();
t.test(`CHECK and ${reference.version}`, { timeout: TIMEOUT_MS }, async (t) => {
  if (reference.missing) return t.plan(0, reference.missing);
  const twins = await makeTwins(t, reference);
  for (const row of CHECKS) await tamper(t, twins, config, row);
  for (const [what, script] of TOLERATED) {
    const prevResult = await attach(twins, config);
    await twins.run(`${NAMES}${script}`);
    const [theirs, ours] = await twins.call("ptp", { command: "CHECK", config, prevResult });
    silent(t, ours, `${what} is tolerated`);
    t.equal(theirs.code, 0, `${what}, by the reference as well`);
    await twins.call("ptp", { command: "DEL", config, prevResult });
    await twins.run("ip -n c1 link del other0 || true");
  }
});

t.test(`DEL and ${reference.version}`, { timeout: TIMEOUT_MS }, async (t) => {
  if (reference.missing) return t.plan(0, reference.missing);
  const twins = await makeTwins(t, reference);
  for (const command of ["ADD", "DEL"]) await twins.call("ptp", { command, config });
  await twins.each(async (host) => host.containers.clear());
  const clean = await twins.each(async (host) => normalise(await host.snapshot()));
  for (const row of DELS) await lose(t, twins, config, clean, row);
});
