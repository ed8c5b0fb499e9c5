import { expect, test } from "bun:test";
import type { AttachmentView } from "./attachment.ts";
import { ATTACHMENTS, namespaceNamed } from "./attachments.golden.ts";
import { containerJson } from "./container-json.ts";
import { type ContainerView, formatContainer } from "./container-text.ts";
import type { InterfaceView } from "./interface.ts";

const [WEB] = ATTACHMENTS;
const COUNTERS = {
  rxPackets: 22,
  txPackets: 12,
  rxBytes: 2_140,
  txBytes: 968,
  rxErrors: 0,
  txErrors: 1,
  rxDropped: 3,
  txDropped: 0,
};

const ETH0: InterfaceView = {
  name: "eth0",
  index: 2,
  kind: "veth",
  isUp: true,
  hasCarrier: true,
  mac: "02:42:ac:11:00:02",
  mtu: 1500,
  alias: "",
  addresses: ["172.17.0.2/16", "fd00:17::2/64", "fe80::42:acff:fe11:2/64"],
  routes: ["default via 172.17.0.1", "172.17.0.0/16 on the link", "default via fd00:17::1"],
  counters: COUNTERS,
  way: [
    { namespace: "web", name: "eth0", index: 2, kind: "veth", mtu: 1500, role: "container" },
    { namespace: "host", name: "veth1a2b3c4d", index: 4, kind: "veth", mtu: 1500, role: "peer" },
    { namespace: "host", name: "docker0", index: 3, kind: "bridge", mtu: 1450, role: "bridge" },
    { namespace: "host", name: "vx42", index: 9, kind: "VXLAN 42 at 192.0.2.1", mtu: 1450, role: "tunnel" },
    { namespace: "host", name: "eth0", index: 2, kind: "", mtu: 1500, role: "uplink" },
  ],
  port: {
    bridge: "docker0",
    port: "veth1a2b3c4d",
    isHairpin: true,
    isIsolated: true,
    isLearning: false,
    vlans: ["10u", "20"],
    macSeen: "not yet",
  },
  attachment: WEB,
};

const LO: InterfaceView = {
  ...ETH0,
  name: "lo",
  index: 1,
  kind: "",
  addresses: ["127.0.0.1/8", "::1/128"],
  way: ETH0.way.slice(0, 1),
  port: undefined,
  attachment: undefined,
};

const CONTAINER: ContainerView = {
  name: "web",
  namespace: namespaceNamed("web", 4_026_532_123n),
  programs: ["1234 (nginx)", "1240 (nginx)"],
  interfaces: [
    {
      ...ETH0,
      rules: [
        {
          topic: "ports",
          says: "TCP port 8080 of this host leads to its port 80.",
          by: "nftables",
          elements: [{ text: "port4 { tcp . 8080 : 172.17.0.2 . 80 }", isMissing: true }],
        },
        {
          topic: "masquerade",
          says: "What comes from it by docker0 and leaves this host has the host's address (masquerade).",
          by: "iptables",
          elements: [],
        },
      ],
    },
    { ...ETH0, name: "eth1", isUp: false, attachment: undefined, port: undefined, way: [], rules: [] },
    { ...LO, rules: [] },
  ],
  lost: [],
};

test("formatContainer() in 80 columns", () => {
  expect(formatContainer(CONTAINER, 80)).toEqual([
    "web",
    "  namespace  /run/netns/web (inode 4026532123)",
    "  processes  1234 (nginx), 1240 (nginx)",
    "",
    "eth0@if4  up  network blue (bridge, portmap, firewall)",
    "  way        eth0 → veth1a2b3c4d (4) of host → bridge docker0 → vx42 (VXLAN 42",
    "               at 192.0.2.1) → uplink eth0",
    "  kind       veth",
    "  MAC        02:42:ac:11:00:02; the forwarding table of docker0 does not have it",
    "               yet",
    "  MTU        1500; on the way docker0 has 1450, vx42 has 1450",
    "  addresses  172.17.0.2/16",
    "             fd00:17::2/64",
    "             fe80::42:acff:fe11:2/64",
    "  routes     default via 172.17.0.1",
    "             172.17.0.0/16 on the link",
    "             default via fd00:17::1",
    "  port       veth1a2b3c4d of bridge docker0: hairpin, isolated, learning off,",
    "               VLAN 10u 20",
    "  ports      8080->80/tcp",
    "             192.0.2.1:5353->53/udp",
    "  rules      TCP port 8080 of this host leads to its port 80. (1 element of it",
    "               missing: weft restore)",
    "             What comes from it by docker0 and leaves this host has the host's",
    "               address (masquerade). (iptables)",
    "  traffic    sent 12 packets, 968 B, 1 error; received 22 packets, 2.1 kB, 3",
    "               dropped",
    "  id         cnitool-3993dc6bfc7ca7d2ea3c",
    "",
    "eth1  down",
    "  kind       veth",
    "  MAC        02:42:ac:11:00:02",
    "  MTU        1500",
    "  addresses  172.17.0.2/16",
    "             fd00:17::2/64",
    "             fe80::42:acff:fe11:2/64",
    "  routes     default via 172.17.0.1",
    "             172.17.0.0/16 on the link",
    "             default via fd00:17::1",
    "  traffic    sent 12 packets, 968 B, 1 error; received 22 packets, 2.1 kB, 3",
    "               dropped",
    "",
    "lo  up",
    "  addresses  127.0.0.1/8, ::1/128",
  ]);
});

test("formatContainer() in 160 columns", () => {
  expect(formatContainer(CONTAINER, 160)).toEqual([
    "web",
    "  namespace  /run/netns/web (inode 4026532123)",
    "  processes  1234 (nginx), 1240 (nginx)",
    "",
    "eth0@if4  up  network blue (bridge, portmap, firewall)",
    "  way        eth0 → veth1a2b3c4d (4) of host → bridge docker0 → vx42 (VXLAN 42 at 192.0.2.1) → uplink eth0",
    "  kind       veth",
    "  MAC        02:42:ac:11:00:02; the forwarding table of docker0 does not have it yet",
    "  MTU        1500; on the way docker0 has 1450, vx42 has 1450",
    "  addresses  172.17.0.2/16",
    "             fd00:17::2/64",
    "             fe80::42:acff:fe11:2/64",
    "  routes     default via 172.17.0.1",
    "             172.17.0.0/16 on the link",
    "             default via fd00:17::1",
    "  port       veth1a2b3c4d of bridge docker0: hairpin, isolated, learning off, VLAN 10u 20",
    "  ports      8080->80/tcp",
    "             192.0.2.1:5353->53/udp",
    "  rules      TCP port 8080 of this host leads to its port 80. (1 element of it missing: weft restore)",
    "             What comes from it by docker0 and leaves this host has the host's address (masquerade). (iptables)",
    "  traffic    sent 12 packets, 968 B, 1 error; received 22 packets, 2.1 kB, 3 dropped",
    "  id         cnitool-3993dc6bfc7ca7d2ea3c",
    "",
    "eth1  down",
    "  kind       veth",
    "  MAC        02:42:ac:11:00:02",
    "  MTU        1500",
    "  addresses  172.17.0.2/16",
    "             fd00:17::2/64",
    "             fe80::42:acff:fe11:2/64",
    "  routes     default via 172.17.0.1",
    "             172.17.0.0/16 on the link",
    "             default via fd00:17::1",
    "  traffic    sent 12 packets, 968 B, 1 error; received 22 packets, 2.1 kB, 3 dropped",
    "",
    "lo  up",
    "  addresses  127.0.0.1/8, ::1/128",
  ]);
});

test("formatContainer() names a few processes of many", () => {
  const programs = Array.from({ length: 7 }, (_, i) => `${i + 1} (sh)`);
  const lines = formatContainer({ ...CONTAINER, programs, interfaces: [] }, 80);
  expect(lines).toEqual([
    "web",
    "  namespace  /run/netns/web (inode 4026532123)",
    "  processes  1 (sh), 2 (sh), 3 (sh), 4 (sh), 5 (sh), and 2 more",
  ]);
});

test("formatContainer() names what was attached by an interface that is gone", () => {
  const lost: AttachmentView[] = WEB ? [{ ...WEB, state: "gone" }] : [];
  const lines = formatContainer({ ...CONTAINER, interfaces: [], lost }, 80);
  expect(lines.slice(3)).toEqual([
    "",
    "eth0  gone  network blue (bridge, portmap, firewall)",
    "  MAC        02:42:ac:11:00:02",
    "  addresses  172.17.0.2/16",
    "             fd00:17::2/64",
    "  ports      8080->80/tcp",
    "             192.0.2.1:5353->53/udp",
    "  id         cnitool-3993dc6bfc7ca7d2ea3c",
  ]);
  expect(containerJson({ ...CONTAINER, lost }).lost).toMatchObject([{ network: "blue", state: "gone" }]);
});

test("formatContainer() says of one that is gone what it had", () => {
  const lost = ATTACHMENTS.filter(({ state }) => state === "gone");
  const gone = { name: "old", namespace: undefined, programs: [], interfaces: [], lost };
  expect(formatContainer(gone, 80)).toEqual([
    "old",
    "  namespace  /var/run/netns/web is gone; weft gc removes what it has left",
    "",
    "eth0  gone  network routed",
    "  id  cnitool-add51f7279f19f5d1fc9",
  ]);
  expect(containerJson(gone)).toMatchObject({ netns: "/var/run/netns/web", inode: null, pids: [] });
});

test("containerJson() is JSON, with null for what is not known", () => {
  const json = JSON.parse(JSON.stringify(containerJson(CONTAINER)));
  expect(json).toMatchObject({ container: "web", inode: "4026532123", pids: [] });
  expect(json.interfaces[2]).toMatchObject({ name: "lo", attachment: null, port: null, rules: [] });
  expect(json.interfaces[0].attachment).toMatchObject({ network: "blue", hostIfindex: 4 });
});
