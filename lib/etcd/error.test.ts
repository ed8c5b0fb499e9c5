import { expect, test } from "bun:test";
import { noAnswer, refusal } from "./error.ts";

const ENDPOINT = "http://etcd:2379";

/** As etcd 3.4 answers, and what it is to a caller; "?" where it may have been done. */
test.each([
  [14, "etcdserver: no leader", "unavailable"],
  [14, "etcdserver: leader changed", "unavailable ?"],
  [14, "etcdserver: request timed out", "unavailable ?"],
  [1, "context canceled", "unavailable ?"],
  [4, "context deadline exceeded", "timeout ?"],
  [8, "etcdserver: too many requests", "unavailable"],
  [8, "etcdserver: mvcc: database space exceeded", "refused"],
  [11, "etcdserver: mvcc: required revision has been compacted", "compacted"],
  [11, "etcdserver: mvcc: required revision is a future revision", "refused"],
  [5, "etcdserver: requested lease not found", "lease-gone"],
  [5, "etcdserver: member not found", "refused"],
  [16, "etcdserver: invalid auth token", "unauthenticated"],
  [3, "etcdserver: authentication failed, invalid user ID or password", "unauthenticated"],
  [3, "etcdserver: user name is empty", "unauthenticated"],
  [3, "etcdserver: revision of auth store is old", "unauthenticated"],
  [3, "etcdserver: key is not provided", "refused"],
  [7, "etcdserver: permission denied", "denied"],
])("refusal() of code %d, %p, is %p", (code, message, kind) => {
  const error = refusal({ code, message }, ENDPOINT);
  expect(error.kind + (error.isOutcomeUnknown ? " ?" : "")).toBe(kind);
  expect(error.message).toBe(`etcd at ${ENDPOINT}: ${message.replace(/etcdserver: (mvcc: )?/, "")}`);
});

test("refusal() reads what ends a stream", () => {
  const body = { grpc_code: 14, http_code: 503, message: "etcdserver: no leader" };
  expect(refusal(body, ENDPOINT).kind).toBe("unavailable");
});

test.each([
  ["ECONNREFUSED", "connection refused", false],
  ["ENOTFOUND", "no such host", false],
  ["DEPTH_ZERO_SELF_SIGNED_CERT", "as Bun says", false],
  ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", "as Bun says", false],
  ["ECONNRESET", "the connection was closed; does it speak http?", true],
  ["", "as Bun says", true],
])("noAnswer() of %p is %p", (code, words, isOutcomeUnknown) => {
  const error = noAnswer(Object.assign(new Error("as Bun says"), { code }), ENDPOINT);
  expect(error).toMatchObject({ kind: "unavailable", words, isOutcomeUnknown, isUnheard: !isOutcomeUnknown });
});
