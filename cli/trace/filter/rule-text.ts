/** A rule's expressions in words near to nft's own: evidence for people, not for nft to read back. */
import { addressFromBytes, formatAddress } from "../../../lib/netaddr/address.ts";
import { formatMac } from "../../../lib/netaddr/mac.ts";
import type { DecodedExpression, Verdict } from "../../../lib/nftables/decoded-expression.ts";
import { hostNumberOf, nameOfBytes } from "./known-bytes.ts";

const META: Readonly<Record<number, string>> = {
  0: "meta length",
  1: "meta protocol",
  3: "meta mark",
  4: "iif",
  5: "oif",
  6: "iifname",
  7: "oifname",
  10: "meta skuid",
  15: "meta nfproto",
  16: "meta l4proto",
  17: "meta ibrname",
  18: "meta obrname",
  19: "meta pkttype",
  26: "meta iifkind",
  27: "meta oifkind",
};
const CT: Readonly<Record<number, string>> = {
  0: "ct state",
  1: "ct direction",
  2: "ct status",
  3: "ct mark",
};
/** By base, offset and length. */
const FIELDS: Readonly<Record<string, string>> = {
  "0 0 6": "ether daddr",
  "0 6 6": "ether saddr",
  "0 12 2": "ether type",
  "1 9 1": "ip protocol",
  "1 12 4": "ip saddr",
  "1 16 4": "ip daddr",
  "1 6 1": "ip6 nexthdr",
  "1 8 16": "ip6 saddr",
  "1 24 16": "ip6 daddr",
  "2 0 2": "sport",
  "2 2 2": "dport",
  "2 0 1": "icmp type",
  "2 13 1": "tcp flags",
};
const NAMES = new Set(["iifname", "oifname", "meta ibrname", "meta obrname", "meta iifkind", "meta oifkind"]);
const OPERATORS = ["", "!= ", "< ", "<= ", "> ", ">= "];
const PROTOCOLS: Readonly<Record<number, string>> = {
  1: "icmp",
  6: "tcp",
  17: "udp",
  58: "icmpv6",
  132: "sctp",
};
const STATES = { invalid: 1, established: 2, related: 4, new: 8, untracked: 64 };
const STATUSES = { snat: 16, dnat: 32 };

/** "iifname "cni0" tcp dport 80 accept" */
export function ruleText(expressions: readonly DecodedExpression[]): string {
  const loaded = new Map<unknown, string>();
  const parts: string[] = [];
  let mask: Uint8Array | undefined;
  for (const expression of expressions) {
    if ("dreg" in expression && expression.dreg !== undefined && expression.kind !== "lookup") {
      if (expression.kind === "bitwise") mask = expression.mask;
      else {
        loaded.set(expression.dreg, selectorText(expression));
        mask = undefined;
      }
    } else parts.push(partText(expression, loaded, mask));
  }
  return parts.filter((part) => part !== "").join(" ");
}

/** What an expression loads, in words. */
export function selectorText(expression: DecodedExpression): string {
  switch (expression.kind) {
    case "meta":
      return META[expression.key] ?? `meta ${expression.key}`;
    case "ct":
      return CT[expression.key] ?? `ct ${expression.key}`;
    case "payload":
      return (
        FIELDS[`${expression.base} ${expression.offset} ${expression.length}`] ?? prefixField(expression)
      );
    case "fib":
      return [
        `fib ${expression.flags & 1 ? "saddr" : "daddr"}`,
        ...(expression.flags & 8 ? [". iif"] : []),
        expression.result === 3 ? "type" : "oif",
      ].join(" ");
    case "immediate":
      return expression.value.toHex();
    case "unknown-value":
      return expression.name;
    default:
      return expression.kind;
  }
}

/** The first bytes of an address: a prefix of whole bytes is compared so. */
function prefixField({ base, offset, length }: { base: number; offset: number; length: number }): string {
  const field = Object.entries(FIELDS).find(
    ([key, text]) => key.startsWith(`${base} ${offset} `) && /addr$/.test(text),
  );
  return field?.[1] ?? `@${["ll", "nh", "th"][base] ?? base},${offset * 8},${length * 8}`;
}

function partText(
  expression: DecodedExpression,
  loaded: ReadonlyMap<unknown, string>,
  mask: Uint8Array | undefined,
): string {
  switch (expression.kind) {
    case "cmp": {
      const selector = loaded.get(expression.sreg) ?? "";
      return `${selector} ${comparison(selector, expression, mask)}`;
    }
    case "range": {
      const selector = loaded.get(expression.sreg) ?? "";
      const [from, to] = [expression.from, expression.to].map((value) => valueText(selector, value));
      return `${selector} ${expression.isNot ? "!= " : ""}${from}-${to}`;
    }
    case "lookup": {
      const key = [...loaded.values()].join(" . ");
      const how = expression.dreg === "verdict" ? "vmap " : expression.dreg === undefined ? "" : "map ";
      return `${key} ${expression.isNot ? "!= " : ""}${how}@${expression.set}`;
    }
    case "verdict":
      return verdictText(expression.verdict);
    case "nat":
      return expression.type === 1 ? "dnat" : "snat";
    case "masq":
      return "masquerade";
    case "redir":
      return "redirect";
    case "match":
      return expression.name === "comment" ? "" : `-m ${expression.name}`;
    case "target":
      return `-j ${expression.name}`;
    case "bound":
    case "effect":
    case "unknown":
      return expression.name === "counter" ? "" : expression.name;
    case "meta":
      return `${META[expression.key] ?? "meta"} set`;
    case "ct":
      return `${CT[expression.key] ?? "ct"} set`;
    default:
      return expression.kind;
  }
}

/** With a mask it asks for bits: "ct state established,related", "ip saddr 10.0.0.0/8". */
function comparison(
  selector: string,
  { op, value }: { op: number; value: Uint8Array },
  mask: Uint8Array | undefined,
): string {
  if (!mask) {
    const isPrefix = /^ip6? [sd]addr$/.test(selector) && value.length !== 4 && value.length !== 16;
    return `${OPERATORS[op] ?? ""}${isPrefix ? shortPrefix(selector, value) : valueText(selector, value)}`;
  }
  if (value.every((byte) => byte === 0)) return valueText(selector, mask);
  const length = mask.reduce((bits, byte) => bits + byte.toString(2).replaceAll("0", "").length, 0);
  return `${OPERATORS[op] ?? ""}${valueText(selector, value)}/${/addr$/.test(selector) ? length : mask.toHex()}`;
}

function shortPrefix(selector: string, value: Uint8Array): string {
  const whole = new Uint8Array(selector.startsWith("ip6") ? 16 : 4);
  whole.set(value);
  return `${formatAddress(addressFromBytes(whole))}/${value.length * 8}`;
}

function valueText(selector: string, value: Uint8Array): string {
  if (NAMES.has(selector)) {
    const name = nameOfBytes(value);
    return `"${name}${value.includes(0) ? "" : "*"}"`;
  }
  if (/^ip6? [sd]addr$/.test(selector) && (value.length === 4 || value.length === 16)) {
    return formatAddress(addressFromBytes(value));
  }
  if (selector.startsWith("ether ") && value.length === 6) return formatMac(value);
  if (selector === "ct state") return bitsText(value, STATES);
  if (selector === "ct status") return bitsText(value, STATUSES);
  if (selector === "meta nfproto") return value[0] === 2 ? "ipv4" : "ipv6";
  if (selector === "meta l4proto" || selector === "ip protocol")
    return PROTOCOLS[value[0] ?? 0] ?? `${value[0]}`;
  if (selector === "fib daddr type" || selector === "fib saddr type")
    return value[0] === 2 ? "local" : `${value[0]}`;
  if (selector === "sport" || selector === "dport") return `${(value[0] ?? 0) * 256 + (value[1] ?? 0)}`;
  return value.length <= 4 ? `${hostNumberOf(value)}` : `0x${value.toHex()}`;
}

function bitsText(value: Uint8Array, names: Readonly<Record<string, number>>): string {
  const bits = hostNumberOf(value);
  const set = Object.keys(names).filter((name) => bits & (names[name] ?? 0));
  return set.length > 0 ? set.join(",") : `${bits}`;
}

function verdictText({ code, chain }: Verdict): string {
  const words: Record<string, string> = {
    "0": "drop",
    "1": "accept",
    "3": "queue",
    "-3": `jump ${chain}`,
    "-4": `goto ${chain}`,
    "-5": "return",
  };
  return words[`${code}`] ?? `verdict ${code}`;
}
