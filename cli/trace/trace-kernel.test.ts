/** A trace through real namespaces, with one thing wrong at a time; a ping is the witness. */
import { expect, spyOn } from "bun:test";
import { parseAddress } from "../../lib/netaddr/address.ts";
import { kernelTest, lackingFor, TestNetns } from "../../lib/testing/netns.ts";
import { namespacesOf } from "../../lib/testing/stacks.ts";
import { Stack } from "../inventory/stack.ts";
import { type EndpointOptions, firstPacket } from "./endpoints.ts";
import { World } from "./node.ts";
import { type TraceResult, trace } from "./trace.ts";

const lacking = lackingFor("nft", "list", "ruleset");
const lackingVlans = lackingFor(..."ip link add type bridge vlan_filtering 1".split(" "));

class Stage implements Disposable {
  readonly host: TestNetns;
  readonly one: TestNetns;
  readonly two: TestNetns;
  readonly out: TestNetns;

  private constructor(all: readonly TestNetns[]) {
    const [host, one, two, out] = all;
    if (!host || !one || !two || !out) throw new Error("four namespaces");
    [this.host, this.one, this.two, this.out] = [host, one, two, out];
  }

  /** Two containers on a bridge, and a machine outside that knows the way back to them. */
  static async make(): Promise<Stage> {
    const stage = new Stage(await Promise.all([1, 2, 3, 4].map(() => TestNetns.make())));
    const { host, one, two, out } = stage;
    host.run(`sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
      ip link set lo up
      ip link add br0 type bridge; ip link set br0 up; ip address add 10.1.0.1/24 dev br0
      ip link add v1 type veth peer name eth0 netns ${pidOf(one)}
      ip link add v2 type veth peer name eth0 netns ${pidOf(two)}
      ip link add up0 type veth peer name eth0 netns ${pidOf(out)}
      ip link set v1 master br0 up; ip link set v2 master br0 up
      ip link set up0 up; ip address add 192.0.2.1/24 dev up0
      for key in iptables ip6tables; do
        [ ! -e /proc/sys/net/bridge/bridge-nf-call-$key ] || echo 0 > /proc/sys/net/bridge/bridge-nf-call-$key
      done`);
    for (const [netns, address] of [
      [one, "10.1.0.2"],
      [two, "10.1.0.3"],
    ] as const) {
      netns.run(`ip link set lo up; ip link set eth0 up; ip address add ${address}/24 dev eth0
        ip route add default via 10.1.0.1`);
    }
    out.run(`ip link set lo up; ip link set eth0 up; ip address add 192.0.2.9/24 dev eth0
      ip route add 10.1.0.0/24 via 192.0.2.1`);
    return stage;
  }

  /** What the trace of a ping from the first container says. */
  trace(to: string, options: EndpointOptions = {}): TraceResult {
    const { host, one, two, out } = this;
    using namespaces = namespacesOf({ host, one, two, out });
    const world = new World(namespaces);
    const node = world.nodes.find(({ name }) => name === "one");
    if (!node) throw new Error("no container");
    const service = { protocol: undefined, port: 0 };
    const packet = firstPacket(parseAddress("10.1.0.2"), parseAddress(to), service, options);
    return trace(world, { origin: { node }, packet });
  }

  ping(to: string, options = ""): boolean {
    return (
      this.one.run(`ping -n -c 1 -W 1 ${options} ${to} > /dev/null 2>&1 && echo yes || echo no`).trim() ===
      "yes"
    );
  }

  [Symbol.dispose](): void {
    for (const netns of [this.host, this.one, this.two, this.out]) netns[Symbol.dispose]();
  }
}

function pidOf({ path }: TestNetns): string {
  return /^\/proc\/(\d+)\//.exec(path)?.[1] ?? "";
}

interface Fault {
  readonly name: string;
  readonly cause: (stage: Stage) => void;
  readonly to: string;
  /** What the reason says of it. */
  readonly reason: RegExp;
  /** Why this kernel cannot have it. */
  readonly lacking?: string | undefined;
}

const SIBLING = "10.1.0.3";
const OUTSIDE = "192.0.2.9";
/** A table of one chain. */
const nft = (netns: TestNetns, family: string, hook: string, rule: string) =>
  netns.run(`nft -f - <<'END'
table ${family} f {
  chain c {
    type filter hook ${hook} priority 0;
    ${rule}
  }
}
END`);

const FAULTS: readonly Fault[] = [
  {
    name: "forwarding is off",
    cause: ({ host }) => host.run("sysctl -qw net.ipv4.ip_forward=0"),
    to: OUTSIDE,
    reason: /forwarding is off on br0 of host.*: sysctl -w net\.ipv4\.ip_forward=1$/,
  },
  {
    name: "forwarding is off on the interface alone",
    cause: ({ host }) => host.run("sysctl -qw net.ipv4.conf.br0.forwarding=0"),
    to: OUTSIDE,
    reason: /forwarding is off on br0 of host.*: sysctl -w net\.ipv4\.conf\.br0\.forwarding=1$/,
  },
  {
    name: "the other container's interface is down",
    cause: ({ two }) => two.run("ip link set eth0 down"),
    to: SIBLING,
    reason: /eth0 of two, is down|nobody on eth0/,
  },
  {
    name: "both ports are isolated",
    cause: ({ host }) => host.run("bridge link set dev v1 isolated on; bridge link set dev v2 isolated on"),
    to: SIBLING,
    reason: /isolated ports of br0/,
  },
  {
    name: "a port is in no VLAN of the other's",
    cause: ({ host }) =>
      host.run("ip link set br0 type bridge vlan_filtering 1; bridge vlan del dev v2 vid 1"),
    to: SIBLING,
    reason: /no port of br0|nobody/,
    lacking: lackingVlans,
  },
  {
    name: "the bridge itself is in no VLAN",
    cause: ({ host }) =>
      host.run("ip link set br0 type bridge vlan_filtering 1; bridge vlan del dev br0 vid 1 self"),
    to: OUTSIDE,
    reason: /nobody/,
    lacking: lackingVlans,
  },
  {
    name: "a port is blocked",
    cause: ({ host }) => host.run("bridge link set dev v2 state 0"),
    to: SIBLING,
    reason: /nobody|not forwarding/,
  },
  {
    name: "no route in the container",
    cause: ({ one }) => one.run("ip route del default"),
    to: OUTSIDE,
    reason: /one has no route to 192.0.2.9 \(ENETUNREACH\)/,
  },
  {
    name: "a route that leads nowhere on the host",
    cause: ({ host }) => host.run("ip route add blackhole 192.0.2.9/32"),
    to: OUTSIDE,
    reason: /host has no route to 192.0.2.9/,
  },
  {
    name: "the reverse path filter",
    cause: ({ host }) =>
      host.run(`sysctl -qw net.ipv4.conf.br0.rp_filter=1
        ip route add 10.1.0.2/32 via 192.0.2.9 dev up0`),
    to: OUTSIDE,
    reason: /rp_filter of br0 of host is 1, and the route back to 10.1.0.2 leaves by up0/,
  },
  {
    name: "a neighbour's MAC that is nobody's",
    cause: ({ one }) =>
      one.run(`ip neighbour replace ${SIBLING} lladdr 02:00:00:00:00:77 dev eth0 nud permanent`),
    to: SIBLING,
    reason: /no port of br0 in host leads to 02:00:00:00:00:77/,
  },
  {
    name: "a forwarding entry that leads to another port",
    cause: ({ host, two }) => {
      const [{ address }] = two.json("ip -j link show eth0");
      host.run(`bridge fdb replace ${address} dev v1 master static sticky`);
    },
    to: SIBLING,
    reason: /where it came from, and its hairpin mode is off/,
  },
  {
    name: "nobody has the address",
    cause: () => {},
    to: "10.1.0.77",
    reason: /nobody on eth0 of one answers for 10.1.0.77/,
  },
  ...["10.1.0.255", "255.255.255.255", "224.0.0.1"].map((to) => ({
    name: `${to} is nobody's alone`,
    cause: () => {},
    to,
    reason: /is no address of one host/,
  })),
  {
    name: "a rule at the forward hook",
    cause: ({ host }) => nft(host, "ip", "forward", 'icmp type echo-request drop comment "no"'),
    to: OUTSIDE,
    reason: /drop at forward of host by ip f c handle \d+ "no"/,
  },
  {
    name: "a rule of bridges",
    cause: ({ host }) => nft(host, "bridge", "forward", "oifname v2 ip daddr 10.1.0.3 drop"),
    to: SIBLING,
    reason: /drop at bridge forward of host by bridge f c/,
  },
  {
    name: "a rule of bridges about ARP",
    cause: ({ host }) => nft(host, "bridge", "forward", "ether type arp drop"),
    to: SIBLING,
    reason: /nobody on eth0 of one answers for 10.1.0.3: drop at bridge forward of host/,
  },
  {
    name: "a rule of bridges about ARP's answer",
    cause: ({ host }) => nft(host, "bridge", "forward", "arp operation reply drop"),
    to: SIBLING,
    reason: /nobody on eth0 of one answers for 10.1.0.3: the answer: drop at bridge forward of host/,
  },
  {
    name: "the other end of a veth takes less",
    cause: ({ two }) => two.run("ip link set eth0 mtu 70"),
    to: SIBLING,
    reason: /84 bytes do not fit eth0 of two, whose MTU is 70/,
  },
  {
    name: "a rule at the port's ingress",
    cause: ({ host }) => nft(host, "netdev", "ingress device v1", "ip daddr 10.1.0.3 drop"),
    to: SIBLING,
    reason: /drop at netdev ingress of host by netdev f c/,
  },
  {
    name: "a refusal in the other container",
    cause: ({ two }) => nft(two, "ip", "input", "reject"),
    to: SIBLING,
    reason: /reject at input of two by ip f c/,
  },
  {
    name: "the answer's way",
    cause: ({ out }) => out.run("ip route del 10.1.0.0/24"),
    to: OUTSIDE,
    reason: /out has no route to 10.1.0.2/,
  },
  {
    name: "the answer is dropped on its way",
    cause: ({ host }) => nft(host, "ip", "forward", "iifname up0 ct state established drop"),
    to: OUTSIDE,
    reason: /drop at forward of host/,
  },
];

kernelTest(
  "trace() says that a ping passes, and it does",
  async () => {
    using stage = await Stage.make();
    for (const to of [SIBLING, OUTSIDE, "10.1.0.1", "10.1.0.2", "127.0.0.1"]) {
      const { verdict, back, there, unknown } = stage.trace(to);
      expect([to, verdict, (back ?? there).reason, unknown]).toEqual([to, "passes", "", []]);
      expect([to, stage.ping(to)]).toEqual([to, true]);
    }
  },
  lacking,
);

kernelTest("trace() asks no other port of a bridge where the bridge itself has the address", async () => {
  using stage = await Stage.make();
  using asked = spyOn(Stack.prototype, "sysctl");
  expect(stage.trace(OUTSIDE).verdict).toBe("passes");
  const names = asked.mock.contexts.map((stack) => stack instanceof Stack && stack.name);
  expect(names).toContain("host");
  expect(names).not.toContain("two");
});

for (const { name, cause, to, reason, ...fault } of FAULTS) {
  kernelTest(
    `trace() says why a ping does not pass: ${name}`,
    async () => {
      using stage = await Stage.make();
      cause(stage);
      const { verdict, there, back } = stage.trace(to);
      expect((back ?? there).reason).toMatch(reason);
      expect(verdict).toBe("dropped");
      expect(stage.ping(to)).toBe(false);
    },
    fault.lacking ?? lacking,
  );
}

kernelTest("trace() says which packets are too large to pass whole", async () => {
  using stage = await Stage.make();
  stage.host.run("ip link set up0 mtu 1400");
  const whole = { size: 1500, dontFragment: true };
  const { verdict, there } = stage.trace(OUTSIDE, whole);
  expect(there.reason).toMatch(/1500 bytes do not fit up0 of host, whose MTU is 1400/);
  expect(verdict).toBe("dropped");
  expect(stage.ping(OUTSIDE, "-s 1472 -M do")).toBe(false);
  expect(stage.trace(OUTSIDE, { size: 1400, dontFragment: true }).verdict).toBe("passes");
  expect(stage.ping(OUTSIDE, "-s 1372 -M do")).toBe(true);
  const answered = stage.trace(OUTSIDE, { size: 1500 });
  expect(answered.back?.reason).toMatch(/1500 bytes do not fit up0 of host, whose MTU is 1400/);
  expect(stage.ping(OUTSIDE, "-s 1472 -M dont")).toBe(false);
  stage.out.run("ip link set eth0 mtu 1400");
  expect(stage.trace(OUTSIDE, { size: 1500 }).verdict).toBe("passes");
  expect(stage.ping(OUTSIDE, "-s 1472 -M dont")).toBe(true);
});
