import { describe, expect, test } from "bun:test";
import { parseAddress } from "../netaddr/address.ts";
import { expectSameMessage, type Layout } from "../testing/golden.ts";
import { messageOf } from "../testing/recorded.ts";
import { createLink } from "./link.ts";
import { linkAttributes, linkinfo } from "./link-attributes.ts";
import * as golden from "./link-kinds.golden.ts";
import {
  IPVLAN_FLAGS,
  IPVLAN_MODES,
  ipvlan,
  ipvlanData,
  MACVLAN_MODES,
  macvlan,
  macvlanData,
  nameOf,
  readVxlan,
  vlan,
  vlanData,
  vxlan,
  vxlanData,
} from "./link-kinds.ts";

/** Links whose IFLA_INFO_DATA is such. */
const layout = (data: Layout["set"]): Layout => ({
  structBytes: 16,
  set: linkAttributes,
  inside: { linkinfo: { set: linkinfo, inside: { data: { set: data } } } },
});

const VXLAN = {
  vni: 42,
  link: 3,
  local: parseAddress("192.0.2.1"),
  group: undefined,
  port: 4789,
  ttl: 9,
  learning: false,
};
const VXLAN_V6 = {
  ...VXLAN,
  vni: 43,
  link: undefined,
  local: parseAddress("2001:db8::1"),
  port: 4790,
  ttl: undefined,
  learning: true,
};

const kindLine = (kind: string) => `IFLA_LINKINFO IFLA_INFO_KIND ${new TextEncoder().encode(kind).toHex()}`;

test.each([
  ["mv0", "macvlan", macvlanData("vepa", 500), golden.ADD_MACVLAN, macvlan],
  ["mv1", "macvlan", macvlanData("passthru", undefined), golden.ADD_PASSTHRU, macvlan],
  ["ipv0", "ipvlan", ipvlanData("l3s", "private"), golden.ADD_IPVLAN, ipvlan],
  ["ipv1", "ipvlan", ipvlanData("l2", "bridge"), golden.ADD_IPVLAN_L2, ipvlan],
  ["v0.10", "vlan", vlanData(10), golden.ADD_VLAN, vlan],
] as const)("createLink() of %s, a %s, says what ip says", (name, kind, data, theirs, set) => {
  const message = messageOf((socket) => createLink(socket, { name, kind, link: 3, data }));
  expectSameMessage(message, theirs, layout(set), {
    // The kernel takes a kind with its NUL and without (nla_strscpy()).
    onlyOurs: [kindLine(`${kind}\0`)],
    onlyTheirs: [kindLine(kind)],
  });
});

describe("what the kernel tells", () => {
  const dataOf = (answer: Uint8Array) => linkinfo.read(answer).data ?? new Uint8Array(0);

  test("macvlan is read as ip -j -d showed it", () => {
    // "info_kind":"macvlan","info_data":{"mode":"vepa","bcqueuelen":500,"usedbcqueuelen":500}
    expect(linkinfo.read(golden.MACVLAN_LINKINFO).kind).toBe("macvlan");
    const read = macvlan.read(dataOf(golden.MACVLAN_LINKINFO));
    expect(read).toEqual({ mode: 2, bcQueueLen: 500 });
    expect(nameOf(MACVLAN_MODES, read.mode)).toBe("vepa");
  });

  test("ipvlan is read as ip -j -d showed it", () => {
    // "info_kind":"ipvlan","info_data":{"mode":"l3s","private":true}
    const read = ipvlan.read(dataOf(golden.IPVLAN_LINKINFO));
    expect([nameOf(IPVLAN_MODES, read.mode), nameOf(IPVLAN_FLAGS, read.flags)]).toEqual(["l3s", "private"]);
  });

  test("vlan is read as ip -j -d showed it", () => {
    // "info_kind":"vlan","info_data":{"protocol":"802.1Q","id":10,"flags":["REORDER_HDR"]}
    expect(vlan.read(dataOf(golden.VLAN_LINKINFO))).toEqual({ id: 10, protocol: 0x8100 });
  });
});

test.each([
  ["vx42", vxlanData(VXLAN), golden.ADD_VXLAN],
  ["vx43", vxlanData(VXLAN_V6), golden.ADD_VXLAN_V6],
  [
    "vx44",
    vxlanData({ vni: 44, link: 3, group: parseAddress("239.1.1.1"), port: 4791, learning: true }),
    golden.ADD_VXLAN_GROUP,
  ],
  [
    "vx45",
    vxlanData({ vni: 45, link: 3, group: parseAddress("ff02::42"), port: 4792, learning: true }),
    golden.ADD_VXLAN_GROUP6,
  ],
])("createLink() of %s, a VXLAN device, says what ip says", (name, data, theirs) => {
  const message = messageOf((socket) => createLink(socket, { name, kind: "vxlan", data }));
  expectSameMessage(message, theirs, layout(vxlan), {
    onlyOurs: [kindLine("vxlan\0")],
    onlyTheirs: [kindLine("vxlan")],
  });
});

test("readVxlan() reads what ip -d showed", () => {
  // vxlan id 42 local 192.0.2.1 dev u0 srcport 0 0 dstport 4789 nolearning ttl 9
  expect(readVxlan(linkinfo.read(golden.VXLAN_LINKINFO).data!)).toEqual(VXLAN);
  // vxlan id 43 local 2001:db8::1 srcport 0 0 dstport 4790 ttl auto
  expect(readVxlan(linkinfo.read(golden.VXLAN_V6_LINKINFO).data!)).toEqual(VXLAN_V6);
});

test("nameOf() gives the number where it has no name, and says when there is none", () => {
  const all = Object.values(MACVLAN_MODES).map((mode) => nameOf(MACVLAN_MODES, mode));
  expect(all).toEqual(["private", "vepa", "bridge", "passthru"]);
  expect(nameOf(MACVLAN_MODES, 16)).toBe("16"); // MACVLAN_MODE_SOURCE
  expect(nameOf(IPVLAN_MODES, undefined)).toBe("undefined");
});
