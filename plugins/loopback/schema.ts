/** loopback: its configuration, which has no keys of its own. */
import type { FromSchema } from "json-schema-to-ts";
import { netConfKeys, type Schema } from "../../lib/cni/schema.ts";

export const schema = {
  title: "loopback",
  description: "Sets up the loopback interface of a container.",
  type: "object",
  properties: netConfKeys,
  required: ["name"],
  additionalProperties: false,
} as const satisfies Schema;

export type Config = FromSchema<typeof schema>;
