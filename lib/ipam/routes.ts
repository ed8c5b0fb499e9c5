/** The routes of an IPAM configuration: their keys, and how they become a result's. */
import { CniError } from "../cni/error.ts";
import { parseResult, type Route } from "../cni/result.ts";
import type { Schema } from "../cni/schema.ts";

/** What the kernel takes: its attributes are 32-bit numbers (linux/rtnetlink.h RTA_*, RTAX_*). */
const U32_MAX = 0xffff_ffff;

export const routes = {
  type: "array",
  default: [],
  description: "Routes for the container.",
  items: {
    type: "object",
    properties: {
      dst: { type: "string", description: "Destination, as 0.0.0.0/0." },
      gw: { type: "string", description: "Next hop; the gateway of an address unless given." },
      mtu: { type: "integer", minimum: 0, maximum: U32_MAX, description: "Path MTU, in bytes." },
      advmss: {
        type: "integer",
        minimum: 0,
        maximum: U32_MAX,
        description: "Largest TCP segment to announce, in bytes.",
      },
      priority: { type: "integer", minimum: 0, maximum: U32_MAX, description: "Metric." },
      table: { type: "integer", minimum: 0, maximum: U32_MAX, description: "Routing table." },
      scope: {
        type: "integer",
        minimum: 0,
        maximum: 255,
        description: "RT_SCOPE_*: 0 universe, 253 link, 254 host.",
      },
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
