/** What the kernel says of tables, fed with hostile bytes; `./build.sh fuzz` feeds more. */
import { openNetfilterSocket } from "../netfilter/socket.ts";
import { NetlinkError, NetlinkProtocolError } from "../netlink/error.ts";
import { eachMessage, NLMSG_DONE } from "../netlink/message.ts";
import { acknowledgement, datagram, FakeKernel } from "../testing/fake-kernel.ts";
import { fuzzTest } from "../testing/fuzz.ts";
import * as attributes from "./attributes.ts";
import * as query from "./query.ts";
import * as rules from "./statement.golden.ts";
import type { SetDefinition, TableName } from "./table.ts";
import * as golden from "./transaction.golden.ts";

const CODEC_CASES = 1_000;
const QUERY_CASES = 300;

const bodies = Object.values({ ...golden, ...rules }).flatMap((bytes) =>
  eachMessage(bytes).map(({ body }) => body),
);

const CODECS = {
  tableMessage: attributes.tableMessage,
  chainMessage: attributes.chainMessage,
  ruleMessage: attributes.ruleMessage,
  setMessage: attributes.setMessage,
  setElementsMessage: attributes.setElementsMessage,
};
for (const [name, codec] of Object.entries(CODECS)) {
  const of = { samples: bodies, refusals: [RangeError] };
  fuzzTest({ name: `${name}.read()`, decode: (bytes) => codec.read(bytes), ...of }, CODEC_CASES);
  const places = [0, 4, 20, 40, 60, 100];
  const decode = (bytes: Uint8Array) => places.map((at) => codec.attributeAt(bytes, at));
  fuzzTest({ name: `${name}.attributeAt()`, decode, ...of }, CODEC_CASES);
}

const TABLE: TableName = { family: "inet", name: "weft" };
const RANGES: SetDefinition = {
  name: "range6",
  key: ["inet_proto", "inet_service"],
  data: ["ipv6_addr"],
  interval: true,
};
const PAIRS: SetDefinition = { name: "pairs", key: ["ifname", "ifname"], data: "verdict" };
type Query = (socket: ReturnType<typeof openNetfilterSocket>) => unknown;
const QUERIES: Readonly<Record<string, Query>> = {
  "findTable()": (socket) => query.findTable(socket, TABLE) ?? null,
  "findPolicy()": (socket) => query.findPolicy(socket, TABLE, "forward") ?? null,
  "listRules()": (socket) => query.listRules(socket, TABLE),
  "listElements() of ranges": (socket) => query.listElements(socket, TABLE, RANGES),
  "listElements() of verdicts": (socket) => query.listElements(socket, TABLE, PAIRS),
  "findElement()": (socket) => query.findElement(socket, TABLE, RANGES, ["udp", "30000-30010"]) ?? null,
  "findRawSet()": (socket) => query.findRawSet(socket, TABLE, "pairs") ?? null,
  "listRawElements()": (socket) => query.listRawElements(socket, TABLE, "pairs"),
};

/** What a query makes of the body of an answer, behind which comes what ends it. */
function answered(verb: Query): (bytes: Uint8Array) => unknown {
  return (body) => {
    using _kernel = new FakeKernel(([request]) => {
      if (!request) return [];
      const { sequence } = request;
      const end = { type: NLMSG_DONE, sequence, body: new Uint8Array(4) };
      return [datagram({ type: 0xa00, sequence, body }), datagram(acknowledgement(request), end)];
    });
    using socket = openNetfilterSocket();
    return verb(socket);
  };
}
for (const [name, verb] of Object.entries(QUERIES)) {
  const refusals = [RangeError, NetlinkError, NetlinkProtocolError];
  fuzzTest({ name, decode: answered(verb), samples: bodies, refusals }, QUERY_CASES);
}
