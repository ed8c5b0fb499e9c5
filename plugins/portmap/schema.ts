/** portmap: its configuration. */
import type { FromSchema } from "json-schema-to-ts";
import { netConfKeys, type Schema } from "../../lib/cni/schema.ts";

const words = { type: "array", items: { type: "string" } } as const;

export const schema = {
  title: "portmap",
  description: "Publishes ports of the host that lead to a container.",
  type: "object",
  properties: {
    backend: {
      enum: ["auto", "iptables", "nftables"],
      description: "What keeps the rules; auto, the default, is nftables where the kernel has it.",
      "x-message": 'unrecognized backend "${value}"',
    },
    snat: {
      type: "boolean",
      default: true,
      description:
        "Let the host, the container itself and its neighbours use the ports, who then see each other as the host.",
    },
    masqAll: {
      type: "boolean",
      default: false,
      description: "Give every connection the host's address as its source. Only with snat.",
    },
    markMasqBit: {
      type: "integer",
      minimum: 0,
      maximum: 31,
      description: "Bit of the mark that asks for masquerading, 13 unless given. iptables alone.",
      "x-message": "MasqMarkBit must be between 0 and 31",
    },
    externalSetMarkChain: {
      type: "string",
      description: "Chain that sets the mark, such as KUBE-MARK-MASQ; not with markMasqBit. iptables alone.",
    },
    conditionsV4: {
      ...words,
      description: "What an IPv4 packet must fulfil besides, in words of nft or of iptables.",
    },
    conditionsV6: { ...words, description: "What an IPv6 packet must fulfil besides." },
    ...netConfKeys,
    runtimeConfig: {
      type: "object",
      default: {},
      description: netConfKeys.runtimeConfig.description,
      properties: {
        portMappings: {
          type: "array",
          default: [],
          description: "Capability portMappings: the ports to publish.",
          items: {
            type: "object",
            properties: {
              hostPort: { type: "integer", default: 0, description: "Port of the host, 1 to 65535." },
              containerPort: {
                type: "integer",
                default: 0,
                description: "Port of the container, 1 to 65535.",
              },
              protocol: { type: "string", default: "", description: "tcp, udp or sctp." },
              hostIP: { type: "string", default: "", description: "Address of the host; any unless given." },
            },
            additionalProperties: false,
          },
        },
      },
    },
  },
  required: ["name"],
  additionalProperties: false,
} as const satisfies Schema;

export type Config = FromSchema<typeof schema>;
