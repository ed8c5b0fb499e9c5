/**
 * Isolation as elements of our table: of the interface, not of the container, so that its containers share
 * them. Policy "open" has none. An accept in one table does not overrule a drop in another, so ours could not
 * open what iptables or firewalld closes (lib/backend.ts), and what nobody closes needs no accepting.
 */
import type { Element } from "../weft-table/element.ts";
import { type Isolation, separatesNeighbours } from "./isolation.ts";

/** The chains (lib/weft-table/ruleset.ts) let published ports pass; "accept" is the last word on a pair. */
export function isolationElements(isolation: Isolation): Element[] {
  const { via, ingressPolicy, internal, permittedInterfaces } = isolation;
  const elements: Element[] = [];
  const pair = (from: string, to: string, verdict: string) =>
    elements.push({ set: "pairs", key: [from, to], data: [verdict] });

  if (separatesNeighbours(isolation)) pair(via, via, "goto icc-off");
  else if (internal || ingressPolicy !== "open") pair(via, via, "accept");
  for (const other of new Set(permittedInterfaces)) {
    if (other === via) continue;
    pair(via, other, "accept");
    pair(other, via, "accept");
  }
  if (internal) {
    elements.push({ set: "leaving", key: [via], data: ["drop"] });
    elements.push({ set: "entering", key: [via], data: ["drop"] });
  } else if (ingressPolicy === "published") {
    elements.push({ set: "entering", key: [via], data: ["jump published"] });
  } else if (ingressPolicy !== "open") {
    elements.push({ set: "leaving", key: [via], data: ["jump isolation"] });
    elements.push({ set: "isolated", key: [via] });
  }
  return elements;
}
