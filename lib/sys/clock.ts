/** Clocks: when this machine booted, and a bounded pause. */
import { CLOCK_BOOTTIME, CLOCK_REALTIME, clockGettime, ppoll } from "./libc.ts";

/**
 * Wall-clock time of this boot, in nanoseconds since 1970. Moves with the wall clock when somebody sets that.
 */
export function bootTimeNs(): bigint {
  return clockGettime(CLOCK_REALTIME) - clockGettime(CLOCK_BOOTTIME);
}

/** Wall-clock time in nanoseconds since 1970. */
export function nowNs(): bigint {
  return clockGettime(CLOCK_REALTIME);
}

/** Pauses the thread. For waits that have no event to wait for; always inside a bounded loop. */
export function sleepMs(durationMs: number): void {
  ppoll(-1, 0, durationMs);
}

/** Milliseconds since this machine booted: the same for every process, and nobody can set it. */
export function uptimeMs(): number {
  return Number(clockGettime(CLOCK_BOOTTIME) / 1_000_000n);
}
