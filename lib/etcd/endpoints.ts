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
/** Rounds in which no endpoint could even be asked, after which nothing is waited for. */
const UNHEARD_ROUNDS = 2;
const CLOSED = "the client was closed";

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
  /** An attempt that this ends is the last. */
  readonly signal?: AbortSignal;
}

/**
 * Asks one endpoint. `signal` is aborted when it has had its time. `stay` is aborted when, later on, it fails
 * a call: what is still open to it then may be as dead.
 */
export type Attempt<T> = (endpoint: string, signal: AbortSignal, stay: AbortSignal) => Promise<T>;

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

  /**
   * Asks until somebody has answered. No connection, no answer in time and no leader lead to the next
   * endpoint; any other refusal is an answer. Nothing is asked once the deadline has passed: whoever wanted
   * to know may have asked another by then. @throws EtcdError
   */
  async ask<T>(attempt: Attempt<T>, options: CallOptions = {}): Promise<T> {
    const deadline = Math.min(options.deadline ?? performance.now() + this.#timeoutMs, this.#deadline);
    if (performance.now() >= deadline) {
      throw new EtcdError("timeout", "there is no time left to ask", { endpoint: this.current });
    }
    const failures: EtcdError[] = [];
    for (let count = 1, unheard = 0; ; count++) {
      const endpoint = this.current;
      const { signal: stay } = this.#stay;
      try {
        return await this.#askOnce(endpoint, (signal) => attempt(endpoint, signal, stay), deadline);
      } catch (error) {
        const failure = error instanceof EtcdError ? error : noAnswer(error, endpoint);
        const isUnwanted = this.#closed.signal.aborted || options.signal?.aborted;
        if (!failure.isAway || isUnwanted) throw failure;
        failures.push(failure);
        this.#leave(endpoint);
        unheard = failure.isUnheard ? unheard + 1 : 0;
        const pauseMs = count % this.#all.length === 0 ? ROUND_PAUSE_MS : 0;
        const isHopeless = unheard >= UNHEARD_ROUNDS * this.#all.length;
        const isOver = isHopeless || performance.now() + pauseMs >= deadline;
        if (isOver || (options.once && failure.isOutcomeUnknown)) throw summary(failures, failure);
        if (pauseMs > 0) await Bun.sleep(pauseMs);
      }
    }
  }

  /** Ends what is under way. */
  [Symbol.dispose](): void {
    this.#closed.abort();
    this.#stay.abort(new EtcdError("lost", CLOSED, { endpoint: this.current }));
  }

  async #askOnce<T>(
    endpoint: string,
    attempt: (signal: AbortSignal) => Promise<T>,
    deadline: number,
  ): Promise<T> {
    const timeoutMs = Math.max(1, Math.min(this.#attemptTimeoutMs, Math.ceil(deadline - performance.now())));
    const stop = new AbortController();
    const fail = (kind: "timeout" | "unavailable", words: string) =>
      stop.abort(new EtcdError(kind, words, { endpoint, isOutcomeUnknown: true }));
    const timer = setTimeout(() => fail("timeout", `no answer within ${timeoutMs} ms`), timeoutMs);
    const close = () => fail("unavailable", CLOSED);
    this.#closed.signal.addEventListener("abort", close);
    try {
      if (this.#closed.signal.aborted) close();
      return await attempt(stop.signal);
    } catch (error) {
      throw stop.signal.aborted ? stop.signal.reason : error;
    } finally {
      clearTimeout(timer);
      this.#closed.signal.removeEventListener("abort", close);
    }
  }

  /** Several calls may have failed at the same endpoint: they go on to the same next one, if there is one. */
  #leave(endpoint: string): void {
    if (this.current !== endpoint) return;
    const left = this.#stay;
    this.#index = (this.#index + 1) % this.#all.length;
    this.#stay = new AbortController();
    left.abort(new EtcdError("lost", "it failed another call", { endpoint }));
  }
}

/** One error for all of them: the last one, and what other endpoints said last. */
function summary(failures: readonly EtcdError[], last: EtcdError): EtcdError {
  const wordsOf = new Map(failures.map(({ endpoint, words }) => [endpoint, words]));
  wordsOf.delete(last.endpoint);
  const others = [...wordsOf].map(([endpoint, words]) => `; ${endpoint}: ${words}`);
  return new EtcdError(last.kind, last.words + others.join(""), {
    endpoint: last.endpoint,
    isOutcomeUnknown: failures.some(({ isOutcomeUnknown }) => isOutcomeUnknown),
    cause: last.cause,
  });
}
