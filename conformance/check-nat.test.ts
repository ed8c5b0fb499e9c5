/**
 * CHECK of masquerade, spoof check, published ports and firewall, after each tampering with a good one.
 * The reference notices half of these (rows of its CHECK: 1.1.1 and 1.9.1 miss PREROUTING, MASQ, masquerade
 * and spoof check altogether); ours names what is missing.
 */
import t, { type Test } from "tap";
import { attachChain, type ChainConfig } from "./fixtures/chain.ts";
import { type Host, makeHost } from "./fixtures/host.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { natNetwork, publishing } from "./fixtures/nat-network.ts";
import type { Backend } from "./fixtures/packet-filter.ts";
import { refused, silent } from "./fixtures/refusal.ts";

const TIMEOUT_MS = 300_000;
t.setTimeout(2 * TIMEOUT_MS);
const SUBNETS = ["10.9.0.0/24", "fd00:9::/64"];
const RUNTIME = publishing(
  { hostPort: 8080, containerPort: 80, protocol: "tcp" },
  { hostPort: 5353, containerPort: 53, protocol: "udp", hostIP: "192.0.2.1" },
  { hostPort: 7000, containerPort: 7000, protocol: "tcp" },
  { hostPort: 7001, containerPort: 7001, protocol: "tcp" },
);
const lacks = await missing("bridge", "nf_tables");

// In front of every script: the container's addresses, its chains, the host's end of its veth.
const NAMES = `
IP4=$(ip -n c1 -4 -o address show dev eth0 | grep -o '10[.]9[.][0-9.]*' | head -1)
IP6=$(ip -n c1 -6 -o address show dev eth0 | grep -o 'fd00:9::[0-9a-f]*' | head -1)
VETH=$(ip -o link show master cni0 | sed -n 's/^[0-9]*: \\(veth[^@]*\\)@.*/\\1/p')
NAT=$(iptables -t nat -S 2> /dev/null | sed -n 's/^-N \\(CNI-[0-9a-f]*\\)$/\\1/p')
DN=$(iptables -t nat -S 2> /dev/null | sed -n 's/^-N \\(CNI-DN-.*\\)/\\1/p')
# Deletes every rule of a chain that has the words: without FAMILY TABLE CHAIN WORDS
without() {
  $1 -t $2 -S $3 | grep -e "$4" | sed "s/^-A/$1 -t $2 -D/" | sh -e
}
`;

/** What was done, how, what CHECK says. */
type Row = [what: string, script: string, msg: RegExp];

const SPOOF_CHECK: readonly Row[] = [
  ["the port is not checked", "nft flush set bridge weft checked", /checked/],
  ["the container's MAC is not known", "nft flush set bridge weft macs", /macs/],
  [
    "another MAC",
    `nft flush set bridge weft macs; nft add element bridge weft macs "{ $VETH . 02:00:00:00:00:99 }"`,
    /macs/,
  ],
  ["the spoof check's rule is gone", "nft flush chain bridge weft prerouting", /prerouting|macspoofchk/],
  ["the spoof check's table is gone", "nft delete table bridge weft", /bridge weft|checked|macs/],
];

const NFTABLES: readonly Row[] = [
  ["masquerade: the element is gone", "nft flush set inet weft masq4", /masq4/],
  ["masquerade: the IPv6 element is gone", "nft flush set inet weft masq6", /masq6/],
  [
    "masquerade: another address",
    'nft flush set inet weft masq4; nft add element inet weft masq4 "{ cni0 . 10.9.0.99 }"',
    /masq4/,
  ],
  ["masquerade: the chain is empty", "nft flush chain inet weft postrouting", /postrouting/],
  [
    "the published port is gone",
    'nft delete element inet weft port4 "{ tcp . 8080 }"',
    /port4.*8080|8080.*port4/,
  ],
  ["the IPv6 port is gone", "nft flush map inet weft port6", /port6/],
  [
    "the port leads elsewhere",
    `nft delete element inet weft port4 "{ tcp . 8080 }"
     nft add element inet weft port4 "{ tcp . 8080 : 10.9.0.99 . 80 }"`,
    /port4.*8080|8080.*port4/,
  ],
  ["the port of one address is gone", "nft flush map inet weft hostport4", /hostport4/],
  ["the range is gone", "nft flush map inet weft range4", /range4/],
  ["hairpin: the element is gone", "nft flush set inet weft hairpin4", /hairpin4/],
  ["PREROUTING is empty", "nft flush chain inet weft prerouting", /prerouting/],
  ["OUTPUT is empty", "nft flush chain inet weft output", /output/],
  ["the chain of ports is empty", "nft flush chain inet weft publish4", /publish4/],
  ["the chain of IPv6 ports is empty", "nft flush chain inet weft publish6", /publish6/],
  ["the guard of 127.0.0.0/8 is empty", "nft flush chain inet weft guard", /guard/],
  ["nobody is kept from it", "nft flush chain inet weft loopback", /loopback/],
  [
    "one rule of the guard is gone",
    `handle=$(nft -a list chain inet weft guard | sed -n 's/.*saddr.*handle //p' | head -1)
     nft delete rule inet weft guard handle $handle`,
    /guard/,
  ],
  ["127.0.0.1 is not routed", "sysctl -qw net.ipv4.conf.cni0.route_localnet=0", /route_localnet/],
  ["firewall: FORWARD is empty", "nft flush chain inet weft forward", /forward/],
  ["firewall: isolation is empty", "nft flush chain inet weft isolation", /isolation/],
  ["firewall: the bridge is not among the isolated", "nft flush set inet weft isolated", /isolated/],
  ["firewall: the pair is gone", "nft flush map inet weft pairs", /pairs/],
  ["firewall: the way out is gone", "nft flush map inet weft leaving", /leaving/],
  ["the table is flushed", "nft flush table inet weft", /weft/],
  ["the table is gone", "nft delete table inet weft", /weft/],
  ["everything is gone", "nft flush ruleset", /weft/],
  ["the table is dormant", "nft 'add table inet weft { flags dormant; }'", /dormant|weft/],
];

/** Of both families. */
const iptablesRows = (family: "iptables" | "ip6tables"): readonly Row[] => {
  const nat = `${family} -t nat`;
  const source = family === "iptables" ? "$IP4" : "$IP6";
  return [
    ["masquerade: the chain is empty", `${nat} -F $NAT`, /CNI-[0-9a-f]{24}/],
    ["masquerade: the jump is gone", `without ${family} nat POSTROUTING "-j CNI-[0-9a-f]*$"`, /POSTROUTING/],
    ["masquerade: no exception for the subnet", `without ${family} nat $NAT "-j ACCEPT"`, /CNI-[0-9a-f]{24}/],
    ["ports: the container's chain is empty", `${nat} -F $DN`, /CNI-DN-/],
    ["ports: the jump to it is gone", `${nat} -F CNI-HOSTPORT-DNAT`, /CNI-HOSTPORT-DNAT/],
    ["ports: no DNAT", `without ${family} nat $DN "-j DNAT"`, /CNI-DN-/],
    ["ports: no mark", `without ${family} nat $DN "-j CNI-HOSTPORT-SETMARK"`, /CNI-DN-/],
    [
      "ports: the jump of PREROUTING is gone",
      `without ${family} nat PREROUTING CNI-HOSTPORT-DNAT`,
      /PREROUTING/,
    ],
    ["ports: the jump of OUTPUT is gone", `without ${family} nat OUTPUT CNI-HOSTPORT-DNAT`, /OUTPUT/],
    ["ports: the mark is not masqueraded", `${nat} -F CNI-HOSTPORT-MASQ`, /CNI-HOSTPORT-MASQ/],
    ["ports: nothing is marked", `${nat} -F CNI-HOSTPORT-SETMARK`, /CNI-HOSTPORT-SETMARK/],
    [
      "ports: the jump to the masquerade is gone",
      `without ${family} nat POSTROUTING CNI-HOSTPORT-MASQ`,
      /POSTROUTING/,
    ],
    ["firewall: FORWARD is empty", `${family} -F FORWARD`, /FORWARD/],
    ["firewall: CNI-FORWARD is empty", `${family} -F CNI-FORWARD`, /CNI-FORWARD/],
    [
      "firewall: no accept for what leaves",
      `without ${family} filter CNI-FORWARD "-s ${source}"`,
      /CNI-FORWARD/,
    ],
    ["firewall: no accept for answers", `without ${family} filter CNI-FORWARD "-d ${source}"`, /CNI-FORWARD/],
    [
      "firewall: the administrator is not asked",
      `without ${family} filter CNI-FORWARD CNI-ADMIN`,
      /CNI-ADMIN/,
    ],
    [
      "firewall: the bridge is not in stage 1",
      `without ${family} filter CNI-ISOLATION-STAGE-1 cni0`,
      /STAGE-1/,
    ],
    ["firewall: stage 2 drops nothing", `without ${family} filter CNI-ISOLATION-STAGE-2 DROP`, /STAGE-2/],
    [
      "firewall: nothing goes to stage 1",
      `without ${family} filter FORWARD CNI-ISOLATION-STAGE-1`,
      /FORWARD/,
    ],
    ["nothing is left", `${nat} -F; ${family} -F`, /CNI|FORWARD|POSTROUTING/],
  ].map(([what, script, msg]): Row => [`${family}, ${what}`, script as string, msg as RegExp]);
};

const ROWS: Record<Backend, readonly Row[]> = {
  nftables: [...NFTABLES, ...SPOOF_CHECK],
  iptables: [
    ...iptablesRows("iptables"),
    ...iptablesRows("ip6tables"),
    ["127.0.0.1 is not routed", "sysctl -qw net.ipv4.conf.cni0.route_localnet=0", /route_localnet/],
    ...SPOOF_CHECK,
  ],
};

/** What CHECK has to put up with: rules of the administrator, of later plugins, of other containers. */
const TOLERATED: Record<Backend, readonly [what: string, script: string][]> = {
  nftables: [
    ["a rule in `user`", "nft add rule inet weft user ip saddr 10.99.0.1 drop"],
    ["a rule before ours", "nft insert rule inet weft forward counter"],
    ["a rule after ours", "nft add rule inet weft postrouting counter"],
    ["a chain more in the table", "nft add chain inet weft mine"],
    ["an element more", 'nft add element inet weft masq4 "{ cni9 . 10.99.0.1 }"'],
  ],
  iptables: [
    ["a rule in CNI-ADMIN", "iptables -A CNI-ADMIN -s 10.99.0.1 -j DROP"],
    ["a rule before ours", "iptables -t nat -I POSTROUTING -s 10.99.0.1 -j ACCEPT"],
    ["a rule before CNI-FORWARD", "iptables -I FORWARD -s 10.99.0.1 -j DROP"],
    ["a rule in CNI-FORWARD", "ip6tables -A CNI-FORWARD -s fd99::1 -j ACCEPT"],
    ["a rule in CNI-HOSTPORT-DNAT", "iptables -t nat -I CNI-HOSTPORT-DNAT -p tcp --dport 9 -j RETURN"],
  ],
};
const OTHERS: readonly [what: string, script: string][] = [
  [
    "a table of somebody else",
    'nft add table ip other; nft "add chain ip other x { type nat hook postrouting priority 90; }"',
  ],
  ["a chain of Docker's", "iptables -N DOCKER-USER; iptables -I FORWARD -j DOCKER-USER"],
];

async function tamper(t: Test, host: Host, list: ChainConfig, [what, script, msg]: Row): Promise<void> {
  const chain = await attachChain(await host.container("c1"), list, { runtime: RUNTIME });
  silent(t, await chain.check(), `${what}: untouched it is good`);
  await host.exec("bash", ["--norc", "-e", "-c", `${NAMES}${script}`]);
  const checked = await chain.check();
  const { msg: said = "", details = "" } = checked.error ?? {};
  refused(t, checked, { code: 100, msg: /.+/, details: /.*/ }, what);
  t.match(`${said}: ${details}`, msg, `${what}: it is named`);
  silent(t, await chain.del(), `${what}: DEL`);
  // the next begins anew; of what the script broke ADD restores what it needs
  await host.exec("sh", ["-c", "nft flush ruleset; ip netns del c1"]);
}

for (const backend of ["nftables", "iptables"] as const) {
  await t.test(`${backend}: each tampering is noticed`, { timeout: TIMEOUT_MS }, async (t) => {
    if (lacks) return skip(t, lacks);
    const host = await makeHost(t);
    await host.outside();
    const list = natNetwork("net", SUBNETS, { backend, bridge: { macspoofchk: true } });
    for (const row of ROWS[backend]) await tamper(t, host, list, row);
  });

  await t.test(`${backend}: what others add is tolerated`, { timeout: TIMEOUT_MS }, async (t) => {
    if (lacks) return skip(t, lacks);
    const host = await makeHost(t);
    await host.outside();
    const list = natNetwork("net", SUBNETS, { backend, bridge: { macspoofchk: true } });
    const chain = await attachChain(await host.container("c1"), list, { runtime: RUNTIME });
    for (const [what, script] of [...TOLERATED[backend], ...OTHERS]) {
      await host.exec("bash", ["--norc", "-e", "-c", script]);
      silent(t, await chain.check(), what);
    }
    silent(t, await (await attachChain(await host.container("c2"), list)).check(), "another container");
    silent(t, await chain.check(), "beside which it is still good");
  });
}
