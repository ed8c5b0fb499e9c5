/**
 * What a schema's validator found wrong, in words: which key, what its value is, what it may be.
 *
 * Paths are JSON pointers (RFC 6901) as ajv gives them; people read "ipam.ranges[0].subnet".
 */
import { shown } from "./json.ts";
import type { Schema, SchemaType } from "./schema.ts";

/** The part of ajv's ErrorObject that is used here. */
export interface Violation {
  readonly instancePath: string;
  readonly schemaPath: string;
  readonly keyword: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly message?: string;
}

const TYPE_WORDS: Readonly<Record<SchemaType, string>> = {
  string: "a string",
  number: "a number",
  integer: "an integer",
  boolean: "true or false",
  object: "an object",
  array: "a list",
  null: "null",
};
/** Keywords of which allowedBy() speaks; of the others ajv's own message does. */
const SPOKEN_OF = ["type", "enum", "const", "minimum", "maximum", "anyOf", "oneOf", "required"];

/**
 * One sentence a violation; what the branches of an alternative
 * found says less than that none fits, and is left out.
 */
export function describeViolations(
  violations: readonly Violation[],
  config: unknown,
  schema: Schema,
): string[] {
  const branches = violations.filter(({ keyword }) => keyword === "anyOf" || keyword === "oneOf");
  return violations
    .filter(({ schemaPath }) => !branches.some((branch) => schemaPath.startsWith(`${branch.schemaPath}/`)))
    .map((violation) => describe(violation, config, schema));
}

function describe(
  { instancePath, schemaPath, keyword, params, message }: Violation,
  config: unknown,
  schema: Schema,
): string {
  const path = steps(instancePath);
  let node = at(schema, steps(schemaPath).slice(0, -1)) as Schema; // the schema's own path, less the keyword
  if (keyword === "required") {
    const key = String(params["missingProperty"]);
    path.push(key);
    node = node.properties?.[key] ?? {};
  }
  const value = at(config, path);
  const fixed = node["x-message"];
  if (fixed !== undefined && keyword !== "type") {
    return fixed.replaceAll("${value}", () => (typeof value === "string" ? value : shown(value)));
  }
  const wanted = SPOKEN_OF.includes(keyword) ? `must be ${allowedBy(node)}` : message;
  const found =
    value === undefined ? `missing "${dotted(path)}"` : `invalid value ${shown(value)} for "${dotted(path)}"`;
  return `failed to load netconf: ${found}: ${wanted}`;
}

function allowedBy(node: Schema): string {
  if (node.const !== undefined) return JSON.stringify(node.const);
  if (node.enum) return `one of ${node.enum.map((value) => JSON.stringify(value)).join(", ")}`;
  const alternatives = node.anyOf ?? node.oneOf;
  if (alternatives) return alternatives.map(allowedBy).join(" or ");
  const types = [node.type ?? []].flat().map((type) => TYPE_WORDS[type]);
  return types.join(" or ") + boundsOf(node);
}

function boundsOf({ minimum, maximum }: Schema): string {
  if (minimum !== undefined && maximum !== undefined) return ` from ${minimum} to ${maximum}`;
  if (minimum !== undefined) return ` of at least ${minimum}`;
  return maximum === undefined ? "" : ` of at most ${maximum}`;
}

/** The steps of a JSON pointer; the "#" or "" before the first slash is none. */
export function steps(pointer: string): string[] {
  return pointer
    .split("/")
    .slice(1)
    .map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));
}

/** The value a path leads to; undefined where it leads nowhere. */
export function at(root: unknown, path: readonly string[]): unknown {
  // any value can be asked
  return path.reduce<unknown>((node, step) => (Object(node) as Record<string, unknown>)[step], root);
}

function dotted(path: readonly string[]): string {
  return path
    .map((step) => (/^\d+$/.test(step) ? `[${step}]` : `.${step}`))
    .join("")
    .replace(/^\./, "");
}
