/** The keys of plugins whose interfaces have a master. */
import type { Schema } from "./cni/schema.ts";

/** Of those for which the master may also be made: macvlan and ipvlan. */
export const masterKeys = {
  master: {
    type: "string",
    default: "",
    description:
      "Interface of the host below; that of the default route unless given. eth0.10 is made if need be.",
  },
  vlan: {
    type: "integer",
    minimum: 0,
    maximum: 4094,
    default: 0,
    description: "VLAN whose sub-interface of master is made and used; 0 is none.",
    "x-message": "invalid VLAN ID ${value} (must be between 0 and 4094)",
  },
  internal: {
    type: "boolean",
    default: false,
    description:
      "Without a master: one is made that leads nowhere, so that containers reach only each other.",
  },
  mtu: {
    type: "integer",
    minimum: 0,
    maximum: 65535,
    default: 0,
    description: "MTU in bytes, at most the master's; 0 takes that over.",
  },
  linkInContainer: {
    type: "boolean",
    default: false,
    description: "The master is in the container's namespace, not on the host.",
  },
} as const satisfies Readonly<Record<string, Schema>>;
