/** etcd-ipam: its configuration. */
import type { FromSchema } from "json-schema-to-ts";
import { netConfKeys, type Schema } from "../../lib/cni/schema.ts";
import { etcdKeys } from "../../lib/etcd/settings.ts";
import { leaseRangeKeys, requestKeys, resolvConf } from "../../lib/ipam/keys.ts";

export const schema = {
  title: "etcd-ipam",
  description: "Leases addresses out of ranges that all hosts of a cluster share, and keeps them in etcd.",
  type: "object",
  properties: {
    ...netConfKeys,
    ipam: {
      type: "object",
      description: "Address management.",
      properties: {
        type: { type: "string", default: "", description: "`etcd-ipam`." },
        ...leaseRangeKeys,
        resolvConf,
        etcd: etcdKeys,
      },
      additionalProperties: false,
    },
    ...requestKeys,
  },
  required: ["name"],
  additionalProperties: false,
} as const satisfies Schema;

export type Config = FromSchema<typeof schema>;
