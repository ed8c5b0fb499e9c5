import { describe, expect, test } from "bun:test";
import { parseAddress } from "../netaddr/address.ts";
import { parseMac } from "../netaddr/mac.ts";
import { expectSameMessage, type Layout } from "../testing/golden.ts";
import { answeredWith, messageOf } from "../testing/recorded.ts";
import * as golden from "./neighbour.golden.ts";
import {
  appendFdbEntry,
  deleteFdbEntry,
  deleteNeighbour,
  listFdb,
  listNeighbours,
  NTF_MASTER,
  NTF_SELF,
  NUD_NOARP,
  NUD_PERMANENT,
  neighbourAttributes,
  replaceFdbEntry,
  replaceNeighbour,
} from "./neighbour.ts";

const NEIGHBOUR: Layout = { structBytes: 12, set: neighbourAttributes };
const NUD_REACHABLE = 2;

describe("replaceNeighbour()", () => {
  test.each([
    ["10.22.0.9", golden.REPLACE_V4],
    ["fd00::9", golden.REPLACE_V6],
  ])("replaceNeighbour() says what ip says of %s", (text, theirs) => {
    const entry = {
      ifindex: 3,
      address: parseAddress(text),
      mac: parseMac("02:00:00:00:00:99"),
      state: NUD_PERMANENT,
    };
    expectSameMessage(
      messageOf((socket) => replaceNeighbour(socket, entry)),
      theirs,
      NEIGHBOUR,
    );
  });
});

test("deleteNeighbour() says what ip says", () => {
  const message = messageOf((socket) =>
    deleteNeighbour(socket, { ifindex: 3, address: parseAddress("10.22.0.9") }),
  );
  expectSameMessage(message, golden.DELETE_V4, NEIGHBOUR, {
    // ip sets a state (NUD_PERMANENT) for every verb; the kernel does not look at it here (neigh_delete()).
    onlyOurs: ["struct 020000000300000000000000"],
    onlyTheirs: ["struct 020000000300000080000000"],
  });
});

describe("replaceFdbEntry()", () => {
  test("replaceFdbEntry() says what bridge says of an entry in a vxlan device's own table", () => {
    const message = messageOf((socket) =>
      replaceFdbEntry(socket, {
        ifindex: 5,
        mac: parseMac("02:00:00:00:00:77"),
        flags: NTF_SELF,
        state: NUD_PERMANENT | NUD_NOARP,
        dst: parseAddress("192.0.2.1"),
      }),
    );
    expectSameMessage(message, golden.REPLACE_FDB_SELF, NEIGHBOUR);
  });

  test("replaceFdbEntry() says what bridge says of a static entry in the bridge's table", () => {
    const message = messageOf((socket) =>
      replaceFdbEntry(socket, {
        ifindex: 3,
        mac: parseMac("02:00:00:00:00:79"),
        flags: NTF_MASTER,
        state: NUD_NOARP | NUD_REACHABLE,
      }),
    );
    expectSameMessage(message, golden.REPLACE_FDB_MASTER, NEIGHBOUR);
  });
});

test.each([
  [4, "192.0.2.2", golden.APPEND_FDB_V4],
  [5, "2001:db8::2", golden.APPEND_FDB_V6],
])("appendFdbEntry() says of device %d what bridge says of %s", (ifindex, dst, theirs) => {
  const entry = {
    ifindex,
    mac: new Uint8Array(6),
    flags: NTF_SELF,
    state: NUD_PERMANENT | NUD_NOARP,
    dst: parseAddress(dst),
  };
  expectSameMessage(
    messageOf((socket) => appendFdbEntry(socket, entry)),
    theirs,
    NEIGHBOUR,
  );
});

test("deleteFdbEntry() says what bridge says", () => {
  const message = messageOf((socket) =>
    deleteFdbEntry(socket, {
      ifindex: 5,
      mac: parseMac("02:00:00:00:00:77"),
      flags: NTF_SELF,
      dst: parseAddress("192.0.2.1"),
    }),
  );
  expectSameMessage(message, golden.DELETE_FDB_SELF, NEIGHBOUR, {
    // As with neighbours: bridge sets a state for every verb, rtnl_fdb_del() does not look at it.
    onlyOurs: ["struct 070000000500000000000200"],
    onlyTheirs: ["struct 0700000005000000c0000200"],
  });
});

test("listNeighbours() reads what ip -j neigh showed", () => {
  // [{"dst":"10.22.0.9","lladdr":"02:00:00:00:00:99","state":["PERMANENT"]}]
  expect(answeredWith(golden.ANSWER, (socket) => listNeighbours(socket, { family: 4, ifindex: 3 }))).toEqual([
    {
      ifindex: 3,
      address: parseAddress("10.22.0.9"),
      mac: parseMac("02:00:00:00:00:99"),
      state: NUD_PERMANENT,
      flags: 0,
      protocol: undefined,
    },
  ]);
});

test("listFdb() reads what bridge -j fdb showed, an entry's own link and not the one below", () => {
  const entries = answeredWith(golden.FDB_ANSWER, (socket) => listFdb(socket));
  expect(entries).toHaveLength(12);
  // {"mac":"33:33:00:00:00:01","ifname":"br0","flags":["self"],"state":"permanent"}
  expect(entries[0]).toEqual({
    ifindex: 2,
    mac: parseMac("33:33:00:00:00:01"),
    flags: NTF_SELF,
    state: NUD_PERMANENT,
    dst: undefined,
    vlan: undefined,
  });
  // {"mac":"02:00:00:00:00:79","ifname":"veth0a","flags":[],"master":"br0","state":"static"}
  expect(entries[5]).toMatchObject({ ifindex: 3, mac: parseMac("02:00:00:00:00:79"), state: NUD_NOARP });
  // {"mac":"02:00:00:00:00:78","ifname":"vx","dst":"192.0.2.2","viaIf":"veth0a","flags":["self"]}
  expect(entries[10]).toMatchObject({ ifindex: 5, dst: parseAddress("192.0.2.2"), flags: NTF_SELF });
});
