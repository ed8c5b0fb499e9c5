/** The tables of iptables' legacy variant, as chains that can be asked (net/ipv4/netfilter/ip_tables.c). */
import type {
  LegacyAddress,
  LegacyInterface,
  LegacyRule,
  LegacyTable,
  LegacyTableName,
} from "../../../lib/iptables/legacy-table.ts";
import {
  type Address,
  addressBytes,
  addressFromBytes,
  type Family,
  formatAddress,
} from "../../../lib/netaddr/address.ts";
import type { Verdict } from "../../../lib/nftables/decoded-expression.ts";
import {
  NF_ACCEPT,
  NF_DROP,
  NF_QUEUE,
  NFT_GOTO,
  NFT_JUMP,
  NFT_RETURN,
} from "../../../lib/nftables/verdict.ts";
import { type AnyChain, type AnyRule, type ChainSet, xtComment } from "./chain.ts";
import type { Hanging } from "./hook.ts";
import { type Device, HOOKS, type HookContext, type HookName } from "./hook-context.ts";
import { nameBytes } from "./known-bytes.ts";
import { protocolName } from "./packet.ts";
import type { RuleEnd } from "./rule.ts";
import { matches } from "./xt-match.ts";
import { targetEffect } from "./xt-target.ts";

/** linux/netfilter_ipv4.h NF_IP_PRI_* */
const PRIORITIES: Readonly<Record<LegacyTableName, number>> = {
  raw: -300,
  mangle: -150,
  nat: 0, // asked where all of type nat are
  filter: 0,
  security: 50,
};

/** What the tables hang at a hook. */
export function legacyHanging(tables: readonly LegacyTable[], family: Family, hook: HookName): Hanging[] {
  return tables.flatMap((table) => {
    const base = table.baseChains.get(HOOKS[hook]);
    if (table.family !== family || !base) return [];
    const isNat = table.name === "nat";
    return { priority: PRIORITIES[table.name], isNat, chains: legacyChains(table, base) };
  });
}

function legacyChains(table: LegacyTable, base: { chain: string; policy: "accept" | "drop" }): ChainSet {
  const make = (name: string, policy: Verdict): AnyChain | undefined => {
    const rules = table.chains.get(name);
    return rules && { name, policy, rules: rules.map((rule, index) => legacyRule(rule, index)) };
  };
  const policy = { code: base.policy === "drop" ? NF_DROP : NF_ACCEPT };
  const program = table.family === 4 ? "iptables-legacy" : "ip6tables-legacy";
  return {
    table: `${program} ${table.name}`,
    base: make(base.chain, policy) ?? { name: base.chain, policy, rules: [] },
    chain: (name) => make(name, { code: NF_ACCEPT }),
  };
}

function legacyRule(rule: LegacyRule, index: number): AnyRule {
  return {
    name: `rule ${index + 1}`,
    comment: xtComment(rule.matches),
    text: () => legacyText(rule),
    evaluate: (context) => evaluate(rule, context),
  };
}

function evaluate(rule: LegacyRule, context: HookContext): RuleEnd {
  const { packet, iif, oif } = context;
  const isMeant =
    isAddress(rule.source, packet.source) &&
    isAddress(rule.destination, packet.destination) &&
    isInterface(rule.iniface, iif) &&
    isInterface(rule.outiface, oif) &&
    (rule.protocol === 0 || (rule.protocol === packet.protocol) !== rule.isProtocolNot);
  if (!isMeant) return { holds: false };
  let unknown: string | undefined;
  for (const match of rule.matches) {
    const holds = matches(match, context);
    if (holds === false) return { holds: false };
    if (holds === undefined) unknown ??= `match ${match.name}`;
  }
  const { unknown: unknownTarget, ...effect } = rule.target
    ? targetEffect(rule.target, context)
    : { unknown: undefined, ...verdictOf(rule) };
  unknown ??= unknownTarget;
  if (unknown === undefined) return { holds: true, ...effect };
  return {
    holds: undefined,
    unknown,
    ...effect,
    ...(unknownTarget !== undefined && { isRiddle: true as const }),
  };
}

function verdictOf({ verdict }: LegacyRule): { verdict?: Verdict } {
  const codes = { accept: NF_ACCEPT, drop: NF_DROP, queue: NF_QUEUE, return: NFT_RETURN };
  if (!verdict) return {};
  if (verdict.kind !== "jump" && verdict.kind !== "goto") return { verdict: { code: codes[verdict.kind] } };
  const code = verdict.kind === "jump" ? NFT_JUMP : NFT_GOTO;
  return verdict.chain === "" ? {} : { verdict: { code, chain: verdict.chain } };
}

function isAddress({ address, mask, isNot }: LegacyAddress, value: Address): boolean {
  const bytes = addressBytes(value);
  return bytes.every((byte, at) => (byte & (mask[at] ?? 0)) === (address[at] ?? 0)) !== isNot;
}

function isInterface({ name, mask, isNot }: LegacyInterface, device: Device | undefined): boolean {
  const bytes = nameBytes(device?.name ?? "");
  const isAny = mask.every((bits) => bits === 0);
  return isAny || bytes.every((byte, at) => ((byte ^ (name[at] ?? 0)) & (mask[at] ?? 0)) === 0) !== isNot;
}

/** As iptables-save has it, with the names of matches alone. */
function legacyText(rule: LegacyRule): string {
  const not = (isNot: boolean) => (isNot ? "! " : "");
  const address = (option: string, { address, mask, isNot }: LegacyAddress) => {
    const length = mask.reduce((bits, byte) => bits + byte.toString(2).replaceAll("0", "").length, 0);
    return length === 0 ? "" : `${not(isNot)}${option} ${formatAddress(addressFromBytes(address))}/${length}`;
  };
  const device = (option: string, { name, mask, isNot }: LegacyInterface) => {
    const end = name.indexOf(0);
    if (end <= 0 || mask[0] === 0) return "";
    return `${not(isNot)}${option} ${new TextDecoder().decode(name.subarray(0, end))}`;
  };
  return [
    address("-s", rule.source),
    address("-d", rule.destination),
    device("-i", rule.iniface),
    device("-o", rule.outiface),
    rule.protocol === 0 ? "" : `${not(rule.isProtocolNot)}-p ${protocolName(rule.protocol)}`,
    ...rule.matches.map(({ name }) =>
      name === "comment" || name === protocolName(rule.protocol) ? "" : `-m ${name}`,
    ),
    targetText(rule),
  ]
    .filter((part) => part !== "")
    .join(" ");
}

function targetText({ verdict, target }: LegacyRule): string {
  if (target) return `-j ${target.name}`;
  if (!verdict || (verdict.kind === "jump" && verdict.chain === "")) return "";
  if (verdict.kind === "goto") return `-g ${verdict.chain}`;
  return `-j ${verdict.kind === "jump" ? verdict.chain : verdict.kind.toUpperCase()}`;
}
