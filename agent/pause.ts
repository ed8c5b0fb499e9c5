/** Waiting without holding up what else there is to do. */

/** Waits, or until `signal` is aborted. */
export function pause(durationMs: number, signal?: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(done, durationMs);
  signal?.addEventListener("abort", done);
  if (signal?.aborted) done();
  return promise;

  function done(): void {
    clearTimeout(timer);
    signal?.removeEventListener("abort", done);
    resolve();
  }
}

/** Lets timers and sockets have their turn. */
export function letOthers(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  setImmediate(resolve);
  return promise;
}
