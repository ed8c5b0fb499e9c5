/** The agent's log: one line of JSON on stderr for each thing that happened. */
import { writeFd } from "../lib/sys/file.ts";

const STDERR = 2;

export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export type Fields = Readonly<Record<string, unknown>>;

/** Writes what is at least of its level. A log that cannot be written ends nothing. */
export class Log {
  readonly #least: number;
  readonly #write: (line: string) => void;

  constructor(level: LogLevel, write: (line: string) => void = writeToStderr) {
    this.#least = LOG_LEVELS.indexOf(level);
    this.#write = write;
  }

  debug(msg: string, fields?: Fields): void {
    this.#log("debug", msg, fields);
  }

  info(msg: string, fields?: Fields): void {
    this.#log("info", msg, fields);
  }

  warn(msg: string, fields?: Fields): void {
    this.#log("warn", msg, fields);
  }

  error(msg: string, fields?: Fields): void {
    this.#log("error", msg, fields);
  }

  #log(level: LogLevel, msg: string, fields: Fields = {}): void {
    if (LOG_LEVELS.indexOf(level) < this.#least) return;
    this.#write(`${JSON.stringify({ time: new Date().toISOString(), level, msg, ...fields })}\n`);
  }
}

function writeToStderr(line: string): void {
  try {
    writeFd(STDERR, new TextEncoder().encode(line));
  } catch {
    // whoever read it has gone
  }
}

export function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
