/** A trace with real packets: the kernel tells of each rule that they meet, in every namespace. */
import { FirstPacket } from "../../lib/first-packet.ts";
import { NFNLGRP_NFTRACE, openNetfilterEvents } from "../../lib/netfilter/socket.ts";
import type { NetlinkEvents } from "../../lib/netlink/events.ts";
import { isTraceEvent, readTraceEvent, type TraceEvent } from "../../lib/nftables/trace-event.ts";
import { ErrnoError } from "../../lib/sys/errno.ts";
import type { Packet } from "./filter/packet.ts";
import { openLiveTable } from "./live-table.ts";
import type { Node } from "./node.ts";
import type { TraceQuestion } from "./trace.ts";

const POLL_MS = 10;
/** After an answer, what the kernel still has to tell of it. */
const LINGER_MS = 50;
const DATAGRAMS_MAX = 1_000;

/** A namespace on the way, with the packets as they are when they come to it. */
export interface Station {
  readonly node: Node;
  readonly packets: readonly Packet[];
}

/** An event, and at which station. */
export interface Heard {
  readonly station: Station;
  readonly event: TraceEvent;
}

export interface LiveOptions {
  /** Sends the first packet itself; else what others send is told. */
  readonly sends: boolean;
  readonly seconds: number;
  /** Gets the events that have come since it was last called. */
  readonly tell: (heard: readonly Heard[]) => void;
  /** Ends it early. */
  readonly signal: AbortSignal;
}

export interface LiveEnd {
  /** undefined where nothing was sent by the tool itself. */
  readonly isAnswered: boolean | undefined;
  /** Why the sender's own kernel would not send it, or what somebody on the way said. */
  readonly refusal?: string;
  /** Events that were lost because too many came at once. */
  readonly isIncomplete: boolean;
}

/** Listens and sends. Whatever ends it, nothing is left. */
export async function traceLive(
  { origin, packet }: TraceQuestion,
  stations: readonly Station[],
  { sends, seconds, tell, signal }: LiveOptions,
): Promise<LiveEnd> {
  using opened = new DisposableStack();
  const listeners = stations.map((station) => {
    opened.use(openLiveTable(station.node, station.packets));
    return { station, events: opened.use(openNetfilterEvents([NFNLGRP_NFTRACE], station.node.stack.netns)) };
  });
  let isIncomplete = false;
  const drain = () => {
    const heard: Heard[] = [];
    for (const { station, events } of listeners) isIncomplete = hear(station, events, heard) || isIncomplete;
    tell(heard);
  };
  let sent: FirstPacket | undefined;
  try {
    if (sends) sent = opened.use(firstPacket(origin, packet));
  } catch (error) {
    if (!(error instanceof ErrnoError)) throw error;
    drain();
    return { isAnswered: false, refusal: error.message, isIncomplete };
  }
  const deadline = performance.now() + seconds * 1_000;
  let answer: string | undefined;
  while (performance.now() < deadline && !signal.aborted && answer === undefined) {
    drain();
    await sleep(POLL_MS);
    answer = sent?.answer;
  }
  await sleep(LINGER_MS);
  drain();
  if (!sent) return { isAnswered: undefined, isIncomplete };
  return { isAnswered: answer === "", ...(answer && { refusal: answer }), isIncomplete };
}

function firstPacket(origin: TraceQuestion["origin"], packet: Packet): FirstPacket {
  if (!("node" in origin)) throw new Error("who is beyond this host cannot be made to send");
  return new FirstPacket(origin.node.stack.netns, { ...packet, port: packet.destinationPort });
}

/** @returns whether some were lost */
function hear(station: Station, events: NetlinkEvents, heard: Heard[]): boolean {
  const outcome = events.receive((message) => {
    const event = isTraceEvent(message) ? readTraceEvent(message.body) : undefined;
    if (event) heard.push({ station, event });
  }, DATAGRAMS_MAX);
  return outcome === "lost";
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
