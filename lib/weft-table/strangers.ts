/**
 * What others have put into our tables: rules among those of our chains, chains of their own that packets
 * come to, a policy that drops. Chain user and what it leads to are the administrator's.
 */

import type { NetfilterSocket } from "../netfilter/socket.ts";
import { type DecodedExpression, decodeExpressions } from "../nftables/decoded-expression.ts";
import { type ListedChain, type ListedRule, listChains, listRules } from "../nftables/query.ts";
import type { TableDefinition } from "../nftables/table.ts";
import { NF_ACCEPT } from "../nftables/verdict.ts";
import { USER_CHAIN } from "./user-rules.ts";

export type Stranger =
  | {
      readonly kind: "rule";
      readonly chain: string;
      readonly handle: bigint;
      readonly expressions: readonly DecodedExpression[];
    }
  /** A base chain. */
  | { readonly kind: "chain"; readonly chain: string }
  /** Of a chain of ours, which lets pass what no rule means. */
  | { readonly kind: "policy"; readonly chain: string };

/** Of rules, those alone that have a say in what becomes of a packet: counting one harms nobody. */
export function findStrangers(socket: NetfilterSocket, table: TableDefinition): Stranger[] {
  const rules = listRules(socket, table);
  const bases = listChains(socket, table).filter(({ policy }) => policy !== undefined);
  return [
    ...table.chains.flatMap((chain) => strangeRules(chain, rules)),
    ...strangeChains(table, bases, rules),
  ];
}

function strangeRules({ name, rules: own }: TableDefinition["chains"][number], rules: readonly ListedRule[]) {
  if (name === USER_CHAIN) return [];
  const expected = own.map(({ comment }) => comment);
  return rules
    .filter(({ chain, comment }) => {
      if (chain !== name) return false;
      // of two that are alike one is ours
      const at = expected.indexOf(comment);
      if (at >= 0) expected.splice(at, 1);
      return at < 0;
    })
    .map((rule) => ({
      kind: "rule" as const,
      chain: name,
      handle: BigInt(`0x${rule.handle.toHex()}`),
      expressions: decodeExpressions(rule),
    }))
    .filter(({ expressions }) => expressions.some(isDeciding));
}

function strangeChains(
  { chains }: TableDefinition,
  bases: readonly ListedChain[],
  rules: readonly ListedRule[],
): Stranger[] {
  const own = new Set(chains.map(({ name }) => name));
  return bases.flatMap(({ name: chain, policy }) => {
    if (own.has(chain)) return policy === NF_ACCEPT ? [] : { kind: "policy" as const, chain };
    const its = rules.filter((rule) => rule.chain === chain).flatMap(decodeExpressions);
    return policy === NF_ACCEPT && !its.some(isDeciding) ? [] : { kind: "chain" as const, chain };
  });
}

/** Whether it ends the packet's way, turns it, or has it look otherwise; the others ask, count and log. */
function isDeciding(expression: DecodedExpression): boolean {
  switch (expression.kind) {
    case "cmp":
    case "range":
    case "bitwise":
    case "byteorder":
    case "fib":
    case "immediate":
    case "bound":
    case "match":
    case "dynset":
    case "effect":
    case "unknown-value":
      return false;
    case "lookup":
      return expression.dreg === "verdict";
    case "meta":
    case "payload":
    case "ct":
    case "exthdr":
      return expression.dreg === undefined;
    default:
      return true;
  }
}
