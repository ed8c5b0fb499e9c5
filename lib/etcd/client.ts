/**
 * A client of etcd v3. Every call has a deadline, and goes on to another endpoint when one is away.
 *
 * What changes the store may then be asked twice, when the first answer was lost. A put, a deletion and a
 * grant may be. So may a transaction that compares: what the first did makes the second fail, and a caller
 * who has to know whose doing that was writes a value of this call's alone and reads it back in `failure`
 * (AddressValue.attempt of lib/store/layout.ts). A transaction without conditions is asked once.
 *
 * Whoever gave up may still be heard: a member that was stopped carries out what it was sent when it goes on.
 *
 * Reference: https://etcd.io/docs/v3.4/dev-guide/api_reference_v3/
 */
import {
  decodeKeyValue,
  decodeRevision,
  encodeRange,
  encodeText,
  type JsonHeader,
  type JsonKeyValue,
  type JsonRange,
  type KeyValue,
  keyAfter,
} from "./encoding.ts";
import type { CallOptions, TimeOptions } from "./endpoints.ts";
import { EtcdError } from "./error.ts";
import { Gateway } from "./gateway.ts";
import type { EtcdSettings } from "./settings.ts";
import { type Compare, decodeOpResult, type JsonOpResult, type Op, type OpResult } from "./transaction.ts";
import { type WatchUpdate, watchPrefix } from "./watch.ts";

/** Keys in an answer; etcd and we hold it in memory as a whole. */
const PAGE_KEYS = 1_000;

type Deadline = Pick<CallOptions, "deadline">;

export interface RangeOptions extends Deadline {
  /** All keys that begin with it. */
  readonly prefix?: true;
  /** 0: all. */
  readonly limit?: number;
  /** Values are "". */
  readonly keysOnly?: true;
  /** As it was then. */
  readonly revision?: bigint;
}

export interface RangeResult {
  /** In the order of their keys. */
  readonly kvs: readonly KeyValue[];
  /** The store's. */
  readonly revision: bigint;
  /** There are more than `limit`. */
  readonly more: boolean;
  /** How many there are. */
  readonly count: number;
}

export interface Transaction {
  /** All must hold. */
  readonly compare: readonly Compare[];
  readonly success: readonly Op[];
  readonly failure?: readonly Op[];
}

export interface TxnResult {
  readonly succeeded: boolean;
  /** One for each operation of `success` or `failure`. */
  readonly responses: readonly OpResult[];
  readonly revision: bigint;
}

interface JsonRangeResult {
  readonly header?: JsonHeader;
  readonly kvs?: readonly JsonKeyValue[];
  readonly more?: boolean;
  readonly count?: string;
}

export class EtcdClient implements Disposable {
  readonly #gateway: Gateway;

  constructor(settings: EtcdSettings, options: TimeOptions = {}) {
    this.#gateway = new Gateway(settings, options);
  }

  /** The endpoint that is asked first. */
  get endpoint(): string {
    return this.#gateway.endpoints.current;
  }

  /** Equivalent to "etcdctl get KEY", with `prefix` "--prefix". @throws EtcdError */
  async range(key: string, options: RangeOptions = {}): Promise<RangeResult> {
    const { kvs, ...result } = await this.#range(encodeRange(key, options), options);
    return { ...result, kvs: kvs.map(decodeKeyValue) };
  }

  /**
   * All keys under a prefix, as they were at one revision: that of the first page, unless given. The call's
   * time-out is each page's own.
   * @throws EtcdError "compacted" when that took so long that it is gone
   */
  async listAll(
    prefix: string,
    options: Pick<RangeOptions, "deadline" | "keysOnly" | "revision"> = {},
  ): Promise<Pick<RangeResult, "kvs" | "revision">> {
    const all: KeyValue[] = [];
    let range = encodeRange(prefix, { prefix: true });
    let { revision } = options;
    for (;;) {
      const page = await this.#range(range, { ...options, ...(revision && { revision }), limit: PAGE_KEYS });
      revision ??= page.revision;
      for (const kv of page.kvs) all.push(decodeKeyValue(kv));
      const last = page.kvs.at(-1)?.key;
      if (!page.more || last === undefined) return { kvs: all, revision };
      range = { ...range, key: keyAfter(last) };
    }
  }

  /** Equivalent to "etcdctl txn". @throws EtcdError */
  async txn({ compare, success, failure = [] }: Transaction, options: Deadline = {}): Promise<TxnResult> {
    const request = { compare, success, failure };
    const once = compare.length === 0;
    const answer = await this.#gateway.post<{
      header?: JsonHeader;
      succeeded?: boolean;
      responses?: JsonOpResult[];
    }>("/v3/kv/txn", request, { ...options, once });
    return {
      succeeded: answer.succeeded ?? false,
      responses: (answer.responses ?? []).map(decodeOpResult),
      revision: decodeRevision(answer.header),
    };
  }

  /** Equivalent to "etcdctl put KEY VALUE --lease=LEASE". @returns the revision @throws EtcdError */
  async put(key: string, value: string, options: Deadline & { lease?: string } = {}): Promise<bigint> {
    const { lease, deadline } = options;
    const request = { ...encodeRange(key), value: encodeText(value), ...(lease && { lease }) };
    const answer = await this.#gateway.post<{ header?: JsonHeader }>("/v3/kv/put", request, { deadline });
    return decodeRevision(answer.header);
  }

  /**
   * Equivalent to "etcdctl del KEY", with `prefix` "--prefix".
   * @returns how many there were
   * @throws EtcdError
   */
  async deleteKeys(key: string, options: Deadline & { prefix?: true } = {}): Promise<number> {
    const { deadline } = options;
    const request = encodeRange(key, options);
    const { deleted = "0" } = await this.#gateway.post<{ deleted?: string }>("/v3/kv/deleterange", request, {
      deadline,
    });
    return Number(deleted);
  }

  /** Equivalent to "etcdctl lease grant TTL". @returns the lease's id @throws EtcdError */
  async grantLease(ttlS: number, options: Deadline = {}): Promise<string> {
    const request = { TTL: String(ttlS) };
    const { ID = "0" } = await this.#gateway.post<{ ID?: string }>("/v3/lease/grant", request, options);
    return ID;
  }

  /**
   * Equivalent to "etcdctl lease keep-alive LEASE --once".
   * @returns what it lives from now on, in seconds; 0 when it is gone
   * @throws EtcdError
   */
  async keepAlive(lease: string, options: Deadline = {}): Promise<number> {
    const request = { ID: lease };
    const { TTL = "0" } = await this.#gateway.post<{ TTL?: string }>("/v3/lease/keepalive", request, options);
    return Number(TTL);
  }

  /** Equivalent to "etcdctl lease revoke LEASE": its keys go with it. It may be gone. @throws EtcdError */
  async revokeLease(lease: string, options: Deadline = {}): Promise<void> {
    try {
      await this.#gateway.post("/v3/lease/revoke", { ID: lease }, options);
    } catch (error) {
      if (!(error instanceof EtcdError && error.kind === "lease-gone")) throw error;
    }
  }

  /** Equivalent to "etcdctl watch PREFIX --prefix --rev=REVISION"; see watch.ts. */
  watch(prefix: string, fromRevision: bigint, signal: AbortSignal): AsyncIterable<WatchUpdate> {
    return watchPrefix(this.#gateway, prefix, { fromRevision, signal });
  }

  /** Ends what is under way. */
  [Symbol.dispose](): void {
    this.#gateway[Symbol.dispose]();
  }

  async #range(range: JsonRange, options: Omit<RangeOptions, "prefix">) {
    const { limit = 0, keysOnly = false, revision = 0n, deadline } = options;
    const request = { ...range, limit: String(limit), keys_only: keysOnly, revision: String(revision) };
    const answer = await this.#gateway.post<JsonRangeResult>("/v3/kv/range", request, { deadline });
    const { kvs = [], more = false, count = "0" } = answer;
    return { kvs, more, count: Number(count), revision: decodeRevision(answer.header) };
  }
}
