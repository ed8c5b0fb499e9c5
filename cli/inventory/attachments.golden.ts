/** Attachments as a host may have them, for the tests of what is shown of them. */
import type { AttachmentView } from "./attachment.ts";
import type { Namespace } from "./namespaces.ts";

export function namespaceNamed(name: string, inode = 4_026_532_000n): Namespace {
  return {
    inode,
    path: `/run/netns/${name}`,
    paths: [`/run/netns/${name}`],
    name,
    pids: [],
    isHost: false,
  };
}

const WEB: AttachmentView = {
  network: "blue",
  containerId: "cnitool-3993dc6bfc7ca7d2ea3c",
  ifname: "eth0",
  container: "web",
  namespace: namespaceNamed("web"),
  netns: "/var/run/netns/web",
  plugins: ["bridge", "portmap", "firewall"],
  addresses: ["172.17.0.2/16", "fd00:17::2/64"],
  mac: "02:42:ac:11:00:02",
  kind: "veth",
  hostLink: { name: "veth1a2b3c4d", index: 4 },
  bridge: "docker0",
  ports: [
    { hostPort: 8080, containerPort: 80, protocol: "tcp", hostIP: "" },
    { hostPort: 5353, containerPort: 53, protocol: "udp", hostIP: "192.0.2.1" },
  ],
  state: "up",
  isOurs: true,
  records: [],
};

/** One of each state and kind, with names of every length. */
export const ATTACHMENTS: readonly AttachmentView[] = [
  WEB,
  {
    ...WEB,
    network: "cbr0",
    containerId: "4f1c6d5e8b7a9c0d1e2f3a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f",
    container: "kube-system/coredns-5d78c9869d-x2k4p",
    addresses: ["10.244.17.203/24"],
    hostLink: { name: "vethdeadbeef", index: 107 },
    bridge: "cni0",
    ports: [],
    state: "down",
  },
  {
    ...WEB,
    network: "lan",
    container: "printer",
    containerId: "cnitool-496c1f69079968e0b87a",
    addresses: ["192.0.2.100/24"],
    kind: "macvlan",
    hostLink: { name: "eth0", index: 2 },
    bridge: undefined,
    ports: [],
    plugins: ["macvlan"],
  },
  {
    ...WEB,
    network: "routed",
    container: "cnitool-add51f7279f19f5d1fc9",
    containerId: "cnitool-add51f7279f19f5d1fc9",
    namespace: undefined,
    addresses: [],
    mac: undefined,
    kind: undefined,
    hostLink: undefined,
    bridge: undefined,
    ports: [],
    state: "gone",
    isOurs: false,
    plugins: [],
  },
];
