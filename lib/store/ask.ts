/** Asks the store, and waits for its answer: what plugins use. */
import { CniError } from "../cni/error.ts";
import type { EtcdSettings } from "../etcd/settings.ts";
import { uptimeMs } from "../sys/clock.ts";
import { isErrno } from "../sys/errno.ts";
import { StreamBrokenError, StreamTimeoutError, UnixStream, unixAddress } from "../sys/unix-stream.ts";
import type { ChildRequest } from "./child.ts";
import type { Input, OperationName, Output } from "./operations.ts";
import {
  AGENT_SOCKET,
  CHILD_NAME,
  identityOf,
  LINE_BYTES_MAX,
  outputOf,
  type StoreAnswer,
  StoreAwayError,
  type StoreRequest,
  storeText,
} from "./protocol.ts";

/** From the question to the answer, whoever gives it; of questions without one in a process, all together. */
export const STORE_TIMEOUT_MS = 5_000;
/** How long an agent may keep silent that a child can stand in for. */
const AGENT_TIMEOUT_MS = 2_000;
/** What an answer needs to get here in time. */
const ANSWER_MS = 250;

/** How long this process has waited for a store since that answered last, in milliseconds. */
const waited = new Map<string, number>();

/**
 * Carries out an operation of the store: over the agent's socket where an agent serves that store, else by a
 * child. With `needsAgent` there is no else.
 * @throws StoreAwayError (code 11) within STORE_TIMEOUT_MS; CniError, the operation's own
 */
export function askStore<N extends OperationName>(
  settings: EtcdSettings,
  operation: N,
  input: Input<N>,
  options: { needsAgent?: boolean } = {},
): Output<N> {
  const store = JSON.stringify(identityOf(settings));
  const waitedMs = waited.get(store) ?? 0;
  const startMs = performance.now();
  try {
    const output = askUntil(startMs + STORE_TIMEOUT_MS - waitedMs, {
      settings,
      operation,
      input,
      ...options,
    });
    waited.delete(store);
    return output as Output<N>; // the operation of that name made it
  } catch (error) {
    if (error instanceof StoreAwayError) waited.set(store, waitedMs + performance.now() - startMs);
    throw error;
  }
}

interface Question {
  readonly settings: EtcdSettings;
  readonly operation: OperationName;
  readonly input: unknown;
  readonly needsAgent?: boolean;
}

function askUntil(deadline: number, { settings, operation, input, needsAgent = false }: Question): unknown {
  if (deadline - performance.now() < ANSWER_MS) {
    throw new StoreAwayError("the store has not answered before", { details: storeText(settings) });
  }
  const ask = (until: number): StoreRequest => ({
    operation,
    input,
    store: identityOf(settings),
    untilMs: uptimeMs() + until - performance.now() - ANSWER_MS,
  });
  const agentDeadline = needsAgent ? deadline : Math.min(deadline, performance.now() + AGENT_TIMEOUT_MS);
  const answer = needsAgent
    ? askAgent(ask(agentDeadline), agentDeadline)
    : (tryAgent(ask(agentDeadline), agentDeadline) ??
      askChild({ settings, request: ask(deadline), parent: process.pid }, deadline));
  if ("serves" in answer) throw servesAnother(settings, answer.serves);
  return outputOf(answer);
}

/** The answer of the agent; undefined where a child may have another: it is away, or serves another store. */
function tryAgent(request: StoreRequest, deadline: number): StoreAnswer | undefined {
  try {
    const answer = askAgent(request, deadline);
    const isNone = "serves" in answer || ("error" in answer && answer.error.isAway);
    return isNone ? undefined : answer;
  } catch (error) {
    if (error instanceof StoreAwayError) return undefined;
    throw error;
  }
}

/** Sends the agent a request. @throws StoreAwayError when none answers by the deadline (performance.now()) */
export function askAgent(request: StoreRequest, deadline: number): StoreAnswer {
  const address = unixAddress("path", AGENT_SOCKET);
  if (!address) throw new Error(`"${AGENT_SOCKET}" is too long for a socket`);
  try {
    using stream = new UnixStream(address, deadline);
    stream.write(new TextEncoder().encode(`${JSON.stringify(request)}\n`));
    return JSON.parse(stream.readLine(LINE_BYTES_MAX));
  } catch (cause) {
    const isAway =
      cause instanceof StreamTimeoutError ||
      cause instanceof StreamBrokenError ||
      cause instanceof SyntaxError ||
      isErrno(cause);
    if (!isAway) throw cause;
    const details = `${AGENT_SOCKET}: ${cause.message}; start it, as by "systemctl start weft-agent"`;
    throw new StoreAwayError("weft agent does not answer on this host", { details });
  }
}

/** What the child is run as. A test, which is no executable of ours, puts a program of its own here. */
export const childCommand = ["/proc/self/exe"];

/** Has a child of this executable ask (lib/store/child.ts); it is killed when the time is up. */
function askChild(question: ChildRequest, deadline: number): StoreAnswer {
  const away = (reason: string) =>
    new StoreAwayError(`cannot ask the store: ${reason}`, { details: storeText(question.settings) });
  let child: Bun.SyncSubprocess<"pipe", "inherit">;
  try {
    child = Bun.spawnSync({
      cmd: childCommand,
      argv0: CHILD_NAME,
      env: {},
      stdin: new TextEncoder().encode(JSON.stringify(question)),
      stdout: "pipe",
      stderr: "inherit",
      timeout: Math.max(1, Math.floor(deadline - performance.now())),
      killSignal: "SIGKILL",
      maxBuffer: LINE_BYTES_MAX,
    });
  } catch (cause) {
    throw new CniError(CniError.IO_FAILURE, `cannot run "${CHILD_NAME}"`, { cause });
  }
  if (child.exitedDueToTimeout) throw away(`no answer for ${STORE_TIMEOUT_MS} ms`);
  try {
    return JSON.parse(child.stdout.toString());
  } catch {
    throw away(`"${CHILD_NAME}" ended with ${child.signalCode ?? child.exitCode} and no answer`);
  }
}

function servesAnother(settings: EtcdSettings, served: ReturnType<typeof identityOf>): CniError {
  const shown = ({ endpoints, prefix, host }: typeof served) =>
    `${endpoints.join(",")} ${prefix} as ${JSON.stringify(host)}`;
  return new CniError(
    CniError.INVALID_NETWORK_CONFIG,
    `weft agent serves another store: ${shown(served)}, not ${shown(settings)}`,
    { details: 'give both the same "endpoints", "prefix" and "host", as in /etc/weft/etcd.json' },
  );
}
