/** The inventory on the kernel this machine runs, in namespaces; the oracle is ip -j and bridge -j. */
import { afterAll, beforeAll, expect } from "bun:test";
import { netnsInode } from "../../lib/netns/netns.ts";
import { kernelTest, noNetnsReason, TestNetns } from "../../lib/testing/netns.ts";
import type { AttachmentSources } from "./attachment.ts";
import { readBridgeTables } from "./fdb.ts";
import { findByAddress, findByHostLink, findByName, findGone, findStack, selectAttachments } from "./find.ts";
import { HostView } from "./host-view.ts";
import { viewInterface } from "./interface.ts";
import { kindText } from "./link-kind.ts";
import { listNamespaces, type Namespace } from "./namespaces.ts";
import { readOverlayTables } from "./overlay-entries.ts";
import { openStack } from "./stack.ts";
import { refuseBlind } from "./unseen.ts";

let host: TestNetns;
let web: TestNetns;
let db: TestNetns;

beforeAll(async () => {
  if (noNetnsReason !== undefined) return;
  host = await TestNetns.make();
  web = await TestNetns.make();
  db = await TestNetns.make();
  host.run(`
    ip link set lo up
    ip link add br0 type bridge
    ip link add vweb type veth peer name eth0 netns ${web.path}
    ip link add vdb type veth peer name eth0 netns ${db.path}
    ip link set vweb alias weft:blue/c1/eth0 master br0 up
    ip link set vdb master br0 up
    ip link set br0 up
    ip addr add 10.1.0.1/24 dev br0
    ip link add up0 type veth peer name up1
    ip link set up0 up
    ip link set up1 up
    ip addr add 192.0.2.1/24 dev up0
    ip route add default via 192.0.2.254 dev up0
    ip link add mv0 link up0 type macvlan mode bridge
    ip link set mv0 netns ${db.path} name eth1
    ip link add vx42 type vxlan id 42 local 192.0.2.1 dstport 4789 nolearning
    ip link set vx42 master br0 up
    bridge link set dev vweb isolated on hairpin on learning off
    bridge fdb append 00:00:00:00:00:00 dev vx42 dst 192.0.2.2
    bridge fdb add 02:00:00:00:00:07 dev vx42 dst 192.0.2.3 self permanent
    ip neigh add 10.1.0.7 lladdr 02:00:00:00:00:07 dev br0 nud noarp proto 193`);
  web.run(`
    ip addr add 10.1.0.2/24 dev eth0
    ip link set eth0 up
    ip route add default via 10.1.0.1
    ping -c 5 -i 0.1 -W 1 10.1.0.1`);
  db.run("ip addr add 10.1.0.3/24 dev eth0; ip link set eth0 up; ping -c 5 -i 0.1 -W 1 10.1.0.1");
});

afterAll(() => {
  for (const each of [host, web, db]) each?.[Symbol.dispose]();
});

const namespaceOf = (netns: TestNetns, name: string): Namespace => ({
  inode: BigInt(netnsInode(netns.netns)),
  path: netns.path,
  paths: [netns.path],
  name,
  pids: [],
  isHost: name === "host",
});

const NO_SOURCES: AttachmentSources = { records: [], cached: [] };

const openView = (sources = NO_SOURCES) =>
  new HostView({
    stacks: [
      openStack(namespaceOf(host, "host")),
      openStack(namespaceOf(web, "web")),
      openStack(namespaceOf(db, "db")),
    ],
    sources,
  });

kernelTest("peerOf() finds the other end of every link, wherever it is", () => {
  using view = openView();
  const told = view.stacks.flatMap((stack) =>
    stack.links.flatMap((link) => {
      const peer = view.peerOf(stack, link);
      return peer ? [`${stack.name} ${link.name}: ${peer.stack.name} ${peer.link.name}`] : [];
    }),
  );
  expect(told.sort()).toEqual([
    "db eth0: host vdb",
    "db eth1: host up0",
    "host up0: host up1",
    "host up1: host up0",
    "host vdb: db eth0",
    "host vweb: web eth0",
    "web eth0: host vweb",
  ]);
  const [{ link_index: index }] = web.json("ip -j link show eth0");
  expect(view.host.link(index)?.name).toBe("vweb");
});

kernelTest("peerOf() of a namespace that is not seen is none", () => {
  using view = new HostView({ stacks: [openStack(namespaceOf(web, "web"))], sources: NO_SOURCES });
  const eth0 = view.host.link("eth0");
  expect(eth0 && view.peerOf(view.host, eth0)).toBeUndefined();
});

const cached = (containerId: string, netns: TestNetns, more: object = {}) => ({
  network: "blue",
  containerId,
  ifname: "eth0",
  netns: netns.path,
  args: [],
  capabilityArgs: {},
  list: '{"plugins": [{"type": "bridge"}, {"type": "portmap"}]}',
  result: {},
  ...more,
});

kernelTest("attachments come from aliases, results and records, each once", () => {
  const ports = [{ hostPort: 80, containerPort: 8080, protocol: "TCP" }];
  using view = openView({
    records: [
      {
        network: "blue",
        containerId: "c2",
        ifname: "eth0",
        plugin: "masquerade",
        netns: db.path,
        details: {},
      },
    ],
    cached: [
      cached("c1", web, { capabilityArgs: { portMappings: ports } }),
      cached("c2", db, {
        args: [
          ["K8S_POD_NAMESPACE", "default"],
          ["K8S_POD_NAME", "db-0"],
        ],
      }),
      cached("c3", db, { ifname: "eth7", result: { ips: [{ address: "10.1.0.9/24" }] } }),
    ],
  });
  const [address] = web.json("ip -j -4 addr show eth0")[0].addr_info;
  expect(view.attachments).toMatchObject([
    { container: "db", containerId: "c3", state: "gone", addresses: ["10.1.0.9/24"], isOurs: false },
    { container: "default/db-0", hostLink: { name: "vdb" }, bridge: "br0", isOurs: true, state: "up" },
    {
      container: "web",
      containerId: "c1",
      addresses: [`${address.local}/${address.prefixlen}`],
      mac: web.json("ip -j link show eth0")[0].address,
      hostLink: { name: "vweb", index: host.json("ip -j link show vweb")[0].ifindex },
      kind: "veth",
      plugins: ["bridge", "portmap"],
      ports: [{ hostPort: 80, containerPort: 8080, protocol: "tcp", hostIP: "" }],
      isOurs: true,
    },
  ]);
});

kernelTest("attachments of an alias alone are found by the link's other end", () => {
  using view = openView();
  expect(view.attachments).toMatchObject([
    { network: "blue", containerId: "c1", container: "web", bridge: "br0", state: "up", netns: "" },
  ]);
});

kernelTest(
  "attachments of an alias count on the host, and on a container's end of a link of the host",
  () => {
    db.run("ip link add vother type veth peer name vpeer");
    db.run("ip link set vother alias weft:blue/c9/vother; ip link set eth1 alias weft:lan/c8/eth1");
    using view = openView();
    expect(view.attachments.map(({ containerId }) => containerId)).toEqual(["c1", "c8"]);
    db.run("ip link del vother; ip link set eth1 alias ''");
  },
);

kernelTest("attachments that this user may not look into are as their end on the host is", () => {
  const sources = { ...NO_SOURCES, hidden: ["/run/weft/attachments"] };
  using view = new HostView({
    stacks: [openStack(namespaceOf(host, "host"))],
    unopened: [namespaceOf(web, "web"), namespaceOf(db, "db")],
    sources,
  });
  expect(view.attachments).toMatchObject([{ containerId: "c1", ifname: "eth0", bridge: "br0", state: "up" }]);
  expect(findGone(view, "c1")).toEqual([]);
  expect(() => findByHostLink(view, "vweb")).toThrow("cannot be opened: run as root");
  expect(findByHostLink(view, "up0")?.name).toBe("host");
});

kernelTest(
  "attachments whose interface has another name by now are found by its other end, or addresses",
  () => {
    const link = (from: string, to: string) =>
      `ip link set ${from} down; ip link set ${from} name ${to}; ip link set ${to} up`;
    web.run(link("eth0", "lan0"));
    db.run(`ip addr add 10.3.0.9/24 dev eth1`);
    const result = { ips: [{ address: "10.3.0.9/24" }] };
    using view = openView({
      records: [],
      cached: [cached("c1", web), cached("c2", db, { network: "wire", ifname: "net1", result })],
    });
    expect(view.attachments).toMatchObject([
      { containerId: "c1", renamed: "lan0", hostLink: { name: "vweb" }, bridge: "br0", state: "up" },
      { containerId: "c2", renamed: "eth1", hostLink: { name: "up0" }, state: "down" },
    ]);
    web.run(`${link("lan0", "eth0")}; ip route add default via 10.1.0.1`);
    db.run("ip addr del 10.3.0.9/24 dev eth1");
  },
);

kernelTest("attachments in namespaces that are not seen are not gone while the host's end is there", () => {
  const unseen = { netns: "/proc/self/nowhere" };
  const wire = { ...unseen, network: "wire", list: '{"plugins": [{"type": "macvlan"}]}' };
  const result = { interfaces: [{ name: "br0" }, { name: "vdb" }, { name: "eth0", sandbox: "/nowhere" }] };
  const sources = {
    records: [],
    cached: [
      cached("c1", web, unseen),
      cached("c2", db, { ...unseen, result }),
      cached("c3", db, unseen),
      cached("c4", db, wire),
    ],
  };
  const statesOf = ({ attachments }: HostView) =>
    attachments.map(({ containerId, state }) => `${containerId} ${state}`).sort();
  using blind = new HostView({ stacks: [openStack(namespaceOf(host, "host"))], sources });
  expect(statesOf(blind)).toEqual(["c1 up", "c2 up", "c3 gone", "c4 unknown"]);
  expect(() => refuseBlind(blind.attachments)).toThrow("cannot see the containers' namespaces here: of c1 ");
  using view = openView(sources);
  expect(statesOf(view)).toEqual(["c1 up", "c2 up", "c3 gone", "c4 gone"]);
  expect(() => refuseBlind(view.attachments)).not.toThrow();
});

kernelTest(
  "attachments of namespaces that may not be opened, or whose directory is not there, may live",
  () => {
    const record = { network: "wire", ifname: "eth0", plugin: "macvlan", details: {} };
    const records = [
      { ...record, containerId: "c5", netns: "/var/run/netns/closed" },
      { ...record, containerId: "c6", netns: "/nowhere/netns/c6" },
    ];
    using view = openView({ records, cached: [], closed: ["/run/netns/closed"] });
    const ofWire = view.attachments.filter(({ network }) => network === "wire");
    expect(ofWire.map(({ state }) => state)).toEqual(["unknown", "unknown"]);
  },
);

kernelTest("findStack() and findByHostLink() take what people call a container", () => {
  using view = openView({ records: [], cached: [cached("0123456789abcdef", web)] });
  expect(findStack(view, "web").name).toBe("web");
  expect(findStack(view, web.path).name).toBe("web");
  expect(findStack(view, "host").name).toBe("host");
  expect(findByName(view, "012345")?.containerId).toBe("0123456789abcdef");
  expect(findByHostLink(view, "vdb")?.name).toBe("db");
  expect(findByHostLink(view, "br0")).toBeUndefined();
  expect(selectAttachments(view, "blue")).toHaveLength(2);
  expect(() => selectAttachments(view, "nobody's")).toThrow("nor is it a network: there are blue");
});

kernelTest("findGone() has all attachments of a container that is gone, findByAddress() who has one", () => {
  const gone = { ...cached("cafe01cafe01", web), netns: "/run/netns/nowhere" };
  const alike = { ...gone, containerId: "cafe02cafe02" };
  using view = openView({ records: [], cached: [gone, { ...gone, network: "red" }, alike] });
  expect(findGone(view, "cafe01").map(({ network, state }) => `${network} ${state}`)).toEqual([
    "blue gone",
    "red gone",
  ]);
  expect(selectAttachments(view, "cafe01")).toHaveLength(2);
  expect(findGone(view, "web")).toEqual([]);
  expect(() => findGone(view, "cafe")).toThrow(
    '"cafe" is the beginning of several ids: cafe01cafe01 (cafe01cafe01), cafe02cafe02 (cafe02cafe02)',
  );
  expect(findByAddress(view, "10.1.0.2")?.name).toBe("web");
  expect(findByAddress(view, "10.1.0.99")).toBeUndefined();
});

kernelTest("viewInterface() has the way out, the bridge's port, routes and counters", () => {
  using view = openView();
  const [, stack] = view.stacks;
  const link = stack?.link("eth0");
  if (!stack || !link) throw new Error("no eth0");
  const sent = () => web.json("ip -s -j link show eth0")[0].stats64.tx.bytes;
  const before = sent();
  const eth0 = viewInterface(view, { stack, link });
  expect(eth0.counters.txBytes).toBeWithin(before, sent() + 1); // IPv6 has something to say now and then
  expect(eth0.way.map(({ role, name }) => `${role} ${name}`)).toEqual([
    "container eth0",
    "peer vweb",
    "bridge br0",
    "tunnel vx42",
    "uplink up0",
  ]);
  expect(eth0.port).toEqual({
    bridge: "br0",
    port: "vweb",
    isHairpin: true,
    isIsolated: true,
    isLearning: false,
    vlans: [],
    macSeen: "not yet",
  });
  expect(eth0.routes).toEqual(["default via 10.1.0.1", "10.1.0.0/24 on the link"]);
  expect(eth0.attachment?.network).toBe("blue");
});

kernelTest("viewInterface() says where a macvlan is, and where its bridge has a veth's MAC", () => {
  using view = openView();
  const [, , stack] = view.stacks;
  const [eth0, eth1] = ["eth0", "eth1"].map((name) => stack?.link(name));
  if (!stack || !eth0 || !eth1) throw new Error("no interfaces");
  expect(kindText(eth1)).toBe("macvlan mode bridge");
  expect(viewInterface(view, { stack, link: eth1 }).way.map(({ role, name }) => `${role} ${name}`)).toEqual([
    "container eth1",
    "device below up0",
  ]);
  const { port, way } = viewInterface(view, { stack, link: eth0 });
  expect(port?.macSeen).toBe("here");
  expect(way.at(-1)?.role).not.toBe("uplink"); // it has no gateway
});

kernelTest("readBridgeTables() has what bridge fdb has learned, and whose it is", () => {
  using view = openView();
  const learned = host
    .json("bridge -j fdb show br br0")
    .filter(
      (each: { state?: string; flags: string[] }) =>
        each.state !== "permanent" && !each.flags.includes("self"),
    );
  expect(learned).toHaveLength(1);
  expect(readBridgeTables(view)).toMatchObject([
    {
      bridge: "br0",
      networks: ["blue"],
      entries: [{ mac: learned[0].mac, port: learned[0].ifname, owner: "db eth0", origin: "learned" }],
    },
  ]);
  const [{ entries } = { entries: [] }] = readBridgeTables(view, { all: true });
  expect(entries.filter(({ origin }) => origin === "own").map(({ port }) => port)).toContain("vweb");
});

kernelTest(
  "readOverlayTables() has what the kernel sends to other hosts, and compares it with what is desired",
  () => {
    using view = openView();
    expect(readOverlayTables(view.host, [])).toMatchObject([
      {
        device: "vx42",
        vni: 42,
        source: "kernel",
        entries: [
          { mac: "00:00:00:00:00:00", vtep: "192.0.2.2", state: "flood" },
          { mac: "02:00:00:00:00:07", vtep: "192.0.2.3", addresses: ["10.1.0.7"], state: "static" },
        ],
      },
    ]);
    const desired = {
      name: "over",
      device: "vx42",
      bridge: "br0",
      mode: "bridged",
      isKnown: true,
      hosts: [{ host: "host3", address: "192.0.2.3" }],
      fdb: [{ mac: "02:00:00:00:00:07", vtep: "192.0.2.3" }],
      neighbours: [{ address: "10.1.0.7", mac: "02:00:00:00:00:07" }],
      routes: [],
    };
    const [table] = readOverlayTables(view.host, [desired]);
    expect(table).toMatchObject({ source: "agent" });
    expect(table?.entries.find(({ host: name }) => name === "host3")).toMatchObject({ state: "in step" });
  },
);

kernelTest("listNamespaces() has each namespace once, the own first, with its processes", () => {
  const namespaces = listNamespaces([web.path, `/var${web.path}`, "/nowhere"]);
  expect(namespaces[0]).toMatchObject({ name: "host", isHost: true });
  const inodes = namespaces.map(({ inode }) => inode);
  expect(new Set(inodes).size).toBe(inodes.length);
  const found = namespaces.find(({ inode }) => String(inode) === netnsInode(web.netns));
  const pid = Number(/\d+/.exec(web.path)?.[0]);
  expect(found?.pids).toContain(pid);
  expect(found?.paths).toEqual([web.path]);
  expect(found?.name).toContain(`pid ${pid}`);
});
