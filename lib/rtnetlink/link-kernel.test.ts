/** Links on the kernel this machine runs; the oracle is ip -j -d. */
import { afterAll, beforeAll, expect } from "bun:test";
import { formatMac, parseMac } from "../netaddr/mac.ts";
import { encode } from "../netlink/attributes.ts";
import { inNetns } from "../netns/netns.ts";
import { kernelTest, noNetnsReason, TestNetns } from "../testing/netns.ts";
import {
  awaitRunning,
  createLink,
  createVeth,
  deleteAltnames,
  deleteLink,
  deleteLinkIfThere,
  findLink,
  IFALIAS_MAX,
  IFNAME_MAX,
  type Link,
  linkByIndex,
  linkByName,
  listLinks,
  setLink,
} from "./link.ts";
import { bridge } from "./link-attributes.ts";
import { openRouteSocket, type RouteSocket } from "./route-socket.ts";

let host: TestNetns;
let container: TestNetns;
let socket: RouteSocket;

beforeAll(async () => {
  if (noNetnsReason !== undefined) return;
  [host, container] = await Promise.all([TestNetns.make(), TestNetns.make()]);
  socket = openRouteSocket(host.netns);
});

afterAll(() => {
  socket?.[Symbol.dispose]();
  host?.[Symbol.dispose]();
  container?.[Symbol.dispose]();
});

/** A bridge's data holds timers, which run. */
function withoutData({ data: _data, ...rest }: Link): Omit<Link, "data"> {
  return rest;
}

function ipLink(netns: TestNetns, name: string) {
  return netns.json(`ip -j -d link show dev ${name}`)[0];
}

kernelTest("createVeth() makes both ends at once, the peer in its namespace", () => {
  createLink(socket, { name: "br-veth", kind: "bridge" });
  createVeth(socket, {
    name: "veth0",
    mtu: 1400,
    mac: parseMac("02:00:00:00:00:0a"),
    master: linkByName(socket, "br-veth").index,
    up: true,
    alias: "weft: veth",
    peer: { name: "eth0", mtu: 1300, mac: parseMac("02:00:00:00:00:0b"), netns: container.netns },
  });
  expect(ipLink(host, "veth0")).toMatchObject({
    mtu: 1400,
    address: "02:00:00:00:00:0a",
    master: "br-veth",
    ifalias: "weft: veth",
    linkinfo: { info_kind: "veth", info_slave_kind: "bridge" },
  });
  expect(ipLink(host, "veth0").flags).toContain("UP");
  expect(linkByName(socket, "veth0").linkNetnsid).toBe(ipLink(host, "veth0").link_netnsid);
  expect(ipLink(container, "eth0")).toMatchObject({ mtu: 1300, address: "02:00:00:00:00:0b" });
});

kernelTest("createVeth() is refused when the peer is to be up as well, and nothing is left", () => {
  const pair = { name: "veth1", up: true, peer: { name: "veth2", up: true } };
  expect(() => createVeth(socket, pair)).toThrow("ENOTCONN");
  expect(findLink(socket, "veth1")).toBeUndefined();
  expect(findLink(socket, "veth2")).toBeUndefined();
});

kernelTest("createLink() refuses a name that is taken, and names the link", () => {
  createLink(socket, { name: "br-taken", kind: "bridge" });
  expect(() => createLink(socket, { name: "br-taken", kind: "bridge" })).toThrow(
    'Cannot create bridge "br-taken": RTM_NEWLINK failed with EEXIST (file exists)',
  );
});

kernelTest("createLink() gives the kernel's own sentence for a kind that there is not", () => {
  expect(() => createLink(socket, { name: "x", kind: "no-such-kind" })).toThrow("Unknown device type");
});

kernelTest("createLink() hands the kind its data: a bridge of these settings", () => {
  const data = encode(bridge, { ageingTime: 6_000, mcastSnooping: 0, forwardDelay: 400, groupFwdMask: 8 });
  createLink(socket, { name: "br-data", kind: "bridge", data });
  const shown = ipLink(host, "br-data").linkinfo.info_data;
  expect(shown).toMatchObject({ ageing_time: 6_000, mcast_snooping: 0, forward_delay: 400 });
  expect(bridge.read(linkByName(socket, "br-data").data)).toMatchObject({
    ageingTime: 6_000,
    mcastSnooping: 0,
    forwardDelay: 400,
    groupFwdMask: 8,
  });
});

kernelTest("linkByName() and listLinks() see what ip -j -d sees, of every link", () => {
  host.run("ip link add cover0 type veth peer name cover1; ip link set cover0 up promisc on alias 'a b'");
  const shown = host.json("ip -j -d link show");
  const links = listLinks(socket);
  expect(links.map(({ name }) => name)).toEqual(shown.map(({ ifname }: { ifname: string }) => ifname));
  for (const [index, link] of links.entries()) {
    const theirs = shown[index];
    expect(link).toMatchObject({
      index: theirs.ifindex,
      kind: theirs.linkinfo?.info_kind ?? "",
      mtu: theirs.mtu,
      alias: theirs.ifalias ?? "",
      up: theirs.flags.includes("UP"),
      promiscuous: theirs.flags.includes("PROMISC"),
      running: theirs.operstate === "UP",
      linkNetnsid: theirs.link_netnsid,
    });
    expect(formatMac(link.mac)).toBe(theirs.address);
    expect(links.find((other) => other.index === link.master)?.name).toBe(theirs.master);
    expect(withoutData(linkByName(socket, link.name))).toEqual(withoutData(link));
    expect(withoutData(linkByIndex(socket, link.index))).toEqual(withoutData(link));
  }
});

kernelTest("listLinks() filters by master and by kind", () => {
  createLink(socket, { name: "br-list", kind: "bridge" });
  const master = linkByName(socket, "br-list").index;
  createVeth(socket, { name: "port0", master, peer: { name: "port1" } });
  expect(listLinks(socket, { master }).map(({ name }) => name)).toEqual(["port0"]);
  const bridges = listLinks(socket, { kind: "bridge" }).map(({ name, kind }) => [name, kind]);
  expect(bridges).toContainEqual(["br-list", "bridge"]);
  expect(bridges.every(([, kind]) => kind === "bridge")).toBe(true);
});

kernelTest("listLinks() of a kind that the kernel has not loaded is empty: it sends all", () => {
  expect(listLinks(socket, { kind: "no-such-kind" })).toEqual([]);
});

kernelTest("setLink() changes what is given in one message and leaves the rest", () => {
  createVeth(socket, { name: "set0", mtu: 1400, peer: { name: "set1" } });
  const link = linkByName(socket, "set0");
  setLink(socket, link, { alias: "one", promiscuous: true });
  setLink(socket, link, { mtu: 1350, name: "set0-new" });
  expect(ipLink(host, "set0-new")).toMatchObject({
    ifindex: link.index,
    mtu: 1350,
    ifalias: "one",
    inet6_addr_gen_mode: "eui64",
  });
  expect(ipLink(host, "set0-new").flags).toContain("PROMISC");
  setLink(socket, link, { promiscuous: false, up: true, linkLocal: false, alias: "" });
  const shown = ipLink(host, "set0-new");
  expect(shown.inet6_addr_gen_mode).toBe("none");
  expect(shown.flags).toContain("UP");
  expect(shown.flags).not.toContain("PROMISC");
  expect(shown.ifalias).toBeUndefined();
});

kernelTest("setLink() gives no link-local address to a link that has no IPv6", () => {
  createVeth(socket, { name: "small0", mtu: 1000, peer: { name: "small1" } });
  setLink(socket, { name: "small0" }, { up: true, linkLocal: false });
  expect(ipLink(host, "small0").flags).toContain("UP");
});

kernelTest("setLink() finds a link by its name where the index is not given", () => {
  createLink(socket, { name: "br-named", kind: "bridge" });
  setLink(socket, { name: "br-named" }, { mtu: 1234 });
  expect(ipLink(host, "br-named").mtu).toBe(1234);
});

kernelTest("setLink() moves a link to another namespace", () => {
  createVeth(socket, { name: "move0", peer: { name: "move1" } });
  setLink(socket, linkByName(socket, "move1"), { netns: container.netns, name: "moved" });
  expect(findLink(socket, "move1")).toBeUndefined();
  expect(ipLink(container, "moved").ifname).toBe("moved");
});

kernelTest("setLink() makes a link a port in one call and sets it up as one in the next", () => {
  createLink(socket, { name: "br-port", kind: "bridge" });
  createVeth(socket, { name: "p0", peer: { name: "p1" } });
  const master = linkByName(socket, "br-port").index;
  const port = { isolated: 1, mode: 1, learning: 0, unicastFlood: 0 };
  expect(() => setLink(socket, { name: "p0" }, { master, port })).toThrow("EOPNOTSUPP");
  setLink(socket, { name: "p0" }, { master });
  setLink(socket, { name: "p0" }, { port });
  expect(ipLink(host, "p0")).toMatchObject({
    master: "br-port",
    linkinfo: { info_slave_data: { isolated: true, hairpin: true, learning: false, flood: false } },
  });
  expect(linkByName(socket, "p0").port).toMatchObject(port);
});

kernelTest("IFNAME_MAX and IFALIAS_MAX are as much as the kernel takes, to the byte", () => {
  const name = "n".repeat(IFNAME_MAX);
  createLink(socket, { name, kind: "bridge", alias: "a".repeat(IFALIAS_MAX) });
  expect(linkByName(socket, name)).toMatchObject({ name, alias: "a".repeat(IFALIAS_MAX) });
  expect(() => setLink(socket, { name }, { alias: "a".repeat(IFALIAS_MAX + 1) })).toThrow("IFLA_IFALIAS");
  expect(() => createLink(socket, { name: `${name}n`, kind: "bridge" })).toThrow("IFLA_IFNAME");
});

kernelTest("awaitRunning() returns when the link has carrier, and undefined when not in time", async () => {
  createVeth(socket, { name: "run0", up: true, peer: { name: "run1" } });
  const awaitIt = (timeoutMs: number) => inNetns(host.netns, () => awaitRunning(socket, "run0", timeoutMs));
  expect(awaitIt(20)).toBeUndefined();
  const start = performance.now();
  const setter = Bun.spawn(["nsenter", `--net=${host.path}`, "ip", "link", "set", "run1", "up"]);
  expect(awaitIt(10_000)?.running).toBe(true);
  expect(performance.now() - start).toBeLessThan(5_000);
  expect(awaitIt(0)?.name).toBe("run0");
  await setter.exited;
});

kernelTest("awaitRunning() waits until the bridge takes note as well, not for its spanning tree", () => {
  createLink(socket, { name: "br-run", kind: "bridge", up: true });
  const master = linkByName(socket, "br-run").index;
  createVeth(socket, { name: "run2", up: true, master, peer: { name: "run3" } });
  setLink(socket, { name: "run3" }, { up: true });
  const awaitIt = () => inNetns(host.netns, () => awaitRunning(socket, "run2", 20));
  expect(awaitIt()?.port?.state).toBe(3); // forwarding
  host.run("bridge link set dev run2 state 2"); // learning
  expect(awaitIt()?.port?.state).toBe(2);
  host.run("bridge link set dev run2 state 0"); // disabled
  expect(awaitIt()).toBeUndefined();
});

kernelTest("linkByName() finds a link by an alternative name as well", () => {
  createLink(socket, { name: "br-alt", kind: "bridge" });
  host.run("ip link property add dev br-alt altname another-name");
  expect(linkByName(socket, "another-name").name).toBe("br-alt");
});

kernelTest("deleteAltnames() takes alternative names of a link, and leaves the others", () => {
  createLink(socket, { name: "br-names", kind: "bridge" });
  host.run("ip link property add dev br-names altname one altname two altname a-third-long-name");
  const link = linkByName(socket, "br-names");
  expect(link.altnames).toEqual(["one", "two", "a-third-long-name"]);
  deleteAltnames(socket, link, ["one", "a-third-long-name"]);
  const [shown] = JSON.parse(host.run("ip -j link show br-names"));
  expect(shown.altnames).toEqual(["two"]);
});

kernelTest("linkByName() says that there is none, findLink() gives undefined", () => {
  expect(() => linkByName(socket, "none")).toThrow(
    'Cannot find link "none": RTM_GETLINK failed with ENODEV (no such device)',
  );
  expect(findLink(socket, "none")).toBeUndefined();
  expect(() => linkByIndex(socket, 999_999)).toThrow("ENODEV");
});

kernelTest(
  "deleteLink() takes both ends of a veth; deleteLinkIfThere() is content when there is none",
  () => {
    createVeth(socket, { name: "del0", peer: { name: "del1", netns: container.netns } });
    const link = linkByName(socket, "del0");
    deleteLink(socket, link);
    expect(findLink(socket, "del0")).toBeUndefined();
    expect(() => container.run("ip link show del1")).toThrow("does not exist");
    expect(() => deleteLink(socket, link)).toThrow(
      'Cannot delete link "del0": RTM_DELLINK failed with ENODEV',
    );
    deleteLinkIfThere(socket, "del0");
  },
);
