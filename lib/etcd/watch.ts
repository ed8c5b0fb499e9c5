/**
 * What happens to the keys under a prefix, from a revision on, until the watch is lost.
 *
 * Reference: etcd 3.4 etcdserver/etcdserverpb/rpc.proto, WatchRequest
 */
import {
  decodeKeyValue,
  decodeRevision,
  encodeRange,
  type JsonHeader,
  type JsonKeyValue,
  type KeyValue,
} from "./encoding.ts";
import { EtcdError, noAnswer } from "./error.ts";
import { answerIn, type Gateway, type Stream } from "./gateway.ts";

export interface WatchEvent {
  readonly type: "put" | "delete";
  /** Of a delete: the key, and when. */
  readonly kv: KeyValue;
}

export interface WatchUpdate {
  /** In their order, those of one revision together. None: nothing has happened until `revision`. */
  readonly events: readonly WatchEvent[];
  /** Everything until then is known; a watch that follows begins after it. */
  readonly revision: bigint;
}

/** A line of the stream. */
interface JsonUpdate {
  readonly header?: JsonHeader;
  readonly created?: boolean;
  readonly canceled?: boolean;
  readonly cancel_reason?: string;
  readonly compact_revision?: string;
  readonly events?: readonly { readonly type?: "DELETE"; readonly kv?: JsonKeyValue }[];
}

/**
 * The first update has no events and says that the watch stands. Ends when `signal` is aborted.
 * @throws EtcdError "compacted" when that revision is too old; "lost" when the connection broke, the member
 *   has no leader, or a call found the endpoint dead; what a call throws when no watch can be had
 */
export async function* watchPrefix(
  gateway: Gateway,
  prefix: string,
  options: { readonly fromRevision: bigint; readonly signal: AbortSignal },
): AsyncGenerator<WatchUpdate, void> {
  const { fromRevision, signal } = options;
  const stop = new AbortController();
  const abort = () => stop.abort();
  signal.addEventListener("abort", abort);
  if (signal.aborted) abort();
  const create_request = {
    ...encodeRange(prefix, { prefix: true }),
    start_revision: String(fromRevision),
    progress_notify: true,
  };
  try {
    const stream = await gateway.openStream("/v3/watch", { create_request }, stop.signal);
    for await (const update of updatesOf(stream)) {
      // That it was made tells the revision of the store, not of what has been sent.
      yield update.created ? { events: [], revision: fromRevision - 1n } : decodeUpdate(update);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  } finally {
    signal.removeEventListener("abort", abort);
    abort();
  }
}

async function* updatesOf(stream: Stream): AsyncGenerator<JsonUpdate, never> {
  const { endpoint } = stream;
  const lost = (words: string, cause?: unknown) => new EtcdError("lost", words, { endpoint, cause });
  try {
    for await (const line of linesOf(stream.chunks)) {
      const update = answerIn<JsonUpdate>(line, endpoint);
      if (update.canceled) throw cancellation(update, endpoint);
      yield update;
    }
  } catch (error) {
    const failure = error instanceof EtcdError ? error : noAnswer(error, endpoint);
    throw failure.isAway ? lost(failure.words, error) : failure;
  }
  throw lost("the watch ended");
}

function cancellation(
  { compact_revision = "0", cancel_reason = "" }: JsonUpdate,
  endpoint: string,
): EtcdError {
  if (compact_revision !== "0") {
    return new EtcdError("compacted", `compacted up to revision ${compact_revision}`, { endpoint });
  }
  const kind = cancel_reason.includes("permission denied") ? "denied" : "lost";
  return new EtcdError(kind, cancel_reason || "the watch was canceled", { endpoint });
}

function decodeUpdate({ header, events = [] }: JsonUpdate): WatchUpdate {
  const decoded = events.map(({ type, kv = {} }): WatchEvent => {
    return { type: type === "DELETE" ? "delete" : "put", kv: decodeKeyValue(kv) };
  });
  // Of a watch that catches up the header is ahead of the events.
  return { events: decoded, revision: decoded.at(-1)?.kv.modRevision ?? decodeRevision(header) };
}

async function* linesOf(chunks: ReadableStream<Uint8Array>): AsyncGenerator<string, void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of chunks) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
  if (rest !== "") yield rest; // why it ends has no end of a line
}
