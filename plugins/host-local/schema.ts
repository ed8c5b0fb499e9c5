/** host-local: its configuration. */
import type { FromSchema } from "json-schema-to-ts";
import { netConfKeys, type Schema } from "../../lib/cni/schema.ts";
import { leaseRangeKeys, requestKeys, resolvConf } from "../../lib/ipam/keys.ts";

export const schema = {
  title: "host-local",
  description: "Leases addresses out of ranges that belong to this host alone.",
  type: "object",
  properties: {
    ...netConfKeys,
    ipam: {
      type: "object",
      description: "Address management.",
      properties: {
        type: { type: "string", default: "", description: "`host-local`." },
        ...leaseRangeKeys,
        dataDir: {
          type: "string",
          default: "/var/lib/cni/networks",
          pattern: "^[^\\u0000]*$",
          description: "Directory of the leases, in which each network has its own.",
        },
        resolvConf,
      },
      additionalProperties: false,
    },
    ...requestKeys,
  },
  required: ["name"],
  additionalProperties: false,
} as const satisfies Schema;

export type Config = FromSchema<typeof schema>;
