import { expect, test } from "bun:test";
import type { BridgeEndpoint } from "./endpoint.ts";
import { masqueradeCommands, publishCommands } from "./equivalent-nat.ts";

const endpoint: BridgeEndpoint = {
  sandbox: "web",
  network: "net",
  ifname: "eth0",
  mac: "02:00:00:00:00:01",
  addresses: ["10.0.0.2/24", "fd00::2/64"],
  label: "veth1",
  base: { name: "br0", addresses: ["10.0.0.1/24", "fd00::1/64"] },
  hostEnd: "veth1",
  bridge: "br0",
  bridgeAddresses: ["10.0.0.1/24", "fd00::1/64"],
  result: {},
};

test("masqueradeCommands() has a rule for each subnet", () => {
  expect(masqueradeCommands(endpoint)).toEqual([
    "iptables -t nat -A POSTROUTING -s 10.0.0.0/24 ! -o br0 -j MASQUERADE",
    "ip6tables -t nat -A POSTROUTING -s fd00::/64 ! -o br0 -j MASQUERADE",
  ]);
});

test("publishCommands() leads the port to each address, also from the host itself", () => {
  expect(publishCommands(endpoint, { hostPort: 8080, containerPort: 80, protocol: "tcp" })).toEqual([
    "iptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -p tcp --dport 8080 -j DNAT --to-destination 10.0.0.2:80",
    "iptables -t nat -A OUTPUT -m addrtype --dst-type LOCAL -p tcp --dport 8080 -j DNAT --to-destination 10.0.0.2:80",
    "iptables -t nat -A POSTROUTING -s 10.0.0.0/24 -d 10.0.0.2 -p tcp --dport 80 -j MASQUERADE",
    "sysctl -w net.ipv4.conf.br0.route_localnet=1",
    "iptables -t raw -I PREROUTING -d 127.0.0.0/8 ! -i lo -j DROP",
    "iptables -t nat -A POSTROUTING -s 127.0.0.1 -d 10.0.0.2 -p tcp --dport 80 -j MASQUERADE",
    "ip6tables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -p tcp --dport 8080 -j DNAT --to-destination [fd00::2]:80",
    "ip6tables -t nat -A OUTPUT -m addrtype --dst-type LOCAL -p tcp --dport 8080 -j DNAT --to-destination [fd00::2]:80",
    "ip6tables -t nat -A POSTROUTING -s fd00::/64 -d fd00::2 -p tcp --dport 80 -j MASQUERADE",
  ]);
});

test("publishCommands() knows hostIP, and its family", () => {
  const mapping = { hostPort: 53, containerPort: 53, protocol: "udp", hostIP: "192.0.2.1" } as const;
  expect(publishCommands(endpoint, mapping)).toEqual([
    "iptables -t nat -A PREROUTING -d 192.0.2.1 -p udp --dport 53 -j DNAT --to-destination 10.0.0.2:53",
    "iptables -t nat -A OUTPUT -d 192.0.2.1 -p udp --dport 53 -j DNAT --to-destination 10.0.0.2:53",
    "iptables -t nat -A POSTROUTING -s 10.0.0.0/24 -d 10.0.0.2 -p udp --dport 53 -j MASQUERADE",
  ]);
});
