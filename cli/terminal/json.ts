/** What --json prints. */

/** One document, indented; what is not known is null, so that every key is always there. */
export function jsonText(value: unknown): string {
  return JSON.stringify(value, (_key, each) => (each === undefined ? null : each), 2);
}
