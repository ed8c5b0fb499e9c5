/** Pictures for the tests of how they are drawn. */
import type { Base, End, HostPicture } from "./host-picture.ts";

const end = (title: string, network: string, ...addresses: readonly string[]): End => ({
  kind: "container",
  title,
  ifname: "eth0",
  network,
  addresses,
  ports: [],
});

const bridge = (name: string, network: string, cables: Base["cables"]): Base => ({
  name,
  role: "bridge",
  kind: "bridge",
  networks: [network],
  isInternal: false,
  says: `bridge of ${network}`,
  isUplink: false,
  isUp: true,
  addresses: ["172.17.0.1/16"],
  cables,
});

const BACK: End = { ...end("app & co", "green", "10.2.0.3/24"), ifname: "eth1" };

/** Two bridges and a container on both, an overlay, an uplink with a macvlan, and what is left over. */
export const HOST: HostPicture = {
  title: "host",
  bases: [
    bridge("docker0", "blue", [
      {
        name: "veth1a2b3c4d",
        port: "veth1a2b3c4d",
        says: "",
        isUp: true,
        end: {
          ...end("app & co", "blue", "172.17.0.2/16", "fd00:17::2/64"),
          ports: [{ hostPort: 8080, containerPort: 80, protocol: "tcp", hostIP: "" }],
        },
      },
      {
        name: "veth5e6f7a8b",
        port: "veth5e6f7a8b",
        says: "",
        isUp: false,
        end: end("db", "blue", "172.17.0.3/16"),
      },
    ]),
    {
      ...bridge("green0", "green", [
        { name: "vethdeadbeef", port: "vethdeadbeef", says: "", isUp: true, end: BACK },
      ]),
      addresses: [],
    },
    bridge("vxbr42", "over", [
      {
        name: "vx42",
        port: "vx42",
        says: "VXLAN 42",
        isUp: true,
        end: {
          kind: "hosts",
          title: "other hosts",
          ifname: "",
          network: "over",
          addresses: ["192.0.2.11", "192.0.2.12"],
          ports: [],
        },
      },
    ]),
    {
      name: "eth0",
      role: "link",
      kind: "",
      networks: ["lan"],
      isInternal: false,
      says: "uplink",
      isUplink: true,
      isUp: true,
      addresses: ["192.0.2.1/24"],
      cables: [
        {
          name: "",
          port: undefined,
          says: "",
          isUp: true,
          end: {
            kind: "world",
            title: "outside",
            ifname: "",
            network: "",
            addresses: ["192.0.2.254"],
            ports: [],
          },
        },
        {
          name: "macvlan mode bridge",
          port: undefined,
          says: "",
          isUp: true,
          end: end("kube-system/node-local-dns-with-a-long-name", "lan", "192.0.2.100/24"),
        },
      ],
    },
  ],
  others: [{ name: "wg0", kind: "wireguard" }],
  islands: ["blue", "sandbox-without-a-cable"],
};

export const EMPTY: HostPicture = { title: "host", bases: [], others: [], islands: [] };
