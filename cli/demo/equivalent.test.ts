import { expect, test } from "bun:test";
import { readBridgeEndpoint, readRoutedEndpoint, readUnderlayEndpoint } from "./endpoint.ts";
import {
  bridgeCommands,
  bridgeEndpointCommands,
  routedEndpointCommands,
  underlayEndpointCommands,
} from "./equivalent.ts";

const RESULT = {
  cniVersion: "1.1.0",
  interfaces: [
    { name: "br0", mac: "02:00:00:00:00:01" },
    { name: "veth1", mac: "02:00:00:00:00:02" },
    { name: "eth1", mac: "02:00:00:00:00:03", sandbox: "/var/run/netns/web" },
  ],
  ips: [
    { address: "10.0.0.2/24", gateway: "10.0.0.1", interface: 2 },
    { address: "fd00::2/64", interface: 2 },
  ],
  routes: [{ dst: "0.0.0.0/0", gw: "10.0.0.1" }, { dst: "fd01::/64", gw: "fd00::1" }, { dst: "10.9.0.0/16" }],
};
const where = { sandbox: "web", network: "net", ifname: "eth1" };
const endpoint = readBridgeEndpoint(where, JSON.stringify(RESULT), () => ["10.0.0.1/24", "fd00::1/64"]);

test("readBridgeEndpoint() finds bridge, host's end and container's end in the result", () => {
  expect(endpoint).toMatchObject({
    ...where,
    bridge: "br0",
    hostEnd: "veth1",
    mac: "02:00:00:00:00:03",
    addresses: ["10.0.0.2/24", "fd00::2/64"],
    bridgeAddresses: ["10.0.0.1/24", "fd00::1/64"],
  });
  expect(() => readBridgeEndpoint(where, '{"cniVersion": "1.1.0"}', () => [])).toThrow("lacks an interface");
});

test("bridgeCommands() makes the bridge, its addresses and forwarding", () => {
  expect(bridgeCommands(endpoint)).toEqual([
    "ip link add br0 type bridge",
    "ip addr add 10.0.0.1/24 dev br0",
    "ip addr add fd00::1/64 dev br0 nodad",
    "ip link set br0 up",
    "sysctl -w net.ipv4.ip_forward=1",
    "sysctl -w net.ipv6.conf.all.forwarding=1",
  ]);
});

test("bridgeEndpointCommands() makes the cable, its addresses and its routes", () => {
  expect(bridgeEndpointCommands(endpoint)).toEqual([
    "ip link add veth1 type veth peer name eth1 netns web",
    "ip link set veth1 master br0 up",
    "ip -n web addr add 10.0.0.2/24 dev eth1",
    "ip -n web addr add fd00::2/64 dev eth1 nodad",
    "ip -n web link set eth1 up",
    "ip -n web route add default via 10.0.0.1",
    "ip -n web route add fd01::/64 via fd00::1",
    "ip -n web route add 10.9.0.0/16 dev eth1",
  ]);
});

test("routedEndpointCommands() makes the cable and the routes on both sides", () => {
  const printed = JSON.stringify({
    cniVersion: "1.1.0",
    interfaces: [{ name: "veth1" }, { name: "eth0", sandbox: "/var/run/netns/web" }],
    ips: [{ address: "10.0.0.2/24", gateway: "10.0.0.1", interface: 1 }],
    routes: [{ dst: "0.0.0.0/0" }],
  });
  const routed = readRoutedEndpoint({ ...where, ifname: "eth0" }, printed, () => ["10.0.0.1/32"]);
  expect(routed).toMatchObject({ hostEnd: "veth1", gateway: "10.0.0.1" });
  expect(routedEndpointCommands(routed)).toEqual([
    "ip link add veth1 type veth peer name eth0 netns web",
    "ip addr add 10.0.0.1/32 dev veth1",
    "ip link set veth1 up",
    "ip route add 10.0.0.2 dev veth1",
    "sysctl -w net.ipv4.ip_forward=1",
    "ip -n web addr add 10.0.0.2/24 dev eth0 noprefixroute",
    "ip -n web link set eth0 up",
    "ip -n web route add 10.0.0.1 dev eth0 scope link src 10.0.0.2",
    "ip -n web route add 10.0.0.0/24 via 10.0.0.1 src 10.0.0.2",
    "ip -n web route add default via 10.0.0.1",
  ]);
});

test("underlayEndpointCommands() makes the interface on its master, with the gateway of each family", () => {
  const printed = JSON.stringify({
    cniVersion: "1.1.0",
    interfaces: [{ name: "eth0", sandbox: "/var/run/netns/web" }],
    ips: [
      { address: "10.0.0.2/24", gateway: "10.0.0.1", interface: 0 },
      { address: "fd00::2/64", gateway: "fd00::1", interface: 0 },
    ],
    routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0" }],
  });
  const onHost = { label: "macvlan", base: { name: "ens3", addresses: [] } };
  const underlay = readUnderlayEndpoint({ ...where, ifname: "eth0" }, printed, onHost);
  expect(underlayEndpointCommands(underlay, "macvlan mode bridge")).toEqual([
    "ip link add link ens3 name eth0 netns web type macvlan mode bridge",
    "ip -n web addr add 10.0.0.2/24 dev eth0",
    "ip -n web addr add fd00::2/64 dev eth0 nodad",
    "ip -n web link set eth0 up",
    "ip -n web route add default via 10.0.0.1",
    "ip -n web route add default via fd00::1",
  ]);
});
