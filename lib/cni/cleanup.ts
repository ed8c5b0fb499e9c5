/** What a call takes back or closes at its end. */

/**
 * Steps to run later, the last one first: what a DisposableStack does. The first use of
 * that takes a process 150 µs, as much as making a veth pair.
 */
export class Cleanup {
  #steps: (() => void)[] = [];

  /** Adds a step. */
  defer(step: () => void): void {
    this.#steps.push(step);
  }

  /** Adds the disposal of a resource, where there is one. @returns the resource */
  use<T extends Disposable | undefined>(resource: T): T {
    if (resource) this.#steps.push(() => resource[Symbol.dispose]());
    return resource;
  }

  /** Runs every step, whatever any of them throws; then throws the one error, or all in an AggregateError. */
  dispose(): void {
    const steps = this.#steps.reverse();
    this.#steps = [];
    everyStep(...steps);
  }

  /** Forgets the steps. */
  abandon(): void {
    this.#steps = [];
  }
}

/** As Cleanup.dispose(), for steps that are given, in their order. */
export function everyStep(...steps: readonly (() => void)[]): void {
  const failures = failuresOf(steps);
  if (failures.length === 1) throw failures[0];
  if (failures.length > 1) throw new AggregateError(failures);
}

/** Runs all the steps. @returns what they threw */
export function failuresOf(steps: readonly (() => void)[]): unknown[] {
  const failures: unknown[] = [];
  for (const step of steps) {
    try {
      step();
    } catch (error) {
      failures.push(error);
    }
  }
  return failures;
}
