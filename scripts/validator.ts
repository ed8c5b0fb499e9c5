/**
 * The text of a plugin's validator: ajv's standalone output, made fit for an executable that forbids code
 * generation at run time and carries no node_modules.
 *
 * Reference: https://ajv.js.org/standalone.html
 */
import { Ajv } from "ajv";
import standalone from "ajv/dist/standalone/index.js";
import { AJV_OPTIONS } from "../lib/cni/ajv-options.ts";
import type { SchemaNode } from "./key-table.ts";

/** What ajv's output requires from its own package, written out. Only JSON values are ever compared. */
const RUNTIME: Record<string, string> = {
  ucs2length: "(text) => Array.from(text).length",
  equal: `function equal(a, b) {
  if (a === b) return true;
  if (a === null || b === null || typeof a !== "object" || typeof b !== "object") return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  return keys.every((key) => Object.hasOwn(b, key) && equal(a[key], b[key]));
}`,
};

/**
 * ESM text with one default export.
 * @throws Error when the schema is invalid, or needs what cannot be bundled
 */
export function validatorText(schema: SchemaNode): string {
  const ajv = new Ajv({
    ...AJV_OPTIONS,
    code: { ...AJV_OPTIONS.code, source: true, esm: true, lines: true },
  });
  const text = standalone(ajv, ajv.compile(schema));
  const inlined = text.replace(
    /require\("ajv\/dist\/runtime\/(\w+)"\)\.default/g,
    (all, name) => RUNTIME[name] ?? all,
  );
  const left = /require\([^)]*\)|new Function/.exec(inlined);
  if (left) throw new Error(`Cannot bundle the validator: it contains ${left[0]}`);
  return inlined;
}

/** What TypeScript is told of that text. */
export const VALIDATOR_DECLARATION = `import type { ErrorObject } from "ajv";
declare const validate: ((data: unknown) => boolean) & { errors?: ErrorObject[] | null };
export default validate;
`;
