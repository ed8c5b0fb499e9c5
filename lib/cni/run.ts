/**
 * One process of a plugin: variables and stdin in, stdout and exit status out.
 *
 * process.stdout is not used: it takes 9 ms to load, and process.exit() cuts off what it has not written yet.
 */
import { version } from "../../package.json" with { type: "json" };
import { readFd, writeFd } from "../sys/file.ts";
import { POLLIN, poll } from "../sys/libc.ts";
import { decodeConfig } from "./config.ts";
import { parseEnvironment } from "./environment.ts";
import { CniError, formatError } from "./error.ts";
import { isObject } from "./json.ts";
import { callPlugin, type Plugin } from "./plugin.ts";
import { replyVersion } from "./version.ts";

/** How long VERSION waits for a configuration that it can do without. */
const OPTIONAL_STDIN_TIMEOUT_MS = 100;

/** Finds a plugin in this executable, so that delegation to it needs no other process. */
type LoadOwn = (type: string) => Promise<Plugin | undefined>;

/** Answers the command of the environment and exits. */
export async function runPlugin(plugin: Plugin, options: { loadOwn: LoadOwn }): Promise<never> {
  const environment = process.env;
  const command = environment["CNI_COMMAND"];
  if (!command) {
    const versions = plugin.versions.join(", ");
    print(2, `CNI ${plugin.name} plugin v${version}\nCNI protocol versions supported: ${versions}\n`);
    process.exit(0);
  }
  let stdin = "";
  try {
    parseEnvironment(environment); // before stdin, which a caller with the wrong variables may never close
    stdin = readStdin(command);
    const own = command === "VERSION" ? new Map() : await loadDelegates(plugin, stdin, options.loadOwn);
    callPlugin(plugin, { environment, stdin, own, deliver: (answer) => print(1, answer) });
  } catch (error) {
    reportError(formatError(error, replyVersion(stdin, plugin.versions)));
    process.exit(1);
  }
  process.exit(0);
}

/** On stderr where stdout takes nothing, so that somebody learns of it. */
function reportError(text: string): void {
  try {
    print(1, text);
  } catch {
    print(2, `${text}\n`);
  }
}

function readStdin(command: string): string {
  if (command === "VERSION" && !poll(0, POLLIN, OPTIONAL_STDIN_TIMEOUT_MS)) return "";
  try {
    // a byte-order mark is no JSON: one that we took, a delegate in Go would refuse
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(readFd(0));
  } catch (error) {
    throw new CniError(CniError.IO_FAILURE, "error reading from stdin", { cause: error });
  }
}

/** The plugin this one calls for its addresses, where it is one of ours. */
async function loadDelegates(plugin: Plugin, stdin: string, load: LoadOwn): Promise<Map<string, Plugin>> {
  const ipam = decodeConfig(stdin, plugin.schema)["ipam"];
  const type = isObject(ipam) ? ipam["type"] : undefined;
  if (typeof type !== "string" || type === plugin.name) return new Map();
  const delegate = await load(type);
  return new Map(delegate && [[type, delegate]]);
}

function print(fd: number, text: string): void {
  writeFd(fd, new TextEncoder().encode(text));
}
