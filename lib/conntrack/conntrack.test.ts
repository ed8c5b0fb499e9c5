import { describe, expect, test } from "bun:test";
import { formatAddress, parseAddress } from "../netaddr/address.ts";
import { openNetfilterSocket } from "../netfilter/socket.ts";
import { acknowledgement, datagram, FakeKernel } from "../testing/fake-kernel.ts";
import { describeMessage, expectSameMessage, type Layout } from "../testing/golden.ts";
import { answeredWith, messageOf } from "../testing/recorded.ts";
import * as golden from "./conntrack.golden.ts";
import {
  type Connection,
  type ConnectionFilter,
  conntrackAttributes,
  deleteConnections,
  filterAttributes,
  ipAttributes,
  listConnections,
  protoAttributes,
  tupleAttributes,
} from "./conntrack.ts";

const EINVAL = 22;
const EPERM = 1;

const TUPLE: Layout = {
  set: tupleAttributes,
  inside: { ip: { set: ipAttributes }, proto: { set: protoAttributes } },
};
const CONNTRACK: Layout = {
  structBytes: 4,
  set: conntrackAttributes,
  inside: { tupleOrig: TUPLE, tupleReply: TUPLE, filter: { set: filterAttributes } },
};

const recorded = (filter: ConnectionFilter): Connection[] =>
  answeredWith(golden.ANSWER, (socket) => listConnections(socket, filter));

const summary = ({ protocol, source, destination, destinationPort, replySource }: Connection): string =>
  [
    protocol,
    formatAddress(source),
    formatAddress(destination),
    destinationPort,
    formatAddress(replySource),
  ].join(" ");

describe("listConnections()", () => {
  const asked = (filter: ConnectionFilter): Uint8Array =>
    messageOf((socket) => {
      try {
        listConnections(socket, filter);
      } catch {
        // The fake kernel acknowledges, which is no answer to a dump.
      }
    });

  test("listConnections() says what conntrack says, and what the kernel may leave out", () => {
    const filter = { family: 6, protocol: "udp", replySource: parseAddress("fd00:9::1") } as const;
    expectSameMessage(asked(filter), golden.LIST, CONNTRACK, {
      // conntrack filters what comes, as we do by IPv6 addresses.
      onlyOurs: [
        "CTA_TUPLE_ORIG CTA_TUPLE_PROTO CTA_PROTO_NUM 11",
        "CTA_FILTER CTA_FILTER_ORIG_FLAGS 08000000", // a bit of the kernel's own
        "CTA_FILTER CTA_FILTER_REPLY_FLAGS 00000000",
      ],
    });
  });

  test("listConnections() filters by destination and its port", () => {
    const filter = { protocol: "sctp", destination: parseAddress("10.1.1.1"), destinationPort: 53 } as const;
    const message = asked({ family: 4, ...filter, replySource: parseAddress("10.9.0.2") });
    expect(describeMessage(message, CONNTRACK).slice(2)).toEqual([
      "CTA_TUPLE_ORIG CTA_TUPLE_IP CTA_IP_V4_DST 0a010101",
      "CTA_TUPLE_ORIG CTA_TUPLE_PROTO CTA_PROTO_NUM 84",
      "CTA_TUPLE_ORIG CTA_TUPLE_PROTO CTA_PROTO_DST_PORT 0035",
      "CTA_TUPLE_REPLY CTA_TUPLE_IP CTA_IP_V4_SRC 0a090002",
      "CTA_FILTER CTA_FILTER_ORIG_FLAGS 2a000000", // destination 2, protocol 8, port 32
      "CTA_FILTER CTA_FILTER_REPLY_FLAGS 01000000",
    ]);
  });

  test("listConnections() reads an answer as conntrack -L showed it", () => {
    expect(recorded({ family: 4 }).map(summary)).toEqual(["17 127.0.0.1 127.0.0.1 8080 10.9.0.1"]);
    expect(recorded({ family: 6 }).map(summary)).toEqual(["17 ::1 fd00:9::1 8081 fd00:9::1"]);
  });

  test.each([
    ["protocol", { family: 4, protocol: "tcp" }, { family: 4, protocol: "udp" }],
    ["port", { family: 4, destinationPort: 80 }, { family: 4, destinationPort: 8080 }],
    [
      "destination",
      { family: 4, destination: parseAddress("10.9.0.1") },
      { family: 4, destination: parseAddress("127.0.0.1") },
    ],
    [
      "source of the reply",
      { family: 6, replySource: parseAddress("::1") },
      { family: 6, replySource: parseAddress("fd00:9::1") },
    ],
  ] as const)("listConnections() filters by %s where the kernel did not", (_what, other, same) => {
    expect(recorded(other)).toEqual([]);
    expect(recorded(same)).toHaveLength(1);
  });

  test("listConnections() finds none on a kernel without ctnetlink, and throws what else it says", () => {
    const answered = (errno: number) => {
      using _kernel = new FakeKernel((requests) =>
        requests.map((request) => datagram(acknowledgement(request, errno))),
      );
      using socket = openNetfilterSocket();
      return listConnections(socket, { family: 4 });
    };
    expect(answered(EINVAL)).toEqual([]);
    expect(() => answered(EPERM)).toThrow("Cannot list connections: IPCTNL_MSG_CT_GET failed with EPERM");
  });
});

test("deleteConnections() says what conntrack says: the original tuple, and the id in place of the rest", () => {
  const connections = recorded({ family: 4 });
  const message = messageOf((socket) => deleteConnections(socket, connections));
  const reply = "CTA_TUPLE_REPLY CTA_TUPLE";
  expectSameMessage(message, golden.DELETE, CONNTRACK, {
    onlyOurs: ["CTA_ID b657557a"],
    onlyTheirs: [
      `${reply}_IP CTA_IP_V4_SRC 0a090001`,
      `${reply}_IP CTA_IP_V4_DST 7f000001`,
      `${reply}_PROTO CTA_PROTO_NUM 11`,
      `${reply}_PROTO CTA_PROTO_SRC_PORT 0050`,
      `${reply}_PROTO CTA_PROTO_DST_PORT 15b3`,
      "CTA 3 000001a8", // status
      "CTA 7 0000001d", // timeout
      "CTA 8 00000000", // mark
    ],
  });
});
