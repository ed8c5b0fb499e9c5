/**
 * The variables a runtime sets for a plugin.
 *
 * Reference: CNI spec 1.1 §2 "Parameters"; limits and texts of libcni (pkg/skel/skel.go, pkg/utils/utils.go).
 */
import { CniError } from "./error.ts";

export type Variables = Readonly<Record<string, string | undefined>>;

export type Command = keyof typeof REQUIRED;

export interface Environment {
  /** As given: perhaps none we know, which is said only after the configuration was looked at. */
  readonly command: string;
  readonly containerId: string;
  /** "" when unset. */
  readonly netnsPath: string;
  readonly ifname: string;
  /** CNI_ARGS as text. */
  readonly args: string;
  /** CNI_PATH. */
  readonly path: readonly string[];
}

/**
 * What each command cannot do without, in the order it is looked at. The
 * reference asks for CNI_PATH everywhere; the specification here alone.
 */
const REQUIRED = {
  ADD: ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"],
  CHECK: ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"],
  DEL: ["CNI_CONTAINERID", "CNI_IFNAME"],
  GC: ["CNI_PATH"],
  STATUS: [],
} as const satisfies Record<string, readonly string[]>;

/** Longest interface name, in bytes: IFNAMSIZ without its NUL (linux/if.h). */
const IFNAME_MAX = 15;

/** @throws CniError */
export function parseEnvironment(variables: Variables): Environment {
  const value = (name: string) => variables[name] ?? "";
  const command = value("CNI_COMMAND");
  const missing: string[] = [];
  for (const name of isCommand(command) ? REQUIRED[command] : []) {
    if (value(name) === "") missing.push(name);
    else if (name === "CNI_CONTAINERID") checkContainerId(value(name));
    else if (name === "CNI_IFNAME") checkIfname(value(name));
  }
  if (missing.length > 0) throw invalid(`required env variables [${missing.join(",")}] missing`);
  return {
    command,
    containerId: value("CNI_CONTAINERID"),
    netnsPath: value("CNI_NETNS"),
    ifname: value("CNI_IFNAME"),
    args: value("CNI_ARGS"),
    path: value("CNI_PATH").split(":").filter(Boolean),
  };
}

/** @throws CniError when there is no such command */
export function parseCommand(text: string): Command {
  if (isCommand(text)) return text;
  throw invalid(`unknown CNI_COMMAND: ${text}`);
}

function isCommand(text: string): text is Command {
  return Object.hasOwn(REQUIRED, text);
}

const UNDERSCORE = 0x5f;
const DOT = 0x2e;
const DASH = 0x2d;

/**
 * Whether the text may name a network or a container: /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/ without a regular
 * expression, the first of which takes a process 30 µs, as the others here are for what is rarely given.
 */
export function isIdentifier(text: string): boolean {
  for (let at = 0; at < text.length; at++) {
    const char = text.charCodeAt(at);
    if (isAlphanumeric(char)) continue;
    if (at === 0 || (char !== UNDERSCORE && char !== DOT && char !== DASH)) return false;
  }
  return text !== "";
}

function isAlphanumeric(char: number): boolean {
  const lower = char | 0x20;
  return (lower >= 0x61 && lower <= 0x7a) || (char >= 0x30 && char <= 0x39);
}

function checkContainerId(id: string): void {
  if (!isIdentifier(id)) throw invalid("invalid characters in containerID", id);
}

function checkIfname(ifname: string): void {
  const fault = faultOfIfname(ifname);
  if (fault) throw invalid(`interface name ${fault.msg}`, fault.details);
}

/** Why no interface can have this name: "is too long"; undefined when one can. */
export function faultOfIfname(ifname: string): { msg: string; details?: string } | undefined {
  if (ifname === "") return { msg: "is empty" };
  if (new TextEncoder().encode(ifname).length > IFNAME_MAX) {
    return {
      msg: "is too long",
      details: `interface name should be less than ${IFNAME_MAX + 1} characters`,
    };
  }
  if (ifname === "." || ifname === "..") return { msg: "is . or .." };
  if (isIdentifier(ifname)) return undefined; // it has none of what follows
  if (/[%\0]/.test(ifname)) {
    return { msg: "contains % or NUL", details: "of which the kernel makes another name: br0 of br%d" };
  }
  if (/[/:\s\u0085]/.test(ifname)) return { msg: "contains / or : or whitespace characters" };
  return undefined;
}

function invalid(msg: string, details = ""): CniError {
  return new CniError(CniError.INVALID_ENVIRONMENT, msg, { details });
}
