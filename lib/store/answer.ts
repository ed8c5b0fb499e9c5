/** Answers what plugins ask of the store: for the agent, and for the child that stands in for it. */
import { CniError, invalidConfig, toCniError } from "../cni/error.ts";
import type { EtcdClient } from "../etcd/client.ts";
import { EtcdError } from "../etcd/error.ts";
import { type EtcdSettings, SETTINGS_FILE } from "../etcd/settings.ts";
import { uptimeMs } from "../sys/clock.ts";
import { operations } from "./operations.ts";
import {
  encodeRefusal,
  identityOf,
  isSameStore,
  type StoreAnswer,
  StoreAwayError,
  type StoreRequest,
  storeText,
} from "./protocol.ts";
import { type Store, storeOf } from "./store.ts";

/** For requests that do not say how long somebody waits for the answer. */
const OPERATION_TIMEOUT_MS = 5_000;

/** Who answers. */
export interface StoreServer {
  readonly client: EtcdClient;
  readonly settings: EtcdSettings;
  /** What this one answers besides, such as the agent's status. */
  readonly own?: Readonly<Record<string, (input: unknown) => Promise<unknown>>>;
  /** Called when an operation has succeeded, and waited for before that is said. */
  done?(operation: string, input: unknown): Promise<void>;
}

/** The answer to a request, each a line without its end. Never throws. */
export async function answerLine(line: string, server: StoreServer): Promise<string> {
  let answer: StoreAnswer;
  try {
    // A plugin of this suite wrote it, as root; a request that is none fails below.
    answer = await answerTo(JSON.parse(line) as StoreRequest, server);
  } catch (error) {
    answer = encodeRefusal(refusalOf(error, server.settings));
  }
  return JSON.stringify(answer);
}

async function answerTo(request: StoreRequest, server: StoreServer): Promise<StoreAnswer> {
  const { operation, input, store } = request;
  const own = server.own && Object.hasOwn(server.own, operation) ? server.own[operation] : undefined;
  if (own) return { output: (await own(input)) ?? null };
  if (!store || !isSameStore(store, server.settings)) return { serves: identityOf(server.settings) };
  const restMs = request.untilMs === undefined ? OPERATION_TIMEOUT_MS : request.untilMs - uptimeMs();
  return { output: (await within(restMs, server, () => perform(operation, input, server, restMs))) ?? null };
}

async function perform(
  name: string,
  input: unknown,
  server: StoreServer,
  timeoutMs: number,
): Promise<unknown> {
  if (!Object.hasOwn(operations, name)) {
    throw new CniError(CniError.INTERNAL, `the store has no operation "${name}"`, {
      details: "agent and plugins are of different versions: restart the agent",
    });
  }
  // Each takes what askStore() was given for its name.
  const operation = operations[name as keyof typeof operations] as (
    store: Store,
    input: unknown,
  ) => Promise<unknown>;
  const output = await operation(
    storeOf(server.client, server.settings, performance.now() + timeoutMs),
    input,
  );
  await server.done?.(name, input);
  return output;
}

/** What `work` says, unless that takes too long: it goes on then, and nobody hears of it. */
async function within<T>(timeoutMs: number, server: StoreServer, work: () => Promise<T>): Promise<T> {
  const late = new StoreAwayError(`no answer from the store for ${Math.round(timeoutMs)} ms`, {
    details: storeText(server.settings),
  });
  if (timeoutMs <= 0) throw late;
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(late), timeoutMs);
  try {
    return await Promise.race([work(), promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** A failure as plugins are to answer with it. */
function refusalOf(error: unknown, settings: EtcdSettings): CniError {
  if (!(error instanceof EtcdError)) return toCniError(error);
  const details = storeText(settings);
  if (error.kind !== "unauthenticated" && error.kind !== "denied") {
    return new StoreAwayError(`cannot use the store: ${error.message}`, { details });
  }
  const remedy = `see "user", "passwordFile", "certFile" and "keyFile" of "etcd" and of ${SETTINGS_FILE}`;
  return invalidConfig(`the store refuses us: ${error.message}`, remedy);
}
