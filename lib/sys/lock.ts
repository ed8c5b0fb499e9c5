/** Locks between processes: flock(2) on a file, waited for no longer than a bound. */
import { sleepMs } from "./clock.ts";
import { isErrno } from "./errno.ts";
import * as libc from "./libc.ts";

const TIMEOUT_MS = 10_000;
const RETRY_MIN_MS = 1;
const RETRY_MAX_MS = 16;
/** Who has waited that long tries at every RETRY_MIN_MS again, so that who came later does not go first. */
const PATIENCE_MS = 500;

/** Somebody else held the lock for the whole of the bound. */
export class LockTimeoutError extends Error {
  constructor(path: string, timeoutMs: number) {
    super(`Cannot lock "${path}": another process held it for ${timeoutMs} ms; try again`);
    this.name = "LockTimeoutError";
  }
}

/** A held lock. The kernel releases it with the process, so a kill leaves none behind. */
export class Lock implements Disposable {
  #fd: number | undefined;

  constructor(fd: number) {
    this.#fd = fd;
  }

  /** Releases the lock; again is nothing. */
  [Symbol.dispose](): void {
    if (this.#fd !== undefined) libc.close(this.#fd);
    this.#fd = undefined;
  }
}

/**
 * Locks a file, creating it where needed. flock(2) has no bound of its own and gives no event, so a lock that
 * is taken is tried again, 1 to 16 ms apart; who has waited long tries most often, or of many that wait one
 * would now and then never be the first to see it free.
 * @param options.shared lets other shared holders in, and keeps exclusive ones out
 * @throws LockTimeoutError after `timeoutMs`
 */
export function acquireLock(path: string, options: { timeoutMs?: number; shared?: boolean } = {}): Lock {
  const { timeoutMs = TIMEOUT_MS, shared = false } = options;
  const operation = (shared ? libc.LOCK_SH : libc.LOCK_EX) | libc.LOCK_NB;
  // whoever may open the file may lock it; and not to wait for a FIFO
  const fd = libc.open(path, libc.O_CREAT | libc.O_RDONLY | libc.O_NONBLOCK, 0o600);
  try {
    const start = performance.now();
    for (let pauseMs = RETRY_MIN_MS; !tryLock(fd, operation); ) {
      const waitedMs = performance.now() - start;
      if (waitedMs >= timeoutMs) throw new LockTimeoutError(path, timeoutMs);
      sleepMs(pauseMs);
      pauseMs = waitedMs > PATIENCE_MS ? RETRY_MIN_MS : Math.min(pauseMs * 2, RETRY_MAX_MS);
    }
    return new Lock(fd);
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

function tryLock(fd: number, operation: number): boolean {
  try {
    libc.flock(fd, operation);
    return true;
  } catch (error) {
    if (isErrno(error, "EAGAIN")) return false;
    throw error;
  }
}
