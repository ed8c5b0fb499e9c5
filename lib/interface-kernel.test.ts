/** A container's interface on a wire with somebody else; the oracle is ip, and a packet that comes back. */
import { afterEach, beforeEach, describe, expect, setDefaultTimeout } from "bun:test";
import type { Result } from "./cni/result.ts";
import { awaitDuplicateDetection } from "./duplicate-detection.ts";
import { type AddressOptions, checkInterface, configureInterface } from "./interface.ts";
import { parseAddress } from "./netaddr/address.ts";
import { parsePrefix } from "./netaddr/prefix.ts";
import { awaitRunning, linkByName } from "./rtnetlink/link.ts";
import { openRouteSocket, type RouteSocket } from "./rtnetlink/route-socket.ts";
import type { Sandbox } from "./sandbox.ts";
import { thrownBy } from "./testing/made-up-things.ts";
import { kernelTest, lackingFor, TestNetns } from "./testing/netns.ts";

const lacking = lackingFor(
  ...["sh", "-ec", "ip link add v0 type veth peer name v1; ip link add link v0 name m0 type macvlan"],
);

/** The host, who else is on its wire, and the container, whose eth0 is a macvlan there. */
let host: TestNetns;
let outside: TestNetns;
let inside: TestNetns;
let container: RouteSocket;

beforeEach(async () => {
  if (lacking !== undefined) return;
  [host, outside, inside] = [await TestNetns.make(), await TestNetns.make(), await TestNetns.make()];
  host.run(`ip link add wire0 type veth peer name wire1 netns ${processOf(outside)}; ip link set wire0 up
    ip link add link wire0 name eth0 address 02:00:00:00:00:01 netns ${processOf(inside)} type macvlan`);
  outside.run(`sysctl -qw net.ipv6.conf.wire1.accept_dad=0; ip addr add 10.1.0.1/24 dev wire1
    ip addr add fd00::1/64 dev wire1; ip link set wire1 up`);
  using here = openRouteSocket(host.netns);
  using there = openRouteSocket(outside.netns);
  expect(awaitRunning(here, "wire0", 5_000)).toBeDefined();
  expect(awaitRunning(there, "wire1", 5_000)).toBeDefined();
  container = openRouteSocket(inside.netns);
});
afterEach(() => {
  for (const each of [container, inside, outside, host]) each?.[Symbol.dispose]();
});

const test = (name: string, body: () => void) => kernelTest(name, body, lacking);
setDefaultTimeout(20_000); // the kernel's detection takes seconds, where the machine is busy

/** For `ip … netns PID`. */
function processOf({ path }: TestNetns): string {
  return /\d+/.exec(path)?.[0] ?? "";
}

const sandbox = (): Sandbox => ({ netns: inside.netns, host: container, container });

/** "10.1.0.5/24 10.1.0.1": addresses, each with its gateway if it has one. */
const result = (...ips: string[]): Result => ({
  ips: ips.map((text) => {
    const [address = "", gateway] = text.split(" ");
    return { address: parsePrefix(address), gateway: gateway ? parseAddress(gateway) : undefined };
  }),
});

function configure(addresses: Result, options: AddressOptions): void {
  configureInterface(sandbox(), linkByName(container, "eth0"), addresses, options);
}

/** What `ip` shows of an address of eth0. */
function shown(local: string) {
  const [{ addr_info: all }] = inside.json("ip -j addr show dev eth0");
  return all.find((each: { local: string }) => each.local === local);
}

/** The routes of a family, without what the kernel has for link-local and multicast addresses. */
function routes(family: 4 | 6): string[] {
  return inside
    .run(`ip -${family} route show`)
    .split("\n")
    .map((line) => line.replace(/ proto \w+| metric 1024| pref medium/g, "").trim())
    .filter((line) => line && !line.startsWith("fe80::/64"))
    .sort();
}

/** What `act` returns, and the milliseconds it takes. */
function timed<T>(act: () => T): { value: T; elapsed: number } {
  const start = performance.now();
  const value = act();
  return { value, elapsed: performance.now() - start };
}

/** Duplicate detection takes the kernel a second at least: what is quicker has not waited for it. */
const DETECTION_MS = 900;

describe("optimistic", () => {
  const options = { duplicateDetection: "optimistic" } as const;

  test("an optimistic address is of use at once, and later for good", () => {
    const { elapsed } = timed(() => configure(result("fd00::5/64"), options));
    expect(shown("fd00::5")).toMatchObject({ optimistic: true, tentative: true });
    expect(elapsed).toBeLessThan(DETECTION_MS);
    expect(inside.run("sysctl -n net.ipv6.conf.eth0.use_optimistic").trim()).toBe("1");
    inside.run("ping -6 -c 1 -W 2 -I fd00::5 fd00::1");
    outside.run("ping -6 -c 1 -W 2 fd00::5");
    awaitDuplicateDetection(sandbox(), linkByName(container, "eth0"), "complete");
    const { optimistic, tentative, dadfailed } = shown("fd00::5");
    expect([optimistic, tentative, dadfailed]).toEqual([undefined, undefined, undefined]);
  });

  test("an optimistic address has a link-local one beside it that is not tentative: the MAC's own", () => {
    configure(result("fd00::5/64"), options);
    expect(shown("fe80::ff:fe00:1")).toMatchObject({ prefixlen: 64, scope: "link" });
    expect(shown("fe80::ff:fe00:1").tentative).toBeUndefined();
  });

  test("an address that somebody has is refused by its name, without the whole wait", () => {
    outside.run("ip addr add fd00::5/64 dev wire1");
    const refusals = Array.from({ length: 20 }, () => {
      inside.run("ip link set eth0 down; ip addr flush dev eth0");
      return timed(() => {
        try {
          configure(result("fd00::5/64"), options);
        } catch (error) {
          return error;
        }
        return undefined;
      });
    }).filter(({ value }) => value);
    // On a busy machine an answer may come after the few milliseconds that are waited for.
    expect(refusals.length).toBeGreaterThan(10);
    for (const { value, elapsed } of refusals) {
      expect(value).toMatchObject({ msg: "address fd00::5/64 is in use by another host" });
      expect(elapsed).toBeLessThan(DETECTION_MS);
    }
  });

  test("IPv4 addresses beside it are there, and none waits on a wire without carrier", () => {
    outside.run("ip link set wire1 down");
    const { elapsed } = timed(() => configure(result("10.1.0.5/24", "fd00::5/64"), options));
    expect(elapsed).toBeLessThan(DETECTION_MS);
    expect(shown("10.1.0.5")).toMatchObject({ prefixlen: 24, broadcast: "10.1.0.255" });
    expect(shown("fd00::5")).toMatchObject({ prefixlen: 64 });
    outside.run("ip link set wire1 up; ip addr add fd00::1/64 dev wire1"); // it lost that going down
    expect(awaitRunning(container, "eth0", 4_000)).toBeDefined();
    awaitDuplicateDetection(sandbox(), linkByName(container, "eth0"), "complete");
    expect(shown("fd00::5").tentative).toBeUndefined();
    inside.run("ping -6 -c 3 -i 0.2 -W 1 -I fd00::5 fd00::1");
  });
});

describe("complete", () => {
  const options = { duplicateDetection: "complete" } as const;

  test("an address with complete detection is there when the kernel has found nobody", () => {
    configure(result("fd00::5/64"), options);
    expect(shown("fd00::5").tentative).toBeUndefined();
    expect(shown("fd00::5").nodad).toBeUndefined();
  });

  test("an address that somebody has is refused by its name", () => {
    outside.run("ip addr add fd00::5/64 dev wire1");
    expect(thrownBy(() => configure(result("fd00::4/64", "fd00::5/64"), options))).toMatchObject({
      msg: "address fd00::5/64 is in use by another host",
    });
  });
});

describe("none", () => {
  const options = { duplicateDetection: "none" } as const;

  test("an address without detection is there at once, whoever has it", () => {
    outside.run("ip addr add fd00::5/64 dev wire1");
    const { elapsed } = timed(() => configure(result("fd00::5/64"), options));
    expect(elapsed).toBeLessThan(DETECTION_MS);
    expect(shown("fd00::5")).toMatchObject({ nodad: true });
    expect(shown("fd00::5").tentative).toBeUndefined();
    outside.run("ip addr delete fd00::5/64 dev wire1");
    inside.run("ping -6 -c 1 -W 2 fd00::1");
  });
});

test("IPv6 addresses on an interface that is too small for them are refused, and nothing is changed", () => {
  inside.run("ip link set eth0 mtu 1279");
  const act = () => configure(result("10.1.0.5/24", "fd00::5/64"), { duplicateDetection: "none" });
  expect(thrownBy(act)).toMatchObject({
    code: 7,
    message: '"eth0" cannot have IPv6 addresses at an MTU of 1279; IPv6 needs an "mtu" of at least 1280',
  });
  expect(shown("10.1.0.5")).toBeUndefined();
  configure(result("10.1.0.5/24"), { duplicateDetection: "none" });
  expect(shown("10.1.0.5")).toBeDefined();
});

describe("viaGateway", () => {
  const options = { duplicateDetection: "none", viaGateway: true } as const;

  const CASES: readonly (readonly [what: string, ips: readonly string[], v4: string[], v6: string[]])[] = [
    [
      "all of a subnet goes by the gateway",
      ["10.1.0.5/24 10.1.0.1"],
      ["10.1.0.0/24 via 10.1.0.1 dev eth0 src 10.1.0.5", "10.1.0.1 dev eth0 scope link src 10.1.0.5"],
      [],
    ],
    [
      "a network of one has the gateway alone",
      ["10.1.0.5/32 10.1.0.1"],
      ["10.1.0.1 dev eth0 scope link src 10.1.0.5"],
      [],
    ],
    [
      "IPv6 is as IPv4",
      ["fd00::5/64 fd00::1"],
      [],
      ["fd00::/64 via fd00::1 dev eth0 src fd00::5", "fd00::1 dev eth0 src fd00::5"],
    ],
    ["an IPv6 network of one as well", ["fd00::5/128 fd00::1"], [], ["fd00::1 dev eth0 src fd00::5"]],
    [
      "two addresses with one gateway have one route to it, and one to a subnet that they share",
      ["10.1.0.5/24 10.1.0.1", "10.1.0.6/24 10.1.0.1", "10.2.0.5/24 10.1.0.1", "fd00::5/64 fd00::1"],
      [
        "10.1.0.0/24 via 10.1.0.1 dev eth0 src 10.1.0.5",
        "10.1.0.1 dev eth0 scope link src 10.1.0.5",
        "10.2.0.0/24 via 10.1.0.1 dev eth0 src 10.2.0.5",
      ],
      ["fd00::/64 via fd00::1 dev eth0 src fd00::5", "fd00::1 dev eth0 src fd00::5"],
    ],
    ["an address without a gateway leads nowhere", ["10.1.0.5/24"], [], []],
  ];
  for (const [what, ips, v4, v6] of CASES) {
    test(`with viaGateway ${what}`, () => {
      configure(result(...ips), options);
      expect([routes(4), routes(6).filter((route) => !route.startsWith("fd00::5 "))]).toEqual([v4, v6]);
    });
  }

  const both = result("10.1.0.5/24 10.1.0.1", "fd00::5/64 fd00::1");
  const dual: Result = {
    ...both,
    routes: ["0.0.0.0/0", "::/0", "10.99.0.0/16"].map((dst) => ({ dst: parsePrefix(dst) })),
  };

  test("with viaGateway the routes of the result go by the gateway, and a packet comes back", () => {
    configure(dual, options);
    expect(routes(4)).toContain("10.99.0.0/16 via 10.1.0.1 dev eth0");
    expect(routes(4)).toContain("default via 10.1.0.1 dev eth0");
    expect(routes(6)).toContain("default via fd00::1 dev eth0");
    inside.run("ping -c 1 -W 2 10.1.0.1; ping -6 -c 1 -W 2 fd00::1");
  });

  test("without viaGateway the subnets are the kernel's, and the routes of the result the same", () => {
    configure(dual, { duplicateDetection: "none" });
    expect(routes(4)).toEqual([
      "10.1.0.0/24 dev eth0 scope link src 10.1.0.5",
      "10.99.0.0/16 via 10.1.0.1 dev eth0",
      "default via 10.1.0.1 dev eth0",
    ]);
    expect(routes(6)).toContain("default via fd00::1 dev eth0");
    expect(inside.run("ip -6 route show fd00::/64")).toContain("proto kernel");
  });

  const LOST = [
    "ip route delete 10.1.0.1 dev eth0",
    "ip route delete 10.1.0.0/24",
    "ip -6 route delete fd00::1 dev eth0",
    "ip -6 route delete fd00::/64",
    "ip route delete 10.99.0.0/16",
  ];
  for (const command of LOST) {
    test(`checkInterface() misses a route: ${command}`, () => {
      configure(dual, options);
      const prevResult = { ...dual, interfaces: [{ name: "eth0", sandbox: inside.path }] };
      const call = { ifname: "eth0", netnsPath: inside.path, prevResult };
      const expected = { up: true, viaGateway: true };
      checkInterface(sandbox(), call, expected);
      inside.run(command);
      expect(thrownBy(() => checkInterface(sandbox(), call, expected))).toMatchObject({
        code: 100,
        message: expect.stringMatching(/^Expected Route .* not found on interface eth0$/),
      });
    });
  }
});
