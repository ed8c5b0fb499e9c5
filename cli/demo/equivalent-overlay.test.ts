import { expect, test } from "bun:test";
import { macOf, overlayCommands, overlayEndpointCommands } from "./equivalent-overlay.ts";

const made = {
  sandbox: "web",
  ifname: "eth0",
  mac: "02:42:0a:08:00:0b",
  addresses: ["10.8.0.11/24"],
  hostEnd: "veth1",
  bridge: "vxbr42",
};

test("overlayCommands() makes device and bridge, and an entry for each remote", () => {
  const overlay = { vni: 42, local: "192.0.2.1", remotes: ["192.0.2.2", "192.0.2.3"] };
  expect(overlayCommands(made, overlay)).toEqual([
    "ip link add vx42 mtu 1450 type vxlan id 42 local 192.0.2.1 dstport 4789",
    "bridge fdb append 00:00:00:00:00:00 dev vx42 dst 192.0.2.2",
    "bridge fdb append 00:00:00:00:00:00 dev vx42 dst 192.0.2.3",
    "ip link add vxbr42 mtu 1450 type bridge",
    "ip link set vxbr42 up",
    "ip link set vx42 master vxbr42 up",
  ]);
});

test("overlayEndpointCommands() gives both ends of the cable the overlay's MTU", () => {
  expect(overlayEndpointCommands(made)).toEqual([
    "ip link add veth1 mtu 1450 type veth peer name eth0 address 02:42:0a:08:00:0b mtu 1450 netns web",
    "ip link set veth1 master vxbr42 up",
    "ip -n web addr add 10.8.0.11/24 dev eth0",
    "ip -n web link set eth0 up",
  ]);
});

test("macOf() writes an IPv4 address as a MAC", () => {
  expect(macOf("10.8.0.11/24")).toBe("02:42:0a:08:00:0b");
});
