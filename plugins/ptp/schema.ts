/** ptp: its configuration. */
import type { FromSchema } from "json-schema-to-ts";
import { argsWithMac, runtimeConfigWithMac } from "../../lib/cni/mac-keys.ts";
import { netConfKeys, type Schema } from "../../lib/cni/schema.ts";
import { masqueradeKeys } from "../../lib/masquerade/masquerade-keys.ts";

export const schema = {
  title: "ptp",
  description: "Connects each container to the host by a routed veth pair of its own, without a bridge.",
  type: "object",
  properties: {
    ...masqueradeKeys,
    mtu: {
      type: "integer",
      minimum: 0,
      maximum: 65535,
      default: 0,
      description: "MTU of both ends of the pair, in bytes; 0 leaves the kernel's.",
    },
    ...netConfKeys,
    args: argsWithMac,
    runtimeConfig: runtimeConfigWithMac,
  },
  required: ["name"],
  additionalProperties: false,
} as const satisfies Schema;

export type Config = FromSchema<typeof schema>;
