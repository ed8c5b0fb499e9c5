/** This host's address in the underlay, in a namespace of the kernel this machine runs, set up by ip. */
import { afterEach, beforeEach, test as bunTest, describe, expect } from "bun:test";
import { formatAddress, parseAddress } from "../netaddr/address.ts";
import { openRouteSocket, type RouteSocket } from "../rtnetlink/route-socket.ts";
import { thrownBy } from "../testing/made-up-things.ts";
import { kernelTest, noNetnsReason, TestNetns } from "../testing/netns.ts";
import { largestMtu } from "./mtu.ts";
import type { UnderlayKeys } from "./record.ts";
import { findUnderlay } from "./underlay.ts";

let netns: TestNetns;
let socket: RouteSocket;
beforeEach(async () => {
  if (noNetnsReason !== undefined) return;
  netns = await TestNetns.make();
  socket = openRouteSocket(netns.netns);
  netns.run(`ip link add eth0 type veth peer name far0; ip link add eth1 type veth peer name far1
    for link in lo eth0 far0 eth1 far1; do ip link set $link up; done
    ip addr add 192.0.2.11/24 dev eth0; ip addr add 198.51.100.11/24 dev eth1
    ip addr add 2001:db8:1::b/64 dev eth0 nodad`);
});
afterEach(() => {
  socket?.[Symbol.dispose]();
  netns?.[Symbol.dispose]();
});
const test = (name: string, body: () => void) => kernelTest(name, body);

interface Given {
  current?: string;
  remotes?: string[];
  family?: 4 | 6;
}

/** "ADDRESS INTERFACE MTU" */
function found(keys: UnderlayKeys = {}, { current, remotes, family }: Given = {}): string {
  const others = remotes?.map(parseAddress) ?? [];
  const known = {
    current: current === undefined ? undefined : parseAddress(current),
    remotes: others,
    family,
  };
  const underlay = findUnderlay(socket, keys, known);
  const mtu = largestMtu(socket, underlay, others);
  return `${formatAddress(underlay.local)} ${underlay.link.name} ${mtu}`;
}
const refusal = (keys: UnderlayKeys = {}, given: Given = {}) => thrownBy(() => found(keys, given));

describe("of several addresses", () => {
  const KEYS: readonly UnderlayKeys[] = [{ dev: "eth0" }, { local: "2001:db8:1::/64" }, {}];
  const MORE = `ip -6 route add default via 2001:db8:1::1
    ip addr add 2001:db8:1::500/64 dev eth0 nodad
    ip addr add 2001:db8:1::501/64 dev eth0 nodad preferred_lft 0`;
  bunTest("the keys are three", () => expect(KEYS).toHaveLength(3));
  for (const keys of KEYS) {
    const name = JSON.stringify(keys);
    test(`the one in use stays, though another is newer: ${name}`, () => {
      netns.run(MORE);
      for (const current of ["2001:db8:1::b", "2001:db8:1::500", "2001:db8:1::501"]) {
        expect(found(keys, { family: 6, current })).toBe(`${current} eth0 1430`);
      }
    });

    test(`one that the host has no more does not: the oldest that lasts comes instead: ${name}`, () => {
      netns.run(
        `${MORE}; ip addr del 2001:db8:1::b/64 dev eth0; ip addr add 2001:db8:1::c/64 dev eth0 nodad`,
      );
      expect(found(keys, { family: 6, current: "2001:db8:1::b" })).toBe("2001:db8:1::500 eth0 1430");
      netns.run("ip addr change 2001:db8:1::500/64 dev eth0 preferred_lft 0");
      expect(found(keys, { family: 6, current: "2001:db8:1::b" })).toBe("2001:db8:1::c eth0 1430");
    });
  }

  test("a temporary one comes last", () => {
    netns.run(`sysctl -qw net.ipv6.conf.eth0.use_tempaddr=2 net.ipv6.conf.eth0.accept_dad=0
      ip addr del 2001:db8:1::b/64 dev eth0
      ip addr add 2001:db8:1::c/64 dev eth0 nodad mngtmpaddr preferred_lft 3600 valid_lft 7200`);
    const [preferred] = netns.json("ip -j route get 2001:db8:1::99");
    expect(netns.run("ip addr show dev eth0 temporary")).toContain(preferred.prefsrc); // the kernel's choice
    expect(found({ dev: "eth0" }, { family: 6 })).toBe("2001:db8:1::c eth0 1430");
    expect(found({}, { remotes: ["2001:db8:1::99"] })).toBe("2001:db8:1::c eth0 1430");
  });

  test("the one that the others have listed comes first", () => {
    netns.run("ip addr add 192.0.2.12/24 dev eth0");
    expect(found({ dev: "eth0" })).toBe("192.0.2.11 eth0 1450");
    const remotes = ["192.0.2.12", "192.0.2.13"];
    for (const keys of [{ dev: "eth0" }, { local: "192.0.2.0/24" }, {}]) {
      expect(found(keys, { remotes })).toBe("192.0.2.12 eth0 1450");
    }
  });

  test("one of another interface than the keys allow is not kept", () => {
    expect(found({ dev: "eth0" }, { current: "198.51.100.11" })).toBe("192.0.2.11 eth0 1450");
    expect(found({ local: "192.0.2.0/24" }, { current: "198.51.100.11" })).toBe("192.0.2.11 eth0 1450");
    netns.run("ip route add default via 192.0.2.1");
    expect(found({}, { current: "198.51.100.11" })).toBe("192.0.2.11 eth0 1450");
  });
});

describe("local as a subnet", () => {
  test("interfaces that weft made do not count", () => {
    netns.run(`ip link add vxbr100 type bridge; ip link set vxbr100 up alias weft:blue
      ip addr add 10.7.0.1/24 dev vxbr100`);
    const message = 'invalid "local": this host has no address in 10.0.0.0/8';
    expect(refusal({ local: "10.0.0.0/8" }, { current: "10.7.0.1" })).toMatchObject({
      code: 7,
      msg: message,
    });
    netns.run("ip addr add 10.1.0.1/16 dev eth1");
    expect(found({ local: "10.0.0.0/8" }, { current: "10.7.0.1" })).toBe("10.1.0.1 eth1 1450");
  });

  test("several interfaces are refused by name, unless one of them is in use, listed, or asked for", () => {
    netns.run("ip addr add 10.1.0.1/16 dev eth0; ip addr add 10.2.0.1/16 dev eth1");
    expect(refusal({ local: "10.0.0.0/8" })).toMatchObject({
      code: 7,
      msg: expect.stringContaining(
        'several interfaces have an address in 10.0.0.0/8: "eth0" (10.1.0.1), "eth1" (',
      ),
    });
    expect(found({ local: "10.0.0.0/8" }, { current: "10.2.0.1" })).toBe("10.2.0.1 eth1 1450");
    expect(found({ local: "10.0.0.0/8" }, { remotes: ["10.2.0.1", "10.2.0.2"] })).toBe("10.2.0.1 eth1 1450");
    expect(found({ local: "10.0.0.0/8", dev: "eth1" })).toBe("10.2.0.1 eth1 1450");
    expect(found({ local: "10.2.0.0/16" })).toBe("10.2.0.1 eth1 1450");
  });

  test("one address on several interfaces is one, and lo says nothing of the way out", () => {
    netns.run(`ip addr add 10.3.0.1/32 dev lo; ip addr add 10.3.0.1/32 dev eth1
      ip route add default via 192.0.2.1`);
    expect(found({ local: "10.3.0.1" })).toBe("10.3.0.1 lo 1450");
    expect(found({ local: "10.3.0.0/24" })).toBe("10.3.0.1 lo 1450");
  });
});

describe("the default route", () => {
  const MULTIPATH = `ip link set eth1 mtu 1400
    ip route add default nexthop via 192.0.2.1 dev eth0 nexthop via 198.51.100.1 dev eth1`;

  test("of several ways is one: the address is that of the first, or the one in use; the MTU fits all", () => {
    netns.run(`${MULTIPATH}; ip -6 route add default via 2001:db8:1::1`);
    expect(found()).toBe("192.0.2.11 eth0 1350");
    expect(found({}, { current: "198.51.100.11" })).toBe("198.51.100.11 eth1 1350");
    expect(found({}, { remotes: ["203.0.113.9"] })).toMatch(/ 1350$/);
    netns.run("ip link set eth1 down");
    expect(found({}, { remotes: ["203.0.113.9"] })).toBe("192.0.2.11 eth0 1450");
  });

  test("of several ways in IPv6 is one as well", () => {
    netns.run(`ip addr add 2001:db8:2::b/64 dev eth1 nodad
      ip -6 route add default mtu 1400 nexthop via 2001:db8:1::1 dev eth0 \\
        nexthop via 2001:db8:2::1 dev eth1`);
    expect(found({}, { family: 6 })).toBe("2001:db8:1::b eth0 1330");
    expect(found({}, { current: "2001:db8:2::b" })).toBe("2001:db8:2::b eth1 1330");
  });

  test("its metric mtu and its source count", () => {
    netns.run("ip addr add 10.3.0.1/32 dev lo; ip route add default via 192.0.2.1 mtu 1400 src 10.3.0.1");
    expect(found()).toBe("10.3.0.1 eth0 1350");
    expect(found({}, { current: "192.0.2.11" })).toBe("192.0.2.11 eth0 1350");
  });

  test("that is not there is said to be missing, unless an address is in use", () => {
    expect(found({}, { current: "192.0.2.11" })).toBe("192.0.2.11 eth0 1450");
    expect(refusal({}, { current: "192.0.2.99" })).toMatchObject({ code: 7 });
    expect(refusal()).toMatchObject({ code: 7, msg: "this host has no default route" });
  });
});
