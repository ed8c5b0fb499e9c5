/** ptp: its configuration. */
import type { FromSchema } from "json-schema-to-ts";
import { netConfKeys, type Schema } from "../../lib/cni/schema.ts";

const mac = { type: "string", default: "", description: "MAC of the container's interface." } as const;

export const schema = {
  title: "ptp",
  description: "Connects each container to the host by a routed veth pair of its own, without a bridge.",
  type: "object",
  properties: {
    ipMasq: {
      type: "boolean",
      default: false,
      description: "Masquerade what containers send out of their subnets.",
    },
    ipMasqBackend: {
      enum: ["auto", "iptables", "nftables"],
      description: "What masquerades; auto, the default, is nftables where the kernel has it.",
      "x-message": 'unknown ipMasqBackend ${value}: use "auto", "iptables" or "nftables"',
    },
    mtu: {
      type: "integer",
      minimum: 0,
      maximum: 65535,
      default: 0,
      description: "MTU of both ends of the pair, in bytes; 0 leaves the kernel's.",
    },
    ...netConfKeys,
    args: {
      type: "object",
      default: {},
      description: netConfKeys.args.description,
      properties: {
        cni: { type: "object", default: {}, properties: { mac }, description: "Arguments by convention." },
      },
    },
    runtimeConfig: {
      type: "object",
      default: {},
      description: netConfKeys.runtimeConfig.description,
      properties: { mac: { ...mac, description: "Capability mac: MAC of the container's interface." } },
    },
  },
  required: ["name"],
  additionalProperties: false,
} as const satisfies Schema;

export type Config = FromSchema<typeof schema>;
