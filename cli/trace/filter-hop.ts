/** Asks a namespace's packet filter at one hook, and writes down what had a say. */
import { NF_ACCEPT } from "../../lib/nftables/verdict.ts";
import type { Link } from "../../lib/rtnetlink/link.ts";
import type { Doubt, RulePlace, RuleStep } from "./filter/chain.ts";
import { askHook } from "./filter/hook.ts";
import type { HookContext } from "./filter/hook-context.ts";
import { formatPacket } from "./filter/packet.ts";
import { dropped, type End, type Flight } from "./flight.ts";
import { deviceOf, type Node } from "./node.ts";
import type { Evidence } from "./trail.ts";

/** Which hook, and between which interfaces. */
export interface HookQuestion {
  readonly family: HookContext["family"];
  readonly hook: HookContext["hook"];
  readonly iif?: Link | undefined;
  readonly oif?: Link | undefined;
  readonly bridgeIn?: Link | undefined;
  readonly bridgeOut?: Link | undefined;
  readonly bridgeOfIif?: Link | undefined;
  readonly bridgeOfOif?: Link | undefined;
  /** The packet has its Ethernet header. */
  readonly isFramed?: boolean;
  /** Of chains of a family, those of a priority from here on, and below there. */
  readonly from?: number;
  readonly below?: number;
}

/** @returns the flight as it goes on, or its end */
export function filtered(
  node: Node,
  flight: Flight,
  question: HookQuestion,
  now: Date,
): { flight: Flight } | { end: End } {
  const { trail, packet, mark, tracked, frame } = flight;
  const { family, hook, isFramed } = question;
  const device = (link: Link | undefined) => link && deviceOf(link);
  if (!flight.question && (hook === "prerouting" || hook === "output")) trail.visit(node, packet);
  const end = askHook(
    node,
    {
      family,
      hook,
      packet,
      mark,
      tracked,
      frame: isFramed ? frame : undefined,
      iif: device(question.iif),
      oif: device(question.oif),
      bridgeIn: device(question.bridgeIn),
      bridgeOut: device(question.bridgeOut),
      bridgeOfIif: device(question.bridgeOfIif),
      bridgeOfOif: device(question.bridgeOfOif),
      routes: node.routes,
      now,
    },
    trail.connectionsOf(node),
    { from: question.from, below: question.below },
  );
  trail.doubts.push(...end.doubts);
  const next: Flight = { ...flight, packet: end.packet, mark: end.mark, tracked: end.tracked };
  const evidence = end.steps.map((step) => ruleEvidence(step, question));
  const isTranslated = packet !== end.packet && formatPacket(packet) !== formatPacket(end.packet);
  const link = question.iif ?? question.oif;
  if (end.verdict.code !== NF_ACCEPT) {
    const last = end.steps.at(-1);
    const by = last ? ` by ${placeText(last.place)}` : "";
    trail.add(node, link, `${hookName(question)}: ${end.did}`, evidence);
    const reason = `${end.did} at ${hookName(question)} of ${node.name}${by}`;
    return { end: { ...dropped({ node, link }, next, reason), isFiltered: true } };
  }
  if (isTranslated)
    trail.add(node, link, `${hookName(question)}: translated to ${formatPacket(end.packet)}`, evidence);
  else if (evidence.length > 0) trail.add(node, link, `${hookName(question)}: passes`, evidence);
  return { flight: next };
}

function hookName({ family, hook }: HookQuestion): string {
  return family === "ip" ? hook : `${family} ${hook}`;
}

function ruleEvidence({ place, did, element }: RuleStep, question: HookQuestion): Evidence {
  const { table, chain, rule } = place;
  const { hook, iif, oif } = question;
  const found = element?.comment ? ` (${element.comment})` : "";
  return {
    kind: "rule",
    text: `${placeText(place)}: ${did}${found}`,
    table,
    chain,
    ...(rule && { rule: rule.text, number: rule.number, ...(rule.comment && { comment: rule.comment }) }),
    hook,
    ...(iif && { iif: iif.name }),
    ...(oif && { oif: oif.name }),
  };
}

/** "inet weft forward handle 12 "from where to where"" */
export function placeText({ table, chain, rule }: RulePlace): string {
  if (!rule) return `${table} ${chain}, its policy`;
  return `${table} ${chain} ${rule.name}${rule.comment ? ` "${rule.comment}"` : ""}`;
}

/** "not known: match string of ip filter FORWARD handle 7 (…): it would drop" */
export function doubtText({ place, unknown, would }: Doubt): string {
  const text = place.rule?.text ? ` (${place.rule.text})` : "";
  return `not known: ${unknown} of ${placeText(place)}${text}, which would ${would}`;
}
