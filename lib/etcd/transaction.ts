/**
 * What a transaction compares and does. A compare and an operation are in the gateway's own form, made by the
 * functions here alone.
 *
 * Reference: etcd 3.4 etcdserver/etcdserverpb/rpc.proto, TxnRequest
 */
import { decodeKeyValue, encodeRange, encodeText, type JsonKeyValue, type KeyValue } from "./encoding.ts";

/** A condition; a transaction succeeds when all of its conditions hold. */
export interface Compare {
  readonly key: string;
  readonly target: "VERSION" | "MOD";
}

/** What is done on success or on failure, in order, at one revision. */
export interface Op {
  readonly request_put?: object;
  readonly request_range?: object;
  readonly request_delete_range?: object;
}

/** What came of one operation. */
export interface OpResult {
  /** Of a getOp(). */
  readonly kvs: readonly KeyValue[];
  /** Of a deleteOp(): how many there were. */
  readonly deleted: number;
}

/** The key is not there. */
export function absent(key: string): Compare {
  return compare(encodeRange(key), "VERSION", "EQUAL", { version: "0" });
}

export function exists(key: string): Compare {
  return compare(encodeRange(key), "VERSION", "GREATER", { version: "0" });
}

/** The key has not changed since; 0 is a key that is not there. */
export function modRevisionIs(key: string, revision: bigint): Compare {
  return compare(encodeRange(key), "MOD", "EQUAL", { mod_revision: String(revision) });
}

/** No key begins with this: every one that did would have to be of version 0. Since etcd 3.3. */
export function emptyPrefix(prefix: string): Compare {
  return compare(encodeRange(prefix, { prefix: true }), "VERSION", "EQUAL", { version: "0" });
}

export function putOp(key: string, value: string, options: { lease?: string } = {}): Op {
  return { request_put: { ...encodeRange(key), value: encodeText(value), ...options } };
}

export function getOp(key: string, options: { prefix?: true } = {}): Op {
  return { request_range: encodeRange(key, options) };
}

export function deleteOp(key: string, options: { prefix?: true } = {}): Op {
  return { request_delete_range: encodeRange(key, options) };
}

/** One of `responses`, as the gateway has it. */
export interface JsonOpResult {
  readonly response_range?: { readonly kvs?: readonly JsonKeyValue[] };
  readonly response_delete_range?: { readonly deleted?: string };
}

export function decodeOpResult(json: JsonOpResult): OpResult {
  return {
    kvs: (json.response_range?.kvs ?? []).map(decodeKeyValue),
    deleted: Number(json.response_delete_range?.deleted ?? 0),
  };
}

function compare(
  range: { readonly key: string },
  target: Compare["target"],
  result: "EQUAL" | "GREATER",
  operand: object,
): Compare {
  return { ...range, target, result, ...operand } as Compare; // the rest of it is the gateway's alone
}
