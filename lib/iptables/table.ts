/**
 * A table of iptables: as iptables-save showed it, and as it is to become. What differs is what
 * iptables-restore gets.
 */
import { optionOf, ruleKey } from "./rule.ts";

export class Table {
  readonly name: string;
  readonly #policies = new Map<string, string>();
  readonly #saved = new Map<string, readonly string[]>();
  readonly #chains: Map<string, readonly string[]>;

  /** @param text what `iptables-save -t name` printed */
  constructor(name: string, text: string) {
    this.name = name;
    const saved = new Map<string, string[]>();
    for (const line of text.split("\n")) {
      if (line.startsWith(":")) {
        const [chain = "", policy = "-"] = line.slice(1).split(" ", 2);
        this.#policies.set(chain, policy);
        saved.set(chain, []);
      } else if (line.startsWith("-A ")) {
        const end = line.indexOf(" ", 3);
        if (end > 0) saved.get(line.slice(3, end))?.push(line.slice(end + 1));
      }
    }
    this.#saved = saved;
    this.#chains = new Map(saved);
  }

  /** "ACCEPT" or "DROP"; "-" for a chain of somebody's own. */
  policy(chain: string): string | undefined {
    return this.#policies.get(chain);
  }

  /** Whether there is more than in a new table: a rule, a chain of somebody's own, a policy that drops. */
  get isUsed(): boolean {
    return this.chains.some((chain) => this.policy(chain) !== "ACCEPT" || this.rules(chain).length > 0);
  }

  get chains(): string[] {
    return [...this.#chains.keys()];
  }

  has(chain: string): boolean {
    return this.#chains.has(chain);
  }

  /** The rules of a chain, without "-A chain"; none where there is no such chain. */
  rules(chain: string): readonly string[] {
    return this.#chains.get(chain) ?? [];
  }

  /** Whether a rule that says the same is there. */
  includes(chain: string, text: string): boolean {
    const rules = this.rules(chain);
    if (rules.includes(text)) return true;
    const target = optionOf(text, "-j") ?? "";
    const key = ruleKey(text);
    // Only what could be the same is taken apart: a chain may hold thousands.
    return rules.some((rule) => rule.includes(target) && ruleKey(rule) === key);
  }

  isReferenced(chain: string): boolean {
    const leadsThere = (rule: string) =>
      rule.includes(chain) && (optionOf(rule, "-j") === chain || optionOf(rule, "-g") === chain);
    for (const rules of this.#chains.values()) if (rules.some(leadsThere)) return true;
    return false;
  }

  ensureChain(chain: string): void {
    if (!this.has(chain)) this.#chains.set(chain, []);
  }

  /** Adds a rule that is not there, at the end of its chain or first in it. */
  ensureRule({ chain, text, isFirst = false }: { chain: string; text: string; isFirst?: boolean }): void {
    this.ensureChain(chain);
    if (this.includes(chain, text)) return;
    const rules = this.rules(chain);
    this.#chains.set(chain, isFirst ? [text, ...rules] : [...rules, text]);
  }

  /** Makes the rules of a chain these, in this order. */
  replaceRules(chain: string, rules: readonly string[]): void {
    const saved = this.rules(chain);
    const isSame = rules.every((rule, at) => ruleKey(rule) === ruleKey(saved[at] ?? ""));
    if (!isSame || rules.length !== saved.length || !this.has(chain)) this.#chains.set(chain, rules);
  }

  deleteRules(chain: string, isUnwanted: (text: string) => boolean): void {
    const rules = this.rules(chain);
    const kept = rules.filter((rule) => !isUnwanted(rule));
    if (kept.length < rules.length) this.#chains.set(chain, kept);
  }

  /** Deletes the jumps to a chain that are in another one. */
  deleteJumps(from: string, to: string): void {
    this.deleteRules(from, (rule) => rule.includes(to) && optionOf(rule, "-j") === to);
  }

  /** Deletes a chain with its rules, unless something still leads to it. */
  deleteChain(chain: string): void {
    if (!this.isReferenced(chain)) this.#chains.delete(chain);
  }

  /**
   * What makes the saved table this one, as iptables-restore takes it; "" when they are the same. A chain
   * gets either "-F" or "-D": the variant built on nf_tables forgets a "-D" that a "-F" follows.
   */
  get input(): string {
    const added = this.chains.filter((chain) => !this.#saved.has(chain));
    const deleted = [...this.#saved.keys()].filter((chain) => !this.has(chain));
    const lines = [
      ...added.map((chain) => `-N ${chain}`), // refused, unlike ":chain", when somebody made it meanwhile
      ...this.chains.flatMap((chain) => changesOf(chain, this.#saved.get(chain) ?? [], this.rules(chain))),
      ...deleted.map((chain) => `-F ${chain}`),
      ...deleted.map((chain) => `-X ${chain}`),
    ];
    return lines.length === 0 ? "" : [`*${this.name}`, ...lines, "COMMIT", ""].join("\n");
  }
}

/** Where rules were taken away, and new ones put at either end, these lines; else all of them anew. */
function changesOf(chain: string, saved: readonly string[], wanted: readonly string[]): string[] {
  if (saved === wanted) return [];
  const known = new Set(saved);
  const start = wanted.findIndex((rule) => known.has(rule));
  const end = wanted.findLastIndex((rule) => known.has(rule)) + 1;
  const removed: string[] = [];
  let at = start < 0 ? end : start;
  for (const rule of saved) {
    if (at < end && rule === wanted[at]) at++;
    else removed.push(rule);
  }
  const append = (rule: string) => `-A ${chain} ${rule}`;
  if (at < end) return [`-F ${chain}`, ...wanted.map(append)];
  return [
    ...removed.map((rule) => `-D ${chain} ${rule}`),
    ...wanted.slice(0, Math.max(start, 0)).map((rule, index) => `-I ${chain} ${index + 1} ${rule}`),
    ...wanted.slice(end).map(append),
  ];
}
