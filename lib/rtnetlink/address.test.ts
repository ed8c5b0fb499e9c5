import { describe, expect, test } from "bun:test";
import { parsePrefix } from "../netaddr/prefix.ts";
import { expectSameMessage, type Layout } from "../testing/golden.ts";
import { answeredWith, messageOf } from "../testing/recorded.ts";
import * as golden from "./address.golden.ts";
import { addAddress, addressAttributes, deleteAddress, listAddresses } from "./address.ts";

const ADDRESS: Layout = { structBytes: 8, set: addressAttributes };
const veth0a = { index: 3, name: "veth0a" };

describe("addAddress()", () => {
  test("addAddress() says what ip says of an IPv4 address with its broadcast address", () => {
    const message = messageOf((socket) => addAddress(socket, veth0a, parsePrefix("10.22.0.5/24")));
    expectSameMessage(message, golden.ADD_V4, ADDRESS);
  });

  test("addAddress() says what ip says of an IPv6 address without duplicate detection", () => {
    const message = messageOf((socket) =>
      addAddress(socket, veth0a, parsePrefix("fd00::5/64"), { nodad: true }),
    );
    expectSameMessage(message, golden.ADD_V6_NODAD, ADDRESS, {
      // Where IFA_FLAGS is given the kernel takes it in place of the struct's eight bits
      // (inet6_rtm_newaddr()).
      onlyOurs: ["struct 0a40000003000000", "IFA_FLAGS 02000000"],
      onlyTheirs: ["struct 0a40020003000000"],
    });
  });

  test("addAddress() gives no broadcast address to a network of one", () => {
    const message = messageOf((socket) => addAddress(socket, veth0a, parsePrefix("10.22.9.1/32")));
    expectSameMessage(message, golden.ADD_HOST, ADDRESS);
  });

  test.each([["10.0.0.0/31"], ["10.0.0.1/32"], ["127.0.0.2/8"], ["fd00::1/64"]])(
    "addAddress() gives no broadcast address with %s",
    (text) => {
      const message = messageOf((socket) => addAddress(socket, veth0a, parsePrefix(text)));
      expect(message.toHex()).not.toContain("08000400"); // IFA_BROADCAST
    },
  );

  test("addAddress() says what ip says of an address that is optimistic, without a route to its subnet", () => {
    const flags = { optimistic: true, noprefixroute: true };
    const v6 = messageOf((socket) => addAddress(socket, veth0a, parsePrefix("fd00::7/64"), flags));
    expectSameMessage(v6, golden.ADD_V6_OPTIMISTIC, ADDRESS);
    // IPv4 knows the second alone: it asks nobody.
    const v4 = messageOf((socket) => addAddress(socket, veth0a, parsePrefix("10.22.0.7/24"), flags));
    expectSameMessage(v4, golden.ADD_V4_NOPREFIXROUTE, ADDRESS);
  });

  test("addAddress() asks for no duplicate detection of IPv6 alone: IPv4 has none", () => {
    const message = messageOf((socket) =>
      addAddress(socket, veth0a, parsePrefix("10.22.0.5/24"), { nodad: true }),
    );
    expectSameMessage(message, golden.ADD_V4, ADDRESS);
  });
});

test("deleteAddress() says what ip says", () => {
  const message = messageOf((socket) => deleteAddress(socket, veth0a, parsePrefix("fd00::6/64")));
  expectSameMessage(message, golden.DELETE_V6, ADDRESS);
});

test("listAddresses() reads what ip -j addr showed", () => {
  // [{"family":"inet","local":"10.22.0.5","prefixlen":24,"broadcast":"10.22.0.255","scope":"global"},
  // {"family":"inet","local":"10.22.9.1","prefixlen":32,"scope":"global"},
  // {"family":"inet6","local":"fd00::6","prefixlen":64,"scope":"global","tentative":true},
  // {"family":"inet6","local":"fd00::5","prefixlen":64,"scope":"global","nodad":true}], all "valid_life_time"
  // forever
  const common = {
    ifindex: 3,
    scope: 0,
    tentative: false,
    optimistic: false,
    dadFailed: false,
    permanent: true,
    deprecated: false,
    temporary: false,
  };
  expect(answeredWith(golden.ANSWER, (socket) => listAddresses(socket, veth0a))).toEqual([
    { ...common, prefix: parsePrefix("10.22.0.5/24") },
    { ...common, prefix: parsePrefix("10.22.9.1/32") },
    { ...common, prefix: parsePrefix("fd00::6/64"), tentative: true },
    { ...common, prefix: parsePrefix("fd00::5/64") },
  ]);
});

test("listAddresses() reads which of the tentative ones are optimistic, as ip -j addr showed it", () => {
  // [{"family":"inet6","local":"fd00::8","prefixlen":64,"scope":"global","optimistic":true,"tentative":true},
  // {"family":"inet6","local":"fe80::6494:33ff:fecd:af77","prefixlen":64,"scope":"link","tentative":true}]
  const read = answeredWith(golden.OPTIMISTIC_ANSWER, (socket) => listAddresses(socket));
  const flags = { tentative: true, dadFailed: false, permanent: true, deprecated: false, temporary: false };
  const common = { ifindex: 2, ...flags };
  expect(read).toEqual([
    { ...common, prefix: parsePrefix("fd00::8/64"), scope: 0, optimistic: true },
    { ...common, prefix: parsePrefix("fe80::6494:33ff:fecd:af77/64"), scope: 253, optimistic: false },
  ]);
});
