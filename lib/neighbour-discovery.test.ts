/** Whether an interface can be found by its IPv6 addresses; the oracle is ip. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { awaitFindable, solicitedNode } from "./neighbour-discovery.ts";
import { formatAddress, parseAddress } from "./netaddr/address.ts";
import { parsePrefix } from "./netaddr/prefix.ts";
import { inNetns } from "./netns/netns.ts";
import { addAddress, listGroups } from "./rtnetlink/address.ts";
import { linkByName } from "./rtnetlink/link.ts";
import { openRouteSocket } from "./rtnetlink/route-socket.ts";
import { kernelTest, noNetnsReason, TestNetns } from "./testing/netns.ts";

let netns: TestNetns;

beforeAll(async () => {
  if (noNetnsReason !== undefined) return;
  netns = await TestNetns.make();
  netns.run("ip link add v0 type veth peer name v1; ip link set v0 up; ip link set v1 up");
});
afterAll(() => netns?.[Symbol.dispose]());

/** As ip has them. */
const groupsOf = (name: string): string[] =>
  netns.json(`ip -j -6 maddr show dev ${name}`)[0].maddr.map(({ address }: { address: string }) => address);

test("solicitedNode() has the last 24 bits of the address", () => {
  const groupOf = (text: string) => formatAddress(solicitedNode(parseAddress(text)));
  expect(groupOf("4037::1:800:200e:8c6c")).toBe("ff02::1:ff0e:8c6c"); // RFC 4291 §2.7.1
  expect(groupOf("fe80::1")).toBe("ff02::1:ff00:1");
});

kernelTest("awaitFindable() returns when the link is in the group of each address", () => {
  using socket = openRouteSocket(netns.netns);
  for (let number = 1; number <= 20; number += 1) {
    const text = `fd00::1:${number}`;
    const address = parseAddress(text);
    const link = linkByName(socket, "v0");
    addAddress(socket, link, parsePrefix(`${text}/64`), { nodad: true });
    inNetns(netns.netns, () => awaitFindable(socket, link, [address, parseAddress("10.0.0.1")]));
    expect(groupsOf("v0")).toContain(formatAddress(solicitedNode(address)));
  }
});

kernelTest("listGroups() lists those of one link", () => {
  using socket = openRouteSocket(netns.netns);
  for (const name of ["v0", "v1", "lo"]) {
    const listed = listGroups(socket, linkByName(socket, name)).map(formatAddress);
    expect(listed.sort()).toEqual(groupsOf(name).sort());
  }
});
