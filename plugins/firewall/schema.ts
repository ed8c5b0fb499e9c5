/** firewall: its configuration. */
import type { FromSchema } from "json-schema-to-ts";
import { netConfKeys, type Schema } from "../../lib/cni/schema.ts";

export const schema = {
  title: "firewall",
  description: "Lets a container's traffic through the host's firewall, and keeps networks from each other.",
  type: "object",
  properties: {
    backend: {
      enum: ["", "auto", "nftables", "iptables", "firewalld"],
      default: "",
      description: "What keeps the rules; chosen by what the host has unless given.",
      "x-message": 'unknown backend: "${value}"',
    },
    iptablesAdminChainName: {
      type: "string",
      default: "CNI-ADMIN",
      description: "The administrator's own chain, which comes first. iptables alone.",
    },
    firewalldZone: {
      type: "string",
      default: "trusted",
      description: "Zone that the container's addresses become sources of. firewalld alone.",
    },
    ingressPolicy: {
      enum: ["", "open", "same-bridge", "isolated", "published"],
      default: "",
      description: "Who may reach the container.",
      "x-message": 'unknown ingress policy: "${value}"',
    },
    internal: {
      type: "boolean",
      default: false,
      description: "Forward nothing between the bridge and anything else.",
    },
    icc: {
      type: "boolean",
      default: true,
      description: "Let containers of the bridge reach each other.",
    },
    permittedInterfaces: {
      type: "array",
      items: { type: "string" },
      default: [],
      description: "Interfaces of the host that are exempt from all of it, in both directions.",
    },
    ...netConfKeys,
  },
  required: ["name"],
  additionalProperties: false,
} as const satisfies Schema;

export type Config = FromSchema<typeof schema>;
