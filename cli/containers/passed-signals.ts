/** Signals that are meant for a program of ours: they end us only when it has ended and all is undone. */
import type { ChildProcess } from "node:child_process";

/** A terminal sends these to every process before it, the program itself among them. */
const FROM_TERMINAL: readonly NodeJS.Signals[] = ["SIGINT", "SIGQUIT", "SIGWINCH"];
/** They end a program that does not take them. */
const ENDING: readonly NodeJS.Signals[] = [
  "SIGINT",
  "SIGQUIT",
  "SIGTERM",
  "SIGHUP",
  "SIGUSR1",
  "SIGUSR2",
  "SIGALRM",
];
const ALL: readonly NodeJS.Signals[] = [...ENDING, "SIGWINCH"];

/** From its making on none of them ends us. */
export class PassedSignals implements Disposable {
  readonly #take: (signal: NodeJS.Signals) => void;
  #child: ChildProcess | undefined;
  #received: NodeJS.Signals | undefined;

  constructor() {
    this.#take = (signal) => {
      if (ENDING.includes(signal)) this.#received ??= signal;
      if (process.stdin.isTTY && FROM_TERMINAL.includes(signal)) return;
      this.#child?.kill(signal);
    };
    for (const signal of ALL) process.on(signal, this.#take);
  }

  /** The first that came of those that end a program. */
  get received(): NodeJS.Signals | undefined {
    return this.#received;
  }

  /** Sends on to the program what comes from now on. */
  passTo(child: ChildProcess): void {
    this.#child = child;
  }

  [Symbol.dispose](): void {
    for (const signal of ALL) process.off(signal, this.#take);
  }
}
