/**
 * How ajv reads the schemas of the plugins. One place, since
 * the build makes the validators and the tests check them.
 *
 * Reference: https://ajv.js.org/options.html
 */
import type { Options } from "ajv";

export const AJV_OPTIONS: Options = {
  allErrors: true, // every violation is reported in one answer
  useDefaults: true, // an absent key takes the schema's default
  strict: true,
  allowUnionTypes: true,
  strictRequired: false, // a branch of anyOf may require a key that its parent describes
  keywords: ["x-message"], // the text for a violated keyword, where the wording is fixed by habit
};
