/** ipvlan: its configuration. */
import type { FromSchema } from "json-schema-to-ts";
import { netConfKeys, type Schema } from "../../lib/cni/schema.ts";
import { masterKeys } from "../../lib/master-keys.ts";

export const schema = {
  title: "ipvlan",
  description:
    "Puts containers on the network of a host's interface under its MAC, each with addresses of its own.",
  type: "object",
  properties: {
    ...masterKeys,
    mode: {
      enum: ["", "l2", "l3", "l3s"],
      default: "l2",
      description:
        "l2 switches by ARP, l3 routes without; l3s also lets the host's netfilter see it. One a master.",
      "x-message": 'unknown ipvlan mode: "${value}"',
    },
    flag: {
      enum: ["bridge", "private", "vepa"],
      default: "bridge",
      description:
        "Whether containers of one master reach each other: directly, not, or by way of its switch.",
      "x-message": 'unknown ipvlan flag: "${value}"',
    },
    ...netConfKeys,
  },
  required: ["name"],
  additionalProperties: false,
} as const satisfies Schema;

export type Config = FromSchema<typeof schema>;
