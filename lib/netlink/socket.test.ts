/** The socket against a kernel of the test's own: how it asks, and how it puts answers together. */
import { describe, expect, spyOn, test } from "bun:test";
import { ErrnoError } from "../sys/errno.ts";
import * as libc from "../sys/libc.ts";
import {
  type AnswerMessage,
  acknowledgeAll,
  acknowledgement,
  datagram,
  FakeKernel,
} from "../testing/fake-kernel.ts";
import { codec, done, object, only, request, thrownBy, withKernel } from "../testing/made-up-things.ts";
import { NetlinkError, NetlinkProtocolError } from "./error.ts";
import * as nl from "./message.ts";
import { extendedAck } from "./request.ts";
import { NetlinkSocket } from "./socket.ts";
import { s32, Writer } from "./wire.ts";

const EPERM = 1;
const EBUSY = 16;
const ENODEV = 19;
const RTM_NEWLINK = 16;
const MULTI = nl.NLM_F_MULTI;

describe("NetlinkSocket.change()", () => {
  test("NetlinkSocket.change() asks for an acknowledgement, with the flags of the request", () => {
    const [sent] = withKernel(acknowledgeAll, (socket, kernel) => {
      socket.change(request({ type: 16, flags: nl.NLM_F_CREATE | nl.NLM_F_EXCL, attributes: { mtu: 9 } }));
      return kernel.sent;
    });
    const message = only([...nl.eachMessage(sent as Uint8Array)]);
    expect(message).toMatchObject({ type: 16, flags: 0x605, port: 0 });
    expect(codec.read(message.body)).toEqual({ index: 1, mtu: 9 });
  });

  test("NetlinkSocket.change() sends several requests in one datagram, numbered one after the other", () => {
    const [sent, ...more] = withKernel(acknowledgeAll, (socket, kernel) => {
      socket.change(request(), request({ attributes: { group: 3 } }), request());
      return kernel.sent;
    });
    expect(more).toEqual([]);
    const [first, second, third] = [...nl.eachMessage(sent as Uint8Array)].map(({ sequence }) => sequence);
    expect([second, third]).toEqual([(first as number) + 1, (first as number) + 2]);
  });

  test("NetlinkSocket.change() waits until all are acknowledged, in whatever order", () => {
    const answered = withKernel(
      (requests) => requests.toReversed().map((one) => datagram(acknowledgement(one))),
      (socket) => socket.change(request(), request(), request()),
    );
    expect(answered).toBeUndefined();
  });

  test("NetlinkSocket.change() throws the first refusal when all have been answered", () => {
    withKernel(
      (requests) => [
        datagram(...requests.map((one, index) => acknowledgement(one, [0, ENODEV, EPERM][index]))),
      ],
      (socket, kernel) => {
        const requests = ["a", "b", "c"].map((doing) => request({ doing }));
        expect(() => socket.change(...requests)).toThrow(
          "Cannot b: RTM_TEST failed with ENODEV (no such device)",
        );
        expect(kernel.sent).toHaveLength(1);
      },
    );
  });

  test("NetlinkSocket.change() of nothing sends nothing", () => {
    const sent = withKernel(acknowledgeAll, (socket, kernel) => {
      socket.change();
      return kernel.sent;
    });
    expect(sent).toEqual([]);
  });

  test("NetlinkSocket.change() sends 64 at a time, all of them although one is refused", () => {
    const sizes: number[] = [];
    const refused = withKernel(
      (requests) => {
        sizes.push(requests.length);
        return requests.map((one, index) => datagram(acknowledgement(one, index === 3 ? ENODEV : 0)));
      },
      (socket) =>
        thrownBy(() =>
          socket.change(...Array.from({ length: 150 }, (_, n) => request({ doing: `do ${n}` }))),
        ),
    );
    expect(sizes).toEqual([64, 64, 22]);
    expect((refused as Error).message).toStartWith("Cannot do 3: ");
  });

  test("NetlinkSocket.change() passes over what is not an acknowledgement", () => {
    withKernel(
      ([one]) => {
        const { sequence } = one as nl.ReceivedMessage;
        return [datagram(object(sequence, 4), acknowledgement(one as nl.ReceivedMessage))];
      },
      (socket) => socket.change(request()),
    );
  });

  test("NetlinkSocket.change() refuses an acknowledgement that is cut short", () => {
    withKernel(
      (requests) => [
        datagram({ type: nl.NLMSG_ERROR, sequence: only(requests).sequence, body: new Uint8Array(3) }),
      ],
      (socket) => {
        expect(() => socket.change(request())).toThrow(
          new NetlinkProtocolError("do it", "an acknowledgement of 3 bytes"),
        );
      },
    );
  });
});

describe("NetlinkSocket.get()", () => {
  test("NetlinkSocket.get() gives the object, and asks for no acknowledgement", () => {
    withKernel(
      (requests) => {
        expect(only(requests).flags).toBe(nl.NLM_F_REQUEST);
        return [datagram(object(only(requests).sequence, 7))];
      },
      (socket) => expect(socket.get(request())).toEqual({ index: 7, mtu: 1500 }),
    );
  });

  test("NetlinkSocket.get() throws what the kernel answers when there is none", () => {
    withKernel(
      (requests) => [datagram(acknowledgement(only(requests), ENODEV))],
      (socket) => {
        const error = thrownBy(() => socket.get(request({ doing: 'find link "x"' })));
        expect(error).toBeInstanceOf(NetlinkError);
        expect(error).toMatchObject({
          code: "ENODEV",
          request: "RTM_TEST",
          detail: "",
          attribute: undefined,
        });
      },
    );
  });

  test("NetlinkSocket.get() refuses an acknowledgement in place of an answer", () => {
    withKernel(acknowledgeAll, (socket) => {
      expect(() => socket.get(request())).toThrow(
        new NetlinkProtocolError("do it", "RTM_TEST was acknowledged without an answer"),
      );
    });
  });

  test("NetlinkSocket.get() throws RangeError for what cannot be decoded, and stays usable", () => {
    let answers = 0;
    withKernel(
      (requests) => {
        const { sequence } = only(requests);
        const bad: AnswerMessage = { type: RTM_NEWLINK, sequence, body: new Uint8Array(3) };
        return [datagram(answers++ === 0 ? bad : object(sequence, 7))];
      },
      (socket) => {
        expect(() => socket.get(request())).toThrow(RangeError);
        expect(socket.get(request())).toMatchObject({ index: 7 });
      },
    );
  });
});

describe("NetlinkSocket.dump()", () => {
  test("NetlinkSocket.dump() puts together what comes in several datagrams, until NLMSG_DONE", () => {
    withKernel(
      (requests) => {
        const { sequence, flags } = only(requests);
        expect(flags).toBe(nl.NLM_F_REQUEST | nl.NLM_F_DUMP);
        return [
          datagram(object(sequence, 1, { flags: MULTI }), object(sequence, 2, { flags: MULTI })),
          datagram(object(sequence, 3, { flags: MULTI })),
          datagram(done(sequence)),
        ];
      },
      (socket) => expect(socket.dump(request()).map(({ index }) => index)).toEqual([1, 2, 3]),
    );
  });

  test("NetlinkSocket.dump() of nothing is an empty list, also with an NLMSG_DONE that has no errno", () => {
    withKernel(
      (requests) => [datagram(done(only(requests).sequence, 0, { body: new Uint8Array(0) }))],
      (socket) => expect(socket.dump(request())).toEqual([]),
    );
  });

  test("NetlinkSocket.dump() throws the errno that NLMSG_DONE carries, with the kernel's sentence", () => {
    const body = new Writer();
    s32.write(body, -EBUSY);
    extendedAck.write(body, { msg: "Device or table is busy" });
    withKernel(
      (requests) => {
        const { sequence } = only(requests);
        const end = done(sequence, 0, { flags: MULTI | nl.NLM_F_ACK_TLVS, body: body.finish() });
        return [datagram(object(sequence, 1, { flags: MULTI }), end)];
      },
      (socket) =>
        expect(() => socket.dump(request())).toThrow(
          "Cannot do it: RTM_TEST failed with EBUSY (device or resource busy): Device or table is busy",
        ),
    );
  });

  test("NetlinkSocket.dump() throws the errno of an NLMSG_ERROR", () => {
    withKernel(
      (requests) => [datagram(acknowledgement(only(requests), EPERM))],
      (socket) => expect(() => socket.dump(request())).toThrow(NetlinkError),
    );
  });

  test.each([
    ["on an object", MULTI | nl.NLM_F_DUMP_INTR, MULTI],
    ["on NLMSG_DONE", MULTI, MULTI | nl.NLM_F_DUMP_INTR],
  ])("NetlinkSocket.dump() starts anew after NLM_F_DUMP_INTR %s", (_where, objectFlags, doneFlags) => {
    let attempt = 0;
    withKernel(
      (requests) => {
        const { sequence } = only(requests);
        attempt++;
        const interrupted = attempt < 3;
        return [
          datagram(object(sequence, attempt, { flags: interrupted ? objectFlags : MULTI })),
          datagram(done(sequence, 0, { flags: interrupted ? doneFlags : MULTI })),
        ];
      },
      (socket) => expect(socket.dump(request()).map(({ index }) => index)).toEqual([3]),
    );
    expect(attempt).toBe(3);
  });

  test("NetlinkSocket.dump() gives up after 20 interruptions and says so", () => {
    let attempts = 0;
    withKernel(
      (requests) => {
        attempts++;
        return [datagram(done(only(requests).sequence, 0, { flags: MULTI | nl.NLM_F_DUMP_INTR }))];
      },
      (socket) =>
        expect(() => socket.dump(request())).toThrow(
          new NetlinkProtocolError("do it", "interrupted by changes 20 times; try again"),
        ),
    );
    expect(attempts).toBe(20);
  });

  test("NetlinkSocket.dump() throws an errno although the dump was interrupted as well", () => {
    withKernel(
      (requests) => [datagram(done(only(requests).sequence, EPERM, { flags: MULTI | nl.NLM_F_DUMP_INTR }))],
      (socket) => expect(() => socket.dump(request())).toThrow("EPERM"),
    );
  });
});

describe("NetlinkSocket: its life", () => {
  test("NetlinkSocket[Symbol.dispose]() closes once, however often it is called", () => {
    using kernel = new FakeKernel(acknowledgeAll);
    const socket = new NetlinkSocket(0);
    socket[Symbol.dispose]();
    socket[Symbol.dispose]();
    expect(kernel.closed).toBe(1);
  });
  test("new NetlinkSocket() closes what it opened when an option is refused", () => {
    using kernel = new FakeKernel(acknowledgeAll);
    const refused = new ErrnoError("setsockopt", 92, { text: "ENOPROTOOPT" });
    spyOn(libc, "setsockopt").mockImplementation(() => {
      throw refused;
    });
    expect(thrownBy(() => new NetlinkSocket(0))).toBe(refused);
    expect(kernel.closed).toBe(1);
  });
});
