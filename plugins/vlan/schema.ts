/** vlan: its configuration. */
import type { FromSchema } from "json-schema-to-ts";
import { netConfKeys, type Schema } from "../../lib/cni/schema.ts";
import { masterKeys } from "../../lib/master-keys.ts";

export const schema = {
  title: "vlan",
  description: "Gives a container an 802.1Q VLAN of a host's interface.",
  type: "object",
  properties: {
    master: {
      ...masterKeys.master,
      description: "Interface below, whose frames of the VLAN are the container's.",
    },
    vlanId: {
      type: "integer",
      minimum: 0,
      maximum: 4094,
      default: 0,
      description: "The VLAN. 0 is frames with a priority and no VLAN.",
      "x-message": "invalid VLAN ID ${value} (must be between 0 and 4094)",
    },
    mtu: masterKeys.mtu,
    linkInContainer: masterKeys.linkInContainer,
    ...netConfKeys,
  },
  required: ["name"],
  additionalProperties: false,
} as const satisfies Schema;

export type Config = FromSchema<typeof schema>;
