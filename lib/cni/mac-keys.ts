/** The keys by which a MAC can be asked for. */
import { netConfKeys, type Schema } from "./schema.ts";

export const mac = {
  type: "string",
  default: "",
  description: "MAC of the container's interface.",
} as const satisfies Schema;

/** By the capability `mac`. */
export const runtimeConfigWithMac = {
  type: "object",
  default: {},
  description: netConfKeys.runtimeConfig.description,
  properties: { mac: { ...mac, description: "Capability mac: MAC of the container's interface." } },
} as const satisfies Schema;

/** By the convention `args.cni.mac`. */
export const argsWithMac = {
  type: "object",
  default: {},
  description: netConfKeys.args.description,
  properties: {
    cni: { type: "object", default: {}, properties: { mac }, description: "Arguments by convention." },
  },
} as const satisfies Schema;
