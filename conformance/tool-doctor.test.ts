/**
 * `weft doctor`: on a healthy host it finds nothing; each fault of the kernel's that it knows is caused,
 * named, mended by the command it printed, and gone. T16 of the topologies.
 */
import { writeFileSync } from "node:fs";
import t, { type Test } from "tap";
import {
  type DoctorStage,
  type FaultCase,
  makeDoctorStage,
  showFault,
  WEFT,
} from "./fixtures/doctor-stage.ts";
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
conntrack -I -p udp -s 192.0.2.2 -d 192.0.2.1 --sport 5555 --dport 8080 --dst-nat 10.9.0.2 -t 60 --status SEEN_REPLY
ip -n c1 address del 10.9.0.2/24 dev eth0`,
    also: ["route-missing"],
  },
  { fault: "route-missing", cause: "ip -n c1 route del default" },
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
    fault: "neighbour-wrong",
    cause: "ip neighbour replace 10.9.0.2 lladdr 02:00:00:00:00:77 dev br-front nud stale",
    evidence: /02:00:00:00:00:77/,
  },
  { fault: "forwarding-entry-wrong", cause: "bridge fdb replace $MAC dev $VETH2 master static" },
];

const ROUTER: readonly FaultCase[] = [
  { fault: "forwarding-off", cause: "sysctl -qw net.ipv4.ip_forward=0" },
  { fault: "forwarding-off", by: "the bridge's", cause: "sysctl -qw net.ipv4.conf.br-front.forwarding=0" },
  { fault: "forwarding-off", by: "IPv6", cause: "sysctl -qw net.ipv6.conf.all.forwarding=0" },
  {
    fault: "router-advertisements-ignored",
    cause: `
ip -6 route del default; ip -6 route add default via fe80::1 dev uplink0 proto ra
sysctl -qw net.ipv6.conf.uplink0.accept_ra=1`,
    after: "ip -6 route del default; ip -6 route add default via 2001:db8:1::2",
  },
  { fault: "host-route-missing", cause: "ip route del 10.6.0.2" },
  {
    fault: "route-elsewhere",
    cause: "ip link add vpn up type bridge; ip route replace 10.6.0.2 dev vpn",
    also: ["subnets-overlap"],
    evidence: /this host sends it by vpn/,
    editor: "true",
    after: "ip link del vpn",
  },
  {
    fault: "route-elsewhere",
    by: "a rule",
    cause: "ip rule add to 10.6.0.2 prohibit",
    evidence: /a rule or a route of this host forbids it/,
    after: "ip rule del to 10.6.0.2 prohibit",
    isUnmended: true,
  },
  {
    fault: "rp-filter",
    cause: `
ip link add uplink9 type veth peer name beyond; ip link set beyond up; ip link set uplink9 up
ip address add 203.0.113.1/24 dev uplink9; ip route add default via 203.0.113.2 metric 300
sysctl -qw net.ipv4.conf.uplink9.rp_filter=1`,
    evidence: /rp_filter of uplink9 is 1, .* leave by uplink0/,
    after: "ip link del uplink9",
  },
  {
    fault: "rp-filter",
    by: "a second network of a container",
    cause: `
weft add front p1 --ifname eth1 -p 9090:90/tcp
ip netns exec p1 sysctl -qw net.ipv4.conf.eth1.rp_filter=1`,
    evidence: /port 9090 leads to eth1, whose rp_filter is 1, but it answers by eth0/,
    after: "weft del front p1 --ifname eth1",
  },
];

const FILTER: readonly FaultCase[] = [
  {
    fault: "forward-dropped",
    cause: "iptables -P FORWARD DROP",
    after: "iptables -F; iptables -P FORWARD ACCEPT",
  },
  {
    fault: "forward-dropped",
    by: "ip6tables",
    cause: "ip6tables -A FORWARD -i br-front -j REJECT",
    after: "ip6tables -F",
  },
  {
    fault: "forward-dropped",
    by: "nft",
    cause: "nft 'table inet mine { chain forward { type filter hook forward priority 0; policy drop; }; }'",
    evidence: /inet mine forward, its policy/,
    after: "nft delete table inet mine",
  },
  {
    fault: "forward-dropped",
    by: "of bridged frames",
    cause:
      "nft 'table bridge mine { chain f { type filter hook forward priority -300; ip saddr 10.9.0.2 drop; }; }'",
    evidence: /from 10\.9\.0\.2 to its neighbour 10\.9\.0\.3 is dropped by bridge mine f /,
    after: "nft delete table bridge mine",
  },
  {
    fault: "forward-dropped",
    by: "of answers to the host",
    cause: "iptables -A INPUT -i br-front -j DROP",
    evidence: /from this host to port 8080 is dropped by ip filter INPUT /,
    after: "iptables -F INPUT",
  },
  { fault: "rules-missing", cause: "nft flush ruleset" },
  {
    fault: "rules-missing",
    by: "elements",
    cause: "nft flush set inet weft masq4; nft flush map inet weft port4",
  },
  { fault: "table-foreign", cause: "nft delete table inet weft; nft add table inet weft" },
  {
    fault: "isolation-differs",
    cause: "sysctl -qw net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0",
    evidence: /is not isolated/,
  },
  {
    fault: "isolation-differs",
    by: "br_netfilter",
    cause: "sysctl -qw net.bridge.bridge-nf-call-iptables=1 net.bridge.bridge-nf-call-ip6tables=1",
    evidence: /is isolated, though/,
  },
  {
    fault: "isolation-differs",
    by: "of nobody's wish",
    cause: "ip link set $VETH type bridge_slave isolated on",
    evidence: /is isolated, and nothing in the network asks for it/,
  },
];

const PUBLISHING: readonly FaultCase[] = [
  { fault: "route-localnet-off", cause: "sysctl -qw net.ipv4.conf.br-front.route_localnet=0" },
  {
    fault: "route-localnet-open",
    cause: "sysctl -qw net.ipv4.conf.uplink0.route_localnet=1; nft delete table inet weft",
    also: ["rules-missing"],
  },
  { fault: "hairpin-off", cause: "ip link set $VETH type bridge_slave hairpin off" },
  {
    fault: "bridge-netfilter-off",
    cause: "iptables -t nat -N KUBE-SERVICES; sysctl -qw net.bridge.bridge-nf-call-iptables=0",
    also: ["isolation-differs"],
    after: "iptables -t nat -X KUBE-SERVICES; ip link set $APART type bridge_slave isolated off",
  },
  {
    fault: "port-diverted",
    cause: "iptables -t nat -A PREROUTING -p tcp --dport 8080 -j REDIRECT --to-ports 9",
    evidence: /what is for its port 8080 goes elsewhere by ip nat PREROUTING /,
  },
  {
    fault: "port-shadowed",
    cause:
      "python3 -m http.server 8080 > /dev/null 2>&1 & until ss -lnt | grep -q :8080; do sleep 0.05; done",
    evidence: /python3 \(process \d+\) listens on tcp 0\.0\.0\.0:8080/,
  },
];

const MTU: readonly FaultCase[] = [
  {
    fault: "mtu-mismatch",
    cause: "ip link set $VETH mtu 1400",
    evidence: /1500, that of \S+, its other end, 1400/,
  },
  { fault: "mtu-mismatch", by: "the container's", cause: "ip -n c1 link set eth0 mtu 1400" },
  {
    fault: "mtu-above-underlay",
    cause:
      "ip link add vx9 type vxlan id 9 dstport 4799 local 192.0.2.1 dev uplink0; ip link set uplink0 mtu 1400",
    evidence: /packets of 1500 bytes, and that of uplink0 below is 1400/,
    after: "ip link del vx9",
  },
  {
    fault: "mtu-black-hole",
    cause: "ip -n outside0 link set eth0 mtu 1400",
    evidence: /192\.0\.2\.2 answers small packets; of 1500 bytes, the MTU of uplink0, none/,
    after: "ip -n outside0 link set eth0 mtu 1500; ip link set uplink0 mtu 1500",
  },
  {
    fault: "mtu-black-hole",
    by: "beyond the gateway",
    words: ["--probe", "203.0.113.9"],
    cause: `
ip netns add far; ip link add far1 netns outside0 mtu 1500 type veth peer name eth0 netns far mtu 1300
ip -n outside0 address add 203.0.113.1/24 dev far1; ip -n outside0 link set far1 up
ip -n far address add 203.0.113.9/24 dev eth0; ip -n far link set eth0 up
ip -n far route add default via 203.0.113.1
ip netns exec outside0 sysctl -qw net.ipv4.ip_forward=1`,
    evidence: /203\.0\.113\.9 answers small packets; of 1500 bytes/,
    after: "ip netns del far; ip link set uplink0 mtu 1500",
  },
];

const KERNEL = { INTERFACE, BRIDGE, ADDRESSES, ROUTER, FILTER, PUBLISHING, MTU };

for (const [family, cases] of Object.entries(KERNEL)) {
  await t.test(family.toLowerCase(), { timeout: 4 * TIMEOUT_MS }, async (t) => {
    if (lacks) return skip(t, lacks);
    const stage = await makeDoctorStage(t);
    await showHealthy(t, stage);
    for (const each of cases) {
      const name = each.by ? `${each.fault}, ${each.by}` : each.fault;
      await t.test(name, { timeout: TIMEOUT_MS }, (t) => showFault(t, stage, each));
    }
  });
}

async function showHealthy(t: Test, { host }: DoctorStage): Promise<void> {
  const said = await host.exec(WEFT, ["doctor"], { reject: false });
  t.match(said, { exitCode: 0, stdout: "nothing found\n", stderr: "" }, "a healthy host");
}

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
  const nobody = ["--reuid=65534", "--regid=65534", "--clear-groups", WEFT, "doctor"];
  t.match(await host.exec("setpriv", nobody, { reject: false }), { exitCode: 1, stderr: /run as root\n$/ });
  const known = await host.exec(WEFT, ["doctor", "--faults", "--json"]);
  t.ok(
    JSON.parse(known.stdout).some(({ fault }: { fault: string }) => fault === "bridge-down"),
    "--faults",
  );
});
