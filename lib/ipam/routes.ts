/** The routes of an IPAM configuration: their keys, and how they become a result's. */
import { CniError } from "../cni/error.ts";
import { parseResult, type Route } from "../cni/result.ts";
import type { Schema } from "../cni/schema.ts";

export const routes = {
  type: "array",
  default: [],
  description: "Routes for the container.",
  items: {
    type: "object",
    properties: {
      dst: { type: "string", description: "Destination, as 0.0.0.0/0." },
      gw: { type: "string", description: "Next hop; the gateway of an address unless given." },
      mtu: { type: "integer", description: "Path MTU, in bytes." },
      advmss: { type: "integer", description: "Largest TCP segment to announce, in bytes." },
      priority: { type: "integer", description: "Metric." },
      table: { type: "integer", description: "Routing table." },
      scope: { type: "integer", description: "RT_SCOPE_*: 0 universe, 253 link, 254 host." },
    },
    required: ["dst"],
    additionalProperties: false,
  },
} as const satisfies Schema;

/** @throws CniError 7 that names the key */
export function parseRoutes(configured: readonly object[]): readonly Route[] | undefined {
  try {
    return parseResult({ routes: configured }, "1.1.0").routes;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new CniError(CniError.INVALID_NETWORK_CONFIG, `failed to load netconf: ipam.${error.message}`);
  }
}
