/**
 * VLANs of bridges on the kernel this machine runs, if it has CONFIG_BRIDGE_VLAN_FILTERING; the oracle is
 * bridge -j.
 */
import { afterAll, beforeAll, expect } from "bun:test";
import { encode } from "../netlink/attributes.ts";
import { kernelTest, lackingFor, TestNetns } from "../testing/netns.ts";
import { addBridgeVlans, deleteBridgeVlans, listBridgeVlans } from "./bridge-vlan.ts";
import { createLink, createVeth, type Link, linkByName, setLink } from "./link.ts";
import { bridge } from "./link-attributes.ts";
import { openRouteSocket, type RouteSocket } from "./route-socket.ts";

const lacking = lackingFor("ip", "link", "add", "br0", "type", "bridge", "vlan_filtering", "1");

let netns: TestNetns;
let socket: RouteSocket;
let br0: Link;
let port: Link;

beforeAll(async () => {
  if (lacking !== undefined) return;
  netns = await TestNetns.make();
  socket = openRouteSocket(netns.netns);
  createLink(socket, {
    name: "br0",
    kind: "bridge",
    data: encode(bridge, { vlanFiltering: 1, vlanDefaultPvid: 0 }),
  });
  br0 = linkByName(socket, "br0");
  createVeth(socket, { name: "veth0", master: br0.index, peer: { name: "peer0" } });
  port = linkByName(socket, "veth0");
});

afterAll(() => {
  socket?.[Symbol.dispose]();
  netns?.[Symbol.dispose]();
});

const tagged = (vlanId: number) => ({ vlanId, pvid: false, untagged: false });

/** The VLANs of a link as bridge prints them. */
function shown(name: string): unknown {
  return netns.json("bridge -j vlan show").find(({ ifname }: { ifname: string }) => ifname === name)?.vlans;
}

kernelTest(
  "addBridgeVlans() adds what bridge shows, listBridgeVlans() lists it, deleteBridgeVlans() takes it away",
  () => {
    addBridgeVlans(socket, port, [{ vlanId: 10, pvid: true, untagged: true }, tagged(20), tagged(21)]);
    addBridgeVlans(socket, br0, [tagged(5)], { self: true });
    expect(shown("veth0")).toEqual([
      { vlan: 10, flags: ["PVID", "Egress Untagged"] },
      { vlan: 20 },
      { vlan: 21 },
    ]);
    expect(shown("br0")).toEqual([{ vlan: 5 }]);
    expect(listBridgeVlans(socket)).toEqual(
      new Map([
        [br0.index, [tagged(5)]],
        [port.index, [{ vlanId: 10, pvid: true, untagged: true }, tagged(20), tagged(21)]],
      ]),
    );
    deleteBridgeVlans(socket, port, [10, 20]);
    deleteBridgeVlans(socket, br0, [5], { self: true });
    expect(shown("veth0")).toEqual([{ vlan: 21 }]);
    deleteBridgeVlans(socket, port, [21]);
  },
  lacking,
);

kernelTest(
  "addBridgeVlans() adds all 4094 VLANs of a trunk",
  () => {
    const all = Array.from({ length: 4_094 }, (_, index) => tagged(index + 1));
    addBridgeVlans(socket, port, all);
    expect(listBridgeVlans(socket).get(port.index)).toEqual(all);
    deleteBridgeVlans(
      socket,
      port,
      all.map(({ vlanId }) => vlanId),
    );
    expect(listBridgeVlans(socket).get(port.index)).toEqual([]);
  },
  lacking,
);

kernelTest(
  "addBridgeVlans() refuses a VLAN that there cannot be, and names the link",
  () => {
    expect(() => addBridgeVlans(socket, port, [tagged(4_095)])).toThrow(
      'Cannot add VLANs to "veth0": RTM_SETLINK failed with EINVAL',
    );
  },
  lacking,
);

kernelTest(
  "createLink() and setLink() turn VLAN filtering on, as ip -j -d shows",
  () => {
    expect(bridge.read(br0.data)).toMatchObject({
      vlanFiltering: 1,
      vlanDefaultPvid: 0,
      vlanProtocol: 0x8100,
    });
    createLink(socket, { name: "br1", kind: "bridge" });
    setLink(socket, { name: "br1" }, { kind: "bridge", data: encode(bridge, { vlanFiltering: 1 }) });
    expect(netns.json("ip -j -d link show br1")[0].linkinfo.info_data).toMatchObject({
      vlan_filtering: 1,
      vlan_default_pvid: 1,
    });
  },
  lacking,
);
