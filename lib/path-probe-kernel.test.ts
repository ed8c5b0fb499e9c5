/** Probes of paths on the kernel this machine runs: veths of which one end has less MTU, and a router. */
import { afterAll, beforeAll, expect } from "bun:test";
import { parseAddress } from "./netaddr/address.ts";
import { probePaths } from "./path-probe.ts";
import { kernelTest, noNetnsReason, TestNetns } from "./testing/netns.ts";

const OPTIONS = { timeoutMs: 300 };
let near: TestNetns;
let router: TestNetns;
let far: TestNetns;

beforeAll(async () => {
  if (noNetnsReason !== undefined) return;
  near = await TestNetns.make();
  router = await TestNetns.make();
  far = await TestNetns.make();
  const wire = (ifname: string, to: TestNetns) =>
    `ip link add ${ifname} type veth peer name eth0 netns ${/\d+/.exec(to.path)?.[0]}`;
  router.run(`${wire("left", near)} && ${wire("right", far)}`);
  router.run("ip link set right mtu 1400 && sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1");
  for (const [netns, ifname, address4, address6] of [
    [router, "left", "192.0.2.1/24", "2001:db8:1::1/64"],
    [router, "right", "198.51.100.1/24", "2001:db8:2::1/64"],
    [near, "eth0", "192.0.2.2/24", "2001:db8:1::2/64"],
    [far, "eth0", "198.51.100.2/24", "2001:db8:2::2/64"],
  ] as const) {
    netns.run(`ip link set ${ifname} up && ip addr add ${address4} dev ${ifname}`);
    netns.run(`ip addr add ${address6} dev ${ifname} nodad`);
  }
  near.run("ip route add default via 192.0.2.1 && ip route add default via 2001:db8:1::1");
  far.run("ip route add default via 198.51.100.1 && ip route add default via 2001:db8:2::1");
});
afterAll(() => {
  for (const netns of [near, router, far]) netns?.[Symbol.dispose]();
});

/** The second's MTU is below what is sent to it. */
const BLACK_HOLES = [
  ["192.0.2.1", "ip link set left mtu 1300", "ip link set left mtu 1500"],
  ["2001:db8:1::1", "ip link set left mtu 1300", "ip link set left mtu 1500"],
] as const;

for (const [target, narrow, widen] of BLACK_HOLES) {
  kernelTest(`probePaths() tells what is answered, and what vanishes: ${target}`, () => {
    const probe = { netns: near.netns, target: parseAddress(target), sizes: [96, 1400, 1500] };
    expect(probePaths([probe], OPTIONS)).toEqual([["answered", "answered", "answered"]]);
    router.run(narrow);
    expect(probePaths([probe], OPTIONS)).toEqual([["answered", "silent", "silent"]]);
    router.run(widen);
  });
}

kernelTest("probePaths() takes what a router says for an answer of its own", () => {
  const probe = { netns: near.netns, target: parseAddress("198.51.100.2"), sizes: [96, 1500] };
  expect(probePaths([probe], OPTIONS)).toEqual([["answered", "refused"]]);
});

kernelTest("probePaths() asks many at once, also where nobody is, or no route leads", () => {
  const probes = ["192.0.2.1", "192.0.2.99", "2001:db8:1::1"].map((target) => ({
    netns: near.netns,
    target: parseAddress(target),
    sizes: [96, 9000],
  }));
  const nowhere = { netns: far.netns, target: parseAddress("fe80::1"), sizes: [96] };
  expect(probePaths([...probes, nowhere], OPTIONS)).toEqual([
    ["answered", "refused"],
    ["silent", "refused"],
    ["answered", "refused"],
    ["silent"],
  ]);
});
