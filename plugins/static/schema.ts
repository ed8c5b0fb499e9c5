/** static: its configuration. */
import type { FromSchema } from "json-schema-to-ts";
import { dns, netConfKeys, type Schema } from "../../lib/cni/schema.ts";
import { routes } from "../../lib/ipam/routes.ts";

const ips = { type: "array", items: { type: "string" }, default: [] } as const;

export const schema = {
  title: "static",
  description: "Gives a container the addresses that its configuration names.",
  type: "object",
  properties: {
    ...netConfKeys,
    ipam: {
      type: "object",
      description: "Address management.",
      properties: {
        type: { type: "string", default: "", description: "`static`." },
        addresses: {
          type: "array",
          default: [],
          description: "The addresses.",
          items: {
            type: "object",
            properties: {
              address: { type: "string", description: "Address with its prefix length, as 10.0.0.5/24." },
              gateway: { type: "string", description: "Gateway of its network." },
            },
            required: ["address"],
            additionalProperties: false,
          },
        },
        routes,
        dns,
      },
      additionalProperties: false,
    },
    args: {
      type: "object",
      default: {},
      description: netConfKeys.args.description,
      properties: {
        cni: {
          type: "object",
          default: {},
          description: "Arguments by convention.",
          properties: {
            ips: { ...ips, description: "Addresses with prefix length, in place of `ipam.addresses`." },
          },
        },
      },
    },
    runtimeConfig: {
      type: "object",
      default: {},
      description: netConfKeys.runtimeConfig.description,
      properties: {
        ips: { ...ips, description: "Capability ips: addresses with prefix length, in place of all others." },
      },
    },
  },
  required: ["name"],
  additionalProperties: false,
} as const satisfies Schema;

export type Config = FromSchema<typeof schema>;
