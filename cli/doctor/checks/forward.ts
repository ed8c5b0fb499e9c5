/** What the host's packet filters say to containers, on the ways that their packets are to go. */
import type { TraceResult } from "../../trace/trace.ts";
import type { Evidence, Hop } from "../../trace/trail.ts";
import { accepting, deleting } from "../accepting.ts";
import { type Finding, finding } from "../finding.ts";
import { type Host, hostSideOf, nameOf } from "../host.ts";
import { droppedLeg, type Followed, type NetworkWays, type Way } from "../ways.ts";

/** Rules of weft's and of the reference's firewall drop what they were asked to. */
const INTENDED = /^(inet|bridge) weft|CNI-/;

/** The ways of one kind after the other: what ends one ends others, by the same rule. */
export function checkForward(host: Host, networks: readonly NetworkWays[]): Finding[] {
  return networks.flatMap(({ outward, sideways, inward, local }) => {
    for (const followed of [outward, sideways, inward, local]) {
      const found = endings(host, followed);
      if (found.length > 0) return found;
    }
    return [];
  });
}

/** One finding a rule or policy, whatever it ends. */
function endings(host: Host, followed: readonly Followed[]): Finding[] {
  const ends = followed.flatMap(({ way, result }) => {
    const diverting = way.isInward && divertedBy(host, way, result);
    if (diverting) return { way, rule: diverting, isDropped: false };
    const dropping = droppedBy(host, result);
    return dropping ? { way, rule: dropping, isDropped: true } : [];
  });
  return [...Map.groupBy(ends, ({ rule }) => rule.text).values()].flatMap(([first, ...others]) => {
    if (!first) return [];
    const { way, rule, isDropped } = first;
    const { attached, course } = way;
    const more = new Set([first, ...others].map((end) => end.way.attached)).size - 1;
    const subject = more > 0 ? `${nameOf(attached)} and ${more} more` : nameOf(attached);
    const evidence = `what goes ${course} is ${isDropped ? "dropped" : "led elsewhere"} by ${rule.text}`;
    const side = hostSideOf(host, attached)?.name ?? "";
    return isDropped
      ? finding("forward-dropped", { subject, evidence, remedy: accepting(side, rule) })
      : finding("port-diverted", { subject, evidence, remedy: deleting(rule) });
  });
}

/** The rule of this host that ends it; undefined where none does, or what was meant to. */
function droppedBy({ stack }: Host, result: TraceResult): Evidence | undefined {
  const ended = droppedLeg(result);
  const last = ended?.isFiltered ? ended.hops.at(-1) : undefined;
  return last?.place === stack.name ? anothersRule(last) : undefined;
}

/** The rule of another's by which what is for a container does not come to it. */
function divertedBy({ stack }: Host, { attached }: Way, { there, visits }: TraceResult) {
  if ([...visits.keys()].some((node) => node.stack === attached.inside?.stack)) return undefined;
  const hop = there.hops.find(({ place, text }) => place === stack.name && text.includes(": translated to"));
  return hop && anothersRule(hop);
}

function anothersRule({ evidence }: Hop): Evidence | undefined {
  const rule = evidence.findLast(({ kind }) => kind === "rule");
  return rule && !INTENDED.test(`${rule.table} ${rule.chain}`) ? rule : undefined;
}
