/** A trace with real packets, from its start to its last line. */
import { sameAddress } from "../../lib/netaddr/address.ts";
import { jsonText } from "../terminal/json.ts";
import { bold, green, red } from "../terminal/style.ts";
import { formatPacket } from "./filter/packet.ts";
import { type Heard, type LiveEnd, type Station, traceLive } from "./live.ts";
import { addressesOf, isDrop, type LiveLine, LiveReport, liveLine } from "./live-report.ts";
import type { TraceQuestion, TraceResult } from "./trace.ts";

export interface LiveSettings {
  readonly sends: boolean;
  readonly seconds: number;
  readonly json?: true | undefined;
}

/** @returns whether the packet and its answer got through */
export async function runLive(
  question: TraceQuestion,
  result: TraceResult,
  { sends, seconds, json }: LiveSettings,
): Promise<boolean> {
  const stations: Station[] = [...result.visits].map(([node, packets]) => ({ node, packets }));
  const report = new LiveReport();
  const told: LiveLine[] = [];
  let drop: LiveLine | undefined;
  const tell = (heard: readonly Heard[]) => {
    for (const { station, event } of inOrder(heard, stations)) {
      const line = liveLine(station.node, event);
      if (!line) continue;
      told.push(line);
      if (isDrop(event)) drop ??= line;
      if (!json) for (const text of report.lines(line)) console.log(text);
    }
  };
  if (!json) console.log(beginning(question, stations, { sends, seconds }));
  const stop = new AbortController();
  const abort = () => stop.abort();
  process.once("SIGINT", abort).once("SIGTERM", abort);
  let end: LiveEnd;
  try {
    end = await traceLive(question, stations, { sends, seconds, tell, signal: stop.signal });
  } finally {
    process.off("SIGINT", abort).off("SIGTERM", abort);
  }
  const passes = drop === undefined && told.length > 0 && end.isAnswered !== false;
  if (json) console.log(jsonText({ verdict: passes ? "passes" : "dropped", ...end, events: told }));
  else console.log(ending(end, { drop, last: told.at(-1), seconds }));
  return passes;
}

function beginning(
  { packet }: TraceQuestion,
  stations: readonly Station[],
  { sends, seconds }: Pick<LiveSettings, "sends" | "seconds">,
): string {
  const places = stations.map(({ node }) => node.name).join(", ");
  const what = sends
    ? `sends ${formatPacket({ ...packet, sourcePort: 0 }).replace(/:0 →/, " →")}`
    : "listens";
  return `${bold("live")}  ${what}; listens in ${places}, for up to ${seconds} s\n`;
}

interface Told {
  readonly drop: LiveLine | undefined;
  readonly last: LiveLine | undefined;
  readonly seconds: number;
}

function ending({ isAnswered, refusal, isIncomplete }: LiveEnd, { drop, last, seconds }: Told): string {
  const lost = isIncomplete ? "\n? more happened than could be told" : "";
  if (drop) return `\n${red(`✗ dropped in ${drop.place}: ${drop.table} ${drop.chain}`)}${lost}`;
  if (refusal !== undefined) return `\n${red(`✗ it is refused: ${refusal}`)}${lost}`;
  if (!last) return `\n${red(`✗ no packet of this flow was seen within ${seconds} s`)}`;
  if (isAnswered === false) {
    const where = `last seen in ${last.place}, ${last.chain}`;
    return `\n${red(`✗ no answer within ${seconds} s; ${where}`)}${lost}`;
  }
  return `\n${green(isAnswered ? "✓ answered" : "✓ nothing of it was dropped")}${lost}`;
}

/**
 * Of what was heard at once the packets in the order of their way: the question from the first station to the
 * last, then the answer from the last to the first.
 */
function inOrder(heard: readonly Heard[], stations: readonly Station[]): Heard[] {
  const packets = new Map<string, Heard[]>();
  for (const each of heard) {
    const key = `${stations.indexOf(each.station)} ${each.event.id}`;
    packets.getOrInsertComputed(key, () => []).push(each);
  }
  const rank = (group: readonly Heard[]) => {
    const at = stations.findIndex(({ node }) => node === group[0]?.station.node);
    return isAnswer(group) ? 2 * stations.length - at : at;
  };
  return [...packets.values()].sort((a, b) => rank(a) - rank(b)).flat();
}

function isAnswer(group: readonly Heard[]): boolean {
  for (const { station, event } of group) {
    const addresses = addressesOf(event);
    const known = station.packets.find(
      ({ source, destination }) =>
        addresses && sameAddress(source, addresses[0]) && sameAddress(destination, addresses[1]),
    );
    if (known) return known.isAnswer;
  }
  return false;
}
