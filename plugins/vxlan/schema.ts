/** vxlan: its configuration. */
import type { FromSchema } from "json-schema-to-ts";
import { gatewayKeys } from "../../lib/bridged/gateway-keys.ts";
import { argsWithMac, runtimeConfigWithMac } from "../../lib/cni/mac-keys.ts";
import { netConfKeys, type Schema } from "../../lib/cni/schema.ts";
import { etcdKeys } from "../../lib/etcd/settings.ts";

export const schema = {
  title: "vxlan",
  description:
    "Connects containers of several hosts to one network: a bridge on each, and VXLAN between them.",
  type: "object",
  properties: {
    vni: {
      type: "integer",
      minimum: 1,
      maximum: 16_777_215,
      description: "VXLAN network identifier, the same on all hosts.",
    },
    port: {
      type: "integer",
      minimum: 1,
      maximum: 65535,
      default: 4789,
      description: "UDP port, the same on all hosts.",
    },
    dev: {
      type: "string",
      default: "",
      description: "Interface of this host by which it reaches the others.",
    },
    local: {
      type: "string",
      default: "",
      description:
        "Address of this host that the others send to, or a subnet that it is in; without dev and local, that of the route to the others.",
    },
    ttl: {
      type: "integer",
      minimum: 0,
      maximum: 255,
      default: 0,
      description: "Hop limit of what is sent between hosts; 0 leaves the kernel's (1 to a group).",
    },
    remotes: {
      type: "array",
      items: { type: "string" },
      description: "Addresses of the other hosts. This host's own is passed over.",
    },
    group: { type: "string", description: "Multicast group that the hosts find each other by." },
    etcd: etcdKeys,
    mode: {
      enum: ["bridged", "routed"],
      default: "bridged",
      description: "One segment over all hosts; or a subnet for each, with routes between them (with etcd).",
      "x-message": 'unknown mode "${value}": use "bridged" or "routed"',
    },
    subnets: {
      type: "array",
      default: [],
      description: "Mode routed: what each host leases a subnet of.",
      items: {
        type: "object",
        properties: {
          subnet: { type: "string", description: "The whole network's, such as 10.42.0.0/16." },
          hostLength: {
            type: "integer",
            minimum: 1,
            maximum: 126,
            description: "Prefix length of a host's subnet, such as 24.",
          },
        },
        required: ["subnet", "hostLength"],
        additionalProperties: false,
      },
    },
    bridge: {
      type: "string",
      default: "",
      description: "Name of the bridge; vxbr and the VNI unless given.",
    },
    ...gatewayKeys,
    mtu: {
      type: "integer",
      minimum: 0,
      maximum: 65535,
      default: 0,
      description: "MTU of the containers, in bytes; 0 is the underlay's less 50 (IPv4) or 70 (IPv6).",
    },
    hairpinMode: {
      type: "boolean",
      default: false,
      description: "Let a container reach itself by an address of the host (hairpin).",
    },
    portIsolation: {
      type: "boolean",
      default: false,
      description:
        "Keep the container from reaching other isolated ports of the bridge, and other hosts (mode bridged).",
    },
    macspoofchk: {
      type: "boolean",
      default: false,
      description: "Drop frames from other MACs than the container's own.",
    },
    enabledad: {
      type: "boolean",
      default: false,
      description: "Wait for duplicate detection of IPv6 addresses.",
    },
    ...netConfKeys,
    args: argsWithMac,
    runtimeConfig: runtimeConfigWithMac,
  },
  required: ["name", "vni"],
  additionalProperties: false,
} as const satisfies Schema;

export type Config = FromSchema<typeof schema>;
