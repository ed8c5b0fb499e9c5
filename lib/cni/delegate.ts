/**
 * Calling another plugin: found on CNI_PATH, given the same variables and configuration.
 *
 * A file that is our own executable under another name is not run again but called as a function,
 * with the same checks, the same results and the same errors. That saves 5 of the 8 ms of an ADD.
 *
 * Reference: CNI spec 1.1 §4 "Plugin Delegation"; libcni's pkg/invoke.
 */
import { sleepMs } from "../sys/clock.ts";
import { isErrno } from "../sys/errno.ts";
import { findFile, isSameFile } from "../sys/file.ts";
import type { Command, Variables } from "./environment.ts";
import { CniError, invalidConfig, toCniError } from "./error.ts";
import { isObject, shown } from "./json.ts";
import { answerOf, type Call, type Plugin } from "./plugin.ts";
import { parseResult, type Result } from "./result.ts";

/** A runtime gives up on a whole chain sooner than this. */
const TIMEOUT_MS = 300_000;
const OUTPUT_BYTES_MAX = 16 * 2 ** 20;
/** An executable that is being replaced cannot be run until its writer has closed it. */
const BUSY_ATTEMPTS = 60;
const BUSY_PAUSE_MS = 100;

/** The first regular file of that name in the directories of `path`. @throws CniError */
export function findPlugin(type: string, path: readonly string[]): string {
  if (type === "") throw invalidConfig("no plugin name provided");
  if (type.includes("/")) throw invalidConfig(`invalid plugin name: ${type}`);
  if (path.length === 0) throw invalidConfig("no paths provided", "CNI_PATH is empty");
  const file = path.map((directory) => `${directory}/${type}`).find((candidate) => isRegularFile(candidate));
  if (file === undefined) throw invalidConfig(`failed to find plugin "${type}" in path [${path.join(" ")}]`);
  return file;
}

/**
 * Runs a command of the plugin `type` on the call's container.
 * @returns the result of an ADD; undefined for other commands
 * @throws CniError the delegate's own, unchanged, or one that says how it failed to answer
 */
export function delegate(call: Call, type: string, command: Command): Result | undefined {
  const file = findPlugin(type, call.path);
  const environment = { ...call.environment, CNI_COMMAND: command };
  const own = findOwn(call, type, file);
  const answer = own ? answerInProcess(own, environment, call) : execute(file, environment, call.stdin);
  return command === "ADD" ? parseAnswer(file, answer, call.config.cniVersion) : undefined;
}

/** Whether delegate() runs the plugin in this process, where an ADD that fails undoes itself. */
export function isInProcess(call: Call, type: string): boolean {
  return findOwn(call, type, findPlugin(type, call.path)) !== undefined;
}

function findOwn({ own }: Call, type: string, file: string): Plugin | undefined {
  const plugin = own.get(type);
  return plugin && isSameFile(findFile(file), findFile("/proc/self/exe")) ? plugin : undefined;
}

/** What execute() returns for the same plugin, but for the text in between. */
function answerInProcess(plugin: Plugin, environment: Variables, { stdin, own }: Call): unknown {
  try {
    return answerOf(plugin, { environment, stdin, own });
  } catch (error) {
    throw toCniError(error);
  }
}

/** Runs the executable. @returns what it printed: a value where that is JSON, else the text */
export function execute(file: string, environment: Variables, stdin: string): unknown {
  const child = spawn(file, environment, stdin);
  const answer = parseOutput(new TextDecoder().decode(child.stdout));
  if (child.exitCode === 0) return answer;
  if (child.exitCode !== null && isObject(answer) && typeof answer["msg"] === "string") {
    const { code, msg, details = "" } = answer;
    throw new CniError(typeof code === "number" ? code : CniError.INTERNAL, msg, {
      details: String(details),
    });
  }
  const details = answer === "" ? "no error message" : `it printed ${shown(answer)}`;
  throw new CniError(CniError.INTERNAL, `plugin "${file}" ${endOf(child)}`, { details });
}

function parseOutput(stdout: string): unknown {
  try {
    return JSON.parse(stdout);
  } catch {
    return stdout; // Whoever needs JSON says what it got instead.
  }
}

function spawn(file: string, environment: Variables, stdin: string) {
  for (let attempt = 1; ; attempt++) {
    try {
      return Bun.spawnSync({
        cmd: [file],
        env: environment,
        stdin: new TextEncoder().encode(stdin),
        stdout: "pipe",
        stderr: "inherit",
        timeout: TIMEOUT_MS,
        maxBuffer: OUTPUT_BYTES_MAX,
      });
    } catch (error) {
      const isBusy = error instanceof Error && "code" in error && error.code === "ETXTBSY";
      if (!isBusy || attempt === BUSY_ATTEMPTS) {
        throw new CniError(CniError.IO_FAILURE, `cannot execute plugin "${file}"`, { cause: error });
      }
      sleepMs(BUSY_PAUSE_MS);
    }
  }
}

function endOf(child: ReturnType<typeof spawn>): string {
  if (child.exitedDueToTimeout) return `did not end within ${TIMEOUT_MS} ms`;
  if (child.exitedDueToMaxBuffer) return `printed more than ${OUTPUT_BYTES_MAX} bytes`;
  return child.signalCode ? `was killed by ${child.signalCode}` : `exited with status ${child.exitCode}`;
}

function parseAnswer(file: string, answer: unknown, configVersion: string): Result {
  try {
    return parseResult(answer, configVersion);
  } catch (error) {
    const msg = `plugin "${file}" returned no valid result`;
    throw new CniError(CniError.DECODING_FAILURE, msg, { cause: error });
  }
}

function isRegularFile(path: string): boolean {
  try {
    return findFile(path)?.isRegular === true;
  } catch (error) {
    if (isErrno(error)) return false;
    throw error;
  }
}
