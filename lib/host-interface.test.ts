/** The host's interface to a container, on the kernel this machine runs; the oracle is ip. */
import { afterAll, beforeAll, expect } from "bun:test";
import type { Result } from "./cni/result.ts";
import { containerPort, hostInterface } from "./host-interface.ts";
import { parseAddress } from "./netaddr/address.ts";
import { linkByName } from "./rtnetlink/link.ts";
import { openRouteSocket, type RouteSocket } from "./rtnetlink/route-socket.ts";
import { kernelTest, noNetnsReason, TestNetns } from "./testing/netns.ts";

let netns: TestNetns;
let host: RouteSocket;

// A bridge with an address, one without, a routed pair, and a way out.
const SET_UP = `
ip link add cni0 type bridge; ip addr add 10.9.0.1/24 dev cni0; ip addr add fd00:9::1/64 dev cni0 nodad
ip link set cni0 up; ip link add vethp type veth peer name peerp; ip link set vethp master cni0 up
ip link set peerp up; ip link add plain type bridge; ip link set plain up
ip link add uplink type veth peer name far; ip link set uplink up; ip link set far up
ip addr add 192.0.2.1/24 dev uplink; ip route add default via 192.0.2.2
ip link add vethr type veth peer name peerr; ip link set vethr up; ip link set peerr up
ip route add 10.10.0.2/32 dev vethr`;

beforeAll(async () => {
  if (noNetnsReason !== undefined) return;
  netns = await TestNetns.make();
  netns.run(SET_UP);
  host = openRouteSocket(netns.netns);
});
afterAll(() => {
  host?.[Symbol.dispose]();
  netns?.[Symbol.dispose]();
});

const inside = { name: "eth0", sandbox: "/run/netns/c1" };
const result = (...names: string[]): Result => ({ interfaces: [...names.map((name) => ({ name })), inside] });
const found = (prevResult: Result, ...addresses: string[]): string =>
  hostInterface(host, prevResult, addresses.map(parseAddress)).name;

kernelTest("hostInterface() is where the route to the container leads", () => {
  expect(found(result("cni0", "vethp"), "10.9.0.2")).toBe("cni0");
  expect(found(result("vethp", "cni0"), "fd00:9::2")).toBe("cni0");
  expect(found(result("vethr"), "10.10.0.2")).toBe("vethr");
});

kernelTest("hostInterface() is where the route leads when prevResult names none", () => {
  expect(found(result(), "10.9.0.2")).toBe("cni0");
  expect(found({}, "10.10.0.2")).toBe("vethr");
  expect(found({}, "198.51.100.1")).toBe("uplink");
});

kernelTest("hostInterface() is what prevResult names when the route leads elsewhere", () => {
  expect(found(result("vethp", "plain"), "10.77.0.2")).toBe("plain"); // the default route is the uplink's
  expect(found(result("gone", "vethp"), "10.77.0.2")).toBe("vethp");
  expect(found(result("plain"), "192.0.2.1")).toBe("plain"); // the host's own
  expect(found(result("plain"), "2001:db8::1")).toBe("plain"); // no route
});

kernelTest("hostInterface() of a container that nothing leads to is an error", () => {
  expect(() => found(result("gone"), "10.77.0.2")).toThrow(
    "no interface of this host leads to 10.77.0.2; prevResult names gone",
  );
});

kernelTest("containerPort() is the port of the bridge that prevResult names", () => {
  const cni0 = linkByName(host, "cni0");
  expect(containerPort(host, result("cni0", "vethp"), cni0)?.name).toBe("vethp");
  expect(containerPort(host, result("vethr"), linkByName(host, "vethr"))).toBeUndefined();
  expect(containerPort(host, result("cni0", "gone", "vethr"), cni0)).toBeUndefined();
});
