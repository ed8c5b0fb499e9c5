/** An error that ends the tool with an exit code of its own; any other ends it with 1. */
export class Failure extends Error {
  override readonly name = "Failure";
  readonly exitCode: number;

  constructor(exitCode: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.exitCode = exitCode;
  }
}

/** A plugin answered with an error, or the demonstration found something that is not as it should be. */
export const EXIT_FAILED = 2;
