/** One rule of nf_tables on one packet: its expressions in order, in registers (nf_tables_core.c). */
import type { Address } from "../../../lib/netaddr/address.ts";
import {
  type DecodedExpression,
  REGISTER_BYTES,
  type Register,
  type Verdict,
} from "../../../lib/nftables/decoded-expression.ts";
import type { RulesetSet } from "../../../lib/nftables/listed-ruleset.ts";
import { NF_ACCEPT, NF_DROP, NF_QUEUE, NF_STOLEN } from "../../../lib/nftables/verdict.ts";
import type { HookContext } from "./hook-context.ts";
import {
  type Answer,
  allKnown,
  compare,
  compareBytes,
  equals,
  hostNumberOf,
  isKnown,
  type KnownBytes,
  masked,
  noneKnown,
  sliceOf,
} from "./known-bytes.ts";
import { addressIn, type Loaded, loadCt, loadFib, loadMeta, loadPayload } from "./load.ts";
import { mappedAddress } from "./netmap.ts";
import { selectorText } from "./rule-text.ts";
import { lookUp } from "./set-lookup.ts";
import { matches } from "./xt-match.ts";
import { type TargetEffect, targetEffect } from "./xt-target.ts";

/** What a NAT rule wants of the connection. */
export interface Translation {
  readonly end: "source" | "destination";
  /** undefined: the one that the packet has; "here": an address of this host, on the packet's interface. */
  readonly address?: Address | "here" | undefined;
  readonly port?: number | undefined;
}

/** What a rule has done with a packet. */
export interface RuleEnd extends TargetEffect {
  /** false: the packet was not what it asks for. undefined: what it asks for is not known. */
  readonly holds: Answer;
  /** It would do what is not known here. */
  readonly isRiddle?: true;
  /** Key and comment of the element that was found last. */
  readonly element?: { readonly set: string; readonly comment: string };
}

// linux/netfilter/nf_tables.h
const NFPROTO_IPV4 = 2;
const NFPROTO_IPV6 = 10;
const NFT_META_MARK = 3;
const NFT_CT_MARK = 3;
const NFT_CMP = { eq: 0, neq: 1, lt: 2, lte: 3, gt: 4, gte: 5 } as const;
const NFT_NAT_DNAT = 1;
const NFT_REJECT_TCP_RST = 1;

type Effect = { -readonly [K in Exclude<keyof RuleEnd, "holds">]?: RuleEnd[K] };

/** What an expression says: go on (undefined), the packet is not meant, nobody knows, or that it is over. */
type Step = undefined | "break" | { readonly unknown: string } | "end";

export function evaluateRule(
  expressions: readonly DecodedExpression[],
  context: HookContext,
  sets: ReadonlyMap<string, RulesetSet>,
): RuleEnd {
  const run = new RuleRun(context, sets);
  let unknown: string | undefined;
  for (const expression of expressions) {
    const step = run.step(expression);
    if (step === "break") return { holds: false };
    if (typeof step === "object") unknown ??= step.unknown;
    if (step === "end") break;
  }
  return unknown === undefined
    ? { holds: true, ...run.effect }
    : { holds: undefined, unknown, ...run.effect };
}

class RuleRun {
  readonly effect: Effect = {};
  readonly #registers: KnownBytes = noneKnown(REGISTER_BYTES);
  readonly #sets: ReadonlyMap<string, RulesetSet>;
  #context: HookContext;
  /** What was loaded last of which not all is known. */
  #unknown = "a field of the packet";

  constructor(context: HookContext, sets: ReadonlyMap<string, RulesetSet>) {
    this.#context = context;
    this.#sets = sets;
  }

  step(expression: DecodedExpression): Step {
    const context = this.#context;
    this.#name(expression);
    switch (expression.kind) {
      case "meta":
        if (expression.sreg !== undefined)
          return this.#setMeta(expression.key, this.#get(expression.sreg, 4));
        return this.#load(expression.dreg, loadMeta(expression.key, context));
      case "ct":
        if (expression.sreg !== undefined) return this.#setCt(expression.key, this.#get(expression.sreg, 4));
        return this.#load(expression.dreg, loadCt(expression, context));
      case "payload":
        if (expression.sreg !== undefined) return undefined; // of what it may change, no path depends on it
        return this.#load(expression.dreg, loadPayload(expression, context));
      case "fib":
        return this.#load(expression.dreg, loadFib(expression, context));
      case "exthdr":
        return this.#extensionHeader(expression);
      case "immediate":
        return this.#load(expression.dreg, allKnown(expression.value));
      case "unknown-value":
        return this.#load(expression.dreg, noneKnown(16));
      case "cmp":
      case "range":
        return this.#ask(this.#compare(expression));
      case "bitwise":
      case "byteorder":
        return this.#compute(expression);
      case "lookup":
        return this.#lookUp(expression);
      case "bound":
        // a bucket that is not full yet lets one packet more through
        return expression.isNot ? "break" : undefined;
      case "match":
        return this.#ask(matches(expression, context), `match ${expression.name}`);
      case "dynset":
      case "effect":
        return undefined;
      case "unknown":
        return this.#riddle(`expression ${expression.name}`);
      default:
        return this.#end(expression);
    }
  }

  /** What a rule ends with. */
  #end(expression: DecodedExpression): Step {
    switch (expression.kind) {
      case "verdict":
        return this.#decide(expression.verdict);
      case "nat":
        return this.#nat(expression);
      case "masq":
        this.effect.translation = { end: "source", address: "here" };
        return this.#decide({ code: NF_ACCEPT }, "masquerade");
      case "redir":
        this.effect.translation = { end: "destination", address: "here", port: this.#port(expression.port) };
        return this.#decide({ code: NF_ACCEPT }, "redirect");
      case "reject":
        return this.#decide({ code: NF_DROP }, rejectText(expression));
      case "notrack":
        this.effect.isUntracked = true;
        return undefined;
      case "queue":
        return this.#decide({ code: NF_QUEUE }, "queue");
      case "forward":
        return this.#decide({ code: NF_STOLEN }, "fwd");
      case "tproxy":
        return this.#decide({ code: NF_ACCEPT }, "tproxy");
      case "target": {
        const { unknown, ...effect } = targetEffect(expression, this.#context);
        if (unknown !== undefined) return this.#riddle(unknown);
        Object.assign(this.effect, effect);
        if (effect.mark !== undefined) this.#context = { ...this.#context, mark: effect.mark };
        return effect.verdict ? "end" : undefined;
      }
      default:
        return undefined;
    }
  }

  #name(expression: DecodedExpression): void {
    const isLoad = expression.kind === "meta" || expression.kind === "ct" || expression.kind === "payload";
    if (isLoad || expression.kind === "unknown-value") this.#unknown = selectorText(expression);
    if (expression.kind === "exthdr") this.#unknown = "an option of the header";
  }

  #riddle(unknown: string): Step {
    this.effect.isRiddle = true;
    return { unknown };
  }

  #decide(verdict: Verdict, how?: string): "end" {
    this.effect.verdict = verdict;
    if (how !== undefined) this.effect.how = how;
    return "end";
  }

  #nat({
    type,
    family,
    address,
    addressMax,
    isNetmap,
    port,
  }: Extract<DecodedExpression, { kind: "nat" }>): Step {
    // in a table of both families it leaves packets of the other as they are
    if (family !== (this.#context.packet.source.family === 4 ? NFPROTO_IPV4 : NFPROTO_IPV6)) return undefined;
    const isDestination = type === NFT_NAT_DNAT;
    const [first, last] = [address, addressMax].map((register) =>
      typeof register === "number" ? addressIn(this.#registers, register, this.#context) : undefined,
    );
    if (address !== undefined && first === undefined) return this.#riddle("an address of nat");
    const { source, destination } = this.#context.packet;
    const now = isDestination ? destination : source;
    const to = first && last && isNetmap ? mappedAddress(now, [first, last]) : first;
    this.effect.translation = {
      end: isDestination ? "destination" : "source",
      address: to,
      port: this.#port(port),
    };
    return this.#decide({ code: NF_ACCEPT }, isDestination ? "dnat" : "snat");
  }

  #port(register: Register | undefined): number | undefined {
    if (typeof register !== "number") return undefined;
    const { bytes } = sliceOf(this.#registers, register, 2);
    return (bytes[0] ?? 0) * 256 + (bytes[1] ?? 0);
  }

  #setMeta(key: number, value: KnownBytes): Step {
    if (key !== NFT_META_MARK) return undefined;
    if (!isKnown(value)) return { unknown: "a mark" };
    this.effect.mark = hostNumberOf(value.bytes);
    this.#context = { ...this.#context, mark: this.effect.mark };
    return undefined;
  }

  #setCt(key: number, value: KnownBytes): Step {
    if (key === NFT_CT_MARK && isKnown(value)) this.effect.connectionMark = hostNumberOf(value.bytes);
    return undefined;
  }

  #extensionHeader({ dreg, isPresence, length }: Extract<DecodedExpression, { kind: "exthdr" }>): Step {
    if (dreg === undefined) return undefined; // changes an option of TCP
    // the packet that is followed has no extension headers; of TCP's options nobody knows
    if (isPresence && this.#context.packet.protocol !== 6)
      return this.#load(dreg, allKnown(Uint8Array.of(0)));
    return this.#load(dreg, noneKnown(length));
  }

  #compare(expression: Extract<DecodedExpression, { kind: "cmp" | "range" }>): Answer {
    if (expression.kind === "range") {
      const value = this.#get(expression.sreg, expression.from.length);
      if (!isKnown(value)) return undefined;
      const { from, to, isNot } = expression;
      return (compareBytes(value.bytes, from) >= 0 && compareBytes(value.bytes, to) <= 0) !== isNot;
    }
    const { op } = expression;
    const value = this.#get(expression.sreg, expression.value.length);
    if (op === NFT_CMP.eq) return equals(value, expression.value);
    if (op === NFT_CMP.neq) return not(equals(value, expression.value));
    const order = compare(value, expression.value);
    if (order === undefined) return undefined;
    if (op === NFT_CMP.lt) return order < 0;
    if (op === NFT_CMP.lte) return order <= 0;
    return op === NFT_CMP.gt ? order > 0 : order >= 0;
  }

  #compute(expression: Extract<DecodedExpression, { kind: "bitwise" | "byteorder" }>): Step {
    const value = this.#get(expression.sreg, expression.length);
    if (expression.kind === "byteorder") {
      return this.#load(expression.dreg, {
        bytes: swapped(value.bytes, expression.size),
        known: swapped(value.known, expression.size),
      });
    }
    const { op, mask, xor, shift } = expression;
    if (op === 0) return this.#load(expression.dreg, masked(value, mask, xor));
    const isLeft = op === 1;
    return this.#load(expression.dreg, {
      bytes: shifted(value.bytes, shift, { isLeft }),
      // what is shifted in is known to be 0
      known: shifted(value.known.map(inverse), shift, { isLeft }).map(inverse),
    });
  }

  #lookUp({ set: name, sreg, dreg, isNot }: Extract<DecodedExpression, { kind: "lookup" }>): Step {
    const set = this.#sets.get(name);
    if (!set) return { unknown: `set ${name}` };
    const { isFound, element } = lookUp(set, this.#get(sreg, set.keyBytes));
    if (isFound === undefined) return { unknown: `a key of set ${name}` };
    if (isFound === isNot) return "break";
    if (!element) return undefined;
    this.effect.element = { set: name, comment: element.comment };
    if (dreg === "verdict" && element.verdict) return this.#decide(element.verdict);
    return dreg === undefined ? undefined : this.#load(dreg, allKnown(element.data ?? new Uint8Array(0)));
  }

  #ask(answer: Answer, what = this.#unknown): Step {
    if (answer === undefined) return { unknown: what };
    return answer ? undefined : "break";
  }

  #get(register: Register, length: number): KnownBytes {
    return register === "verdict" ? noneKnown(length) : sliceOf(this.#registers, register, length);
  }

  /** A register is cleared up to the next four bytes. */
  #load(register: Register | undefined, value: Loaded): Step {
    if (value === "break") return "break";
    if (typeof register !== "number") return undefined;
    const length = Math.min(value.bytes.length, REGISTER_BYTES - register);
    const end = Math.min((register + length + 3) & ~3, REGISTER_BYTES);
    this.#registers.bytes.fill(0, register, end);
    this.#registers.known.fill(0xff, register, end);
    this.#registers.bytes.set(value.bytes.subarray(0, length), register);
    this.#registers.known.set(value.known.subarray(0, length), register);
    return undefined;
  }
}

function not(answer: Answer): Answer {
  return answer === undefined ? undefined : !answer;
}

function inverse(byte: number): number {
  return ~byte & 0xff;
}

/** Each number of `size` bytes turned around. */
function swapped(bytes: Uint8Array, size: number): Uint8Array {
  const turned = bytes.slice();
  for (let at = 0; size > 0 && at + size <= bytes.length; at += size) {
    turned.set(bytes.slice(at, at + size).reverse(), at);
  }
  return turned;
}

/** As the kernel shifts: numbers of 32 bits, each in the host's byte order, the first the highest. */
function shifted(bytes: Uint8Array, by: number, { isLeft }: { isLeft: boolean }): Uint8Array {
  const words = Math.ceil(bytes.length / 4);
  const padded = new Uint8Array(words * 4);
  padded.set(bytes);
  let value = BigInt(`0x0${swapped(padded, 4).toHex()}`);
  value = isLeft ? value << BigInt(by) : value >> BigInt(by);
  const hex = BigInt.asUintN(words * 32, value)
    .toString(16)
    .padStart(words * 8, "0");
  return swapped(Uint8Array.fromHex(hex), 4).slice(0, bytes.length);
}

function rejectText({ type }: { type: number }): string {
  return type === NFT_REJECT_TCP_RST ? "reject with tcp reset" : "reject";
}
