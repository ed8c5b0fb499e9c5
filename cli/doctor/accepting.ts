/** Commands that have the packet filter let through, or lead no more elsewhere, what is for containers. */
import { allOf, type ShellCommand, shell } from "../terminal/shell.ts";
import type { Evidence } from "../trace/trail.ts";

const IPTABLES = /^(ip6?) (filter|mangle|raw|security)$|^(ip6?tables-legacy) (\w+)$/;
const ANSWERS = ["-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED,DNAT"];

/**
 * Between the two interfaces that the packet was on its way between, what the container sends, the answers,
 * and what is for published ports: before the rule that drops, or behind all rules where the policy does, so
 * that what keeps networks apart goes on doing so.
 * @param side the host's interface to the container
 */
export function accepting(side: string, rule: Evidence): ShellCommand {
  const { table = "" } = rule;
  if (table.includes("firewalld")) return shell`firewall-cmd --zone=trusted --add-interface=${side}`;
  const passages = passagesOf(side, rule);
  if (passages.length === 0) return rule.number ? deleting(rule) : opening(rule);
  return allOf(...passages.map((passage) => before(rule, passage)));
}

/** What is let through: between which interfaces, and whether no more than answers and published ports. */
interface Passage {
  readonly iif?: string | undefined;
  readonly oif?: string | undefined;
  readonly isAnswer?: boolean;
}

/** None at hooks that come before it is known where packets go, nor between ports of a bridge. */
function passagesOf(side: string, { table = "", hook, iif, oif }: Evidence): Passage[] {
  if (table.startsWith("bridge ")) return [];
  if (hook === "input") return [{ iif, isAnswer: true }];
  if (hook === "output") return [{ oif }];
  if (hook !== "forward") return [];
  // a VLAN of a bridge has an interface of its own
  const inner = [iif, oif].find((name) => name === side || name?.startsWith(`${side}.`)) ?? iif;
  const outer = iif === inner ? oif : iif;
  if (inner === outer) return [{ iif: inner, oif: outer }];
  return [
    { iif: inner, oif: outer },
    { iif: outer, oif: inner, isAnswer: true },
  ];
}

function before(rule: Evidence, passage: Passage): ShellCommand {
  const { table = "", chain = "", number, text } = rule;
  const program = iptablesOf(rule);
  if (program === undefined) {
    const place = [...table.split(" "), chain];
    const where = number
      ? ["insert", "rule", ...place, "position", handleOf(text)]
      : ["add", "rule", ...place];
    return allOf(...nftRules(passage).map((words) => shell`nft ${[...where, ...words, "accept"]}`));
  }
  const { iif, oif, isAnswer } = passage;
  const where = number ? ["-I", chain, String(number)] : ["-A", chain];
  const words = [...(iif ? ["-i", iif] : []), ...(oif ? ["-o", oif] : []), ...(isAnswer ? ANSWERS : [])];
  return shell`${[...program, ...where, ...words]} -j ACCEPT`;
}

/** nft has no "or" between a state and a status. */
function nftRules({ iif, oif, isAnswer }: Passage): string[][] {
  const between = [...(iif ? ["iifname", `"${iif}"`] : []), ...(oif ? ["oifname", `"${oif}"`] : [])];
  if (!isAnswer) return [between];
  return [
    [...between, "ct", "state", "established,related"],
    [...between, "ct", "status", "dnat"],
  ];
}

/** A policy where no rule could tell what to let through. */
function opening(rule: Evidence): ShellCommand {
  const { table = "", chain = "" } = rule;
  const program = iptablesOf(rule);
  if (program) return shell`${program} -P ${chain} ACCEPT`;
  return shell`nft add chain ${[...table.split(" "), chain]} '{ policy accept; }'`;
}

/** What takes the rule away: iptables-legacy's by its number, those of nf_tables by their handle. */
export function deleting({ table = "", chain = "", number, text }: Evidence): ShellCommand {
  const [program = "", name = ""] = table.split(" ");
  if (program.endsWith("legacy")) return shell`${program} -t ${name} -D ${chain} ${number ?? ""}`;
  return shell`nft delete rule ${program} ${name} ${chain} handle ${handleOf(text)}`;
}

function handleOf(text: string): string {
  return / handle (\d+)/.exec(text)?.[1] ?? "";
}

/** The program whose table it is, with the table's option; undefined for one of nftables' own. */
function iptablesOf({ table = "", chain, hook }: Evidence): string[] | undefined {
  if (chain === hook) return undefined; // its own are in capitals
  const [, family, ofNft, legacy, ofLegacy] = IPTABLES.exec(table) ?? [];
  const program = legacy ?? { ip: "iptables", ip6: "ip6tables" }[family ?? ""];
  const name = ofNft ?? ofLegacy;
  if (program === undefined || name === undefined) return undefined;
  return name === "filter" ? [program] : [program, "-t", name];
}
