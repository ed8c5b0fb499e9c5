/** The table of keys in a plugin's README, and its published JSON Schema, both made from the constant. */

/** The part of JSON Schema (draft 7) that the plugins use. */
export interface SchemaNode {
  readonly $schema?: string;
  readonly $id?: string;
  readonly title?: string;
  readonly description?: string;
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly default?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly additionalProperties?: boolean | SchemaNode;
  readonly items?: SchemaNode;
  readonly anyOf?: readonly SchemaNode[];
  readonly oneOf?: readonly SchemaNode[];
  readonly [other: string]: unknown;
}

/**
 * A Markdown table, one line a key; nested keys are dotted, `[]` steps into an array.
 * @throws Error when a key has no description
 */
export function keyTable(schema: SchemaNode): string {
  return ["| key | type | default | meaning |", "|---|---|---|---|", ...keyRows(schema, "")].join("\n");
}

/** The schema as editors read it. */
export function publishedSchema(name: string, schema: SchemaNode): string {
  const head = {
    $schema: "http://json-schema.org/draft-07/schema#",
    $id: `urn:weft:schema:${name}`,
    title: `Configuration of the CNI plugin ${name}`,
  };
  const text = JSON.stringify(
    { ...head, ...schema },
    (key, value) => (key.startsWith("x-") ? undefined : value),
    2,
  );
  return `${text}\n`;
}

function keyRows(node: SchemaNode, prefix: string): string[] {
  return Object.entries(node.properties ?? {}).flatMap(([name, child]) => {
    const key = prefix + name;
    if (!child.description) throw new Error(`Key "${key}" has no description`);
    const cells = [
      `\`${key}\``,
      typeText(child),
      defaultText(child, node.required?.includes(name)),
      child.description,
    ];
    return [`| ${cells.map(escapeCell).join(" | ")} |`, ...nestedRows(child, key)];
  });
}

/** Of an object: its keys. Of an array, however deep: the keys of what it holds. */
function nestedRows(node: SchemaNode, path: string): string[] {
  if (node.items) return nestedRows(node.items, `${path}[]`);
  const branches = [node, ...(node.anyOf ?? []), ...(node.oneOf ?? [])];
  return branches.flatMap((branch) => keyRows(branch, `${path}.`));
}

function typeText(node: SchemaNode): string {
  if (node.const !== undefined) return literal(node.const);
  if (node.enum) return node.enum.map(literal).join(", ");
  const branches = node.anyOf ?? node.oneOf;
  if (branches && node.type === undefined) return branches.map(typeText).join(" or ");
  if (node.items) return `array of ${typeText(node.items)}`;
  const type = typeof node.type === "string" ? node.type : (node.type?.join(" or ") ?? "any");
  return type + boundsText(node);
}

function boundsText({ minimum, maximum }: SchemaNode): string {
  if (minimum !== undefined && maximum !== undefined) return `, ${minimum} to ${maximum}`;
  if (minimum !== undefined) return `, at least ${minimum}`;
  return maximum === undefined ? "" : `, at most ${maximum}`;
}

function defaultText(node: SchemaNode, required: boolean | undefined): string {
  if (node.default !== undefined) return literal(node.default);
  return required ? "required" : "";
}

function literal(value: unknown): string {
  return `\`${JSON.stringify(value)}\``;
}

function escapeCell(text: string): string {
  return text.replaceAll("|", "\\|").replace(/\s+/g, " ").trim();
}
