import { describe, expect, test } from "bun:test";
import { encode } from "../netlink/attributes.ts";
import { eachMessage, NLM_F_MULTI, NLMSG_DONE } from "../netlink/message.ts";
import { Writer } from "../netlink/wire.ts";
import { type AnswerMessage, datagram, FakeKernel } from "../testing/fake-kernel.ts";
import { expectSameMessage, type Layout } from "../testing/golden.ts";
import { answeredWith, datagramsOf, messageOf } from "../testing/recorded.ts";
import * as golden from "./bridge-vlan.golden.ts";
import { addBridgeVlans, deleteBridgeVlans, listBridgeVlans } from "./bridge-vlan.ts";
import { bridgeAfSpec, linkAttributes, linkMessage } from "./link-attributes.ts";
import { AF_BRIDGE, openRouteSocket } from "./route-socket.ts";

const VLANS: Layout = { structBytes: 16, set: linkAttributes, inside: { afSpec: { set: bridgeAfSpec } } };
const RTM_NEWLINK = 16;

const veth0a = { index: 5, name: "veth0a" };
const tagged = (vlanId: number) => ({ vlanId, pvid: false, untagged: false });

describe("addBridgeVlans()", () => {
  test("addBridgeVlans() says what bridge says of a PVID that goes out untagged", () => {
    const message = messageOf((socket) =>
      addBridgeVlans(socket, veth0a, [{ vlanId: 10, pvid: true, untagged: true }]),
    );
    expectSameMessage(message, golden.ADD_PVID, VLANS);
  });

  test("addBridgeVlans() names each VLAN of a range, where bridge names its ends", () => {
    const message = messageOf((socket) => addBridgeVlans(socket, veth0a, [20, 21, 22].map(tagged)));
    expectSameMessage(message, golden.ADD_RANGE, VLANS, {
      // The kernel adds the VLANs of a range one by one as well (br_process_vlan_info()).
      onlyOurs: [20, 21, 22].map(
        (vlanId) => `IFLA_AF_SPEC IFLA_BRIDGE_VLAN_INFO 0000${vlanId.toString(16)}00`,
      ),
      onlyTheirs: [
        "IFLA_AF_SPEC IFLA_BRIDGE_VLAN_INFO 08001400",
        "IFLA_AF_SPEC IFLA_BRIDGE_VLAN_INFO 10001600",
      ],
    });
  });

  test("addBridgeVlans() says what bridge says of the bridge itself", () => {
    const message = messageOf((socket) =>
      addBridgeVlans(socket, { index: 3, name: "br0" }, [tagged(5)], { self: true }),
    );
    expectSameMessage(message, golden.ADD_SELF, VLANS);
  });

  test("addBridgeVlans() sends all 4094 VLANs, 512 a message", () => {
    const all = Array.from({ length: 4_094 }, (_, index) => tagged(index + 1));
    const datagrams = datagramsOf((socket) => addBridgeVlans(socket, veth0a, all));
    const sent = datagrams.flatMap((bytes) =>
      [...eachMessage(bytes)].map(({ body }) =>
        bridgeAfSpec.read(linkMessage.read(body).afSpec as Uint8Array),
      ),
    );
    expect(sent.map(({ vlanInfo }) => vlanInfo?.length)).toEqual([512, 512, 512, 512, 512, 512, 512, 510]);
    expect(sent.flatMap(({ vlanInfo = [] }) => vlanInfo.map(({ vid }) => vid))).toEqual(
      all.map(({ vlanId }) => vlanId),
    );
    for (const bytes of datagrams) expect(bytes.length).toBeLessThan(4_200); // a page, or little more
  });

  test("addBridgeVlans() of none sends nothing", () => {
    expect(datagramsOf((socket) => addBridgeVlans(socket, veth0a, []))).toEqual([]);
  });

  test("addBridgeVlans() refuses what does not fit into 16 bits", () => {
    expect(() => messageOf((socket) => addBridgeVlans(socket, veth0a, [tagged(65_546)]))).toThrow(RangeError);
  });
});

test("deleteBridgeVlans() says what bridge says", () => {
  const message = messageOf((socket) => deleteBridgeVlans(socket, veth0a, [30]));
  expectSameMessage(message, golden.DELETE_VLAN, VLANS);
});

describe("listBridgeVlans()", () => {
  test("listBridgeVlans() reads what bridge -j vlan show showed", () => {
    // [{"ifname":"br0","vlans":[{"vlan":5}]},{"ifname":"veth0a","vlans":[{"vlan":10,"flags":["PVID",
    // "Egress Untagged"]},{"vlan":20},{"vlan":21},{"vlan":22}]}]
    expect(answeredWith(golden.ANSWER, listBridgeVlans)).toEqual(
      new Map([
        [3, [tagged(5)]],
        [5, [{ vlanId: 10, pvid: true, untagged: true }, tagged(20), tagged(21), tagged(22)]],
      ]),
    );
  });

  test("listBridgeVlans() keeps the VLANs of a port that its own driver answers for as well", () => {
    const answer = (sequence: number, afSpec: Parameters<typeof bridgeAfSpec.write>[1]): AnswerMessage => {
      const body = new Writer();
      linkMessage.write(body, { family: AF_BRIDGE, index: 7 }, { afSpec: encode(bridgeAfSpec, afSpec) });
      return { type: RTM_NEWLINK, flags: NLM_F_MULTI, sequence, body: body.finish() };
    };
    using _kernel = new FakeKernel(([request]) => {
      const sequence = request?.sequence ?? 0;
      const fromBridge = answer(sequence, { vlanInfo: [{ flags: 0, vid: 10 }] });
      const fromDriver = answer(sequence, { mode: 0, flags: 0 }); // VEB, BRIDGE_FLAGS_SELF's place
      const end = { type: NLMSG_DONE, sequence, body: new Uint8Array(4) };
      return [datagram(fromBridge, fromDriver, end)];
    });
    using socket = openRouteSocket();
    expect(listBridgeVlans(socket)).toEqual(new Map([[7, [tagged(10)]]]));
  });
});
