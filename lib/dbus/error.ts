/** What goes wrong on a message bus. */

/** The bus or a service answered with an error. */
export class BusError extends Error {
  /** "org.freedesktop.DBus.Error.AccessDenied" */
  readonly errorName: string;
  /** The service's own sentence, or "". */
  readonly text: string;

  constructor(
    call: { destination: string; member: string },
    { errorName, text }: { errorName: string; text: string },
  ) {
    super(`${call.destination} refused ${call.member}: ${errorName}${text && `: ${text}`}`);
    this.name = "BusError";
    this.errorName = errorName;
    this.text = text;
  }
}

/** There is no bus to talk to: nobody listens, or what does is not a bus, or it went away. */
export class BusUnavailableError extends Error {
  constructor(address: string, reason: string, cause?: unknown) {
    super(`Cannot use the message bus at "${address}": ${reason}`, { cause });
    this.name = "BusUnavailableError";
  }
}

/** The other side did not answer in time. */
export class BusTimeoutError extends Error {
  constructor(address: string, timeoutMs: number) {
    super(`The message bus at "${address}" gave no answer for ${timeoutMs} ms; try again`);
    this.name = "BusTimeoutError";
  }
}
