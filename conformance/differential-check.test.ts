/**
 * CHECK after each tampering with a good attachment. Ours notices all of it; what the reference plugins
 * notice is written beside it, and a case fails when that is no longer so.
 */
import t, { type Test } from "tap";
import type { CniResult } from "./fixtures/plugin-call.ts";
import { refused, silent } from "./fixtures/refusal.ts";
import { makeTwins, type Pair, type Twins } from "./fixtures/twins.ts";
import { type Reference, referencePlugins } from "./reference.ts";

const TIMEOUT_MS = 300_000;
t.setTimeout(2 * TIMEOUT_MS);

const ranges = [[{ subnet: "10.1.0.0/24" }], [{ subnet: "fd01::/64" }]];
const FULL = { isDefaultGateway: true, mtu: 1400, hairpinMode: true, ipam: { type: "host-local", ranges } };
const LEASES = "/var/lib/cni/networks/net";
// In front of every script: the container's addresses, and the host's end of its veth.
const NAMES = `
C="ip -n c1"
ONLINK="default via 10.1.0.1 onlink dev eth0"
IP4=$($C -4 -o address show dev eth0 2> /dev/null | grep -o '10[.][0-9.]*/24' | head -1) || true
IP6=$($C -6 -o address show dev eth0 2> /dev/null | grep -o 'fd01::[0-9a-f]*/64') || true
VETH=$(ip -o link show master cni0 2> /dev/null | sed -n 's/^[0-9]*: \\(veth[^@]*\\)@.*/\\1/p') || true
`;

/** What was done, how, what ours says, whether the reference says anything, what to put back afterwards. */
type Row = [what: string, script: string, msg: RegExp, reference: "notices" | "does not", restore?: string];

const BRIDGE: readonly Row[] = [
  ["the address is gone", "$C address del $IP4 dev eth0", /10\.1\.0\.\d+\/24/, "notices"],
  ["the IPv6 address is gone", "$C address del $IP6 dev eth0", /fd01::/, "notices"],
  [
    "the address has another prefix length",
    "$C address del $IP4 dev eth0; $C address add ${IP4%/24}/25 dev eth0; $C route add $ONLINK",
    /10\.1\.0\.\d+\/24/,
    "notices",
  ],
  [
    "another address instead",
    "$C address del $IP4 dev eth0; $C address add 10.1.0.99/24 dev eth0; $C route add default via 10.1.0.1",
    /10\.1\.0\.\d+\/24/,
    "notices",
  ],
  ["the default route is gone", "$C route del default", /^Expected Route .* not found/, "notices"],
  ["the IPv6 default route is gone", "$C -6 route del default", /^Expected Route .* not found/, "notices"],
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
  ["the container's MTU is another", "$C link set eth0 mtu 1300", /1300/, "does not"],
  [
    "the host's end is off the bridge",
    "ip link set $VETH nomaster",
    /CNI veth created for bridge cni0 was not found/,
    "notices",
  ],
  [
    "the host's end is on another bridge",
    "ip link add other0 type bridge; ip link set $VETH master other0",
    /CNI veth created for bridge cni0 was not found/,
    "notices",
    "ip link del other0",
  ],
  ["the host's end is down", "ip link set $VETH down", /veth\w+.*down/, "does not"],
  ["hairpin mode is off", "bridge link set dev $VETH hairpin off", /hairpin/, "does not"],
  ["the bridge is gone", "ip link set $VETH nomaster; ip link del cni0", /cni0/, "notices"],
  [
    "the bridge is no bridge",
    "ip link set $VETH nomaster; ip link del cni0; ip link add cni0 type veth peer name x0",
    /cni0/,
    "notices",
    "ip link del cni0",
  ],
  ["the bridge is down", "ip link set cni0 down", /cni0.*down/, "does not", "ip link set cni0 up"],
  [
    "the bridge has another MAC",
    "ip link set cni0 address 02:00:00:00:00:77",
    /cni0.*02:00:00:00:00:77/i,
    "notices",
    "ip link del cni0",
  ],
  [
    "the bridge is promiscuous",
    "ip link set cni0 promisc on",
    /[Pp]romisc/,
    "notices",
    "ip link set cni0 promisc off",
  ],
  ["the gateway's address is gone", "ip address del 10.1.0.1/24 dev cni0", /10\.1\.0\.1\/24/, "does not"],
  ["the gateway's IPv6 address is gone", "ip address del fd01::1/64 dev cni0", /fd01::1\/64/, "does not"],
  ["IPv4 is not forwarded", "sysctl -qw net.ipv4.ip_forward=0", /forward/, "does not"],
  ["IPv6 is not forwarded", "sysctl -qw net.ipv6.conf.all.forwarding=0", /forward/, "does not"],
  [
    "the lease is gone",
    `rm ${LEASES}/\${IP4%/24}`,
    /^host-local: Failed to find address added by container c1-0123456789abcdef/,
    "does not",
  ],
  [
    "both leases are gone",
    `rm ${LEASES}/10.1.0.[2-9]* ${LEASES}/fd01*`,
    /^host-local: Failed to find address added by container c1-0123456789abcdef/,
    "notices",
  ],
  [
    "the lease is another container's",
    `printf 'c9\\r\\neth0' > ${LEASES}/\${IP4%/24}`,
    /^host-local: Failed to find address added by/,
    "does not",
    `rm ${LEASES}/10.1.0.[2-9]*`,
  ],
  [
    "the leases are of other addresses",
    `cd ${LEASES}; mv \${IP4%/24} 10.1.0.99; mv \${IP6%/64} fd01::99`,
    /^host-local: Failed to find address added by/,
    "does not",
  ],
];

/** What CHECK has to put up with: later plugins and the administrator may add to an attachment. */
const TOLERATED: readonly [what: string, script: string][] = [
  ["another route", "$C route add 10.77.0.0/16 via 10.1.0.1"],
  ["another address", "$C address add 10.77.0.1/24 dev eth0"],
  ["another interface", "$C link add other0 type bridge"],
  ["another address of the bridge", "ip address add 10.88.0.1/24 dev cni0"],
  ["an isolated port, as firewall makes it", "bridge link set dev $VETH isolated on"],
  ["another port of the bridge", "ip link add p0 master cni0 type veth peer name p1"],
  ["no record of ours", "rm -rf /run/weft"],
];

const tag = ({ version }: Reference) => (version === "1.1.1" ? "1.0.0" : "1.1.0");

async function attach(twins: Twins, config: object): Promise<Pair<CniResult | undefined>> {
  const added = await twins.call("bridge", { command: "ADD", config });
  return [added[0].result, added[1].result];
}

async function tamper(t: Test, twins: Twins, config: object, row: Row): Promise<void> {
  const [what, script, msg, reference, restore] = row;
  const prevResult = await attach(twins, config);
  const good = await twins.call("bridge", { command: "CHECK", config, prevResult });
  await twins.run(`${NAMES}${script}`);
  const [theirs, ours] = await twins.call("bridge", { command: "CHECK", config, prevResult });
  const wanted = { good: 0, ours: 1, reference: reference === "notices" ? 1 : 0 };
  t.strictSame({ good: good[1].code, ours: ours.code, reference: theirs.code }, wanted, what);
  if (ours.code !== 0) refused(t, ours, { code: 100, msg }, `${what}: ours says so`);
  await twins.call("bridge", { command: "DEL", config, prevResult });
  if (restore) await twins.run(restore);
}

for (const reference of await referencePlugins()) {
  await t.test(`bridge and ${reference.version}`, { timeout: TIMEOUT_MS }, async (t) => {
    if (reference.missing) return t.plan(0, reference.missing);
    const twins = await makeTwins(t, reference);
    const config = { cniVersion: tag(reference), name: "net", type: "bridge", ...FULL };
    for (const row of BRIDGE) await tamper(t, twins, config, row);

    if (reference.version !== "1.1.1") {
      const isolated = { ...config, portIsolation: true };
      const script = "bridge link set dev $VETH isolated off";
      await tamper(t, twins, isolated, ["isolation is off", script, /isolat/, "does not"]);
    }
    for (const [what, script] of TOLERATED) {
      const prevResult = await attach(twins, config);
      await twins.run(`${NAMES}${script}`);
      const [theirs, ours] = await twins.call("bridge", { command: "CHECK", config, prevResult });
      silent(t, ours, `${what} is tolerated`);
      t.equal(theirs.code, 0, `${what}, by the reference as well`);
      await twins.call("bridge", { command: "DEL", config, prevResult });
      await twins.run("ip -n c1 link del other0 || true; ip link del p0 || true");
    }
  });

  await t.test(`what tuning did later, and ${reference.version}`, { timeout: TIMEOUT_MS }, async (t) => {
    if (reference.missing) return t.plan(0, reference.missing);
    const twins = await makeTwins(t, reference);
    const config = { cniVersion: tag(reference), name: "net", type: "bridge", ...FULL };
    const prevResult = await attach(twins, config);
    await twins.run("ip -n c1 link set eth0 address 02:00:00:00:00:99 mtu 1300");
    const tuned = (result: CniResult | undefined): CniResult => ({
      ...(result as CniResult), // ADD printed one
      interfaces: (result?.interfaces ?? []).map((each) =>
        each.name === "eth0"
          ? { ...each, mac: "02:00:00:00:00:99", ...("mtu" in each ? { mtu: 1300 } : {}) }
          : each,
      ),
    });
    const later: Pair<CniResult> = [tuned(prevResult[0]), tuned(prevResult[1])];
    const [theirs, ours] = await twins.call("bridge", { command: "CHECK", config, prevResult: later });
    silent(t, ours, "its result is what counts");
    t.equal(theirs.code, 0, "for the reference as well");
  });

  await t.test(`loopback, static, and ${reference.version}`, { timeout: TIMEOUT_MS }, async (t) => {
    if (reference.missing) return t.plan(0, reference.missing);
    const twins = await makeTwins(t, reference);
    const lo = { cniVersion: tag(reference), name: "net", type: "loopback" };
    const [added] = await Promise.all([twins.call("loopback", { command: "ADD", config: lo })]);
    const prevResult: Pair<CniResult | undefined> = [added[0].result, added[1].result];
    const check = () => twins.call("loopback", { command: "CHECK", config: lo, prevResult });
    t.strictSame(
      (await check()).map(({ code }) => code),
      [0, 0],
    );
    await twins.run("ip -n c1 link set lo down");
    const down = await check();
    t.equal(down[0].code, 1);
    refused(t, down[1], { code: 100, msg: "loopback interface is down" }, "lo is down");

    const ipam = { type: "static", addresses: [{ address: "10.1.0.5/24", gateway: "10.1.0.1" }] };
    const config = { cniVersion: tag(reference), name: "net", type: "static", ipam };
    for (const [what, ips, theirs, ours] of [
      ["as it is", [{ address: "10.1.0.5/24", gateway: "10.1.0.1" }], 0, 0],
      ["another address", [{ address: "10.1.0.6/24", gateway: "10.1.0.1" }], 0, 1],
      ["another gateway", [{ address: "10.1.0.5/24", gateway: "10.1.0.2" }], 1, 1],
      ["one more", [{ address: "10.1.0.5/24", gateway: "10.1.0.1" }, { address: "10.2.0.5/24" }], 0, 0],
      ["none", [], 0, 1],
    ] as const) {
      const result = { cniVersion: tag(reference), ips: [...ips] };
      const answers = await twins.call("static", { command: "CHECK", config, prevResult: [result, result] });
      t.strictSame(
        answers.map((each) => each.code),
        [theirs, ours],
        `static: ${what}`,
      );
    }
  });
}
