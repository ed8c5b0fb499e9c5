/**
 * The error a plugin answers with.
 *
 * Reference: CNI spec 1.1 §5 "Error"; codes 8 and 999 are libcni's (pkg/types/types.go).
 */
import { ErrnoError } from "../sys/errno.ts";
import { LockTimeoutError } from "../sys/lock.ts";

/** What went wrong, in the words of the specification: a code, a message, and what else is known. */
export class CniError extends Error {
  static readonly INCOMPATIBLE_VERSION = 1;
  static readonly UNSUPPORTED_FIELD = 2;
  static readonly UNKNOWN_CONTAINER = 3;
  static readonly INVALID_ENVIRONMENT = 4;
  static readonly IO_FAILURE = 5;
  static readonly DECODING_FAILURE = 6;
  static readonly INVALID_NETWORK_CONFIG = 7;
  static readonly SAME_NETNS = 8;
  static readonly TRY_AGAIN_LATER = 11;
  /** STATUS: the plugin cannot serve an ADD. */
  static readonly NOT_AVAILABLE = 50;
  /** STATUS: neither that, nor are the containers there known to be connected. */
  static readonly NOT_AVAILABLE_AFFECTED = 51;
  /** CHECK: something is not as ADD made it. 100 and above are the plugins' own. */
  static readonly CHECK_FAILED = 100;
  static readonly INTERNAL = 999;

  readonly code: number;
  readonly msg: string;
  /** "" when there are none; a cause speaks here unless details are given. */
  readonly details: string;

  constructor(code: number, msg: string, options: { details?: string; cause?: unknown } = {}) {
    const details = options.details ?? (options.cause === undefined ? "" : messageOf(options.cause));
    super(details === "" ? msg : `${msg}; ${details}`, { cause: options.cause });
    this.name = "CniError";
    this.code = code;
    this.msg = msg;
    this.details = details;
  }
}

/** A configuration that nobody can carry out: what is wrong, naming the key, and what to do about it. */
export function invalidConfig(msg: string, details = ""): CniError {
  return new CniError(CniError.INVALID_NETWORK_CONFIG, msg, { details });
}

/** What `find` returns; its complaint of the configuration is, to CHECK and STATUS, one of the host. */
export function recoded<T>(code: number, find: () => T): T {
  try {
    return find();
  } catch (error) {
    if (!(error instanceof CniError)) throw error;
    throw new CniError(code, error.msg, { details: error.details });
  }
}

/** The JSON document that answers for `error`, whatever was thrown. */
export function formatError(error: unknown, cniVersion: string): string {
  const { code, msg, details } = toCniError(error);
  return JSON.stringify({ cniVersion, code, msg, ...(details !== "" && { details }) }, null, 4);
}

/** The same failure as a CniError. Several that share a code keep it. */
export function toCniError(error: unknown): CniError {
  if (error instanceof CniError) return error;
  if (error instanceof LockTimeoutError) return new CniError(CniError.TRY_AGAIN_LATER, error.message);
  if (error instanceof ErrnoError) return new CniError(CniError.IO_FAILURE, error.message);
  const codes = new Set(partsOf(error).map((part) => toCniError(part).code));
  const [code = CniError.INTERNAL] = codes.size === 1 ? codes : [];
  const cause = error instanceof Error ? error.cause : undefined;
  return new CniError(code, messageOf(error), { cause });
}

/**
 * `error` with what failed while cleaning up after it: the
 * first failure stays the message, the others are details.
 */
export function withFurther(error: unknown, further: readonly unknown[]): unknown {
  if (further.length === 0) return error;
  const { code, msg, details } = toCniError(error);
  const texts = further.map((failure) => `while cleaning up: ${messageOf(failure)}`);
  return new CniError(code, msg, { details: [details, ...texts].filter(Boolean).join("; "), cause: error });
}

function messageOf(error: unknown): string {
  const parts = partsOf(error);
  if (parts.length > 0) return parts.map(messageOf).join("; ");
  return error instanceof Error ? error.message : String(error);
}

/** The failures inside an error made of several, in the order they happened. */
function partsOf(error: unknown): readonly unknown[] {
  if (error instanceof AggregateError) return error.errors;
  return error instanceof SuppressedError ? [error.suppressed, error.error] : [];
}
