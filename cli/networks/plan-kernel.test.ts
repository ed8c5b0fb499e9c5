import { expect } from "bun:test";
import { openRouteSocket } from "../../lib/rtnetlink/route-socket.ts";
import { kernelTest, TestNetns } from "../../lib/testing/netns.ts";
import { type NetworkFile, parseNetworkList } from "../runtime/network-list.ts";
import { type NetworkWords, planNetwork } from "./plan.ts";
import type { NetworkPlan } from "./plugin-list.ts";

const WORDS: NetworkWords = {
  name: "new",
  driver: "bridge",
  options: [],
  subnets: [],
  gateways: [],
  ranges: [],
  reserved: [],
  internal: false,
  ipv6: false,
  dns: [],
  dnsSearch: [],
  dnsOptions: [],
  force: false,
};

const UPLINK = `ip link add eth0 type veth peer name wire; ip link set wire up; ip link set eth0 up
ip address add 192.0.2.7/24 dev eth0
ip address add 2001:db8::7/64 dev eth0 nodad; ip route add default via 192.0.2.1`;

function network(name: string, plugin: object): NetworkFile {
  const text = JSON.stringify({ cniVersion: "1.0.0", name, plugins: [plugin] });
  return { ...parseNetworkList(text), file: `/etc/cni/net.d/${name}.conflist` };
}

/** What is planned on a host that was set up so, beside the networks. */
async function plan(
  setUp: string,
  words: Partial<NetworkWords>,
  networks: readonly NetworkFile[] = [],
): Promise<NetworkPlan> {
  using netns = await TestNetns.make();
  netns.run(setUp);
  using host = openRouteSocket(netns.netns);
  return planNetwork({ ...WORDS, ...words }, { host, networks });
}

/** The error that planning ends with. */
async function refusal(...args: Parameters<typeof plan>): Promise<string> {
  const error = await plan(...args).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(Error);
  return (error as Error).message;
}

const hostLocal = (subnet: string) => ({ type: "host-local", ranges: [[{ subnet }]] });
const subnets = ({ ranges }: NetworkPlan) => ranges.flatMap((set) => set.map(({ subnet }) => subnet));

kernelTest("planNetwork() chooses the first subnet that no address, route or network has", async () => {
  const setUp = `ip link set lo up; ip address add 10.224.0.9/24 dev lo; ip route add blackhole 10.224.1.0/25
ip link add br9 type bridge; ip link set br9 up; ip address add 10.9.0.1/24 dev br9
ip route add 10.224.2.64/26 via 10.9.0.2 table 100`;
  const others = [network("a", { type: "bridge", ipam: hostLocal("10.224.3.0/24") })];
  const overlay = { type: "vxlan", vni: 1, subnets: [{ subnet: "10.224.4.0/23", hostLength: 26 }] };
  expect(subnets(await plan(setUp, {}, [...others, network("b", overlay)]))).toEqual(["10.224.6.0/24"]);
});

kernelTest(
  "planNetwork() passes to another pool where a route has the first, but not for a default route",
  async () => {
    const halves = "ip link set lo up; ip route add 0.0.0.0/1 dev lo; ip route add 128.0.0.0/1 dev lo";
    expect(subnets(await plan(halves, {}))).toEqual(["10.224.0.0/24"]);
    expect(subnets(await plan(`${halves}; ip route add 10.0.0.0/8 dev lo`, {}))).toEqual(["172.16.0.0/24"]);
  },
);

kernelTest("planNetwork() chooses an IPv6 network of its own where one is asked for", async () => {
  const [subnet4, subnet6] = subnets(await plan("", { ipv6: true }));
  expect(subnet4).toBe("10.224.0.0/24");
  expect(subnet6).toMatch(/^fd[0-9a-f]{2}:[0-9a-f]{1,4}:[0-9a-f]{1,4}::\/64$/);
  const named = await plan("", { ipv6: true, subnets: ["fd00:7::/64"] });
  expect(subnets(named)).toEqual(["fd00:7::/64"]);
  expect(subnets(await plan("", { subnets: ["0.0.0.0/28"] }))).toEqual(["10.224.0.0/28"]);
});

kernelTest("planNetwork() names what overlaps", async () => {
  const asked = (subnet: string) => ({ subnets: [subnet] });
  const foreign = network("old", { type: "ptp", ipam: { type: "host-local", subnet: "10.50.0.0/16" } });
  expect(await refusal("", asked("10.50.3.0/24"), [foreign])).toStartWith(
    'subnet 10.50.3.0/24 overlaps network "old", 10.50.0.0/16 (/etc/cni/net.d/old.conflist)\n',
  );
  expect(await refusal(UPLINK, asked("192.0.2.0/25"))).toStartWith(
    "subnet 192.0.2.0/25 overlaps address 192.0.2.7/24 of eth0\n",
  );
  const routed = `${UPLINK}; ip route add 10.60.0.0/16 via 192.0.2.9`;
  expect(await refusal(routed, asked("10.60.1.0/24"))).toStartWith(
    "subnet 10.60.1.0/24 overlaps route 10.60.0.0/16 via 192.0.2.9 dev eth0\n",
  );
  expect(await refusal("", { subnets: ["10.1.0.0/24", "10.1.0.128/25"] })).toStartWith(
    "subnet 10.1.0.128/25 overlaps --subnet 10.1.0.0/24\n",
  );
});

kernelTest(
  "planNetwork() takes an overlap with a route where that is meant, never one with a network",
  async () => {
    const words = { subnets: ["10.60.1.0/24"], force: true };
    const routed = `${UPLINK}; ip route add 10.60.0.0/16 via 192.0.2.9`;
    expect(subnets(await plan(routed, words))).toEqual(["10.60.1.0/24"]);
    const other = network("a", { type: "bridge", ipam: hostLocal("10.60.0.0/16") });
    expect(await refusal(routed, words, [other])).toContain('overlaps network "a"');
  },
);

kernelTest("planNetwork() takes the subnet of a bridge that is there for the network on it", async () => {
  const setUp = "ip link add br9 type bridge; ip link set br9 up; ip address add 10.9.0.1/24 dev br9";
  const words = { subnets: ["10.9.0.0/24"] };
  expect(await refusal(setUp, words)).toContain("overlaps address 10.9.0.1/24 of br9");
  expect((await plan(setUp, { ...words, options: ["bridge=br9"] })).bridge).toBe("br9");
});

kernelTest(
  "planNetwork() puts a macvlan on its parent's wire: the router there, and no address of the host",
  async () => {
    const words = { driver: "macvlan", subnets: ["192.0.2.0/24"], ranges: ["192.0.2.0/29"] };
    const { ranges } = await plan(UPLINK, words);
    const common = { subnet: "192.0.2.0/24", gateway: "192.0.2.1" };
    expect(ranges).toEqual([[{ ...common, rangeStart: "192.0.2.1", rangeEnd: "192.0.2.6" }]]);

    const wire = {
      type: "macvlan",
      master: "eth0",
      ipam: {
        type: "host-local",
        ranges: [[{ subnet: "192.0.2.0/24", rangeStart: "192.0.2.6", rangeEnd: "192.0.2.20" }]],
      },
    };
    const onEth0 = { ...words, options: ["parent=eth0"] };
    expect(await refusal(UPLINK, onEth0, [network("a", wire)])).toContain('overlaps network "a"');
    const apart = { ...onEth0, ranges: ["192.0.2.64/26"] };
    expect(subnets(await plan(UPLINK, apart, [network("a", wire)]))).toEqual(["192.0.2.0/24"]);
    const noRouter = `${UPLINK}; ip route del default; ip address add 192.0.2.1/24 dev eth0`;
    expect(await refusal(noRouter, apart)).toContain("192.0.2.1 would be the containers' router");
    const twoLinks = `${UPLINK}; ip link add eth1 type bridge`;
    expect(await refusal(twoLinks, { ...apart, options: ["parent=eth1"] })).toContain(
      "overlaps address 192.0.2.7/24",
    );
  },
);

kernelTest("planNetwork() refuses what a driver cannot do, and says what it needs", async () => {
  const refused = async (words: Partial<NetworkWords>) => refusal("", words);
  expect(await refused({ driver: "macvlan" })).toContain("driver macvlan needs --subnet");
  expect(await refused({ driver: "macvlan", internal: true, options: ["parent=eth0"] })).toContain(
    "has no parent",
  );
  expect(await refused({ driver: "ptp", internal: true })).toContain("driver ptp has no --internal");
  expect(await refused({ driver: "vxlan" })).toContain("needs --opt vni=NUMBER");
  const vxlan = { driver: "vxlan", subnets: ["10.1.0.0/16"] };
  expect(await refused({ ...vxlan, options: ["vni=1"] })).toContain("needs one of --opt remotes");
  expect(await refused({ ...vxlan, options: ["vni=1", "remotes=192.0.2.9"] })).toContain("--ip-range");
  expect(await refused({ ...vxlan, options: ["vni=1", "etcd=true", "mode=routed"] })).toContain(
    "host-length",
  );
  expect(await refused({ ...vxlan, subnets: [], options: ["vni=1", "etcd=true"] })).toContain(
    "needs --subnet",
  );
  expect(await refused({ dns: ["x"] })).toContain('--dns: Cannot parse "x" as an address');
});

kernelTest("planNetwork() refuses IPv6 at an MTU that is too small for it", async () => {
  const small = { options: ["mtu=1279"] };
  const message = "--opt mtu=1279: IPv6 needs at least 1280";
  expect(await refusal("", { ...small, ipv6: true })).toStartWith(message);
  expect(await refusal("", { ...small, subnets: ["10.1.0.0/24", "fd00:1::/64"] })).toStartWith(message);
  expect(subnets(await plan("", small))).toEqual(["10.224.0.0/24"]);
  expect(subnets(await plan("", { ipv6: true, options: ["mtu=1280"] }))).toHaveLength(2);
});

kernelTest("planNetwork() refuses a parent that is not there, or is a VLAN that cannot be", async () => {
  const refused = (...options: string[]) => refusal(UPLINK, { driver: "macvlan", options });
  expect(await refused("parent=nix0")).toBe('no interface "nix0" on this host: there are wire, eth0');
  expect(await refused("parent=nix0.20")).toContain('no interface "nix0" on this host');
  expect(await refused("parent=eth0.5000")).toContain("there is no VLAN 5000, they are 1 to 4094");
  expect(await refused("parent=eth0.0")).toContain("there is no VLAN 0");
  expect(await refused("parent=eth0.20", "vlan=21")).toContain("has a VLAN already: leave out --opt vlan=21");
  expect(await refused("parent=eth0.20")).toContain("driver macvlan needs --subnet");
  for (const parent of [[], ["parent=eth0"], ["parent=eth0.20"]]) {
    expect(await refused("mtu=9000", ...parent)).toBe("--opt mtu=9000 is above that of eth0, which is 1500");
  }
  const inOne = "ip link add eth0.20 type bridge";
  const twice = { driver: "macvlan", options: ["parent=eth0.20", "vlan=21"] };
  expect(await refusal(`${UPLINK}; ${inOne}`, twice)).toContain("driver macvlan needs --subnet");
});

kernelTest("planNetwork() refuses names that are taken, reserved or none", async () => {
  const taken = network("new", { type: "bridge" });
  expect(await refusal("", {}, [taken])).toBe(
    'there is a network "new" already: /etc/cni/net.d/new.conflist',
  );
  expect(await refusal("", { name: "none" })).toContain("weft run --network none needs none");
  expect(await refusal("", { name: "../x" })).toContain("is no name of a network");
});

kernelTest("planNetwork() refuses an overlay the VNI or the bridge of another network", async () => {
  const others = [network("a", { type: "bridge", bridge: "br0" }), network("b", { type: "vxlan", vni: 7 })];
  const vxlan = { driver: "vxlan", subnets: ["10.1.0.0/16"], ranges: ["10.1.1.0/24"] };
  const options = ["remotes=192.0.2.9"];
  expect(await refusal("", { ...vxlan, options: ["vni=7", ...options] }, others)).toBe(
    'VNI 7 is that of network "b": /etc/cni/net.d/b.conflist',
  );
  expect(await refusal("", { ...vxlan, options: ["vni=8", "bridge=br0", ...options] }, others)).toContain(
    'bridge br0 is that of network "a"',
  );
  expect(await refusal("", { options: ["bridge=vxbr7"] }, others)).toContain('that of network "b"');
  const named = [network("c", { type: "bridge", bridge: "vxbr9" })];
  expect(await refusal("", { ...vxlan, options: ["vni=9", ...options] }, named)).toContain(
    'bridge vxbr9 is that of network "c"',
  );
});

kernelTest("planNetwork() names the bridge after the network where that fits and is free", async () => {
  const bridge = async (...args: Parameters<typeof plan>) => (await plan(...args)).bridge;
  expect(await bridge("", {})).toBe("br-new");
  expect(await bridge("ip link add br-new type bridge", {})).toMatch(/^br-[0-9a-f]{12}$/);
  expect(await bridge("", { name: "a-network-of-a-long-name" })).toMatch(/^br-[0-9a-f]{12}$/);
  const other = network("a", { type: "bridge", bridge: "br0", ipam: hostLocal("10.1.0.0/24") });
  expect(await refusal("", { options: ["bridge=br0"] }, [other])).toContain(
    'bridge br0 is that of network "a"',
  );
  expect(await refusal("", { options: ["bridge=a/b"] })).toContain("--opt bridge=a/b: ");
  for (const odd of ["br;id", "-br", "br=5", "br'"]) {
    expect(await refusal("", { options: [`bridge=${odd}`] })).toContain("not letters, digits");
  }
});
