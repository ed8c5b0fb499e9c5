import { describe, expect, test } from "bun:test";
import { parseMac } from "../netaddr/mac.ts";
import { encode } from "../netlink/attributes.ts";
import type { Netns } from "../netns/netns.ts";
import { describeMessage, expectSameMessage, type Layout } from "../testing/golden.ts";
import { answeredWith, datagramsOf, messageOf } from "../testing/recorded.ts";
import * as golden from "./link.golden.ts";
import {
  createLink,
  createVeth,
  deleteLink,
  findLink,
  linkByIndex,
  linkByName,
  listLinks,
  setLink,
} from "./link.ts";
import { afSpec, bridge, bridgePort, inet6, linkAttributes, linkinfo, veth } from "./link-attributes.ts";

const LINK: Layout = {
  structBytes: 16,
  set: linkAttributes,
  inside: {
    linkinfo: { set: linkinfo, inside: { slaveData: { set: bridgePort } } },
    afSpec: { set: afSpec, inside: { inet6: { set: inet6 } } },
  },
};
const PEER: Layout = { structBytes: 16, set: linkAttributes };
const VETH = within(LINK, { set: veth, inside: { peer: PEER } });
const BRIDGE = within(LINK, { set: bridge });

/** The layout of links whose IFLA_INFO_DATA is such. */
function within(layout: Layout, data: Layout): Layout {
  return { ...layout, inside: { ...layout.inside, linkinfo: { set: linkinfo, inside: { data } } } };
}

function kindWithNul(kind: string): string {
  return `IFLA_LINKINFO IFLA_INFO_KIND ${new TextEncoder().encode(`${kind}\0`).toHex()}`;
}

function kindWithoutNul(kind: string): string {
  return `IFLA_LINKINFO IFLA_INFO_KIND ${new TextEncoder().encode(kind).toHex()}`;
}

const veth0a = { index: 3, name: "veth0a" };

describe("createVeth()", () => {
  test("createVeth() says what ip says: both ends, namespace, MTU, MACs and master at once", () => {
    // The number of the descriptor is all that is used of it.
    const netns = { fd: 4 } as Netns;
    const message = messageOf((socket) =>
      createVeth(socket, {
        name: "veth0a",
        mtu: 1450,
        mac: parseMac("02:00:00:00:00:0a"),
        master: 2,
        peer: { name: "eth0", mtu: 1450, mac: parseMac("02:00:00:00:00:0b"), netns },
      }),
    );
    expectSameMessage(message, golden.ADD_VETH, VETH, {
      // The kernel takes a kind with its NUL and without (nla_strscpy()).
      onlyOurs: [kindWithNul("veth")],
      onlyTheirs: [kindWithoutNul("veth")],
    });
  });
});

describe("createLink()", () => {
  const data = encode(bridge, { vlanFiltering: 1, mcastSnooping: 0, vlanDefaultPvid: 0 });

  test("createLink() of a bridge says what ip says", () => {
    const message = messageOf((socket) => createLink(socket, { name: "br1", kind: "bridge", data }));
    expectSameMessage(message, golden.ADD_BRIDGE, BRIDGE, {
      onlyOurs: [kindWithNul("bridge")],
      onlyTheirs: [kindWithoutNul("bridge")],
    });
  });

  test("createLink() sets the alias in the same datagram, by name, in a message of its own", () => {
    const [both, ...others] = datagramsOf((socket) =>
      createLink(socket, { name: "br1", kind: "bridge", data, alias: "weft: pod" }),
    );
    expect(others).toEqual([]);
    const datagram = both as Uint8Array;
    const length = new DataView(datagram.buffer).getUint32(0, true);
    expectSameMessage(datagram.subarray(0, length), golden.ADD_BRIDGE, BRIDGE, {
      onlyOurs: [kindWithNul("bridge")],
      onlyTheirs: [kindWithoutNul("bridge")],
    });
    expect(describeMessage(datagram.subarray(length), LINK)).toEqual([
      "type 16 flags 0x5", // RTM_NEWLINK, NLM_F_REQUEST, NLM_F_ACK
      "struct 00000000000000000000000000000000",
      "IFLA_IFNAME 62723100",
      "IFLA_IFALIAS 776566743a20706f64",
    ]);
  });
});

describe("setLink()", () => {
  test.each([
    ["alias, MTU, master and up", golden.SET_LINK, { alias: "weft: pod", mtu: 1400, master: 2, up: true }],
    ["promiscuous", golden.SET_PROMISC, { promiscuous: true }],
    ["down", golden.SET_DOWN, { up: false }],
    ["another name", golden.RENAME, { name: "veth0b" }],
    ["no link-local address", golden.SET_ADDRGENMODE, { linkLocal: false }],
  ])("setLink() says what ip says for: %s", (_what, theirs, settings) => {
    const message = messageOf((socket) => setLink(socket, veth0a, settings));
    expectSameMessage(message, theirs, LINK);
  });

  test("setLink() of a bridge port says what ip says", () => {
    const port = { mode: 1, isolated: 1, learning: 0 };
    const message = messageOf((socket) => setLink(socket, veth0a, { port }));
    expectSameMessage(message, golden.SET_PORT, LINK, {
      // The kernel takes the kind from the master and looks at neither (__rtnl_newlink()).
      onlyOurs: ["IFLA_LINKINFO IFLA_INFO_SLAVE_KIND 62726964676500"],
      onlyTheirs: [kindWithoutNul("bridge_slave")],
    });
  });
});

test("deleteLink() says what ip says", () => {
  expectSameMessage(
    messageOf((socket) => deleteLink(socket, veth0a)),
    golden.DELETE_LINK,
    LINK,
  );
});

describe("linkByName()", () => {
  test("linkByName() reads a veth that is a bridge's port as ip -j -d showed it", () => {
    // "ifindex":3,"link_index":2,"ifname":"veth0a","flags":[…"PROMISC","UP","LOWER_UP"],"mtu":1400,
    // "master":"br0","operstate":"UP","address":"02:00:00:00:00:0a","link_netnsid":0,"ifalias":"weft: pod",
    // "linkinfo":{"info_kind":"veth","info_slave_kind":"bridge","info_slave_data":{"state":"forwarding",
    // "hairpin":true,"learning":false,"flood":true,"mcast_flood":true,"bcast_flood":true,
    // "neigh_suppress":false,"isolated":true}}
    expect(answeredWith(golden.VETH_ANSWER, (socket) => linkByName(socket, "veth0a"))).toEqual({
      index: 3,
      name: "veth0a",
      kind: "veth",
      mac: parseMac("02:00:00:00:00:0a"),
      mtu: 1400,
      up: true,
      running: true,
      promiscuous: true,
      master: 2, // br0
      link: 2, // in the other namespace
      linkNetnsid: 0,
      alias: "weft: pod",
      altnames: [],
      permanentMac: undefined,
      parent: undefined,
      data: new Uint8Array(0),
      port: {
        state: 3, // forwarding
        mode: 1,
        learning: 0,
        unicastFlood: 1,
        mcastFlood: 1,
        bcastFlood: 1,
        neighSuppress: 0,
        isolated: 1,
      },
    });
  });

  test("linkByName() reads a bridge as ip -j -d showed it", () => {
    const link = answeredWith(golden.BRIDGE_ANSWER, (socket) => linkByName(socket, "br0"));
    expect(link).toMatchObject({
      index: 2,
      name: "br0",
      kind: "bridge",
      mtu: 1400,
      up: true,
      running: true,
      promiscuous: false,
      master: undefined,
      link: undefined,
      linkNetnsid: undefined,
      alias: "",
      port: undefined,
    });
    // "forward_delay":1500,"ageing_time":30000,"stp_state":0,"vlan_filtering":0,"group_fwd_mask":"0",
    // "mcast_snooping":1; a kernel without VLAN filtering says nothing of its protocol and PVID.
    expect(bridge.read(link.data)).toEqual({
      forwardDelay: 1500,
      ageingTime: 30_000,
      stpState: 0,
      vlanFiltering: 0,
      groupFwdMask: 0,
      mcastSnooping: 1,
      nfCallIptables: 0,
      nfCallIp6tables: 0,
    });
  });
});

describe("what is asked of the kernel", () => {
  const ask = (verb: Parameters<typeof messageOf>[0]) => () =>
    messageOf((socket) => {
      try {
        verb(socket);
      } catch {
        // The kernel of the test acknowledges and answers nothing.
      }
    });
  const SKIP_STATS = "IFLA_EXT_MASK 08000000";
  test.each([
    ["linkByName()", ask((socket) => linkByName(socket, "br0")), ["IFLA_IFNAME 62723000", SKIP_STATS]],
    ["findLink()", ask((socket) => findLink(socket, "br0")), ["IFLA_IFNAME 62723000", SKIP_STATS]],
    ["linkByIndex()", ask((socket) => linkByIndex(socket, 3)), [SKIP_STATS]],
    ["listLinks()", ask((socket) => listLinks(socket)), [SKIP_STATS]],
    [
      "listLinks() of a bridge",
      ask((socket) => listLinks(socket, { master: 2 })),
      [SKIP_STATS, "IFLA_MASTER 02000000"],
    ],
    [
      "listLinks() of a kind",
      ask((socket) => listLinks(socket, { kind: "veth" })),
      [SKIP_STATS, kindWithNul("veth")],
    ],
  ])("%s leaves out the counters, and lets the kernel filter", (_verb, message, attributes) => {
    const lines = describeAttributes(message());
    expect(lines).toEqual(attributes);
  });
});

function describeAttributes(message: Uint8Array): string[] {
  return describeMessage(message, LINK).slice(2);
}
