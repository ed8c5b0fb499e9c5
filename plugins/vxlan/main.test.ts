/** vxlan without a store, in namespaces of the kernel this machine runs; the oracles are ip and bridge. */
import { afterEach, beforeEach, test as bunTest, describe, expect } from "bun:test";
import { callPlugin } from "../../lib/cni/plugin.ts";
import { CniHost, linksOf, recordsThere } from "../../lib/testing/cni-host.ts";
import { thrownBy } from "../../lib/testing/made-up-things.ts";
import { kernelTest, lackingFor, noNetnsReason, TestNetns } from "../../lib/testing/netns.ts";
import { noOwnRunReason } from "../../lib/testing/own-run.ts";
import { input } from "../../lib/testing/probe.ts";
import staticPlugin from "../static/main.ts";
import vxlanPlugin from "./main.ts";

const lacking =
  noNetnsReason ?? noOwnRunReason ?? lackingFor("ip", "link", "add", "vx", "type", "vxlan", "id", "1");
const REMOTES = ["192.0.2.1", "192.0.2.2", "192.0.2.3"];
const STATIC = { vni: 42, remotes: REMOTES };
const withAddress = (...addresses: string[]) => ({
  ipam: { type: "static", addresses: addresses.map((address) => ({ address })) },
});

let host: CniHost;
let c1: TestNetns;
let c2: TestNetns;
beforeEach(async () => {
  if (lacking !== undefined) return;
  host = await CniHost.make(`ip link add u0 type veth peer name far; ip link set far up; ip link set u0 up
    ip addr add 192.0.2.1/24 dev u0; ip addr add 2001:db8::1/64 dev u0 nodad`);
  c1 = await TestNetns.make();
  c2 = await TestNetns.make();
});
afterEach(() => {
  for (const each of [host, c1, c2]) each?.[Symbol.dispose]();
});
const test = (name: string, body: () => void) => kernelTest(name, body, lacking);

interface Rest {
  netns?: string;
  valid?: string[];
  network?: string;
  containerId?: string;
}
const ask = (command: string, config: object = STATIC, rest: Rest = {}): string =>
  host.ask(vxlanPlugin, command, { netns: c1.path, config, ...rest }, [staticPlugin]);
const add = (config: object = STATIC, rest: Rest = {}) => JSON.parse(ask("ADD", config, rest));
const addSecond = (config: object = STATIC, rest: Rest = {}) =>
  add(config, { netns: c2.path, containerId: "c2", ...rest });
const shown = (name: string) => host.netns.json(`ip -j -d link show dev ${name}`)[0];
const flooded = () =>
  host.netns
    .json("bridge -j fdb show dev vx42")
    .filter(({ mac }: { mac: string }) => mac === "00:00:00:00:00:00")
    .map(({ dst }: { dst: string }) => dst)
    .sort();
const UNTOUCHED = ["far veth", "u0 veth"];
const nothingLeft = () => {
  expect([linksOf(c1), host.links(), recordsThere()]).toEqual([[], UNTOUCHED, []]);
  expect(host.netns.run("ls /run/weft/claims 2>/dev/null || true")).toBe("");
};

/** What ADD refuses before it looks at the host. */
const refusal = (config: object) =>
  thrownBy(() => callPlugin(vxlanPlugin, input("ADD", { type: "vxlan", ...config })));

const INVALID: readonly [config: object, message: string][] = [
  [{ remotes: [] }, 'missing "vni"'],
  [{ vni: 0, remotes: [] }, '0 for "vni"'],
  [{ vni: 16_777_216, remotes: [] }, '16777216 for "vni"'],
  [{ vni: 42 }, "how the hosts find each other is missing"],
  [{ ...STATIC, group: "239.1.1.1" }, '"remotes" and "group" together'],
  [{ ...STATIC, etcd: {} }, '"remotes" and "etcd" together'],
  [{ vni: 42, remotes: ["192.0.2.2", "x"] }, 'invalid "remotes[1]": "x"'],
  [{ vni: 42, remotes: ["239.1.1.1"] }, 'invalid "remotes[0]": 239.1.1.1'],
  [{ vni: 42, remotes: ["192.0.2.2", "127.0.0.1"] }, 'invalid "remotes[1]": 127.0.0.1'],
  [{ vni: 42, remotes: ["fe80::1"] }, 'invalid "remotes[0]": fe80::1'],
  [{ vni: 42, remotes: ["192.0.2.2", "2001:db8::2"] }, '"remotes" are of both families'],
  [{ vni: 42, group: "192.0.2.2" }, 'invalid "group": 192.0.2.2'],
  [{ ...STATIC, local: "127.0.0.1" }, 'invalid "local": 127.0.0.1'],
  [{ ...STATIC, local: "x" }, 'invalid "local": "x"'],
  [{ ...STATIC, bridge: "vx42" }, 'invalid "bridge": "vx42" is the network\'s VXLAN device'],
  [{ ...STATIC, bridge: "a b" }, 'invalid "bridge": "a b"'],
  [{ ...STATIC, dev: "a/b" }, 'invalid "dev": "a/b"'],
  [{ ...STATIC, mtu: 67 }, 'invalid "mtu": 67'],
  [{ ...STATIC, mode: "x" }, 'unknown mode "x"'],
  [{ ...STATIC, mode: "routed" }, '"mode": "routed" needs "etcd"'],
  [{ ...STATIC, subnets: [{ subnet: "10.0.0.0/16", hostLength: 24 }] }, '"subnets" is for "mode": "routed"'],
  [{ ...STATIC, isGateway: true }, '"isGateway" needs "ipam"'],
  [{ ...STATIC, runtimeConfig: { mac: "x" } }, 'invalid "mac": "x"'],
];
bunTest.each([...INVALID])("%o is refused with code 7", (config, message) => {
  expect(refusal(config)).toMatchObject({ code: 7, message: expect.stringContaining(message) });
});

describe("ADD", () => {
  test("ADD answers with bridge, port and interface, of the MTU that fits", () => {
    const result = add({ ...STATIC, ...withAddress("10.42.0.9/16") });
    expect(result).toMatchObject({
      interfaces: [
        { name: "vxbr42", mac: shown("vxbr42").address, mtu: 1450 },
        { name: expect.stringMatching(/^veth/), mtu: 1450 },
        { name: "eth0", mac: "02:42:0a:2a:00:09", mtu: 1450, sandbox: c1.path },
      ],
      ips: [{ address: "10.42.0.9/16", interface: 2 }],
    });
    expect(c1.json("ip -j link show dev eth0")[0].address).toBe("02:42:0a:2a:00:09");
  });

  test("ADD makes a VXLAN device that floods to the listed hosts but this, and learns", () => {
    add({ ...STATIC, ttl: 9 });
    expect(shown("vx42")).toMatchObject({
      mtu: 1450,
      master: "vxbr42",
      ifalias: "weft:net",
      inet6_addr_gen_mode: "none",
      linkinfo: {
        info_data: { id: 42, local: "192.0.2.1", port: 4789, ttl: 9, learning: true },
        info_slave_data: { learning: true, flood: true, bcast_flood: true, neigh_suppress: false },
      },
    });
    expect(shown("vx42").flags).toContain("UP");
    expect(shown("vxbr42").linkinfo.info_data.mcast_snooping).toBe(0);
    expect(flooded()).toEqual(["192.0.2.2", "192.0.2.3"]);
  });

  test("ADD of IPv6 underlays, of a subnet for local, and of groups", () => {
    add({ vni: 42, remotes: ["2001:db8::2"] });
    expect(shown("vx42")).toMatchObject({ mtu: 1430, linkinfo: { info_data: { local6: "2001:db8::1" } } });
    ask("DEL");
    add({ vni: 42, remotes: [], local: "192.0.2.0/24", port: 8472 });
    const ofSubnet = shown("vx42").linkinfo.info_data;
    expect([ofSubnet.local, ofSubnet.port, ofSubnet.link]).toEqual(["192.0.2.1", 8472, undefined]);
    ask("DEL");
    add({ vni: 42, group: "239.1.1.1", dev: "u0" });
    expect(shown("vx42").linkinfo.info_data).toMatchObject({ group: "239.1.1.1", link: "u0" });
  });

  test("ADD has the MTU of the routes to the others", () => {
    host.netns.run("ip route add 198.51.100.0/24 via 192.0.2.2 mtu 1400");
    expect(add({ vni: 42, remotes: ["192.0.2.2", "198.51.100.7"] }).interfaces[2].mtu).toBe(1350);
  });

  test("ADD as gateway has the same MAC on every host, and keeps what is asked of it to the host", () => {
    const config = { ...STATIC, isDefaultGateway: true, ...withAddress("10.42.0.9/16", "fd42::9/64") };
    const first = add(config);
    expect(first.routes).toMatchObject([{ gw: "10.42.0.1" }, { gw: "fd42::1" }]);
    expect(shown("vx42").linkinfo.info_slave_data.neigh_suppress).toBe(true);
    ask("DEL", config);
    expect(add(config).interfaces[0].mac).toBe(first.interfaces[0].mac);
  });

  test("ADD of a container without IPv4 has a MAC of its IPv6 address; one that is asked for comes first", () => {
    const mac = () => c1.json("ip -j link show dev eth0")[0].address;
    add({ ...STATIC, ...withAddress("fd42::9/64") });
    const own = mac();
    ask("DEL");
    add({ ...STATIC, ...withAddress("fd42::9/64") });
    expect(mac()).toBe(own);
    ask("DEL");
    add({ ...STATIC, ...withAddress("10.42.0.9/16"), runtimeConfig: { mac: "02:00:00:00:00:99" } });
    expect(mac()).toBe("02:00:00:00:00:99");
  });

  test("ADD brings the list of hosts up to date, and has the devices stay for the others", () => {
    add();
    const { ifindex } = shown("vx42");
    addSecond({ vni: 42, remotes: ["192.0.2.3", "192.0.2.4"] });
    expect([shown("vx42").ifindex, flooded()]).toEqual([ifindex, ["192.0.2.3", "192.0.2.4"]]);
    ask("DEL");
    expect(host.links()).toContain("vx42 vxlan");
    ask("DEL", STATIC, { netns: c2.path, containerId: "c2" });
    nothingLeft();
  });

  test("ADD completes devices whose ADD was killed", () => {
    host.netns.run(`ip link add vxbr42 type bridge; ip link set vxbr42 alias weft:net
      ip link add vx42 mtu 1450 master vxbr42 type vxlan id 42 local 192.0.2.1 dstport 4789
      ip link set vx42 alias weft:net`);
    add();
    expect([shown("vx42").flags.includes("UP"), flooded()]).toEqual([true, ["192.0.2.2", "192.0.2.3"]]);
  });

  test("ADD that is refused leaves nothing, and says why", () => {
    const REFUSED: readonly [config: object, message: string, setUp?: string, tearDown?: string][] = [
      [{ ...STATIC, dev: "eth9" }, 'invalid "dev": no interface "eth9" on this host'],
      [{ ...STATIC, local: "192.0.2.9" }, 'invalid "local": this host has no address 192.0.2.9'],
      [{ ...STATIC, local: "2001:db8::1" }, 'invalid "local": 2001:db8::1 is IPv6'],
      [{ ...STATIC, dev: "far" }, '"far" has no IPv4 address that other hosts can send to'],
      [{ vni: 42, remotes: ["203.0.113.1"] }, "this host has no route to 203.0.113.1"],
      [{ vni: 42, group: "239.1.1.1" }, "this host has no default route"],
      [{ ...STATIC, mtu: 1451 }, 'invalid "mtu": 1451 cannot fit'],
      [{ ...STATIC, ipam: { type: "nope" } }, 'failed to find plugin "nope"'],
      [
        STATIC,
        '"vx42" already exists but is not a vxlan',
        "ip link add vx42 type bridge",
        "ip link del vx42",
      ],
      [
        STATIC,
        '"vxbr42" already exists but was made by',
        "ip link add vxbr42 type bridge",
        "ip link del vxbr42",
      ],
      [
        STATIC,
        'VNI 42 is in use by "other" of the network "red"',
        "ip link add other type vxlan id 42 local 192.0.2.1 dstport 4789; ip link set other alias weft:red",
        "ip link del other",
      ],
      [
        STATIC,
        "UDP port 4789 of this host is in use",
        "ip link add other type vxlan external dstport 4789; ip link set other up",
        "ip link del other",
      ],
    ];
    for (const [config, message, setUp = ":", tearDown = ":"] of REFUSED) {
      host.netns.run(setUp);
      expect(thrownBy(() => add(config))).toMatchObject({
        code: 7,
        message: expect.stringContaining(message),
      });
      host.netns.run(tearDown);
      nothingLeft();
    }
  });

  test("ADD refuses the VNI of another network, and other settings while there are containers", () => {
    add();
    const REFUSED: readonly [config: object, rest: Rest, message: string][] = [
      [STATIC, { network: "red" }, 'VNI 42 is in use by "vx42" of the network "net"'],
      [
        { ...STATIC, vni: 43, bridge: "vxbr42" },
        { network: "red" },
        'the bridge "vxbr42" is that of the network "net"',
      ],
      [{ ...STATIC, bridge: "br" }, { network: "red" }, 'VNI 42 is in use by "vx42" of the network "net"'],
      [{ ...STATIC, port: 4790 }, {}, 'the "port" of vx42 is 4789, not 4790'],
      [{ ...STATIC, mtu: 1400 }, {}, "the MTU of vx42 is 1450, not 1400"],
      [{ vni: 42, remotes: ["2001:db8::2"] }, {}, 'the "local" of vx42 is 192.0.2.1, not 2001:db8::1'],
    ];
    for (const [config, rest, message] of REFUSED) {
      expect(thrownBy(() => addSecond(config, rest))).toMatchObject({
        code: 7,
        message: expect.stringContaining(message),
      });
      expect([linksOf(c2), flooded()]).toEqual([[], ["192.0.2.2", "192.0.2.3"]]);
    }
    ask("DEL");
    nothingLeft();
  });
});

describe("CHECK", () => {
  const CONFIG = { ...STATIC, isDefaultGateway: true, ...withAddress("10.42.0.9/16") };
  const CASES: readonly (readonly [command: string, message: string])[] = [
    ["ip link del vx42", "Interface name vx42 not found"],
    ["ip link set vx42 down", "Interface vx42 is down"],
    ["ip link set vx42 nomaster", "Interface vx42 is not a port of vxbr42"],
    ["ip link set vx42 mtu 1400", "Interface vx42 MTU doesn't match: 1450 expected, 1400 found"],
    ["ip link set vx42 type vxlan id 42 local 192.0.2.7", 'the "local" of vx42 is 192.0.2.7, not 192.0.2.1'],
    ["ip link set vx42 type bridge_slave neigh_suppress off", "Interface vx42 has neighSuppress off, not on"],
    ["ip link set vx42 type bridge_slave learning off", "Interface vx42 has learning off, not on"],
    ["bridge fdb del 00:00:00:00:00:00 dev vx42 dst 192.0.2.3", "vx42 sends no broadcasts to 192.0.2.3"],
    ["bridge fdb append 00:00:00:00:00:00 dev vx42 dst 192.0.2.9", "vx42 sends broadcasts to 192.0.2.9"],
    ["ip link set u0 mtu 1400", "the MTU of vx42 is 1450, and the underlay carries packets of 1350 bytes"],
    ["ip link set vxbr42 mtu 1400", "Interface vxbr42 MTU doesn't match: 1450 expected, 1400 found"],
    ["ip link set vxbr42 address 02:00:00:00:00:01", "Interface vxbr42 Mac doesn't match"],
    ["ip addr del 10.42.0.1/16 dev vxbr42", "Gateway address 10.42.0.1/16 not found on vxbr42"],
    [
      "ip link del vx42; ip link add vx42 mtu 1450 master vxbr42 type vxlan id 42 local 192.0.2.1 dstport 4790; ip link set vx42 up",
      'the "port" of vx42 is 4790, not 4789',
    ],
  ];
  for (const [command, message] of CASES) {
    test(`CHECK is content, and not after: ${command}`, () => {
      const prevResult = add(CONFIG);
      expect(ask("CHECK", { ...CONFIG, prevResult })).toBe("");
      host.netns.run(command);
      expect(thrownBy(() => ask("CHECK", { ...CONFIG, prevResult }))).toMatchObject({
        code: 100,
        message: expect.stringContaining(message),
      });
    });
  }
});

test("DEL works with a configuration that ADD would refuse, with none of a namespace, and again", () => {
  const broken = {
    vni: "x",
    remotes: 5,
    etcd: [],
    mode: 1,
    bridge: 7,
    ipam: { type: "static", addresses: 5 },
  };
  for (const rest of [{}, { netns: "" }]) {
    add();
    for (let time = 0; time < 2; time++) expect(ask("DEL", broken, rest)).toBe("");
    nothingLeft();
  }
});

test("GC takes what is not valid any more, and the devices with the last, whatever is configured by now", () => {
  add();
  addSecond();
  expect(ask("GC", STATIC, { valid: ["c2"] })).toBe("");
  expect([linksOf(c1), linksOf(c2), host.links()].flat()).toContain("vx42 vxlan");
  expect(linksOf(c1)).toEqual([]);
  expect(ask("GC", { vni: "x" }, { valid: [] })).toBe("");
  nothingLeft();
});

test("GC takes devices that no claim tells of", () => {
  add();
  host.netns.run(
    "ip link del $(ip -j link show type veth | grep -o 'veth[0-9a-f]\\{8\\}' | head -1); rm -r /run/weft",
  );
  expect(ask("GC", STATIC)).toBe("");
  nothingLeft();
});

test("an MTU that the underlay does not carry any more is what CHECK, STATUS and ADD refuse", () => {
  const CONFIG = { ...STATIC, mtu: 1450 };
  const prevResult = add(CONFIG);
  host.netns.run("ip link set u0 mtu 1400");
  const codes = { CHECK: 100, STATUS: 50, ADD: 7 };
  for (const [command, code] of Object.entries(codes)) {
    const again = { netns: c2.path, ...(command === "ADD" && { containerId: "c2" }) };
    for (const [config, says] of [
      [CONFIG, 'invalid "mtu": 1450 cannot fit'],
      [STATIC, "the MTU of vx42 is 1450, and the underlay carries packets of 1350 bytes"],
    ] as const) {
      const rest = command === "CHECK" ? {} : again;
      expect(thrownBy(() => ask(command, { ...config, prevResult }, rest))).toMatchObject({
        code,
        message: expect.stringContaining(says),
      });
    }
  }
});

describe("STATUS", () => {
  test("STATUS is ready before the first container and after", () => {
    expect(ask("STATUS")).toBe("");
    add();
    expect(ask("STATUS")).toBe("");
  });

  test("STATUS says what is not available, and what is wrong", () => {
    const CASES: readonly [config: object, code: number, message: string, setUp?: string][] = [
      [{ ...STATIC, remotes: ["x"] }, 7, 'invalid "remotes[0]": "x"'],
      [{ ...STATIC, dev: "eth9" }, 50, 'no interface "eth9"'],
      [
        STATIC,
        50,
        'VNI 42 is in use by "other"',
        "ip link add other type vxlan id 42 local 192.0.2.1 dstport 4789",
      ],
      [
        STATIC,
        50,
        '"vx42" already exists but was made by somebody else',
        "ip link del other; ip link add vx42 type vxlan id 43 local 192.0.2.1 dstport 4789",
      ],
      [
        STATIC,
        50,
        '"u0", by which the other hosts are reached, is down',
        "ip link del vx42; ip link set u0 down",
      ],
    ];
    for (const [config, code, message, setUp = ":"] of CASES) {
      host.netns.run(setUp);
      const withDev = message.includes("down") ? { ...config, dev: "u0" } : config;
      expect(thrownBy(() => ask("STATUS", withDev))).toMatchObject({
        code,
        message: expect.stringContaining(message),
      });
    }
  });
});
