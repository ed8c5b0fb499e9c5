/** hostAccess of macvlan; the oracle is ip, and packets that come back. */
import { afterEach, beforeEach, test as bunTest, describe, expect } from "bun:test";
import { rmSync } from "node:fs";
import type { IpConfig } from "./cni/result.ts";
import {
  addHostAccess,
  checkHostAccess,
  deleteHostAccess,
  staleHostAccessSteps,
  verifyHostAccess,
} from "./host-access.ts";
import { parsePrefix } from "./netaddr/prefix.ts";
import { awaitRunning, linkByName } from "./rtnetlink/link.ts";
import { openRouteSocket } from "./rtnetlink/route-socket.ts";
import { openSandbox } from "./sandbox.ts";
import { releaseSharedLinks } from "./shared-link.ts";
import { type CallParts, CniHost, recordsThere } from "./testing/cni-host.ts";
import { thrownBy } from "./testing/made-up-things.ts";
import { kernelTest, lackingFor, noNetnsReason, TestNetns } from "./testing/netns.ts";
import { noOwnRunReason } from "./testing/own-run.ts";

const lacking =
  noNetnsReason ??
  noOwnRunReason ??
  lackingFor("sh", "-ec", "ip link add v0 type veth peer name v1; ip link add link v0 name m0 type macvlan");

const SHIM = "mvh-wire0";
let host: CniHost;
/** Containers that have 10.1.0.11 and fd00::11, and 12. */
let c1: TestNetns;
let c2: TestNetns;
/** Who is on the wire, with 10.1.0.1. */
let outside: TestNetns;

beforeEach(async () => {
  if (lacking !== undefined) return;
  [c1, c2, outside] = [await TestNetns.make(), await TestNetns.make(), await TestNetns.make()];
  host = await CniHost.make(`ip link add wire0 type veth peer name far netns ${processOf(outside)}
    ip link set wire0 up; ip addr add 10.1.0.2/24 dev wire0; ip addr add fd00::2/64 dev wire0 nodad`);
  outside.run("ip addr add 10.1.0.1/24 dev far; ip link set far up");
  for (const [container, number] of [
    [c1, 11],
    [c2, 12],
  ] as const) {
    host.netns.run(`ip link add link wire0 name eth0 address 02:00:00:00:00:${number} \
      netns ${processOf(container)} type macvlan mode bridge`);
    container.run(`ip link set eth0 up; ip addr add 10.1.0.${number}/24 dev eth0
      ip addr add fd00::${number}/64 dev eth0 nodad`);
  }
  using socket = openRouteSocket(host.netns.netns);
  expect(awaitRunning(socket, "wire0", 5_000)).toBeDefined();
});
afterEach(() => {
  for (const each of [host, c1, c2, outside]) each?.[Symbol.dispose]();
});
const test = (name: string, body: () => void) => kernelTest(name, body, lacking);

/** For `ip … netns PID`. */
function processOf({ path }: TestNetns): string {
  return /\d+/.exec(path)?.[0] ?? "";
}

const IPS = ["10.1.0.11/24", "fd00::11/64"];
const ON = { hostAccess: true, hostAccessAddresses: [] as readonly string[] };
/** The call of a container, with its settings. */
const of = (containerId: string, keys = {}): CallParts => ({
  containerId,
  netns: (containerId === "c1" ? c1 : c2).path,
  config: { ...ON, ...keys },
});

/** ADD's part; `last` comes after. */
function add(containerId = "c1", keys = {}, ips = IPS, last = () => {}): void {
  const addresses: IpConfig[] = ips.map((text) => ({
    address: parsePrefix(containerId === "c1" ? text : text.replace("11/", "12/")),
  }));
  host.call(of(containerId, keys), (call) => {
    const sandbox = openSandbox(call);
    const master = { link: linkByName(sandbox.host, "wire0"), socket: sandbox.host };
    addHostAccess(call, sandbox, master, linkByName(sandbox.container, "eth0"), addresses);
    last();
  });
}
const check = (keys = {}) =>
  host.call(of("c1", keys), (call) => {
    const sandbox = openSandbox(call);
    checkHostAccess(call, sandbox, linkByName(sandbox.container, "eth0"));
  });
/** DEL as macvlan has it: this, and then the shim. */
const del = (containerId = "c1") =>
  host.call({ containerId }, (call) => {
    deleteHostAccess(call);
    releaseSharedLinks(call);
  });

/** What the host has of the shim: routes, permanent neighbours, addresses. */
function ofShim() {
  if (!host.links().includes(`${SHIM} macvlan`)) return undefined;
  const dev = `dev ${SHIM}`;
  const routes = [
    ...host.netns.json(`ip -j route show ${dev}`),
    ...host.netns.json(`ip -j -6 route show ${dev}`),
  ];
  const neighbours = host.netns.json(`ip -j neigh show ${dev} nud permanent`);
  const [{ addr_info: addresses }] = host.netns.json(`ip -j addr show ${dev}`);
  return {
    routes: routes
      .filter(({ protocol }: { protocol: string }) => protocol !== "kernel")
      .map(({ dst, prefsrc }: { dst: string; prefsrc: string }) => `${dst} src ${prefsrc}`),
    neighbours: neighbours
      .map(({ dst, lladdr }: { dst: string; lladdr: string }) => `${dst} ${lladdr}`)
      .sort(),
    addresses: addresses
      .filter(({ scope }: { scope: string }) => scope === "global")
      .map(({ local, prefixlen }: { local: string; prefixlen: number }) => `${local}/${prefixlen}`),
  };
}
const FOR_C1 = {
  routes: ["10.1.0.11 src 10.1.0.2", "fd00::11 src fd00::2"],
  neighbours: ["10.1.0.11 02:00:00:00:00:11", "fd00::11 02:00:00:00:00:11"],
};

bunTest.each([
  [{ mode: "private" }, '"hostAccess" is not for mode private; in mode "bridge" macvlans reach each other'],
  [{ mode: "passthru" }, '"hostAccess" is not for mode passthru'],
  [{ linkInContainer: true }, '"hostAccess" needs a master on the host: not with "linkInContainer"'],
  [{ hostAccessAddresses: ["10.1.0.250/24"] }, 'invalid "hostAccessAddresses": "10.1.0.250/24"'],
  [{ hostAccess: false, hostAccessAddresses: ["x"] }, 'invalid "hostAccessAddresses": "x"'],
  [{ hostAccess: false, hostAccessAddresses: ["10.1.0.2"] }, '"hostAccessAddresses" needs "hostAccess"'],
  [{ ipam: { type: "" } }, '"hostAccess" needs "ipam"'],
])("verifyHostAccess() refuses %j", (keys, message) => {
  const settings = { ...ON, ipam: { type: "static" }, mode: "bridge", linkInContainer: false, ...keys };
  expect(thrownBy(() => verifyHostAccess(settings))).toMatchObject({
    code: 7,
    message: expect.stringContaining(message),
  });
});

bunTest("verifyHostAccess() has nothing against what can be done, nor where nothing is asked for", () => {
  const bridge = { ...ON, ipam: { type: "static" }, mode: "bridge", linkInContainer: false };
  verifyHostAccess({ ...bridge, hostAccessAddresses: ["10.1.0.250", "fd00::250"] });
  verifyHostAccess({ ...bridge, mode: "" });
  verifyHostAccess({ ...bridge, hostAccess: false, mode: "vepa", linkInContainer: true });
});

describe("ADD", () => {
  test("addHostAccess() lets host and container reach each other, which they did not before", () => {
    for (const address of ["10.1.0.11", "fd00::11"]) {
      expect(() => host.netns.run(`ping -c 1 -W 1 ${address}`)).toThrow("ping");
    }
    add();
    expect(ofShim()).toEqual({ ...FOR_C1, addresses: [] });
    const inside = c1.json("ip -j neigh show dev eth0 nud permanent");
    const [{ address: mac }] = host.netns.json(`ip -j link show dev ${SHIM}`);
    expect(inside.map(({ dst, lladdr }: { dst: string; lladdr: string }) => [dst, lladdr]).sort()).toEqual([
      ["10.1.0.2", mac],
      ["fd00::2", mac],
    ]);
    for (const address of ["10.1.0.11", "fd00::11"]) host.netns.run(`ping -c 1 -W 2 ${address}`);
    for (const address of ["10.1.0.2", "fd00::2"]) c1.run(`ping -c 1 -W 2 ${address}`);
    check();
  });

  test("the shim answers for none of the host's addresses: neither a macvlan nor the wire learns its MAC", () => {
    add();
    expect(host.netns.json(`ip -j link show dev ${SHIM}`)[0].flags).toContain("NOARP");
    // of macvlans the shim alone hears c2, and of the others on the wire the shim hears outside as well
    expect(() => c2.run("ping -c 1 -W 1 10.1.0.2")).toThrow("ping");
    expect(c2.json("ip -j neigh show 10.1.0.2")[0].lladdr).toBeUndefined();
    outside.run("ping -c 1 -W 2 10.1.0.2; ping -c 1 -W 2 10.1.0.11");
    const [{ address: mac }] = host.netns.json("ip -j link show dev wire0");
    expect(outside.json("ip -j neigh show 10.1.0.2")[0].lladdr).toBe(mac);
  });

  test("addHostAccess() does nothing where it is not asked for, or the container has no address", () => {
    add("c1", { hostAccess: false });
    add("c1", {}, []);
    expect([ofShim(), recordsThere()]).toEqual([undefined, []]);
    check({ hostAccess: false });
  });

  test("addHostAccess() takes the addresses that are given, whichever interface of the host has them", () => {
    host.netns.run("ip link set lo up; ip addr add 10.1.0.250/32 dev lo");
    add("c1", { hostAccessAddresses: ["10.1.0.250", "fd00::2"] });
    expect(ofShim()).toEqual({
      routes: ["10.1.0.11 src 10.1.0.250", "fd00::11 src fd00::2"],
      neighbours: FOR_C1.neighbours,
      addresses: [],
    });
    c1.run("ping -c 1 -W 2 10.1.0.250");
    check({ hostAccessAddresses: ["10.1.0.250"] });
    del();
    expect(ofShim()).toBeUndefined();
  });

  test("addHostAccess() without an address of the host in the subnets is refused, in one of two it is not", () => {
    expect(thrownBy(() => add("c1", {}, ["10.9.0.11/24", "fd09::11/64"]))).toMatchObject({
      code: 7,
      msg: '"hostAccess" needs an address of the host in 10.9.0.0/24 or fd09::/64',
      details: expect.stringContaining('give "wire0" one; or name in "hostAccessAddresses"'),
    });
    for (const [address, why] of [
      ["10.7.0.1", "is not in 10.1.0.0/24 or fd00::/64"],
      ["10.1.0.11", "is no address of this host"],
      ["10.1.0.1", "is no address of this host"],
    ] as const) {
      expect(thrownBy(() => add("c1", { hostAccessAddresses: ["10.1.0.2", address] }))).toMatchObject({
        code: 7,
        msg: `invalid "hostAccessAddresses": ${address} ${why}`,
      });
    }
    expect([ofShim(), recordsThere()]).toEqual([undefined, []]);
    add("c1", {}, ["10.1.0.11/24", "fd09::11/64"]);
    expect(ofShim()?.routes).toEqual(["10.1.0.11 src 10.1.0.2"]);
  });

  test("an ADD that fails later takes back its own ways, and the shim with the last", () => {
    const fail = () => {
      throw new Error("later");
    };
    expect(() => add("c1", {}, IPS, fail)).toThrow("later");
    expect([ofShim(), recordsThere()]).toEqual([undefined, []]);
    add("c1");
    expect(() => add("c2", {}, IPS, fail)).toThrow("later");
    expect([ofShim(), recordsThere()]).toEqual([{ ...FOR_C1, addresses: [] }, ["c1:eth0:host-access"]]);
  });
});

describe("DEL and GC", () => {
  test("DEL takes the ways of its container, and the shim goes with the last; again is nothing", () => {
    add("c1");
    add("c2");
    expect(ofShim()?.routes).toHaveLength(4);
    del("c2");
    expect(ofShim()).toEqual({ ...FOR_C1, addresses: [] });
    host.netns.run("ping -c 1 -W 2 10.1.0.11");
    for (let time = 0; time < 2; time++) del("c1");
    expect([ofShim(), recordsThere()]).toEqual([undefined, []]);
  });

  test("GC takes the ways of what is not valid, and leaves the rest", () => {
    add("c1");
    add("c2");
    host.call({ valid: ["c1"] }, (call) => {
      for (const step of staleHostAccessSteps(call)) step();
    });
    expect([ofShim(), recordsThere()]).toEqual([{ ...FOR_C1, addresses: [] }, ["c1:eth0:host-access"]]);
  });

  test("DEL after a kill takes what there is, at whatever step that was", () => {
    const KILLS = [
      `ip link delete ${SHIM}`, // the record alone
      `ip route flush dev ${SHIM}; ip -6 route flush dev ${SHIM}; ip neigh flush dev ${SHIM} nud permanent`,
      `ip route delete 10.1.0.11 dev ${SHIM}`,
      `ip link set ${SHIM} down`,
    ];
    for (const command of KILLS) {
      add();
      host.netns.run(command);
      del();
      expect([command, ofShim(), recordsThere()]).toEqual([command, undefined, []]);
    }
  });

  test("DEL without the claims still takes the routes, and an ADD after that goes through", () => {
    add();
    rmSync("/run/weft/claims", { recursive: true });
    del();
    expect(ofShim()).toMatchObject({ routes: [], neighbours: [] });
    add();
    expect(ofShim()).toEqual({ ...FOR_C1, addresses: [] });
  });
});

describe("CHECK", () => {
  const CASES: readonly (readonly [where: "host" | "container", command: string, message: string])[] = [
    ["host", `ip link set ${SHIM} down`, '"mvh-wire0", by which the host reaches the container, is down'],
    ["host", `ip link delete ${SHIM}`, '"mvh-wire0", by which the host reaches the container, is gone'],
    [
      "host",
      `ip route delete 10.1.0.11 dev ${SHIM}`,
      'the host\'s route to 10.1.0.11 by "mvh-wire0" is missing',
    ],
    [
      "host",
      `ip -6 route delete fd00::11 dev ${SHIM}`,
      'the host\'s route to fd00::11 by "mvh-wire0" is missing',
    ],
    [
      "host",
      `ip neigh replace 10.1.0.11 lladdr 02:00:00:00:00:99 dev ${SHIM} nud permanent`,
      "10.1.0.11 is not 02:00:00:00:00:11 among the neighbours of mvh-wire0",
    ],
    ["container", "ip neigh delete fd00::2 dev eth0", "fd00::2 is not "],
  ];
  for (const [where, command, message] of CASES) {
    test(`CHECK says what is missing after: ${command}`, () => {
      add();
      (where === "host" ? host.netns : c1).run(command);
      expect(thrownBy(check)).toMatchObject({ code: 100, message: expect.stringContaining(message) });
    });
  }
});
