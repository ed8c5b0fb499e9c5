/**
 * CNI_ARGS: "KEY=value;KEY2=value2", for what a runtime or a user says about one container.
 *
 * Reference: CNI spec 1.1 §2 "Parameters"; libcni's
 * pkg/types/args.go, whose texts these are. Keys match in their case.
 */
import { CniError } from "./error.ts";

const IGNORE_UNKNOWN = "IgnoreUnknown";

/**
 * Every pair of the text. A key that is not among the `known`
 * is an error unless IgnoreUnknown=1 is there as well.
 * @throws CniError
 */
export function parseArgs(text: string, known: readonly string[]): Record<string, string> {
  if (text === "") return {};
  const pairs = text.split(";").map(parsePair);
  const args = Object.fromEntries(pairs);
  const ignoreUnknown = parseFlag(args[IGNORE_UNKNOWN] ?? "0");
  const unknown = pairs.filter(([key]) => key !== IGNORE_UNKNOWN && !known.includes(key));
  if (unknown.length > 0 && !ignoreUnknown) {
    throw invalid(`ARGS: unknown args [${unknown.map((pair) => JSON.stringify(pair.join("="))).join(" ")}]`);
  }
  return args;
}

/**
 * The text with leave to ignore what is unknown, for a
 * plugin that need not know a key which another one uses.
 */
export function ignoringUnknown(text: string): string {
  return `${text};${IGNORE_UNKNOWN}=1`;
}

function parsePair(text: string): [key: string, value: string] {
  const [key, value, ...more] = text.split("=");
  if (key === undefined || value === undefined || more.length > 0)
    throw invalid(`ARGS: invalid pair ${JSON.stringify(text)}`);
  return [key, value];
}

function parseFlag(text: string): boolean {
  const value = text.toLowerCase();
  if (value === "1" || value === "true") return true;
  if (value === "0" || value === "false") return false;
  throw invalid(
    `ARGS: error parsing value of pair "${IGNORE_UNKNOWN}=${text}": boolean unmarshal error: invalid input ${text}`,
  );
}

function invalid(msg: string): CniError {
  return new CniError(CniError.INVALID_ENVIRONMENT, msg, { details: "CNI_ARGS is KEY=value;KEY2=value2" });
}
