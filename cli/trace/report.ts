/** A trace for people, hop by hop, and as JSON. */
import { fold } from "../terminal/fold.ts";
import { bold, cyan, dim, green, red, yellow } from "../terminal/style.ts";
import { terminalColumns } from "../terminal/width.ts";
import { formatPacket } from "./filter/packet.ts";
import type { Leg, TraceResult } from "./trace.ts";
import type { Hop } from "./trail.ts";

const ARROW = "↓";

export function formatTrace(result: TraceResult, width = terminalColumns()): string {
  const { there, back, unknown } = result;
  const lines = [...formatLeg("there", there, width)];
  if (back) lines.push("", ...formatLeg("back", back, width));
  lines.push("", ...verdictLines(result, width));
  for (const each of unknown) {
    lines.push(...fold(`? ${each}`, { hanging: 2, width }).map(yellow));
  }
  return lines.join("\n");
}

function formatLeg(title: string, { packet, hops }: Leg, width: number): string[] {
  const lines = [`${bold(title)}  ${formatPacket(packet)}`];
  let place = "";
  for (const hop of hops) {
    if (hop.place !== place) {
      if (place !== "") lines.push(dim(`  ${ARROW}`));
      lines.push(`  ${cyan(hop.place)}`);
      place = hop.place;
    }
    lines.push(...formatHop(hop, width));
  }
  return lines;
}

function formatHop({ device, text, evidence }: Hop, width: number): string[] {
  const label = device === "" ? "" : `${device}  `;
  return [
    ...fold(`${label}${text}`, { indent: 4, hanging: 6, width }),
    ...evidence.flatMap((each) =>
      fold(`${each.kind} ${each.text}`, { indent: 8, hanging: 10, width }).map(dim),
    ),
  ];
}

function verdictLines({ verdict, there, back, unknown }: TraceResult, width: number): string[] {
  const isSure = unknown.length === 0;
  if (verdict === "passes") {
    const how = there.verdict === "left" ? `, and leaves ${there.reason}` : `, and arrives in ${there.place}`;
    const text = `${isSure ? "passes" : "passes, as far as it is known"}${how}`;
    return fold(`✓ ${text}`, { hanging: 2, width }).map(green);
  }
  const leg = back ?? there;
  const what = back ? "the answer is dropped" : "dropped";
  const text = `${what}${isSure ? "" : ", as far as it is known"}: ${leg.reason}`;
  return fold(`✗ ${text}`, { hanging: 2, width }).map(red);
}

export function traceJson(result: TraceResult): object {
  const leg = ({ packet, hops, verdict, reason, place }: Leg) => ({
    packet: formatPacket(packet),
    verdict,
    reason,
    place,
    hops,
  });
  return {
    verdict: result.verdict,
    isCertain: result.unknown.length === 0,
    unknown: result.unknown,
    there: leg(result.there),
    back: result.back && leg(result.back),
  };
}
