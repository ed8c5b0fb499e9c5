/** What the kernel answers to a request it refuses. */
import { errnoName } from "../sys/errno.ts";
import { errnoText } from "../sys/libc.ts";

/**
 * The kernel refused a request. The message reads
 * `Cannot create link "eth0": RTM_NEWLINK failed with EEXIST (file exists): <the kernel's own sentence>`.
 */
export class NetlinkError extends Error {
  /** The kind of request, for example "RTM_NEWLINK". */
  readonly request: string;
  readonly errno: number;
  /** The errno's name, for example "EEXIST". */
  readonly code: string;
  /** The kernel's own sentence (extended acknowledgement), or "". */
  readonly detail: string;
  /** The attribute the kernel complains of, for example "IFLA_MTU". */
  readonly attribute: string | undefined;

  constructor(
    doing: string,
    refusal: { request: string; errno: number; detail?: string | undefined; attribute?: string | undefined },
  ) {
    const { request, errno, detail = "", attribute } = refusal;
    const more = [detail, attribute && `attribute ${attribute}`].filter(Boolean).join(", ");
    const failure = `${request} failed with ${errnoName(errno)} (${errnoText(errno)})`;
    super(`Cannot ${doing}: ${failure}${more ? `: ${more}` : ""}`);
    this.name = "NetlinkError";
    this.request = request;
    this.errno = errno;
    this.code = errnoName(errno);
    this.detail = detail;
    this.attribute = attribute;
  }
}

/** Whether the kernel said that there is no such thing: what a DEL takes for done. */
function isMissing(error: unknown): error is NetlinkError {
  return isRefusal(error, "ENODEV", "ENOENT", "ESRCH", "EADDRNOTAVAIL", "ENXIO");
}

/** What `ask` returns, or undefined when the kernel says that there is no such thing. */
export function unlessMissing<T>(ask: () => T): T | undefined {
  try {
    return ask();
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/**
 * Makes something; when the kernel says that it is there
 * already, somebody else made it meanwhile, and all is well.
 */
export function unlessExisting(make: () => void): void {
  try {
    make();
  } catch (error) {
    if (!isExisting(error)) throw error;
  }
}

/** Whether the kernel said that it is there already. */
export function isExisting(error: unknown): error is NetlinkError {
  return isRefusal(error, "EEXIST");
}

function isRefusal(error: unknown, ...codes: string[]): error is NetlinkError {
  return error instanceof NetlinkError && codes.includes(error.code);
}

/** The kernel's answer could not be had: cut short, malformed, or not in time. */
export class NetlinkProtocolError extends Error {
  constructor(doing: string, reason: string) {
    super(`Cannot ${doing}: ${reason}`);
    this.name = "NetlinkProtocolError";
  }
}
