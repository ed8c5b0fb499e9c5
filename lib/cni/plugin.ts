/**
 * A plugin, and how it is called: variables and configuration in, a result or an error out.
 *
 * The order of the checks is that of the reference (libcni's pkg/skel/skel.go), except
 * that the namespace is compared with our own before anything is changed, not after.
 *
 * Reference: CNI spec 1.1 §§2-5.
 */
import { isOwnNetns } from "../netns/netns.ts";
import { ignoringUnknown, parseArgs } from "./args.ts";
import { Cleanup, failuresOf } from "./cleanup.ts";
import { type Attachment, decodeConfig, type NetConf, type Validate, validateConfig } from "./config.ts";
import { type Command, parseCommand, parseEnvironment, type Variables } from "./environment.ts";
import { CniError, withFurther } from "./error.ts";
import type { JsonObject } from "./json.ts";
import { parsePrevResult, type Result, resultJson } from "./result.ts";
import type { Schema } from "./schema.ts";
import { checkVersion, versionAnswer } from "./version.ts";

export { everyStep } from "./cleanup.ts";

export interface Plugin<C extends NetConf = NetConf> {
  readonly name: string;
  /** Versions of the specification, ascending. */
  readonly versions: readonly string[];
  readonly schema: Schema;
  /** The generated validator of that schema. */
  readonly validate: Validate;
  /** Keys of CNI_ARGS it understands. Without this list it does not look at CNI_ARGS. */
  readonly argKeys?: readonly string[];
  /** Checks of meaning that the schema cannot make, before ADD, CHECK and STATUS. */
  verify?(config: C): void;
  add(call: Call<C>): Result;
  /** Works with what is left, and with a configuration in which a wrong key is taken for an absent one. */
  del(call: Call<C>): void;
  check(call: Call<C>): void;
  /** Not called when the runtime did not say what is in use. */
  gc(call: GcCall<C>): void;
  status(call: Call<C>): void;
}

export interface Call<C extends NetConf = NetConf> {
  readonly command: Command;
  readonly config: C;
  /** As it was read: what a delegate gets. */
  readonly stdin: string;
  readonly containerId: string;
  /** "" when unset. */
  readonly netnsPath: string;
  readonly ifname: string;
  /** CNI_ARGS of a plugin that has argKeys. */
  readonly args: Readonly<Record<string, string>>;
  /** CNI_PATH. */
  readonly path: readonly string[];
  /** undefined also for a DEL or GC that was given one nobody can read. */
  readonly prevResult: Result | undefined;
  /** What a delegate gets, except for CNI_COMMAND. */
  readonly environment: Variables;
  /** What to take back: unwound when ADD throws, in reverse order, and abandoned when it succeeds. */
  readonly undo: Cleanup;
  /** What to close: disposed at the end in any case, after `undo`. */
  readonly resources: Cleanup;
  /** Plugins of this executable that can be called without another process. */
  readonly own: ReadonlyMap<string, Plugin>;
  /** GC: what is in use; undefined in other commands. */
  readonly validAttachments: readonly Attachment[] | undefined;
}

export interface GcCall<C extends NetConf = NetConf> extends Call<C> {
  readonly validAttachments: readonly Attachment[];
}

export interface Input {
  readonly environment: Variables;
  readonly stdin: string;
  readonly own?: ReadonlyMap<string, Plugin>;
  /** Hands the answer to the caller. An ADD whose answer cannot be handed over is undone. */
  deliver?(text: string): void;
}

/**
 * Runs the command of the environment. @returns what belongs
 * on stdout @throws whatever the plugin threw, or CniError
 */
export function callPlugin(plugin: Plugin, input: Input): string {
  let text = "";
  answerOf(plugin, input, (answer) => {
    if (input.environment["CNI_COMMAND"] === "VERSION") text = `${JSON.stringify(answer)}\n`;
    else if (answer !== undefined) text = JSON.stringify(answer, null, 4);
    input.deliver?.(text);
  });
  return text;
}

type Answer = JsonObject | undefined;

/**
 * What callPlugin() prints, before it is text: undefined is
 * nothing. `deliver` gets it while ADD can still be undone.
 */
export function answerOf(
  plugin: Plugin,
  { environment, stdin, own = new Map() }: Input,
  deliver: (answer: Answer) => void = () => {},
): Answer {
  if (environment["CNI_COMMAND"] === "VERSION") {
    const answer = versionAnswer(stdin, plugin.versions);
    deliver(answer);
    return answer;
  }
  const request = parseEnvironment(environment);
  const decoded = decodeConfig(stdin, plugin.schema);
  const command = parseCommand(request.command);
  checkVersion(command, decoded.cniVersion, plugin.versions);

  const lenient = command === "DEL" || command === "GC";
  const config = validateConfig<NetConf>(decoded, plugin, { lenient });
  if (!lenient) plugin.verify?.(config);
  const { argKeys } = plugin;
  const args = argKeys ? readOr({}, () => parseArgs(request.args, argKeys), { lenient }) : {};
  const { prevResult: given } = config;
  const prevResult = given && readOr(undefined, () => parsePrevResult(given, config.cniVersion), { lenient });
  if (command === "ADD" || command === "DEL") checkNetns(request.netnsPath, environment);

  const understood = argKeys?.some((key) => key in args);
  const call: Call = {
    ...request,
    command,
    config,
    stdin,
    args,
    prevResult,
    environment: understood ? { ...environment, CNI_ARGS: ignoringUnknown(request.args) } : environment,
    undo: new Cleanup(),
    resources: new Cleanup(),
    own,
    validAttachments: command === "GC" ? config["cni.dev/valid-attachments"] : undefined,
  };
  return perform(call, () => {
    const answer = runCommand(plugin, call);
    deliver(answer);
    return answer;
  });
}

/**
 * Runs `body`; what it did is undone when it throws, also when its answer cannot be said in an old version.
 */
function perform<T>({ undo, resources }: Call, body: () => T): T {
  let answer: T;
  try {
    answer = body();
  } catch (error) {
    throw withFurther(error, failuresOf([() => undo.dispose(), () => resources.dispose()]));
  }
  undo.abandon();
  failuresOf([() => resources.dispose()]); // the answer is out; nothing that fails now can change it
  return answer;
}

function runCommand(plugin: Plugin, call: Call): Answer {
  const { command, config, validAttachments } = call;
  if (command === "ADD") return resultJson(plugin.add(call), config.cniVersion);
  if (command === "DEL") plugin.del(call);
  if (command === "CHECK") plugin.check(call);
  if (command === "GC" && validAttachments) plugin.gc({ ...call, validAttachments });
  if (command === "STATUS") plugin.status(call);
  return undefined;
}

function checkNetns(netnsPath: string, environment: Variables): void {
  const override = environment["CNI_NETNS_OVERRIDE"];
  if ((override && /^(1|true)$/i.test(override)) || !isOwnNetns(netnsPath)) return;
  const msg = "plugin's netns and netns from CNI_NETNS should not be the same";
  throw new CniError(CniError.SAME_NETNS, msg, { details: netnsPath });
}

/** What `read` returns; where it throws and `lenient` allows, `otherwise`. */
function readOr<T>(otherwise: T, read: () => T, { lenient }: { lenient: boolean }): T {
  try {
    return read();
  } catch (error) {
    if (lenient) return otherwise;
    throw error;
  }
}
