/**
 * Which endpoint is asked: the same for as long as it works, the next when it does not, until somebody has
 * answered or the deadline has passed.
 */
import { EtcdError, noAnswer } from "./error.ts";

/** What a call may take in all, unless it is told otherwise. */
const CALL_TIMEOUT_MS = 5_000;
/** What one endpoint may take of that. */
const ATTEMPT_TIMEOUT_MS = 1_500;
/** Before all endpoints are asked once more, when none of them can do it. */
const ROUND_PAUSE_MS = 200;
/** Rounds in which every endpoint refuses the connection, after which nothing is waited for. */
const REFUSED_ROUNDS = 2;

export interface TimeOptions {
  /** Of a call, in all: 5 s. */
  readonly timeoutMs?: number;
  /** Of an attempt at one endpoint: 1.5 s. */
  readonly attemptTimeoutMs?: number;
  /** Of all calls together: an instant on the clock of performance.now(). */
  readonly deadline?: number;
}

export interface CallOptions {
  /** An instant on the clock of performance.now(), in place of the call's time-out. */
  readonly deadline?: number | undefined;
  /** Asking twice may be another thing than asking once: stop where the first may have been heard. */
  readonly once?: boolean;
}

/** Asks one endpoint. The signal is aborted when it has had its time. */
export type Attempt<T> = (endpoint: string, signal: AbortSignal) => Promise<T>;

export class Endpoints implements Disposable {
  readonly #all: readonly string[];
  readonly #timeoutMs: number;
  readonly #attemptTimeoutMs: number;
  readonly #deadline: number;
  readonly #closed = new AbortController();
  #index: number;
  #stay = new AbortController();

  /** Begins with the endpoint that `host` stands for, so that not all hosts ask the same. */
  constructor(all: readonly string[], host: string, options: TimeOptions = {}) {
    this.#all = all;
    this.#timeoutMs = options.timeoutMs ?? CALL_TIMEOUT_MS;
    this.#attemptTimeoutMs = options.attemptTimeoutMs ?? ATTEMPT_TIMEOUT_MS;
    this.#deadline = options.deadline ?? Number.POSITIVE_INFINITY;
    this.#index = Bun.hash.crc32(host) % all.length;
  }

  get current(): string {
    return this.#all[this.#index] ?? "";
  }

  /** Aborted when the current endpoint has failed somebody, also where it stays for want of another. */
  get stay(): AbortSignal {
    return this.#stay.signal;
  }

  /**
   * Asks until somebody has answered. No connection, no answer in time and no leader lead to the next
   * endpoint; any other refusal is an answer. @throws EtcdError
   */
  async ask<T>(attempt: Attempt<T>, options: CallOptions = {}): Promise<T> {
    const deadline = Math.min(options.deadline ?? performance.now() + this.#timeoutMs, this.#deadline);
    const failures = new Map<string, EtcdError>();
    for (let count = 1, refusals = 0; ; count++) {
      const endpoint = this.current;
      try {
        return await this.#askOnce(endpoint, attempt, deadline);
      } catch (error) {
        const failure = error instanceof EtcdError ? error : noAnswer(error, endpoint);
        if (!failure.isAway || this.#closed.signal.aborted) throw failure;
        failures.set(endpoint, failure);
        this.#leave(endpoint);
        refusals = failure.words === "connection refused" ? refusals + 1 : 0;
        const pauseMs = count % this.#all.length === 0 ? ROUND_PAUSE_MS : 0;
        const isHopeless = refusals >= REFUSED_ROUNDS * this.#all.length;
        const isOver = isHopeless || performance.now() + pauseMs >= deadline;
        if (isOver || (options.once && failure.isOutcomeUnknown)) throw summary([...failures.values()]);
        if (pauseMs > 0) await Bun.sleep(pauseMs);
      }
    }
  }

  /** Ends what is under way. */
  [Symbol.dispose](): void {
    this.#closed.abort();
    this.#stay.abort();
  }

  async #askOnce<T>(endpoint: string, attempt: Attempt<T>, deadline: number): Promise<T> {
    const timeoutMs = Math.max(1, Math.min(this.#attemptTimeoutMs, Math.ceil(deadline - performance.now())));
    const stop = new AbortController();
    const fail = (kind: "timeout" | "unavailable", words: string) =>
      stop.abort(new EtcdError(kind, words, { endpoint, isOutcomeUnknown: true }));
    const timer = setTimeout(() => fail("timeout", `no answer within ${timeoutMs} ms`), timeoutMs);
    const close = () => fail("unavailable", "the client was closed");
    this.#closed.signal.addEventListener("abort", close);
    try {
      if (this.#closed.signal.aborted) close();
      return await attempt(endpoint, stop.signal);
    } catch (error) {
      throw stop.signal.aborted ? stop.signal.reason : error;
    } finally {
      clearTimeout(timer);
      this.#closed.signal.removeEventListener("abort", close);
    }
  }

  /** Several calls may have failed at the same endpoint: they go on to the same next one. */
  #leave(endpoint: string): void {
    if (this.current !== endpoint) return;
    this.#index = (this.#index + 1) % this.#all.length;
    const left = this.#stay;
    this.#stay = new AbortController();
    left.abort();
  }
}

/** One error for what each endpoint said last: the last one's, who is in front. */
function summary(failures: readonly EtcdError[]): EtcdError {
  const last = failures.at(-1) as EtcdError; // there was one, or nothing would have to be summed up
  const others = failures.slice(0, -1).map(({ endpoint, words }) => `; ${endpoint}: ${words}`);
  return new EtcdError(last.kind, last.words + others.join(""), {
    endpoint: last.endpoint,
    isOutcomeUnknown: failures.some((failure) => failure.isOutcomeUnknown),
    cause: last.cause,
  });
}
