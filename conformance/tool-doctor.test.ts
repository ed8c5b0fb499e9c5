/**
 * `weft doctor`: on a healthy host it finds nothing; each fault of interfaces, bridges and addresses that it
 * knows is caused, named, mended by the command it printed, and gone. T16 of the topologies.
 */
import { writeFileSync } from "node:fs";
import t from "tap";
import { type FaultCase, makeDoctorStage, showFamilies, showHealthy, WEFT } from "./fixtures/doctor-stage.ts";
import { missing, skip } from "./fixtures/kernel.ts";

const TIMEOUT_MS = 120_000;
t.setTimeout(10 * TIMEOUT_MS);
const lacks = await missing("bridge", "br_netfilter", "nf_tables");

/** A container's interface. */
const INTERFACE: readonly FaultCase[] = [
  { fault: "interface-down", cause: "ip -n c1 link set eth0 down" },
  { fault: "address-missing", cause: "ip -n c2 address del 10.9.0.3/24 dev eth0", also: ["route-missing"] },
  {
    fault: "address-missing",
    by: "while connections lead to it",
    cause: `
conntrack -I -p udp -s 192.0.2.2 -d 192.0.2.1 --sport 5555 --dport 8080 --dst-nat 10.9.0.2 -t 60 \\
  --status SEEN_REPLY
ip -n c1 address del 10.9.0.2/24 dev eth0`,
    also: ["route-missing"],
  },
  { fault: "route-missing", cause: "ip -n c1 route del default" },
  {
    fault: "route-missing",
    by: "another in its place",
    cause: "ip -n c1 route replace default via 10.9.0.3",
    evidence: /^no route default via 10\.9\.0\.1 by eth0, and another to there via 10\.9\.0\.3 by eth0$/,
    isSafe: false,
  },
  {
    fault: "address-missing",
    by: "in a namespace that the container has made",
    cause: "ip netns add inner; ip -n c2 link set eth0 netns inner; ip -n inner link set eth0 up",
    also: ["route-missing"],
    after: `
ip -n inner link set eth0 netns c2; ip netns del inner; ip -n c2 link set eth0 up
weft doctor --fix --yes > /dev/null`,
  },
  { fault: "ipv6-disabled", cause: "ip netns exec c1 sysctl -qw net.ipv6.conf.eth0.disable_ipv6=1" },
  {
    fault: "mac-changed",
    cause: "ip -n c1 link set eth0 address 02:00:00:00:00:99",
    evidence: /02:00:00:00:00:99/,
  },
  {
    fault: "mac-changed",
    by: "udev, of the bridge",
    cause: "ip link set br-front address 02:00:00:00:00:98",
    also: ["neighbour-wrong"],
  },
  {
    fault: "attachment-differs",
    cause: "rm -r /run/weft/ports",
    evidence: /portmap .* 8080\/tcp is not claimed/,
  },
];

const BRIDGE: readonly FaultCase[] = [
  { fault: "bridge-missing", cause: "ip link del br-front" },
  { fault: "bridge-down", cause: "ip link set br-front down", also: ["gateway-missing"] },
  { fault: "bridge-promiscuous", cause: "ip link set br-front promisc on", evidence: /hairpin/ },
  { fault: "not-in-bridge", cause: "ip link set $VETH nomaster" },
  {
    fault: "not-in-bridge",
    by: "another's port",
    cause: "ip link add br-other type bridge; ip link set $VETH master br-other",
    evidence: /is a port of br-other, not of br-front/,
    after: "ip link del br-other",
  },
  { fault: "port-down", cause: "ip link set $VETH down" },
  { fault: "learning-off", cause: "ip link set $VETH type bridge_slave learning off" },
  { fault: "learning-off", by: "ageing", cause: "ip link set br-front type bridge ageing_time 0" },
  {
    fault: "flooding-off",
    cause: "ip link set $VETH2 type bridge_slave bcast_flood off",
    evidence: /bcast_flood/,
  },
  { fault: "port-blocked", cause: "bridge link set dev $VETH state 0", evidence: /disabled/ },
  { fault: "gateway-missing", cause: "ip address del 10.9.0.1/24 dev br-front" },
  {
    fault: "gateway-missing",
    by: "IPv6 that is off",
    cause: "sysctl -qw net.ipv6.conf.br-front.disable_ipv6=1",
    evidence: /net\.ipv6\.conf\.br-front\.disable_ipv6 is 1$/,
  },
  { fault: "gateway-missing", by: "a pair's", cause: "ip address flush dev $PAIR" },
  {
    fault: "bridge-full",
    cause: `
ip link add br-big type bridge
for i in $(seq 1023); do echo link add full$i group 77 master br-big type ifb; done | ip -batch -
cat > /etc/cni/net.d/20-big.conflist <<END
{"cniVersion": "1.0.0", "name": "big", "plugins": [{"type": "bridge", "bridge": "br-big"}]}
END`,
    evidence: /br-big of network big has 1023 ports/,
    editor: "sed -i s/br-big/br-more/",
    after: "rm /etc/cni/net.d/20-big.conflist; ip link del group 77; ip link del br-big",
  },
];

const ADDRESSES: readonly FaultCase[] = [
  {
    fault: "address-conflict",
    cause: `
ip netns add stranger
ip link add stranger master br-front type veth peer name eth0 netns stranger
ip link set stranger up; ip -n stranger link set eth0 up; ip -n stranger address add 10.9.0.2/24 dev eth0`,
    evidence: /eth0 of c1 and eth0 of stranger have it, on bridge br-front/,
  },
  {
    fault: "address-conflict",
    by: "an interface that is named as a command",
    cause: `
ip -n stranger link set eth0 down; ip -n stranger link set eth0 name ';id>&2;#'
ip -n stranger link set ';id>&2;#' up; ip -n stranger address add 10.9.0.2/24 dev ';id>&2;#'`,
    after: `
ip -n stranger link set ';id>&2;#' down; ip -n stranger link set ';id>&2;#' name eth0
ip -n stranger link set eth0 up`,
  },
  {
    fault: "address-conflict",
    by: "the bridge",
    cause: "ip address add 10.9.0.2/24 dev br-front",
    evidence: /^br-front of this host and eth0 of c1 have it, on bridge br-front$/,
    remedy: "ip address del 10.9.0.2/24 dev br-front",
  },
  {
    fault: "address-conflict",
    by: "another interface of the host",
    cause: "ip address add 10.9.0.2/32 dev lo; ip address add 10.6.0.2/32 dev $PAIR",
    evidence: /^lo of this host has it, and it was given to c1 \(eth0 on front\)$/,
  },
  {
    fault: "address-conflict",
    by: "duplicate detection",
    cause: `
ip -n stranger address add fd00:9::99/64 dev eth0 nodad
ip netns exec c2 sysctl -qw net.ipv6.conf.eth0.accept_dad=1 net.ipv6.conf.eth0.dad_transmits=1
ip -n c2 address add fd00:9::99/64 dev eth0
until ip -n c2 address show dev eth0 dadfailed | grep -q fd00:9::99; do sleep 0.05; done
ip -n stranger address del fd00:9::99/64 dev eth0`,
    evidence: /fd00:9::99\/64 of eth0 is not in use/,
    after: "ip -n c2 address del fd00:9::99/64 dev eth0",
  },
  {
    fault: "mac-conflict",
    cause: "ip -n stranger link set eth0 address $MAC",
    after: "ip netns del stranger",
  },
  {
    fault: "mac-conflict",
    by: "the bridge",
    cause: "ip link set br-front address $MAC",
    evidence: /^br-front of this host and eth0 of c1 have it/,
    also: ["mac-changed", "neighbour-wrong"],
  },
  {
    fault: "neighbour-wrong",
    cause: "ip neighbour replace 10.9.0.2 lladdr 02:00:00:00:00:77 dev br-front nud stale",
    evidence: /02:00:00:00:00:77/,
  },
  {
    fault: "neighbour-wrong",
    by: "a container's, of its gateway",
    cause: "ip -n c1 neighbour replace 10.9.0.1 lladdr 02:00:00:00:00:77 dev eth0 nud permanent",
    subject: "c1 (eth0 on front)",
    evidence: /it sends what is for 10\.9\.0\.1 to 02:00:00:00:00:77/,
  },
  { fault: "forwarding-entry-wrong", cause: "bridge fdb replace $MAC dev $VETH2 master static" },
  { fault: "forwarding-entry-wrong", by: "the bridge's own", cause: "bridge fdb replace $MAC dev br-front" },
];

await showFamilies(t, { INTERFACE, BRIDGE, ADDRESSES }, lacks);

const leased = (subnet: string, more: object = {}) => ({ ipam: { type: "host-local", subnet, ...more } });
/** One of each plugin, and of what networks may be without. */
const NETWORKS: Readonly<Record<string, { readonly cniVersion: string; readonly [key: string]: unknown }>> = {
  wire: {
    cniVersion: "1.0.0",
    plugins: [
      {
        type: "macvlan",
        master: "uplink0",
        ...leased("192.0.2.0/24", { rangeStart: "192.0.2.50", rangeEnd: "192.0.2.60", gateway: "192.0.2.2" }),
      },
    ],
  },
  tap: { cniVersion: "1.0.0", plugins: [{ type: "tap", ...leased("10.21.0.0/24") }] },
  layer2: { cniVersion: "1.0.0", plugins: [{ type: "bridge", bridge: "br-layer2" }] },
  fixed: {
    cniVersion: "1.0.0",
    plugins: [
      {
        type: "bridge",
        bridge: "br-fixed",
        isGateway: true,
        ipam: {
          type: "static",
          addresses: [{ address: "10.22.0.5/24", gateway: "10.22.0.1" }],
          routes: [{ dst: "0.0.0.0/0" }],
        },
      },
    ],
  },
  hairpin: {
    cniVersion: "0.3.1",
    plugins: [{ type: "bridge", bridge: "br-hairpin", hairpinMode: true, ...leased("10.23.0.0/24") }],
  },
  old: {
    cniVersion: "0.2.0",
    type: "bridge",
    bridge: "br-old",
    isDefaultGateway: true,
    ipMasq: true,
    ...leased("10.24.0.0/24"),
  },
  guarded: {
    cniVersion: "1.0.0",
    plugins: [
      {
        type: "bridge",
        bridge: "br-guarded",
        isDefaultGateway: true,
        macspoofchk: true,
        portIsolation: true,
        mtu: 1400,
        ...leased("10.25.0.0/24"),
      },
      { type: "firewall", internal: true },
    ],
  },
  far: {
    cniVersion: "1.0.0",
    plugins: [
      {
        type: "vxlan",
        vni: 9,
        dev: "uplink0",
        remotes: ["192.0.2.2"],
        isDefaultGateway: true,
        ...leased("10.26.0.0/24"),
      },
    ],
  },
};

await t.test("nothing is found beside any plugin", { timeout: TIMEOUT_MS }, async (t) => {
  const lack = lacks ?? (await missing("macvlan", "vxlan", "tun"));
  if (lack) return skip(t, lack);
  const stage = await makeDoctorStage(t);
  const { host } = stage;
  for (const [name, network] of Object.entries(NETWORKS)) {
    writeFileSync(host.view(`/etc/cni/net.d/20-${name}.conflist`), JSON.stringify({ name, ...network }));
    await host.container(name);
    await host.exec(WEFT, ["add", name, name]);
  }
  await host.exec(WEFT, ["network", "create", "made"]);
  await host.exec(WEFT, ["add", "made", "c2", "--ifname", "eth1", "-p", "9090:90"]);
  await showHealthy(t, stage);
  const collected = await host.exec(WEFT, ["gc"], { reject: false });
  t.match(collected, { exitCode: 0, stdout: "nothing was left behind\n" }, "nor collected");
  await showHealthy(t, stage);
});

await t.test("who may not, and who is not asked", { timeout: TIMEOUT_MS }, async (t) => {
  if (lacks) return skip(t, lacks);
  const { host } = await makeDoctorStage(t);
  await host.exec("ip", ["link", "set", "br-front", "down"]);
  const unasked = await host.exec(WEFT, ["doctor", "--fix"], { reject: false });
  t.match(unasked, { exitCode: 1, stdout: "", stderr: /give --yes where nobody can answer\n$/ });
  const shown = await host.exec(WEFT, ["doctor"], { reject: false, env: { COLUMNS: "60" } });
  t.match(shown, { exitCode: 2 });
  t.match(shown.stdout, /^error {4}the bridge of a container is down \(bridge-down\)\n {9}br-front: /);
  t.match(shown.stdout, /\n {9}mend: ip link set br-front up\n/);
  await host.exec("sh", ["-c", "mkdir /run/idle; ln -s /bin/true /run/idle/ip"]);
  const env = { PATH: `/run/idle:${process.env["PATH"]}` };
  const idle = await host.exec(WEFT, ["doctor", "--fix", "--yes"], { reject: false, env });
  t.match(idle, { exitCode: 2, stderr: /^weft: it did not help: ip link set br-front up$/m });
  const fixed = await host.exec(WEFT, ["doctor", "--fix", "--yes"], { reject: false });
  t.match(fixed, {
    exitCode: 0,
    stdout: /^ran ip link set br-front up\n(.*\n)*nothing is wrong any more\n$/,
  });
  const nobody = ["--reuid=65534", "--regid=65534", "--clear-groups", WEFT, "doctor"];
  t.match(await host.exec("setpriv", nobody, { reject: false }), { exitCode: 1, stderr: /run as root\n$/ });
  const listed = await host.exec(WEFT, ["doctor", "--faults"], { env: { COLUMNS: "80" } });
  t.notMatch(listed.stdout, "…", "what is wrong is said whole");
  const known = await host.exec(WEFT, ["doctor", "--faults", "--json"]);
  t.ok(
    JSON.parse(known.stdout).some(({ fault }: { fault: string }) => fault === "bridge-down"),
    "--faults",
  );
});
