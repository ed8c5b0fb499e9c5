/** Ids of namespaces and counters of links on the kernel this machine runs; the oracle is ip -j. */
import { afterAll, beforeAll, expect } from "bun:test";
import { kernelTest, noNetnsReason, TestNetns } from "../testing/netns.ts";
import { linkByName } from "./link.ts";
import { linkCounters, readLinkCounters } from "./link-counters.ts";
import { isNamespaceAlive, namespaceId } from "./namespace-id.ts";
import { openRouteSocket } from "./route-socket.ts";

let here: TestNetns;
let there: TestNetns;

beforeAll(async () => {
  if (noNetnsReason !== undefined) return;
  here = await TestNetns.make();
  there = await TestNetns.make();
});

afterAll(() => {
  here?.[Symbol.dispose]();
  there?.[Symbol.dispose]();
});

kernelTest("namespaceId() is what IFLA_LINK_NETNSID says, and undefined before a link leads there", () => {
  using socket = openRouteSocket(here.netns);
  expect(namespaceId(socket, there.netns)).toBeUndefined();
  here.run(`ip link add v0 type veth peer name v1 netns ${there.path}`);
  const [link] = here.json("ip -j link show v0");
  expect(namespaceId(socket, there.netns)).toBe(link.link_netnsid);
  expect(linkByName(socket, "v0").linkNetnsid).toBe(link.link_netnsid);
});

kernelTest("isNamespaceAlive() is true of what a link leads to, and false of an id that nobody has", () => {
  using socket = openRouteSocket(here.netns);
  const id = namespaceId(socket, there.netns);
  expect(id === undefined ? undefined : isNamespaceAlive(socket, id)).toBe(true);
  expect(isNamespaceAlive(socket, 4711)).toBe(false);
  expect(isNamespaceAlive(socket, -1)).toBe(false);
});

kernelTest("linkCounters() are what ip -s says", () => {
  here.run("ip link set lo up; ping -c 2 -i 0.01 127.0.0.1");
  using socket = openRouteSocket(here.netns);
  const [{ stats64 }] = here.json("ip -s -j link show lo");
  expect(linkCounters(socket, linkByName(socket, "lo"))).toEqual({
    rxPackets: stats64.rx.packets,
    rxBytes: stats64.rx.bytes,
    rxErrors: stats64.rx.errors,
    rxDropped: stats64.rx.dropped,
    txPackets: stats64.tx.packets,
    txBytes: stats64.tx.bytes,
    txErrors: stats64.tx.errors,
    txDropped: stats64.tx.dropped,
  });
  expect(stats64.rx.packets).toBeGreaterThan(0);
});

kernelTest("readLinkCounters() has 0 for what an old kernel does not count", () => {
  const one = new Uint8Array(new BigUint64Array([7n]).buffer);
  expect(readLinkCounters(one)).toMatchObject({ rxPackets: 7, txPackets: 0, txDropped: 0 });
});
