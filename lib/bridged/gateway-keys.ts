/** The bridge as the containers' gateway: keys of a configuration. */
import type { Schema } from "../cni/schema.ts";
import { masqueradeKeys } from "../masquerade/masquerade-keys.ts";

export const gatewayKeys = {
  isGateway: { type: "boolean", default: false, description: "Give the bridge the gateway's address." },
  isDefaultGateway: {
    type: "boolean",
    default: false,
    description: "Also make it the containers' default route. Implies isGateway.",
  },
  forceAddress: {
    type: "boolean",
    default: false,
    description: "Replace an address of the bridge that differs from the gateway's.",
  },
  ...masqueradeKeys,
} as const satisfies Readonly<Record<string, Schema>>;
