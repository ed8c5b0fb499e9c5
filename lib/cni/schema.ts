/**
 * The JSON Schema of a plugin's configuration: the vocabulary
 * it is written in, and the keys all plugins share.
 *
 *   export const schema = {
 *     type: "object",
 *     properties: { ...netConfKeys, mtu: { type: "integer", minimum: 0, description: "Bytes." } },
 *     required: ["name"],
 *     additionalProperties: false,
 *   } as const satisfies Schema;
 *   export type Config = FromSchema<typeof schema>; // json-schema-to-ts
 *
 * `additionalProperties: false` makes a misspelled key an error to the compiler and to an editor. At run time
 * unknown keys are left out of the configuration, as the specification asks, before anything is validated.
 *
 * Reference: JSON Schema draft 7; CNI spec 1.1 §1 "Plugin configuration objects".
 */

/** The part of JSON Schema that our schemas use. */
export interface Schema {
  readonly title?: string;
  readonly description?: string;
  readonly type?: SchemaType | readonly SchemaType[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly default?: unknown;
  readonly examples?: readonly unknown[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly pattern?: string;
  readonly items?: Schema;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly uniqueItems?: boolean;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  /** false: other keys are dropped when read. A schema: the object is a map, whose keys keep their case. */
  readonly additionalProperties?: boolean | Schema;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  /**
   * The whole text of the error when this value violates
   * anything but its type; ${value} stands for the value.
   */
  readonly "x-message"?: string;
}

export type SchemaType = "string" | "number" | "integer" | "boolean" | "object" | "array" | "null";

/** Keys of a network's DNS settings, in a configuration and in a result alike. */
export const dns = {
  type: "object",
  description: "DNS settings for the container.",
  properties: {
    nameservers: {
      type: "array",
      items: { type: "string" },
      description: "Addresses, in order of preference.",
    },
    domain: { type: "string", description: "Local domain for short names." },
    search: { type: "array", items: { type: "string" }, description: "Search domains." },
    options: { type: "array", items: { type: "string" }, description: "Resolver options." },
  },
  additionalProperties: false,
} as const satisfies Schema;

/**
 * Keys every plugin understands. A plugin that reads inside
 * `ipam`, `args` or `runtimeConfig` lists its own after these.
 */
export const netConfKeys = {
  cniVersion: { type: "string", default: "0.1.0", description: "Version of the CNI specification." },
  name: { type: "string", description: "Name of the network, unique on the host." },
  type: { type: "string", description: "File name of the plugin." },
  ipam: {
    type: "object",
    description: "Address management: its `type`, and that plugin's own keys.",
    properties: { type: { type: "string", default: "", description: "File name of the IPAM plugin." } },
    default: {},
  },
  dns,
  args: { type: "object", description: "Arguments of the runtime, by convention under `cni`." },
  runtimeConfig: { type: "object", description: "Values of the capabilities, set by the runtime." },
  capabilities: { type: "object", description: "Capabilities the runtime may use; it removes this key." },
  prevResult: { type: "object", description: "Result of the plugin before, set by the runtime." },
  "cni.dev/valid-attachments": {
    type: "array",
    description: "GC: what is in use, set by the runtime.",
    items: {
      type: "object",
      properties: {
        containerID: { type: "string", minLength: 1, description: "CNI_CONTAINERID of its ADD." },
        ifname: { type: "string", minLength: 1, description: "CNI_IFNAME of its ADD." },
      },
      required: ["containerID", "ifname"],
    },
  },
} as const satisfies Readonly<Record<string, Schema>>;
