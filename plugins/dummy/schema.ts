/** dummy: its configuration. */
import type { FromSchema } from "json-schema-to-ts";
import { netConfKeys, type Schema } from "../../lib/cni/schema.ts";

export const schema = {
  title: "dummy",
  description: "Gives containers an interface with addresses that leads nowhere.",
  type: "object",
  properties: netConfKeys,
  required: ["name"],
  additionalProperties: false,
} as const satisfies Schema;

export type Config = FromSchema<typeof schema>;
