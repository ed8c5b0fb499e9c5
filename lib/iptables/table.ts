/**
 * A table of iptables: as iptables-save showed it, and as it becomes. Each change is made to what is known of
 * the table and noted as a line for iptables-restore; what is there already changes nothing.
 */
import { optionOf, ruleKey } from "./rule.ts";

export class Table {
  readonly name: string;
  readonly #policies: ReadonlyMap<string, string>;
  readonly #chains: Map<string, string[]>;
  /** New chains, which come before the rules that lead to them. */
  readonly #newChains: string[] = [];
  readonly #changes: string[] = [];

  /** @param saved what `iptables-save -t name` printed */
  constructor(name: string, saved: string) {
    this.name = name;
    const policies = new Map<string, string>();
    this.#chains = new Map();
    for (const line of saved.split("\n")) {
      if (line.startsWith(":")) {
        const [chain = "", policy = "-"] = line.slice(1).split(" ", 2);
        policies.set(chain, policy);
        this.#chains.set(chain, []);
      } else if (line.startsWith("-A ")) {
        const end = line.indexOf(" ", 3);
        const chain = end < 0 ? line.slice(3) : line.slice(3, end);
        this.#chains.get(chain)?.push(end < 0 ? "" : line.slice(end + 1));
      }
    }
    this.#policies = policies;
  }

  /** "ACCEPT" or "DROP"; "-" for a chain of somebody's own. */
  policy(chain: string): string | undefined {
    return this.#policies.get(chain);
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
    const target = optionOf(text, "-j");
    const key = ruleKey(text);
    // Only what could be the same is taken apart: a chain may hold thousands.
    return rules.some((rule) => (target === undefined || rule.includes(target)) && ruleKey(rule) === key);
  }

  isReferenced(chain: string): boolean {
    for (const rules of this.#chains.values()) {
      if (
        rules.some((rule) => rule.includes(chain) && (optionOf(rule, "-j") ?? optionOf(rule, "-g")) === chain)
      )
        return true;
    }
    return false;
  }

  ensureChain(chain: string): void {
    if (this.has(chain)) return;
    this.#chains.set(chain, []);
    this.#newChains.push(`-N ${chain}`); // refused, unlike ":chain", when somebody made it meanwhile
  }

  /** Adds a rule that is not there, at the end of its chain or first in it. */
  ensureRule({ chain, text, isFirst = false }: { chain: string; text: string; isFirst?: boolean }): void {
    this.ensureChain(chain);
    if (this.includes(chain, text)) return;
    const rules = this.#chains.get(chain) ?? [];
    if (isFirst) rules.unshift(text);
    else rules.push(text);
    this.#changes.push(isFirst ? `-I ${chain} 1 ${text}` : `-A ${chain} ${text}`);
  }

  /** Makes the rules of a chain these, in this order. */
  replaceRules(chain: string, rules: readonly string[]): void {
    this.ensureChain(chain);
    const saved = this.rules(chain);
    const isSame = (rule: string, at: number) =>
      rule === saved[at] || ruleKey(rule) === ruleKey(saved[at] ?? "");
    if (rules.length === saved.length && rules.every(isSame)) return;
    if (saved.length > 0) this.#changes.push(`-F ${chain}`);
    this.#changes.push(...rules.map((rule) => `-A ${chain} ${rule}`));
    this.#chains.set(chain, [...rules]);
  }

  deleteRules(chain: string, isUnwanted: (text: string) => boolean): void {
    const kept: string[] = [];
    for (const rule of this.rules(chain)) {
      if (isUnwanted(rule)) this.#changes.push(`-D ${chain} ${rule}`);
      else kept.push(rule);
    }
    if (this.has(chain)) this.#chains.set(chain, kept);
  }

  /** Deletes the jumps to a chain that are in another one. */
  deleteJumps(from: string, to: string): void {
    this.deleteRules(from, (rule) => rule.includes(to) && optionOf(rule, "-j") === to);
  }

  /** Deletes a chain with its rules, unless something still leads to it. */
  deleteChain(chain: string): void {
    if (!this.has(chain) || this.isReferenced(chain)) return;
    this.#chains.delete(chain);
    this.#changes.push(`-F ${chain}`, `-X ${chain}`);
  }

  /** The changes so far, as iptables-restore takes them; "" when there are none. */
  get input(): string {
    const lines = [...this.#newChains, ...this.#changes];
    return lines.length === 0 ? "" : [`*${this.name}`, ...lines, "COMMIT", ""].join("\n");
  }
}
