/** bridge: its configuration. */
import type { FromSchema } from "json-schema-to-ts";
import { gatewayKeys } from "../../lib/bridged/gateway-keys.ts";
import { argsWithMac, runtimeConfigWithMac } from "../../lib/cni/mac-keys.ts";
import { netConfKeys, type Schema } from "../../lib/cni/schema.ts";

const vlanId = { type: "integer" } as const;

export const schema = {
  title: "bridge",
  description: "Connects containers to a bridge of the host by veth pairs.",
  type: "object",
  properties: {
    bridge: {
      type: "string",
      default: "cni0",
      description: "Name of the bridge; made when it is not there.",
    },
    ...gatewayKeys,
    mtu: {
      type: "integer",
      minimum: 0,
      maximum: 65535,
      default: 0,
      description: "MTU of bridge and veth, in bytes; 0 leaves the kernel's.",
    },
    hairpinMode: {
      type: "boolean",
      default: false,
      description: "Let a container reach itself by an address of the host (hairpin).",
    },
    promiscMode: {
      type: "boolean",
      default: false,
      description: "Set the bridge promiscuous; not with hairpinMode.",
    },
    vlan: {
      type: "integer",
      minimum: 0,
      maximum: 4094,
      default: 0,
      description: "VLAN of the container's untagged frames; 0 is none.",
      "x-message": "invalid VLAN ID ${value} (must be between 0 and 4094)",
    },
    vlanTrunk: {
      type: "array",
      default: [],
      description: "VLANs whose tagged frames the container sends and receives; not with vlan.",
      items: {
        type: "object",
        properties: {
          minID: { ...vlanId, description: "First of a range, 1 to 4094." },
          maxID: { ...vlanId, description: "Last of a range, 1 to 4094." },
          id: { ...vlanId, description: "One VLAN, 1 to 4094." },
        },
        additionalProperties: false,
      },
    },
    preserveDefaultVlan: {
      type: "boolean",
      default: true,
      description: "Leave the bridge's default VLAN on the port as well.",
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
    disableContainerInterface: {
      type: "boolean",
      default: false,
      description: "Leave the container's interface down; not with ipam.",
    },
    portIsolation: {
      type: "boolean",
      default: false,
      description: "Keep the container from reaching other isolated ports of the bridge.",
    },
    ...netConfKeys,
    args: argsWithMac,
    runtimeConfig: runtimeConfigWithMac,
  },
  required: ["name"],
  additionalProperties: false,
} as const satisfies Schema;

export type Config = FromSchema<typeof schema>;
