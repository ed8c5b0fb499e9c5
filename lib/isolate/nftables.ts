/**
 * Isolation as elements of our table: of the interface, not of the container, so that its containers share
 * them. Policy "open" has none. An accept in one table does not overrule a drop in another, so ours could not
 * open what iptables or firewalld closes (lib/backend.ts), and what nobody closes needs no accepting.
 */
import type { Element } from "../weft-table/element.ts";
import { type Isolation, pairsWithin, separatesNeighbours } from "./isolation.ts";

/** The chains (lib/weft-table/ruleset.ts) let published ports pass; "accept" is the last word on a pair. */
export function isolationElements(isolation: Isolation): Element[] {
  const { via, overlay, ingressPolicy, internal, permittedInterfaces } = isolation;
  const members = overlay === undefined ? [via] : [via, overlay];
  const elements: Element[] = [];
  const pair = (from: string, to: string, verdict: string) =>
    elements.push({ set: "pairs", key: [from, to], data: [verdict] });

  for (const [from, to] of pairsWithin({ via, overlay })) {
    if (separatesNeighbours(isolation)) pair(from, to, "goto icc-off");
    else if (internal || ingressPolicy !== "open") pair(from, to, "accept");
  }
  for (const member of members) {
    for (const other of new Set(permittedInterfaces)) {
      if (members.includes(other)) continue;
      pair(member, other, "accept");
      pair(other, member, "accept");
    }
    if (internal) {
      elements.push({ set: "leaving", key: [member], data: ["drop"] });
      elements.push({ set: "entering", key: [member], data: ["drop"] });
    } else if (ingressPolicy === "published") {
      elements.push({ set: "entering", key: [member], data: ["jump published"] });
    } else if (ingressPolicy !== "open") {
      elements.push({ set: "leaving", key: [member], data: ["jump isolation"] });
      elements.push({ set: "isolated", key: [member] });
    }
  }
  return elements;
}
