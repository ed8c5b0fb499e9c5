import { describe, expect, test } from "bun:test";
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
  vlan,
  vlanData,
} from "./link-kinds.ts";

/** Links whose IFLA_INFO_DATA is such. */
const layout = (data: Layout["set"]): Layout => ({
  structBytes: 16,
  set: linkAttributes,
  inside: { linkinfo: { set: linkinfo, inside: { data: { set: data } } } },
});

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

test("nameOf() gives the number where it has no name, and says when there is none", () => {
  const all = Object.values(MACVLAN_MODES).map((mode) => nameOf(MACVLAN_MODES, mode));
  expect(all).toEqual(["private", "vepa", "bridge", "passthru"]);
  expect(nameOf(MACVLAN_MODES, 16)).toBe("16"); // MACVLAN_MODE_SOURCE
  expect(nameOf(IPVLAN_MODES, undefined)).toBe("undefined");
});
