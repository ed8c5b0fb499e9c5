/** Recorded rules as text: a line that says the rule, then an expression a line, longer ones over several. */

/** By the rule's text, its expressions as the kernel has them: name and attributes. */
export type GoldenRules = ReadonlyMap<string, readonly { name: string; data: Uint8Array }[]>;

export function goldenRules(text: string): GoldenRules {
  const rules = new Map<string, { name: string; hex: string }[]>();
  let last: { name: string; hex: string }[] = [];
  for (const line of text.split("\n").filter((each) => each !== "")) {
    const [, name = "", hex = ""] = /^ {2}(\S+) *([0-9a-f]*)$/.exec(line) ?? [];
    if (!line.startsWith(" ")) {
      last = [];
      rules.set(line, last);
    } else if (name !== "") last.push({ name, hex });
    else {
      const expression = last.at(-1);
      if (expression) expression.hex += line.trim();
    }
  }
  return new Map(
    [...rules].map(([rule, expressions]) => [
      rule,
      expressions.map(({ name, hex }) => ({ name, data: Uint8Array.fromHex(hex) })),
    ]),
  );
}
