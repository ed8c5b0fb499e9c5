/** The socket and the kernel this machine runs: refusals, large dumps, changes meanwhile, events. */
import { afterAll, beforeAll, expect, spyOn } from "bun:test";
import { NetlinkError } from "../netlink/error.ts";
import { isOwnNetns } from "../netns/netns.ts";
import * as libc from "../sys/libc.ts";
import { kernelTest, noNetnsReason, TestNetns } from "../testing/netns.ts";
import { listAddresses } from "./address.ts";
import { createVeth, type Link, linkByName, listLinks, setLink } from "./link.ts";
import { linkMessage } from "./link-attributes.ts";
import { listNeighbours, NUD_PERMANENT, neighbourMessage } from "./neighbour.ts";
import { AF_INET, openRouteSocket, type RouteSocket, RTNLGRP_LINK } from "./route-socket.ts";

const RTM_GETLINK = 18;
const RTM_NEWNEIGH = 28;
const NLM_F_CREATE_REPLACE = 0x500;

let netns: TestNetns;
let socket: RouteSocket;
let eth0: Link;

beforeAll(async () => {
  if (noNetnsReason !== undefined) return;
  netns = await TestNetns.make();
  socket = openRouteSocket(netns.netns);
  createVeth(socket, { name: "eth0", peer: { name: "peer0" } });
  eth0 = linkByName(socket, "eth0");
});

afterAll(() => {
  socket?.[Symbol.dispose]();
  netns?.[Symbol.dispose]();
});

/** 10.0.0.0 and so many more, to be added in one call. */
function neighbours(count: number) {
  return Array.from({ length: count }, (_, index) => ({
    doing: `add neighbour ${index}`,
    name: "RTM_NEWNEIGH",
    type: RTM_NEWNEIGH,
    flags: NLM_F_CREATE_REPLACE,
    codec: neighbourMessage,
    header: { family: AF_INET, index: eth0.index, state: NUD_PERMANENT },
    attributes: {
      dst: { family: 4 as const, value: 0x0a00_0000n + BigInt(index) },
      lladdr: new Uint8Array(6),
    },
  }));
}

kernelTest("openRouteSocket() opens in the namespace it is given, and this process stays in its own", () => {
  expect(
    listLinks(socket)
      .map(({ name }) => name)
      .sort(),
  ).toEqual(["eth0", "lo", "peer0"]);
  expect(isOwnNetns(netns.path)).toBe(false);
});

kernelTest("the kernel's own sentence and the attribute it complains of are in the error", () => {
  let refused: unknown;
  try {
    setLink(socket, eth0, { mtu: 10 });
  } catch (error) {
    refused = error;
  }
  expect(refused).toBeInstanceOf(NetlinkError);
  expect(refused).toMatchObject({
    request: "RTM_NEWLINK",
    code: "EINVAL",
    detail: "mtu less than device minimum",
  });
  expect(String(refused)).toEndWith("(invalid argument): mtu less than device minimum");
});

kernelTest("strict checking refuses a question the kernel would else have taken in part", () => {
  expect(() =>
    socket.dump({
      doing: "try",
      name: "RTM_GETLINK",
      type: RTM_GETLINK,
      codec: linkMessage,
      header: { type: 1 },
      attributes: {},
    }),
  ).toThrow("Cannot try: RTM_GETLINK failed with EINVAL");
});

kernelTest(
  "NetlinkSocket.change() makes 2000 changes in one call, NetlinkSocket.dump() lists them all",
  () => {
    const count = 2_000; // acknowledgements of several receive buffers, a dump of many datagrams
    socket.change(...neighbours(count));
    const listed = listNeighbours(socket, { family: 4, ifindex: eth0.index });
    expect(new Set(listed.map(({ address }) => address.value)).size).toBe(count);
    expect(listed).toHaveLength(count);
    netns.run("ip neigh flush dev eth0 nud permanent");
  },
);

kernelTest("NetlinkSocket.change() carries out what follows a refusal, and throws the refusal", () => {
  const requests = neighbours(100);
  requests[3]!.header.index = 999_999;
  expect(() => socket.change(...requests)).toThrow("Cannot add neighbour 3: RTM_NEWNEIGH failed with ENODEV");
  expect(listNeighbours(socket, { family: 4, ifindex: eth0.index })).toHaveLength(99);
  netns.run("ip neigh flush dev eth0 nud permanent");
});

kernelTest(
  "NetlinkSocket.dump() is made again after changes between its datagrams, and is whole then",
  () => {
    const count = 1_000; // three datagrams
    const own = Array.from({ length: count }, (_, index) => `10.7.${index >> 8}.${index & 255}`);
    netns.run(`ip -batch - <<END\n${own.map((text) => `addr add ${text}/32 dev eth0`).join("\n")}\nEND`);

    const interruptions = 3;
    const { send, recvfrom } = libc;
    let attempts = 0;
    let datagrams = 0;
    const sending = spyOn(libc, "send").mockImplementation((fd, bytes) => {
      attempts++;
      datagrams = 0;
      send(fd, bytes);
    });
    const receiving = spyOn(libc, "recvfrom").mockImplementation((fd, into, sender) => {
      const length = recvfrom(fd, into, sender);
      datagrams++;
      if (datagrams === 1 && attempts <= interruptions)
        netns.run(`ip addr add 10.8.0.${attempts}/24 dev peer0`);
      return length;
    });
    try {
      // Of all links: filtering by one, inet_dump_ifaddr() does not look for interruptions.
      const listed = listAddresses(socket);
      expect(listed).toHaveLength(count + interruptions);
      expect(new Set(listed.map(({ prefix }) => prefix.address.value)).size).toBe(count + interruptions);
      expect(attempts).toBe(1 + interruptions);
    } finally {
      sending.mockRestore();
      receiving.mockRestore();
    }
  },
);

kernelTest("NetlinkSocket.awaitEvent() wakes up when a link changes, and not before", () => {
  using events = openRouteSocket(netns.netns);
  events.subscribe(RTNLGRP_LINK);
  expect(events.awaitEvent(20)).toBe(false);
  setLink(socket, eth0, { mtu: 1400 });
  expect(events.awaitEvent(5_000)).toBe(true);
});

kernelTest("NetlinkSocket.awaitEvent() counts the loss of events as one", () => {
  using events = openRouteSocket(netns.netns);
  events.subscribe(RTNLGRP_LINK);
  const changes = 400; // more than the socket keeps
  for (let n = 0; n < changes; n++) setLink(socket, eth0, { mtu: 1300 + (n % 2) });
  let received = 0;
  while (events.awaitEvent(0)) received++;
  expect(received).toBeGreaterThan(1);
  expect(received).toBeLessThan(changes); // ENOBUFS came, and was no failure
});

kernelTest("NetlinkSocket.get() on a subscribed socket passes over the events", () => {
  using subscribed = openRouteSocket(netns.netns);
  subscribed.subscribe(RTNLGRP_LINK);
  for (let n = 0; n < 20; n++) {
    setLink(socket, { name: "peer0" }, { mtu: 1300 + n });
    setLink(subscribed, { name: "peer0" }, { mtu: 1400 + n }); // whose event has this socket's port
    expect(linkByName(subscribed, "eth0").name).toBe("eth0");
  }
});
