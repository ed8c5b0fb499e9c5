/**
 * `weft doctor`: faults of the host as the containers' router, of its packet filters, of published ports and
 * of MTU. Each is caused, named, mended by the command it printed, and gone.
 */
import { writeFileSync } from "node:fs";
import t from "tap";
import { diagnose, type FaultCase, makeDoctorStage, showFamilies, WEFT } from "./fixtures/doctor-stage.ts";
import { missing, skip } from "./fixtures/kernel.ts";

t.setTimeout(1_200_000);
const lacks = await missing("bridge", "br_netfilter", "nf_tables");

const ROUTER: readonly FaultCase[] = [
  { fault: "forwarding-off", cause: "sysctl -qw net.ipv4.ip_forward=0" },
  { fault: "forwarding-off", by: "the bridge's", cause: "sysctl -qw net.ipv4.conf.br-front.forwarding=0" },
  {
    fault: "forwarding-off",
    by: "an interface with a dot",
    cause: `
ip link add up.10 type veth peer name beyond; ip link set beyond up; ip link set up.10 up
ip address add 203.0.113.1/24 dev up.10; ip route add default via 203.0.113.2 metric 300
sysctl -qw net/ipv4/conf/up.10/forwarding=0`,
    evidence: /^net\/ipv4\/conf\/up\.10\/forwarding is 0/,
    after: "ip link del up.10",
  },
  { fault: "forwarding-off", by: "IPv6", cause: "sysctl -qw net.ipv6.conf.all.forwarding=0" },
  {
    fault: "router-advertisements-ignored",
    cause: `
ip -n outside0 address add fe80::1/64 dev eth0 nodad
ip -6 route del default; ip -6 route add default via fe80::1 dev uplink0 proto ra
sysctl -qw net.ipv6.conf.uplink0.accept_ra=1`,
    after: `
ip -n outside0 address del fe80::1/64 dev eth0
ip -6 route del default; ip -6 route add default via 2001:db8:1::2`,
  },
  { fault: "host-route-missing", cause: "ip route del 10.6.0.2" },
  {
    fault: "route-elsewhere",
    cause: "ip link add vpn up type bridge; ip route replace 10.6.0.2 dev vpn",
    evidence: /this host sends it by vpn/,
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
    fault: "way-blocked",
    by: "a rule of routing",
    cause: "ip rule add from 10.9.0.2 prohibit",
    subject: "c1 (eth0 on front)",
    evidence: /from 10\.9\.0\.2 to the uplink is dropped: host has no route to \S+ \(EACCES\)/,
    after: "ip rule del from 10.9.0.2 prohibit",
    isUnmended: true,
  },
  {
    fault: "way-blocked",
    by: "what a container takes for its neighbour's MAC",
    cause: "ip -n c1 neighbour replace 10.9.0.3 lladdr 02:00:00:00:00:77 dev eth0 nud permanent",
    evidence:
      /to its neighbour 10\.9\.0\.3 is dropped: no port of br-front in host leads to 02:00:00:00:00:77/,
    after: "ip -n c1 neighbour del 10.9.0.3 dev eth0",
    isUnmended: true,
  },
  {
    fault: "uplink-missing",
    cause: "ip route del default; ip -6 route del default",
    evidence: /goes from \S+ to what is beyond this host is dropped: host has no route to /,
    after: "ip route add default via 192.0.2.2; ip -6 route add default via 2001:db8:1::2",
    isUnmended: true,
  },
  {
    fault: "uplink-missing",
    by: "an interface that is down",
    cause: "ip -6 address show dev uplink0 scope global > /run/addresses; ip link set uplink0 down",
    evidence: /; uplink0 is down$/,
    after: `
ip address replace $(awk '/inet6/ { print $2 }' /run/addresses) dev uplink0 nodad; rm /run/addresses
ip route add default via 192.0.2.2; ip -6 route add default via 2001:db8:1::2`,
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
    by: "of one container",
    cause: "iptables -A FORWARD -s 10.9.0.3 -j DROP",
    subject: "c2 (eth0 on front)",
    evidence: /from 10\.9\.0\.3 to the uplink is dropped by ip filter FORWARD /,
    after: "iptables -F FORWARD",
  },
  {
    fault: "forward-dropped",
    by: "of a whole network",
    cause: "iptables -A FORWARD -i br-front -j DROP",
    subject: "c1 (eth0 on front) and 1 more",
    after: "iptables -F FORWARD",
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
  {
    fault: "forward-dropped",
    by: "of what the host sends",
    cause: "iptables -A OUTPUT -o br-front -p tcp -d 10.9.0.3 -j DROP",
    subject: "c2 (eth0 on front)",
    evidence: /from this host to 10\.9\.0\.3 is dropped by ip filter OUTPUT /,
    after: "iptables -F OUTPUT",
  },
  { fault: "rules-missing", cause: "nft flush ruleset" },
  {
    fault: "rules-missing",
    by: "elements",
    cause: "nft flush set inet weft masq4; nft flush map inet weft port4",
  },
  { fault: "table-foreign", cause: "nft delete table inet weft; nft add table inet weft" },
  {
    fault: "rule-foreign",
    cause: "nft insert rule inet weft forward ip saddr 10.9.0.2 drop",
    evidence:
      /^"(meta nfproto ipv4 )?ip saddr 10\.9\.0\.2 drop" \(handle \d+ of chain forward\) is not weft's/,
  },
  {
    fault: "rule-foreign",
    by: "a policy",
    cause: "nft add chain inet weft forward '{ policy drop; }'",
    evidence: /policy of chain forward is drop/,
  },
  {
    fault: "rule-foreign",
    by: "a chain",
    cause: "nft 'table inet weft { chain mine { type filter hook forward priority 5; policy drop; }; }'",
    evidence: /chain mine is not weft's/,
  },
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
    evidence: /from the uplink to port 8080 is led elsewhere by ip nat PREROUTING /,
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

await showFamilies(t, { ROUTER, FILTER, PUBLISHING, MTU }, lacks);

await t.test("what keeps networks apart stays, whatever drops", { timeout: 240_000 }, async (t) => {
  if (lacks) return skip(t, lacks);
  const { host, outside } = await makeDoctorStage(t);
  for (const [i, name] of ["left", "right"].entries()) {
    const plugins = [
      {
        type: "bridge",
        bridge: `br-${name}`,
        isDefaultGateway: true,
        ipMasq: true,
        ipam: { type: "host-local", subnet: `10.${71 + i}.0.0/24` },
      },
      { type: "firewall", backend: "iptables", ingressPolicy: "same-bridge" },
    ];
    const list = { cniVersion: "1.0.0", name, plugins };
    writeFileSync(host.view(`/etc/cni/net.d/20-${name}.conflist`), JSON.stringify(list));
    await host.container(name);
    await host.exec(WEFT, ["add", name, name]);
  }
  const left = host.containers.get("left");
  const causes = [
    "iptables -I FORWARD -s 10.71.0.0/24 -d 192.0.2.0/24 -j DROP",
    // and without what let through before: what mended, and the plugin's own
    `for i in 1 2 3; do iptables -D FORWARD 1; done; iptables -F CNI-FORWARD; iptables -P FORWARD DROP`,
  ];
  for (const cause of causes) {
    await host.exec("sh", ["-c", cause]);
    t.notOk(await left?.ping(outside.address4), `${cause}: dropped`);
    for (let round = 1; round <= 4; round++) {
      const dropped = (await diagnose(host)).filter(({ fault }) => fault === "forward-dropped");
      for (const { remedy } of dropped) await host.exec("sh", ["-ec", remedy]);
      if (dropped.length === 0) break;
    }
    t.ok(await left?.ping(outside.address4), "mended");
    t.notOk(await left?.ping("10.72.0.2"), "and the networks are apart as before");
  }
});
