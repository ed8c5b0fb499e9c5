/** macvlan: its configuration. */
import type { FromSchema } from "json-schema-to-ts";
import { mac, runtimeConfigWithMac } from "../../lib/cni/mac-keys.ts";
import { netConfKeys, type Schema } from "../../lib/cni/schema.ts";
import { masterKeys } from "../../lib/master-keys.ts";

export const schema = {
  title: "macvlan",
  description: "Puts containers on the network of a host's interface, each with a MAC of its own.",
  type: "object",
  properties: {
    ...masterKeys,
    mode: {
      enum: ["", "bridge", "private", "vepa", "passthru"],
      default: "bridge",
      description:
        "Whether containers of one master reach each other: directly, not, or by way of its switch.",
      "x-message": 'unknown macvlan mode: "${value}"',
    },
    mac,
    bcqueuelen: {
      type: "integer",
      minimum: 0,
      maximum: 0xffff_ffff,
      default: 0,
      description: "Broadcasts to keep in the master's queue; 0 leaves the kernel's 1,000.",
    },
    hostAccess: {
      type: "boolean",
      default: false,
      description:
        "Let host and container reach each other, which a macvlan and its master do not; mode bridge.",
    },
    hostAccessAddresses: {
      type: "array",
      items: { type: "string" },
      default: [],
      description:
        "Addresses of the host to be reached; those of the master in the containers' subnets unless given.",
    },
    ...netConfKeys,
    runtimeConfig: runtimeConfigWithMac,
  },
  required: ["name"],
  additionalProperties: false,
} as const satisfies Schema;

export type Config = FromSchema<typeof schema>;
