/**
 * How a plugin, which is synchronous, asks the store, which is not: a line of JSON to somebody who speaks
 * with etcd, and a line of JSON back. That is the agent behind its socket, or a child of the plugin's.
 */
import { CniError } from "../cni/error.ts";
import type { EtcdSettings } from "../etcd/settings.ts";

/** Where the agent listens. */
export const AGENT_SOCKET = "/run/weft/agent.sock";
/** What the child is called by (main.ts). */
export const CHILD_NAME = "weft-ask-store";
/** A request or an answer: a GC may name ten thousand attachments. */
export const LINE_BYTES_MAX = 1 << 24;

/** What makes a store the same as another. */
export interface StoreIdentity {
  readonly endpoints: readonly string[];
  readonly prefix: string;
  readonly host: string;
}

export interface StoreRequest {
  /** The name of an operation (operations.ts), or of one of the agent's own. */
  readonly operation: string;
  readonly input: unknown;
  /** Which store it is for. The agent's own need none. */
  readonly store?: StoreIdentity;
  /** By uptimeMs(): whoever asked has gone by then. */
  readonly untilMs?: number;
}

export type StoreAnswer =
  | { readonly output: unknown }
  | { readonly error: StoreRefusal }
  /** Not the store asked for, but this one is served here. */
  | { readonly serves: StoreIdentity };

/** A CniError on its way. */
interface StoreRefusal {
  readonly code: number;
  readonly msg: string;
  readonly details: string;
  readonly isAway: boolean;
}

/** The store cannot be reached, or the agent cannot: it may be so again later. */
export class StoreAwayError extends CniError {
  constructor(msg: string, options: { details?: string; cause?: unknown } = {}) {
    super(CniError.TRY_AGAIN_LATER, msg, options);
    this.name = "StoreAwayError";
  }
}

/** Whether it failed because the store or the agent is away. What was asked may be done all the same. */
export function isStoreAway(error: unknown): boolean {
  return error instanceof StoreAwayError;
}

export function identityOf({ endpoints, prefix, host }: StoreIdentity): StoreIdentity {
  return { endpoints, prefix, host };
}

export function isSameStore(a: StoreIdentity, b: StoreIdentity): boolean {
  const sorted = ({ endpoints }: StoreIdentity) => [...endpoints].sort().join(" ");
  return a.prefix === b.prefix && a.host === b.host && sorted(a) === sorted(b);
}

/** "http://10.0.0.1:2379, http://10.0.0.2:2379" */
export function storeText({ endpoints }: Pick<EtcdSettings, "endpoints">): string {
  return endpoints.join(", ");
}

/** An error as it travels. */
export function encodeRefusal(error: CniError): StoreAnswer {
  const { code, msg, details } = error;
  return { error: { code, msg, details, isAway: isStoreAway(error) } };
}

/** What the answer says. @throws CniError that it holds */
export function outputOf(answer: Exclude<StoreAnswer, { serves: StoreIdentity }>): unknown {
  if ("output" in answer) return answer.output;
  const { code, msg, details, isAway } = answer.error;
  throw isAway ? new StoreAwayError(msg, { details }) : new CniError(code, msg, { details });
}
