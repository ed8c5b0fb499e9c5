/**
 * A plugin's configuration: JSON text, read the way Go's
 * encoding/json reads it, checked against the plugin's schema.
 *
 * Keys match in any case and the last one given wins; unknown keys are ignored; null is as good
 * as absent. What is wrong is an error that names the key, its value and what would be right.
 *
 * Reference: CNI spec 1.1 §1 "Plugin configuration objects".
 */
import { isIdentifier } from "./environment.ts";
import { CniError, invalidConfig } from "./error.ts";
import { isObject, type JsonObject, setKey } from "./json.ts";
import type { Dns } from "./result.ts";
import type { Schema } from "./schema.ts";
import { at, describeViolations, steps, type Violation } from "./violation.ts";

/** What every configuration has; each plugin's own comes from its schema. */
export interface NetConf {
  readonly cniVersion: string;
  readonly name: string;
  readonly type?: string;
  readonly ipam?: { readonly type?: string };
  readonly dns?: Dns;
  readonly args?: object;
  readonly runtimeConfig?: object;
  readonly prevResult?: object;
  readonly "cni.dev/valid-attachments"?: readonly Attachment[];
}

/** A container's interface in a network, by the CNI_CONTAINERID and CNI_IFNAME of its ADD. */
export interface Attachment {
  readonly containerID: string;
  readonly ifname: string;
}

/**
 * A validator made from a schema: fills in the defaults,
 * says whether the value fits, and leaves `errors` behind.
 */
export interface Validate {
  (data: unknown): boolean;
  readonly errors?: readonly Violation[] | null;
}

/** A configuration of which only name and version are known to be right. */
export type Decoded = Record<string, unknown> & Pick<NetConf, "cniVersion" | "name">;

const ATTACHMENTS = "/cni.dev~1valid-attachments";

/** Reads the text, each key under the name the schema has for it. @throws CniError */
export function decodeConfig(text: string, schema: Schema): Decoded {
  const config = withSchemaKeys(parseObject(text), schema) as Record<string, unknown>; // an object stays one
  const { name = "", cniVersion = "" } = config;
  if (typeof name !== "string") throw undecodable("name is not a string");
  if (typeof cniVersion !== "string") throw undecodable("cniVersion is not a string");
  if (name === "") throw invalidConfig("missing network name");
  if (!isIdentifier(name)) throw invalidConfig("invalid characters found in network name", name);
  return { ...config, name, cniVersion: cniVersion || "0.1.0" };
}

/**
 * Checks a configuration against the plugin's schema and fills in the defaults, in place.
 *
 * With `lenient` a key whose value is wrong counts as absent. That is for DEL and GC: an ADD of
 * such a configuration changed nothing, and what was made before it was spoilt must still be
 * undone. A key required at the top may then be missing. What a GC must keep is never guessed at.
 * @throws CniError
 */
export function validateConfig<C extends NetConf>(
  config: Decoded,
  plugin: { readonly schema: Schema; readonly validate: Validate },
  options: { lenient: boolean },
): C {
  const { schema, validate } = plugin;
  if (!validate(config)) {
    const violations = validate.errors ?? [];
    const fatal = violations.filter((it) => !options.lenient || it.instancePath.startsWith(ATTACHMENTS));
    const [msg, ...others] = describeViolations(fatal, config, schema);
    if (msg !== undefined) throw invalidConfig(msg, others.join("; "));
    for (const { instancePath } of violations) removeKey(config, steps(instancePath));
    validate(config); // for the defaults of what was removed
  }
  return config as unknown as C; // what the schema describes is C, and the value fits the schema
}

/** Removes the innermost key on the path that has a name: a list with a bad element goes as a whole. */
function removeKey(config: Decoded, path: readonly string[]): void {
  const last = path.findLastIndex((step) => !/^\d+$/.test(step));
  const parent = at(config, path.slice(0, Math.max(last, 0)));
  const key = path[last];
  if (key !== undefined && isObject(parent)) Reflect.deleteProperty(parent, key);
}

function parseObject(text: string): JsonObject {
  if (text.trim() === "") throw undecodable("unexpected end of JSON input");
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw undecodable(error instanceof Error ? error.message : String(error));
  }
  if (!isObject(value)) throw undecodable("the configuration is not a JSON object");
  return value;
}

function withSchemaKeys(value: unknown, schema: Schema): unknown {
  const { properties = {}, additionalProperties = true, items } = schema;
  if (Array.isArray(value)) return items ? value.map((item) => withSchemaKeys(item, items)) : value;
  if (!isObject(value)) return value;
  const object: Record<string, unknown> = {};
  for (const given in value) {
    const child = value[given];
    const key = findKey(properties, given);
    if (key === undefined && typeof additionalProperties === "object") {
      setKey(object, given, withSchemaKeys(child, additionalProperties));
    } else if (key === undefined && additionalProperties) {
      setKey(object, given, child);
    } else if (key !== undefined && child !== null) {
      object[key] = withSchemaKeys(child, properties[key] ?? {});
    }
  }
  return object;
}

function findKey(properties: Readonly<Record<string, Schema>>, given: string): string | undefined {
  if (Object.hasOwn(properties, given)) return given;
  const folded = given.toLowerCase();
  return Object.keys(properties).find((key) => key.toLowerCase() === folded);
}

function undecodable(reason: string): CniError {
  return new CniError(CniError.DECODING_FAILURE, `error unmarshall network config: ${reason}`);
}
