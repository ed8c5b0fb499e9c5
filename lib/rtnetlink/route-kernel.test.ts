/** Addresses, routes, rules, neighbours on the kernel this machine runs; the oracle is ip -j, bridge -j. */
import { afterAll, beforeAll, describe, expect } from "bun:test";
import { formatAddress, parseAddress } from "../netaddr/address.ts";
import { formatMac, parseMac } from "../netaddr/mac.ts";
import { formatPrefix, parsePrefix } from "../netaddr/prefix.ts";
import { kernelTest, noNetnsReason, TestNetns } from "../testing/netns.ts";
import { addAddress, deleteAddress, listAddresses } from "./address.ts";
import { createLink, createVeth, type Link, linkByName, setLink } from "./link.ts";
import {
  deleteFdbEntry,
  deleteNeighbour,
  listFdb,
  listNeighbours,
  NTF_MASTER,
  NTF_SELF,
  NUD_NOARP,
  NUD_PERMANENT,
  replaceFdbEntry,
  replaceNeighbour,
} from "./neighbour.ts";
import {
  addRoute,
  appendRoute,
  deleteRoute,
  listMainRoutes,
  listReservedRoutes,
  listRoutes,
  type Route,
  RT_SCOPE_LINK,
  replaceRoute,
  routeTo,
} from "./route.ts";
import { openRouteSocket, type RouteSocket } from "./route-socket.ts";
import { addRule, deleteRule, listRules } from "./rule.ts";

let netns: TestNetns;
let socket: RouteSocket;
let eth0: Link;

beforeAll(async () => {
  if (noNetnsReason !== undefined) return;
  netns = await TestNetns.make();
  socket = openRouteSocket(netns.netns);
  createVeth(socket, { name: "eth0", up: true, peer: { name: "peer0" } });
  setLink(socket, { name: "peer0" }, { up: true });
  eth0 = linkByName(socket, "eth0");
});

afterAll(() => {
  socket?.[Symbol.dispose]();
  netns?.[Symbol.dispose]();
});

// biome-ignore lint/suspicious/noExplicitAny: as iproute2 prints it
type Shown = Record<string, any>;

describe("addresses", () => {
  kernelTest("addAddress() adds what ip shows; deleteAddress() takes it away", () => {
    addAddress(socket, eth0, parsePrefix("10.22.0.5/24"));
    addAddress(socket, eth0, parsePrefix("10.23.0.5/32"));
    addAddress(socket, eth0, parsePrefix("fd00::5/64"), { nodad: true });
    const [{ addr_info: shown }] = netns.json("ip -j addr show dev eth0");
    const theirs = shown.filter(({ scope }: Shown) => scope === "global");
    expect(theirs.map(({ local, prefixlen }: Shown) => `${local}/${prefixlen}`)).toEqual([
      "10.22.0.5/24",
      "10.23.0.5/32",
      "fd00::5/64",
    ]);
    expect(theirs.map(({ broadcast }: Shown) => broadcast)).toEqual(["10.22.0.255", undefined, undefined]);
    expect(theirs[2]).toMatchObject({ nodad: true });
    expect(theirs[2].tentative).toBeUndefined();

    const listed = listAddresses(socket, eth0).map(({ prefix }) => formatPrefix(prefix));
    expect(listed.sort()).toEqual(shown.map(({ local, prefixlen }: Shown) => `${local}/${prefixlen}`).sort());

    for (const text of ["10.22.0.5/24", "10.23.0.5/32", "fd00::5/64"]) {
      deleteAddress(socket, eth0, parsePrefix(text));
    }
    expect(netns.run("ip addr show dev eth0 scope global")).not.toContain("inet");
  });

  kernelTest("addAddress() without nodad leaves the address tentative until nobody objected", () => {
    addAddress(socket, eth0, parsePrefix("fd00::6/64"));
    const [{ addr_info: shown }] = netns.json("ip -j addr show dev eth0");
    expect(shown.find(({ local }: Shown) => local === "fd00::6").tentative).toBe(true);
    const listed = listAddresses(socket, eth0).find(({ prefix }) => formatPrefix(prefix) === "fd00::6/64");
    expect(listed).toMatchObject({ tentative: true, dadFailed: false, permanent: true });
    deleteAddress(socket, eth0, parsePrefix("fd00::6/64"));
  });

  kernelTest("addAddress() names the link and the address when it is there already", () => {
    addAddress(socket, eth0, parsePrefix("10.24.0.5/24"));
    expect(() => addAddress(socket, eth0, parsePrefix("10.24.0.5/24"))).toThrow(
      'Cannot add address 10.24.0.5/24 to "eth0": RTM_NEWADDR failed with EEXIST (file exists)',
    );
    deleteAddress(socket, eth0, parsePrefix("10.24.0.5/24"));
    expect(() => deleteAddress(socket, eth0, parsePrefix("10.24.0.5/24"))).toThrow("EADDRNOTAVAIL");
  });

  kernelTest("listAddresses() lists those of one link, or of all", () => {
    netns.run("ip link set lo up; ip addr add 10.25.0.1/24 dev peer0");
    const all = listAddresses(socket).map(({ prefix }) => formatPrefix(prefix));
    expect(all).toContain("127.0.0.1/8");
    expect(all).toContain("::1/128");
    expect(all).toContain("10.25.0.1/24");
    const own = listAddresses(socket, eth0).map(({ ifindex }) => ifindex);
    expect(new Set(own)).toEqual(new Set([eth0.index]));
  });
});

describe("routes", () => {
  const routesOf = (command: string): Shown[] => netns.json(command);

  kernelTest("routeTo() finds the way out that ip shows, and none where there is none", () => {
    addAddress(socket, eth0, parsePrefix("10.24.0.5/24"));
    netns.run(
      "ip link set lo up; ip route add unreachable 10.251.0.0/24; ip route add blackhole 10.252.0.0/24",
    );
    const found = (text: string) => routeTo(socket, parseAddress(text));
    expect(routesOf("ip -j route get 10.24.0.9")).toMatchObject([{ dev: "eth0" }]);
    const direct = { oif: eth0.index, prefixLength: 32, isLocal: false, mtu: undefined };
    expect(found("10.24.0.9")).toEqual({ ...direct, prefsrc: parseAddress("10.24.0.5") });
    expect(routesOf("ip -j route get fibmatch 10.24.0.9")).toMatchObject([{ dst: "10.24.0.0/24" }]);
    const matched = routeTo(socket, parseAddress("10.24.0.9"), { isMatch: true });
    expect(matched).toMatchObject({ ...direct, prefixLength: 24 });
    netns.run("ip route add 10.26.0.0/24 via 10.24.0.1 mtu 1400");
    expect(routeTo(socket, parseAddress("10.26.0.9"), { isMatch: true })?.mtu).toBe(1400);
    netns.run("ip route del 10.26.0.0/24");
    expect(routesOf("ip -j route get 10.24.0.5")).toMatchObject([{ type: "local" }]);
    expect(found("10.24.0.5")?.isLocal).toBe(true);
    expect(found("::1")?.isLocal).toBe(true);
    for (const text of ["10.251.0.1", "10.252.0.1", "192.0.2.1", "2001:db8::1"]) {
      expect(found(text)).toBeUndefined();
    }
    deleteAddress(socket, eth0, parsePrefix("10.24.0.5/24"));
    netns.run("ip route del unreachable 10.251.0.0/24; ip route del blackhole 10.252.0.0/24");
  });

  kernelTest("addRoute() adds what ip shows, with all that a route can say", () => {
    addAddress(socket, eth0, parsePrefix("10.22.0.5/24"));
    const route: Route = {
      dst: parsePrefix("10.9.0.0/16"),
      gateway: parseAddress("198.51.100.1"), // on no subnet of the link
      oif: eth0.index,
      mtu: 1400,
      advmss: 1360,
      priority: 50,
      table: 1000,
      prefsrc: parseAddress("10.22.0.5"),
      onlink: true,
    };
    expect(() => addRoute(socket, { ...route, onlink: false })).toThrow("Nexthop has invalid gateway");
    addRoute(socket, route);
    expect(routesOf("ip -j -d route show table 1000")).toMatchObject([
      {
        type: "unicast",
        dst: "10.9.0.0/16",
        gateway: "198.51.100.1",
        dev: "eth0",
        protocol: "boot",
        scope: "global",
        prefsrc: "10.22.0.5",
        metric: 50,
        flags: ["onlink"],
        metrics: [{ mtu: 1400, advmss: 1360 }],
      },
    ]);
    expect(listRoutes(socket, { family: 4, table: 1000 })).toMatchObject([route]);
    expect(() => addRoute(socket, route)).toThrow(
      "Cannot add route 10.9.0.0/16 via 198.51.100.1 table 1000 metric 50: RTM_NEWROUTE failed with EEXIST",
    );
    deleteRoute(socket, route);
    expect(routesOf("ip -j -d route show table 1000")).toEqual([]);
    expect(() => deleteRoute(socket, route)).toThrow("ESRCH");
  });

  kernelTest("replaceRoute() and appendRoute() change and add ways of IPv6", () => {
    addAddress(socket, eth0, parsePrefix("fd00::5/64"), { nodad: true });
    const via = (text: string, priority: number): Route => ({
      dst: parsePrefix("::/0"),
      gateway: parseAddress(text),
      oif: eth0.index,
      priority,
    });
    addRoute(socket, via("fd00::1", 10));
    replaceRoute(socket, via("fd00::2", 10));
    appendRoute(socket, via("fd00::3", 20));
    const shown = routesOf("ip -j -d -6 route show default");
    expect(shown.map(({ gateway, metric }) => [gateway, metric])).toEqual([
      ["fd00::2", 10],
      ["fd00::3", 20],
    ]);
    const listed = listRoutes(socket, { family: 6 }).filter(({ dst }) => dst.length === 0);
    expect(listed.map(({ gateway, priority }) => [formatAddress(gateway!), priority])).toEqual([
      ["fd00::2", 10],
      ["fd00::3", 20],
    ]);
  });

  kernelTest("addRoute() takes the scope it is given", () => {
    addRoute(socket, { dst: parsePrefix("192.0.2.0/24"), oif: eth0.index, scope: RT_SCOPE_LINK });
    addRoute(socket, { dst: parsePrefix("198.51.100.0/24"), oif: eth0.index });
    const scopes = routesOf("ip -j -d route show dev eth0").map(({ dst, scope }) => [dst, scope]);
    expect(scopes).toContainEqual(["192.0.2.0/24", "link"]);
    expect(scopes).toContainEqual(["198.51.100.0/24", "global"]);
  });

  kernelTest("listRoutes() filters by table and by link", () => {
    netns.run("ip route add 203.0.113.0/24 dev peer0; ip route add 203.0.113.0/24 dev eth0 table 77");
    const main = listRoutes(socket, { family: 4 }).map(({ dst }) => formatPrefix(dst));
    const shown = routesOf("ip -j route show").map(({ dst }) => dst);
    expect(main).toEqual(shown);
    const ofEth0 = listRoutes(socket, { family: 4, oif: eth0.index });
    expect(new Set(ofEth0.map(({ oif, table }) => `${oif} ${table}`))).toEqual(
      new Set([`${eth0.index} 254`]),
    );
    expect(listRoutes(socket, { family: 4, table: 77 }).map(({ dst }) => formatPrefix(dst))).toEqual([
      "203.0.113.0/24",
    ]);
  });

  kernelTest("listRoutes() throws that there is no such table", () => {
    expect(() => listRoutes(socket, { family: 4, table: 5_555 })).toThrow("ipv4: FIB table does not exist");
    expect(() => listRoutes(socket, { family: 6, table: 5_555 })).toThrow("ipv6: FIB table does not exist");
  });
});

describe("rules", () => {
  kernelTest("addRule() adds what ip shows; deleteRule() takes it away", () => {
    const v4 = { family: 4 as const, src: parsePrefix("10.22.0.5/32"), table: 1000, priority: 100 };
    const v6 = {
      family: 6 as const,
      src: parsePrefix("fd00::5/128"),
      dst: parsePrefix("fd01::/16"),
      iifname: "eth0",
      fwmark: 7,
      table: 100,
      priority: 500,
    };
    addRule(socket, v4);
    addRule(socket, v6);
    expect(netns.json("ip -j -d rule show pref 100")).toMatchObject([
      { priority: 100, src: "10.22.0.5", table: "1000" },
    ]);
    expect(netns.json("ip -6 -j -d rule show pref 500")).toMatchObject([
      { priority: 500, src: "fd00::5", dst: "fd01::", dstlen: 16, iif: "eth0", fwmark: "0x7", table: "100" },
    ]);
    expect(listRules(socket, 4)).toContainEqual({ ...v4, dst: undefined } as never);
    expect(listRules(socket, 6).find(({ priority }) => priority === 500)).toEqual(v6);
    expect(() => addRule(socket, v4)).toThrow("EEXIST");
    deleteRule(socket, v4);
    deleteRule(socket, v6);
    expect(netns.json("ip -j rule show pref 100")).toEqual([]);
    expect(() => deleteRule(socket, v4)).toThrow("Cannot delete rule from 10.22.0.5/32 table 1000");
  });
});

describe("neighbours and forwarding entries", () => {
  const mac = parseMac("02:00:00:00:00:99");

  kernelTest("replaceNeighbour() adds and changes what ip shows; deleteNeighbour() takes it away", () => {
    const address = parseAddress("10.22.0.9");
    const entry = { ifindex: eth0.index, address, mac: parseMac("02:00:00:00:00:98"), state: NUD_PERMANENT };
    replaceNeighbour(socket, entry);
    replaceNeighbour(socket, { ...entry, mac });
    expect(netns.json("ip -4 -j neigh show dev eth0")).toEqual([
      { dst: "10.22.0.9", lladdr: formatMac(mac), state: ["PERMANENT"] },
    ]);
    expect(listNeighbours(socket, { family: 4, ifindex: eth0.index })).toMatchObject([{ address, mac }]);
    deleteNeighbour(socket, entry);
    expect(listNeighbours(socket, { family: 4, ifindex: eth0.index })).toEqual([]);
    expect(() => deleteNeighbour(socket, entry)).toThrow(
      "Cannot delete neighbour 10.22.0.9: RTM_DELNEIGH failed",
    );
  });

  kernelTest("replaceFdbEntry() fills a vxlan device's table, one MAC per remote address", () => {
    netns.run("ip link add vx type vxlan id 5 dstport 4789; ip link set vx up");
    const { index } = linkByName(socket, "vx");
    const dst = parseAddress("192.0.2.1");
    const entry = { ifindex: index, mac, flags: NTF_SELF, state: NUD_PERMANENT | NUD_NOARP, dst };
    replaceFdbEntry(socket, entry);
    netns.run("bridge fdb add 02:00:00:00:00:78 dev vx dst 192.0.2.2 via eth0 self");
    const shown = netns.json("bridge -j fdb show dev vx");
    expect(shown.map(({ mac, dst }: Shown) => [mac, dst]).sort()).toEqual([
      ["02:00:00:00:00:78", "192.0.2.2"],
      ["02:00:00:00:00:99", "192.0.2.1"],
    ]);
    const listed = listFdb(socket).filter(({ ifindex }) => ifindex === index);
    expect(listed.map(({ mac, dst }) => [formatMac(mac), formatAddress(dst!)]).sort()).toEqual([
      ["02:00:00:00:00:78", "192.0.2.2"],
      ["02:00:00:00:00:99", "192.0.2.1"],
    ]);
    deleteFdbEntry(socket, entry);
    expect(netns.json("bridge -j fdb show dev vx")).toHaveLength(1);
  });

  kernelTest("replaceFdbEntry() and listFdb() with a bridge: entries of its ports", () => {
    createLink(socket, { name: "br-fdb", kind: "bridge", up: true });
    const master = linkByName(socket, "br-fdb").index;
    createVeth(socket, { name: "fdb0", master, peer: { name: "fdb1" } });
    const { index } = linkByName(socket, "fdb0");
    const NUD_REACHABLE = 2;
    replaceFdbEntry(socket, { ifindex: index, mac, flags: NTF_MASTER, state: NUD_NOARP | NUD_REACHABLE });
    const shown: Shown[] = netns.json("bridge -j fdb show br br-fdb");
    expect(shown.find((entry) => entry["mac"] === formatMac(mac))).toMatchObject({
      ifname: "fdb0",
      master: "br-fdb",
      state: "static",
    });
    const listed = listFdb(socket, { master });
    expect(listed.map((entry) => formatMac(entry.mac)).sort()).toEqual(
      shown.map((entry) => entry["mac"]).sort(),
    );
    expect(listed.some(({ ifindex }) => ifindex === index)).toBe(true);
  });
});

describe("routes of all tables", () => {
  kernelTest("listReservedRoutes() has what leads nowhere, of every table, and nothing local", async () => {
    using own = await TestNetns.make();
    own.run(`ip link set lo up; ip address add 10.40.0.1/24 dev lo
ip route add 10.41.0.0/16 dev lo table 1000; ip route add blackhole 10.42.0.0/24
ip route add unreachable 10.43.0.0/24; ip route add prohibit fd00:44::/64`);
    using socket = openRouteSocket(own.netns);
    const listed = ([4, 6] as const).flatMap((family) => listReservedRoutes(socket, family));
    expect(listed.map(({ dst }) => formatPrefix(dst)).sort()).toEqual([
      "10.41.0.0/16",
      "10.42.0.0/24",
      "10.43.0.0/24",
      "fd00:44::/64",
    ]);
  });

  kernelTest("listMainRoutes() is empty where there never was a route", async () => {
    using own = await TestNetns.make();
    using socket = openRouteSocket(own.netns);
    expect(() => listRoutes(socket, { family: 4 })).toThrow("FIB table does not exist");
    expect(listMainRoutes(socket, 4)).toEqual([]);
  });
});
