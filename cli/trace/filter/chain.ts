/** Chains: rules in order, jumps, what is left to the policy (nft_do_chain(), ipt_do_table()). */
import type { Verdict } from "../../../lib/nftables/decoded-expression.ts";
import type { RulesetTable } from "../../../lib/nftables/listed-ruleset.ts";
import {
  NF_ACCEPT,
  NF_DROP,
  NF_QUEUE,
  NFT_GOTO,
  NFT_JUMP,
  NFT_RETURN,
} from "../../../lib/nftables/verdict.ts";
import type { HookContext } from "./hook-context.ts";
import { evaluateRule, type RuleEnd } from "./rule.ts";
import { ruleText } from "./rule-text.ts";

/** A rule by where it stands. */
export interface RulePlace {
  /** "inet weft", "iptables-legacy filter". */
  readonly table: string;
  readonly chain: string;
  /** Undefined for a chain's policy. */
  readonly rule?: {
    readonly name: string;
    readonly comment: string;
    readonly text: string;
    /** In its chain, from 1. */
    readonly number: number;
  };
}

/** A rule that had a say. */
export interface RuleStep {
  readonly place: RulePlace;
  /** "accept", "jump isolation", "dnat". */
  readonly did: string;
  /** Which element of a set or map was found. */
  readonly element?: { readonly set: string; readonly comment: string } | undefined;
}

/** A rule of which nobody knows whether it means this packet, and what it would do. */
export interface Doubt {
  readonly place: RulePlace;
  readonly unknown: string;
  readonly would: string;
  /** What it would do is not known, so the end may always hang on it. */
  readonly isRiddle: boolean;
}

/** Any table's rule, evaluated by who knows its kind. */
export interface AnyRule {
  readonly name: string;
  readonly comment: string;
  readonly text: () => string;
  evaluate(context: HookContext): RuleEnd;
}

export interface AnyChain {
  readonly name: string;
  readonly rules: readonly AnyRule[];
  /** Of a base chain. */
  readonly policy: Verdict;
}

/** A base chain and those that it leads to. */
export interface ChainSet {
  readonly table: string;
  readonly base: AnyChain;
  chain(name: string): AnyChain | undefined;
}

/** What all rules of a hook write down, and what they changed. */
export interface Course {
  context: HookContext;
  readonly steps: RuleStep[];
  readonly doubts: Doubt[];
  /** What to take for true of rules of which it is not known, by their place. */
  readonly assumed: ReadonlyMap<string, boolean>;
}

export interface ChainEnd {
  readonly verdict: Verdict;
  readonly translation?: RuleEnd["translation"];
  readonly how?: string | undefined;
}

/** A ruleset that loops is refused by the kernel; this one is read, and may be spoilt. */
const JUMPS_MAX = 1_000;

/** Asks a base chain; marks it sets, and rules it meets, are written into the course. */
export function askChain(set: ChainSet, course: Course): ChainEnd {
  const stack: { chain: AnyChain; at: number }[] = [{ chain: set.base, at: 0 }];
  let jumps = 0;
  for (;;) {
    const top = stack.at(-1);
    if (!top) return byPolicy(set, course);
    const rule = top.chain.rules[top.at++];
    if (!rule) {
      stack.pop();
      continue;
    }
    const place = placeOf(set, top.chain, { rule, number: top.at });
    const end = decided(rule.evaluate(course.context), place, course);
    if (!end.holds) continue;
    apply(end, course);
    const { verdict } = end;
    if (deed(end) !== "") note(place, end, course);
    if (!verdict) continue;
    if (verdict.code === NFT_RETURN) stack.pop();
    else if (verdict.code === NFT_JUMP || verdict.code === NFT_GOTO) {
      const chain = set.chain(verdict.chain ?? "");
      if (verdict.code === NFT_GOTO) stack.pop();
      if (chain && ++jumps < JUMPS_MAX) stack.push({ chain, at: 0 });
    } else if (verdict.code >= NF_DROP) {
      return { verdict, ...(end.translation && { translation: end.translation }), how: end.how };
    }
  }
}

function byPolicy(set: ChainSet, course: Course): ChainEnd {
  const { name, policy } = set.base;
  if (policy.code === NF_DROP) {
    course.steps.push({ place: { table: set.table, chain: name }, did: "policy drop" });
  }
  return { verdict: policy };
}

function placeOf(
  set: ChainSet,
  chain: AnyChain,
  { rule, number }: { rule: AnyRule; number: number },
): RulePlace {
  const { name, comment } = rule;
  return {
    table: set.table,
    chain: chain.name,
    rule: {
      name,
      comment,
      number,
      get text() {
        return rule.text();
      },
    },
  };
}

/** Where nobody knows, what was assumed. A rule that would do nothing is nobody's doubt. */
function decided(end: RuleEnd, place: RulePlace, course: Course): RuleEnd {
  if (end.holds !== undefined) return end;
  const isRiddle = end.isRiddle === true && !end.verdict;
  const would = isRiddle ? "do what is not known here" : deed(end);
  if (would === "") return { holds: false };
  course.doubts.push({ place, unknown: end.unknown ?? "", would, isRiddle });
  return { ...end, holds: course.assumed.get(placeKey(place)) ?? false };
}

export function placeKey({ table, chain, rule }: RulePlace): string {
  return `${table} ${chain} ${rule?.name}`;
}

function apply({ mark, connectionMark, isUntracked }: RuleEnd, course: Course): void {
  const { tracked } = course.context;
  if (mark !== undefined) course.context = { ...course.context, mark };
  if (connectionMark !== undefined && typeof tracked === "object") tracked.connection.mark = connectionMark;
  if (isUntracked) course.context = { ...course.context, tracked: "untracked" };
}

function note(place: RulePlace, end: RuleEnd, course: Course): void {
  course.steps.push({ place, did: deed(end), ...(end.element && { element: end.element }) });
}

/** What a rule does, in words; "" for nothing that counts. */
function deed({ verdict, how, mark, connectionMark, isUntracked }: RuleEnd): string {
  if (verdict) return how ?? verdictWords(verdict);
  if (connectionMark !== undefined) return `ct mark 0x${connectionMark.toString(16)}`;
  if (mark !== undefined) return `mark 0x${mark.toString(16)}`;
  return isUntracked ? "notrack" : "";
}

export function verdictWords({ code, chain }: Verdict): string {
  const words: Record<number, string> = {
    [NF_ACCEPT]: "accept",
    [NF_DROP]: "drop",
    [NF_QUEUE]: "queue",
    [NFT_RETURN]: "return",
    [NFT_JUMP]: `jump ${chain}`,
    [NFT_GOTO]: `goto ${chain}`,
  };
  return words[code] ?? `verdict ${code}`;
}

/** iptables' comment is a match that every packet passes. */
export function xtComment(parts: readonly object[]): string {
  for (const part of parts) {
    if (!("name" in part && part.name === "comment" && "info" in part)) continue;
    if (part.info instanceof Uint8Array) return new TextDecoder().decode(part.info).replace(/\0.*$/s, "");
  }
  return "";
}

/** The base chain of a table of nf_tables, for askChain(). */
export function nftChains(table: RulesetTable, baseName: string): ChainSet {
  const made = new Map<string, AnyChain>();
  const chain = (name: string): AnyChain | undefined => {
    const listed = table.chains.get(name);
    if (!listed) return undefined;
    return made.getOrInsertComputed(name, () => ({
      name,
      policy: { code: listed.policy },
      rules: listed.rules.map(({ handle, comment, expressions }) => ({
        name: `handle ${handle}`,
        comment: comment || xtComment(expressions),
        text: () => ruleText(expressions),
        evaluate: (context) => evaluateRule(expressions, context, table.sets),
      })),
    }));
  };
  const base = chain(baseName) ?? { name: baseName, policy: { code: NF_ACCEPT }, rules: [] };
  return { table: `${table.family} ${table.name}`, base, chain };
}
