/** NetlinkSocket.transact(): what it sends, and what it makes of a kernel of the test's own. */
import { expect, test } from "bun:test";
import { ErrnoError } from "../sys/errno.ts";
import { acknowledgement, datagram, errorBody, OUR_PORT } from "../testing/fake-kernel.ts";
import { object, request, withKernel } from "../testing/made-up-things.ts";
import { encode } from "./attributes.ts";
import { NetlinkError, NetlinkProtocolError } from "./error.ts";
import * as nl from "./message.ts";
import { extendedAck } from "./request.ts";
import type { NetlinkSocket } from "./socket.ts";

const EPERM = 1;
const ENOENT = 2;
const EAGAIN = 11;
const EEXIST = 17;
const ENOBUFS = 105;

const frame = {
  begin: request({ doing: "begin", name: "BEGIN", type: 16 }),
  end: request({ doing: "end", name: "END", type: 17 }),
};
const requests = (count: number) =>
  Array.from({ length: count }, (_, i) => request({ doing: `do ${i}`, flags: nl.NLM_F_CREATE }));
const transact = (socket: NetlinkSocket, count = 3) =>
  socket.transact(requests(count), frame).map(({ message }) => message);
const refused = (i: number, code: string) =>
  expect.stringContaining(`Cannot do ${i}: RTM_TEST failed with ${code} `);

type Sent = nl.ReceivedMessage;
/** Of a datagram of three requests: what its frame and they were. */
type Five = [begin: Sent, first: Sent, second: Sent, third: Sent, end: Sent];

/** What transact() returns when the kernel answers three requests so. */
function outcome(answer: (...five: Five) => Parameters<typeof datagram>[]): string[] {
  return withKernel(
    (sent) => answer(...(sent as Five)).map((messages) => datagram(...messages)),
    (socket) => transact(socket),
  );
}

test("transact() sends one datagram: the frame about the requests, of which the last is to be acknowledged", () => {
  withKernel(
    (sent) => {
      expect(sent.map(({ type, flags }) => [type, flags])).toEqual([
        [16, nl.NLM_F_REQUEST],
        [18, nl.NLM_F_REQUEST | nl.NLM_F_CREATE],
        [18, nl.NLM_F_REQUEST | nl.NLM_F_CREATE],
        [18, nl.NLM_F_REQUEST | nl.NLM_F_CREATE | nl.NLM_F_ACK],
        [17, nl.NLM_F_REQUEST],
      ]);
      expect(new Set(sent.map(({ sequence }) => sequence)).size).toBe(5);
      return [datagram(acknowledgement(sent[3] as Sent))];
    },
    (socket, kernel) => {
      expect(transact(socket)).toEqual([]);
      expect(kernel.sent).toHaveLength(1);
    },
  );
});

test("transact() returns every refusal, in the order of the answers, whether in one datagram or in several", () => {
  const all = [refused(0, "EEXIST"), refused(2, "ENOENT")];
  expect(
    outcome((_begin, first, _second, third) => [
      [acknowledgement(first, EEXIST)],
      [acknowledgement(third, ENOENT)],
    ]),
  ).toEqual(all);
  expect(
    outcome((_begin, first, _second, third) => [
      [acknowledgement(first, EEXIST), acknowledgement(third, ENOENT)],
    ]),
  ).toEqual(all);
});

test("transact() waits for the last request's answer, which is the last, though others were refused", () => {
  const refusals = outcome((_begin, first, second, third) => [
    [acknowledgement(first, EEXIST)],
    [acknowledgement(second, ENOENT)],
    [acknowledgement(third)],
  ]);
  expect(refusals).toEqual([refused(0, "EEXIST"), refused(1, "ENOENT")]);
});

test("transact() is over when the batch as a whole is refused", () => {
  const whole = expect.stringContaining("Cannot begin: BEGIN failed with EPERM ");
  expect(outcome((begin) => [[acknowledgement(begin, EPERM)]])).toEqual([whole]);
});

test("transact() leaves an answer that comes after the end to nobody", () => {
  withKernel(
    (sent) => {
      if (sent.length === 1) return [datagram(object((sent[0] as Sent).sequence, 7))];
      const [begin, , , third] = sent as Five;
      return [datagram(acknowledgement(begin, ENOBUFS)), datagram(acknowledgement(third, EEXIST))];
    },
    (socket) => {
      expect(transact(socket)).toEqual([expect.stringContaining("Cannot begin: BEGIN failed with ENOBUFS ")]);
      expect(socket.get(request())).toMatchObject({ index: 7 });
    },
  );
});

test("transact() passes over answers that are not its own", () => {
  const refusals = outcome((begin, first, _second, third) => [
    [{ ...acknowledgement(first, EPERM), port: OUR_PORT + 1 }],
    [{ ...acknowledgement(first, EPERM), sequence: begin.sequence - 1 }],
    [object(first.sequence, 1)],
    [acknowledgement(third)],
  ]);
  expect(refusals).toEqual([]);
});

test("transact() names the attribute of the request that was refused, and the kernel's sentence", () => {
  const tlvs = encode(extendedAck, { msg: "no such thing", offs: 20 });
  const [refusal] = withKernel(
    ([, , second, third]) => [
      datagram(
        {
          type: nl.NLMSG_ERROR,
          flags: nl.NLM_F_CAPPED | nl.NLM_F_ACK_TLVS,
          sequence: (second as Sent).sequence,
          body: errorBody(ENOENT, tlvs),
        },
        acknowledgement(third as Sent),
      ),
    ],
    (socket) => socket.transact([request(), request({ attributes: { mtu: 1 } }), request()], frame),
  );
  expect(refusal).toBeInstanceOf(NetlinkError);
  expect(refusal).toMatchObject({ code: "ENOENT", detail: "no such thing", attribute: "IFLA_MTU" });
});

test("transact() says what it waited for when answers are lost (EAGAIN)", () => {
  const timedOut = new ErrnoError("recvfrom", EAGAIN, { text: "EAGAIN" });
  withKernel(
    ([, first]) => [datagram(acknowledgement(first as Sent, EEXIST)), timedOut],
    (socket) =>
      expect(() => transact(socket)).toThrow(
        new NetlinkProtocolError("begin", "the kernel did not answer within 30 s"),
      ),
  );
});

test("transact() refuses lengths that are wrong, and says so when the kernel lost data", () => {
  withKernel(
    () => [new Uint8Array(20).fill(0xff)],
    (socket) => expect(() => transact(socket)).toThrow(RangeError),
  );
  withKernel(
    () => [datagram({ type: nl.NLMSG_OVERRUN, sequence: 0 })],
    (socket) =>
      expect(() => transact(socket)).toThrow(new NetlinkProtocolError("begin", "the kernel lost data")),
  );
});
