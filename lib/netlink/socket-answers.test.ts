/**
 * The socket against a kernel of the test's own: answers that are foreign, damaged, late, or say more than an
 * errno.
 */
import { describe, expect, test } from "bun:test";
import { ErrnoError } from "../sys/errno.ts";
import { type Answer, acknowledgement, datagram, errorBody, OUR_PORT } from "../testing/fake-kernel.ts";
import { done, object, only, request, thrownBy, withKernel } from "../testing/made-up-things.ts";
import { encode } from "./attributes.ts";
import { type NetlinkError, NetlinkProtocolError } from "./error.ts";
import * as nl from "./message.ts";
import { extendedAck } from "./request.ts";

const EPERM = 1;
const EAGAIN = 11;
const ENOBUFS = 105;
const RTM_NEWLINK = 16;
const timedOut = new ErrnoError("recvfrom", EAGAIN, { text: "EAGAIN" });

describe("NetlinkSocket: answers that are not ours", () => {
  const others: readonly (readonly [what: string, (sequence: number) => Uint8Array | Answer])[] = [
    ["an earlier sequence number", (sequence) => datagram(object(sequence - 1, 66))],
    ["a later sequence number", (sequence) => datagram(object(sequence + 1, 66))],
    [
      "our sequence number and another's port: an event that another process caused",
      (sequence) => datagram(object(sequence, 66, { port: OUR_PORT + 1 })),
    ],
    [
      "a sender that is not the kernel",
      (sequence) => ({ bytes: datagram(object(sequence, 66)), from: OUR_PORT + 1 }),
    ],
    [
      "a sender that is not the kernel, longer than the buffer",
      () => ({ bytes: new Uint8Array(100_000), from: OUR_PORT + 1 }),
    ],
  ];
  test.each([...others])("NetlinkSocket.get() passes over %s", (_what, foreign) => {
    withKernel(
      (requests) => {
        const { sequence } = only(requests);
        return [foreign(sequence), datagram(object(sequence, 7))];
      },
      (socket) => expect(socket.get(request())).toMatchObject({ index: 7 }),
    );
  });
  test.each([...others])("NetlinkSocket.dump() passes over %s", (_what, foreign) => {
    withKernel(
      (requests) => {
        const { sequence } = only(requests);
        return [
          foreign(sequence),
          datagram(object(sequence, 7)),
          foreign(sequence),
          datagram(done(sequence)),
        ];
      },
      (socket) => expect(socket.dump(request()).map(({ index }) => index)).toEqual([7]),
    );
  });
  test("NetlinkSocket.change() is not content with an acknowledgement of another's", () => {
    withKernel(
      (requests) => {
        const one = only(requests);
        return [
          { bytes: datagram(acknowledgement(one)), from: OUR_PORT + 1 },
          datagram({ ...acknowledgement(one), port: OUR_PORT + 1 }),
          datagram({ ...acknowledgement(one), sequence: one.sequence + 1 }),
          datagram(acknowledgement(one, EPERM)),
        ];
      },
      (socket) => expect(() => socket.change(request())).toThrow("EPERM"),
    );
  });
});

describe("NetlinkSocket: answers that are damaged", () => {
  test.each([["change"], ["get"], ["dump"]] as const)(
    "NetlinkSocket.%s() refuses a datagram that did not fit into the buffer",
    (verb) => {
      withKernel(
        (requests) => [datagram(object(only(requests).sequence, 1, { body: new Uint8Array(65_536 - 15) }))],
        (socket) =>
          expect(() => socket[verb](request())).toThrow(
            new NetlinkProtocolError("do it", "an answer of 65540 bytes does not fit into 65536"),
          ),
      );
    },
  );

  test("NetlinkSocket.get() takes a datagram that just fits", () => {
    const body = new Uint8Array(65_536 - nl.NLMSG_HEADER_BYTES);
    body.set(Uint8Array.of(7, 0, 0, 0, 0xec, 0xff, 99, 0)); // index 7, then attribute 99 of 65516 bytes
    withKernel(
      (requests) => [datagram({ type: RTM_NEWLINK, sequence: only(requests).sequence, body })],
      (socket) => expect(socket.get(request())).toEqual({ index: 7 }),
    );
  });

  test.each([["change"], ["get"], ["dump"]] as const)(
    "NetlinkSocket.%s() says so when the kernel lost data (NLMSG_OVERRUN)",
    (verb) => {
      withKernel(
        () => [datagram({ type: nl.NLMSG_OVERRUN, sequence: 0 })],
        (socket) =>
          expect(() => socket[verb](request())).toThrow(
            new NetlinkProtocolError("do it", "the kernel lost data"),
          ),
      );
    },
  );

  test.each([["change"], ["get"], ["dump"]] as const)(
    "NetlinkSocket.%s() throws RangeError for a datagram whose lengths are wrong",
    (verb) => {
      withKernel(
        () => [new Uint8Array(20).fill(0xff)],
        (socket) => expect(() => socket[verb](request())).toThrow(RangeError),
      );
    },
  );

  test.each([["change"], ["get"], ["dump"]] as const)(
    "NetlinkSocket.%s() says what it waited for when the kernel does not answer in time (EAGAIN)",
    (verb) => {
      withKernel(
        () => [timedOut],
        (socket) =>
          expect(() => socket[verb](request())).toThrow(
            new NetlinkProtocolError("do it", "the kernel did not answer within 30 s"),
          ),
      );
    },
  );

  test("NetlinkSocket.change() throws other failures of the call as they are", () => {
    const full = new ErrnoError("recvfrom", ENOBUFS, { text: "ENOBUFS" });
    withKernel(
      () => [full],
      (socket) => expect(thrownBy(() => socket.change(request()))).toBe(full),
    );
  });
});

describe("NetlinkSocket: extended acknowledgements", () => {
  /** What change() throws for these attributes behind the errno. */
  function refusalWith(tlvs: Uint8Array, flags = nl.NLM_F_CAPPED | nl.NLM_F_ACK_TLVS): NetlinkError {
    return withKernel(
      (requests) => [
        datagram({
          type: nl.NLMSG_ERROR,
          flags,
          sequence: only(requests).sequence,
          body: errorBody(EPERM, tlvs),
        }),
      ],
      (socket) =>
        thrownBy(() =>
          socket.change(request({ attributes: { mtu: 1, linkinfo: { kind: "veth" }, group: 5 } })),
        ) as NetlinkError,
    );
  }
  const tlvs = (values: Parameters<typeof extendedAck.write>[1]) => encode(extendedAck, values);

  test("NetlinkSocket.change() gives the kernel's sentence and names the attribute at its offset", () => {
    // Offsets are from the message's header: 16 of header, 4 of struct, then mtu (8), linkinfo (4) with kind
    // in it.
    const error = refusalWith(tlvs({ msg: "Unknown device type", offs: 32 }));
    expect(error).toMatchObject({
      code: "EPERM",
      detail: "Unknown device type",
      attribute: "IFLA_INFO_KIND",
    });
    expect(error.message).toEndWith(": Unknown device type, attribute IFLA_INFO_KIND");
  });
  test.each([
    [20, "IFLA_MTU"],
    [28, "IFLA_LINKINFO"],
    [44, "IFLA_GROUP"],
    [0, undefined],
    [16, undefined],
    [60_000, undefined],
    [0xffff_ffff, undefined],
  ])("NetlinkSocket.change() calls the attribute at offset %d %p", (offs, attribute) => {
    expect(refusalWith(tlvs({ offs }))).toMatchObject({ code: "EPERM", attribute });
  });
  test.each([
    ["a length of 0", Uint8Array.of(0, 0, 1, 0)],
    ["a length beyond the end", Uint8Array.of(200, 0, 1, 0, 0x61, 0, 0, 0)],
    ["an offset of two bytes", Uint8Array.of(6, 0, 2, 0, 1, 0, 0, 0)],
    ["bytes left over", Uint8Array.of(4, 0, 9, 0, 1)],
  ])("NetlinkSocket.change() keeps the errno where the attributes have %s", (_what, bytes) => {
    expect(refusalWith(bytes)).toMatchObject({ code: "EPERM", detail: "", attribute: undefined });
  });
  test("NetlinkSocket.change() does not look for attributes that the flags do not announce", () => {
    expect(refusalWith(tlvs({ msg: "no" }), nl.NLM_F_CAPPED)).toMatchObject({ code: "EPERM", detail: "" });
  });
  test("NetlinkSocket.change() names the attribute of the request that was refused", () => {
    withKernel(
      ([first, second]) => [
        datagram(acknowledgement(first as nl.ReceivedMessage), {
          type: nl.NLMSG_ERROR,
          flags: nl.NLM_F_CAPPED | nl.NLM_F_ACK_TLVS,
          sequence: (second as nl.ReceivedMessage).sequence,
          body: errorBody(EPERM, tlvs({ offs: 20 })),
        }),
      ],
      (socket) => {
        const requests = [request({ attributes: { mtu: 1 } }), request({ attributes: { group: 1 } })];
        expect(thrownBy(() => socket.change(...requests))).toMatchObject({ attribute: "IFLA_GROUP" });
      },
    );
  });
});
