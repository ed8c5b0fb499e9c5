/** Every decoder of netlink messages, fed with hostile bytes; `./build.sh fuzz` feeds more. */
import { describe } from "bun:test";
import * as conntrackGolden from "../conntrack/conntrack.golden.ts";
import { conntrackMessage, listConnections } from "../conntrack/conntrack.ts";
import * as addressGolden from "../rtnetlink/address.golden.ts";
import { addressMessage, listAddresses } from "../rtnetlink/address.ts";
import * as vlanGolden from "../rtnetlink/bridge-vlan.golden.ts";
import { listBridgeVlans } from "../rtnetlink/bridge-vlan.ts";
import * as linkGolden from "../rtnetlink/link.golden.ts";
import { linkByName, listLinks, setLink } from "../rtnetlink/link.ts";
import { afSpec, bridge, bridgeAfSpec, bridgePort, linkMessage, veth } from "../rtnetlink/link-attributes.ts";
import * as neighbourGolden from "../rtnetlink/neighbour.golden.ts";
import { listFdb, listNeighbours, neighbourMessage } from "../rtnetlink/neighbour.ts";
import * as routeGolden from "../rtnetlink/route.golden.ts";
import { listRoutes, routeMessage } from "../rtnetlink/route.ts";
import { openRouteSocket, type RouteSocket } from "../rtnetlink/route-socket.ts";
import * as ruleGolden from "../rtnetlink/rule.golden.ts";
import { listRules, ruleMessage } from "../rtnetlink/rule.ts";
import { acknowledgement, datagram, errorBody, FakeKernel, OUR_PORT } from "../testing/fake-kernel.ts";
import { fuzzTest } from "../testing/fuzz.ts";
import { type AttributeSet, encode, type Table } from "./attributes.ts";
import { NetlinkError, NetlinkProtocolError } from "./error.ts";
import { eachMessage, NLM_F_ACK_TLVS, NLM_F_CAPPED, NLMSG_DONE, NLMSG_ERROR } from "./message.ts";
import { extendedAck } from "./request.ts";

const goldens = [
  ...[linkGolden, vlanGolden, addressGolden, routeGolden, ruleGolden, neighbourGolden],
  conntrackGolden,
];
const CODEC_CASES = 1_500;
const SOCKET_CASES = 500;

function datagramsOf(golden: object): Uint8Array[] {
  return Object.values(golden).filter((value) => value instanceof Uint8Array);
}

function bodiesOf(...golden: object[]): Uint8Array[] {
  return golden.flatMap(datagramsOf).flatMap((bytes) => [...eachMessage(bytes)].map(({ body }) => body));
}

describe("messages", () => {
  fuzzTest(
    {
      name: "eachMessage()",
      decode: (bytes) => [...eachMessage(bytes)],
      samples: goldens.flatMap(datagramsOf),
      refusals: [RangeError],
    },
    CODEC_CASES,
  );

  const CODECS = [
    ["linkMessage", linkMessage, bodiesOf(linkGolden, vlanGolden)],
    ["addressMessage", addressMessage, bodiesOf(addressGolden)],
    ["routeMessage", routeMessage, bodiesOf(routeGolden)],
    ["ruleMessage", ruleMessage, bodiesOf(ruleGolden)],
    ["neighbourMessage", neighbourMessage, bodiesOf(neighbourGolden)],
    ["conntrackMessage", conntrackMessage, bodiesOf(conntrackGolden)],
  ] as const;
  for (const [name, codec, samples] of CODECS) {
    fuzzTest(
      { name: `${name}.read()`, decode: (bytes) => codec.read(bytes), samples, refusals: [RangeError] },
      CODEC_CASES,
    );
    fuzzTest(
      {
        name: `${name}.attributeAt()`,
        decode: (bytes) => [0, 16, 20, 24, 40, 100, bytes.length].map((at) => codec.attributeAt(bytes, at)),
        samples,
        refusals: [RangeError],
      },
      CODEC_CASES,
    );
  }
});

describe("attributes handed on as bytes", () => {
  const links = bodiesOf(linkGolden).map((body) => linkMessage.read(body));
  const data = links.flatMap(({ linkinfo }) => linkinfo?.data ?? []);
  const slaveData = links.flatMap(({ linkinfo }) => linkinfo?.slaveData ?? []);
  const specs = bodiesOf(linkGolden, vlanGolden).flatMap((body) => linkMessage.read(body).afSpec ?? []);
  const acks = [encode(extendedAck, { msg: "no", offs: 20, cookie: new Uint8Array(8) })];
  // A table by itself; what its values are does not matter here.
  const SETS = [
    ["bridge", bridge, data],
    ["veth", veth, data],
    ["bridgePort", bridgePort, slaveData],
    ["bridgeAfSpec", bridgeAfSpec, specs],
    ["afSpec", afSpec, specs],
    ["extendedAck", extendedAck, acks],
  ] as readonly (readonly [string, AttributeSet<Table>, Uint8Array[]])[];
  for (const [name, set, samples] of SETS) {
    fuzzTest(
      { name: `${name}.read()`, decode: (bytes) => set.read(bytes), samples, refusals: [RangeError] },
      CODEC_CASES,
    );
  }
});

describe("answers", () => {
  const refusals = [RangeError, NetlinkError, NetlinkProtocolError];

  /** What a verb makes of a datagram that claims to answer it, behind which comes one that ends it. */
  function answered(verb: (socket: RouteSocket) => unknown): (bytes: Uint8Array) => unknown {
    return (bytes) => {
      using _kernel = new FakeKernel(([request]) => {
        if (!request) return [];
        const claim = bytes.slice();
        const view = new DataView(claim.buffer);
        if (claim.length >= 16) {
          view.setUint32(8, request.sequence, true);
          view.setUint32(12, OUR_PORT, true);
        }
        const { sequence } = request;
        const end = { type: NLMSG_DONE, sequence, body: new Uint8Array(4) };
        return [claim, datagram(acknowledgement(request), end)];
      });
      using socket = openRouteSocket();
      return verb(socket);
    };
  }

  const refusal = datagram({
    type: NLMSG_ERROR,
    flags: NLM_F_CAPPED | NLM_F_ACK_TLVS,
    sequence: 1,
    body: errorBody(22, encode(extendedAck, { msg: "mtu less than device minimum", offs: 32 })),
  });
  const doneWithErrno = datagram({
    type: NLMSG_DONE,
    flags: 2 | NLM_F_ACK_TLVS,
    sequence: 1,
    body: errorBody(16),
  });
  const endings = [refusal, doneWithErrno];

  const VERBS: readonly (readonly [string, (socket: RouteSocket) => unknown, object])[] = [
    ["linkByName()", (socket) => linkByName(socket, "eth0"), linkGolden],
    ["listLinks()", (socket) => listLinks(socket), linkGolden],
    ["setLink()", (socket) => setLink(socket, { index: 3, name: "eth0" }, { mtu: 10, alias: "x" }), {}],
    ["listBridgeVlans()", listBridgeVlans, vlanGolden],
    ["listAddresses()", (socket) => listAddresses(socket), addressGolden],
    ["listRoutes()", (socket) => listRoutes(socket, { family: 4 }), routeGolden],
    ["listRules()", (socket) => listRules(socket, 4), ruleGolden],
    ["listNeighbours()", (socket) => listNeighbours(socket, { family: 4 }), neighbourGolden],
    ["listFdb()", (socket) => listFdb(socket), neighbourGolden],
    ["listConnections()", (socket) => listConnections(socket, { family: 4 }), conntrackGolden],
  ];
  for (const [name, verb, golden] of VERBS) {
    const samples = [...datagramsOf(golden), ...endings];
    fuzzTest({ name, decode: answered(verb), samples, refusals }, SOCKET_CASES);
  }
});
