/** The client against a real etcd; the other that changes and reads the store is etcdctl. */
import { afterAll, beforeAll, beforeEach, expect } from "bun:test";
import { etcdTest, noEtcdReason, TestEtcd } from "../testing/etcd.ts";
import { EtcdClient } from "./client.ts";
import type { EtcdError } from "./error.ts";
import { absent, deleteOp, emptyPrefix, exists, getOp, modRevisionIs, putOp } from "./transaction.ts";

let etcd: TestEtcd;
let client: EtcdClient;

beforeAll(async () => {
  if (noEtcdReason !== undefined) return;
  etcd = await TestEtcd.start();
  client = new EtcdClient(etcd.settings());
});
afterAll(async () => {
  client?.[Symbol.dispose]();
  await etcd?.[Symbol.asyncDispose]();
});
beforeEach(() => {
  if (noEtcdReason === undefined) etcd.ctl("del", "--prefix", "");
});

/** What etcdctl finds under a prefix, a line a key and a value. */
function stored(prefix: string): string[] {
  return etcd.ctl("get", "--prefix", prefix).split("\n").slice(0, -1);
}

async function errorOf(call: Promise<unknown>): Promise<EtcdError> {
  return call.then(
    () => expect.unreachable(),
    (error) => error,
  );
}

etcdTest("range() finds a key, and nothing where there is none", async () => {
  etcd.ctl("put", "/a/é", "1");
  const { kvs, count, more, revision } = await client.range("/a/é");
  expect({ kvs, count, more }).toEqual({
    kvs: [{ key: "/a/é", value: "1", modRevision: revision, lease: "0" }],
    count: 1,
    more: false,
  });
  expect(await client.range("/a/")).toMatchObject({ kvs: [], count: 0 });
});

etcdTest("range() of a prefix has its keys in order, as many as asked for", async () => {
  for (const key of ["/a/2", "/a/1", "/a/3", "/a", "/b"]) etcd.ctl("put", key, `of ${key}`);
  const all = await client.range("/a/", { prefix: true });
  expect(all.kvs.map(({ key, value }) => [key, value])).toEqual([
    ["/a/1", "of /a/1"],
    ["/a/2", "of /a/2"],
    ["/a/3", "of /a/3"],
  ]);
  const some = await client.range("/a/", { prefix: true, limit: 2, keysOnly: true });
  expect(some).toMatchObject({ more: true, count: 3, kvs: [{ key: "/a/1", value: "" }, { key: "/a/2" }] });
});

etcdTest("range() at a revision is as it was then, or compacted", async () => {
  const old = await client.put("/a", "old");
  const now = await client.put("/a", "new");
  expect((await client.range("/a", { revision: old })).kvs).toMatchObject([{ value: "old" }]);
  etcd.ctl("compact", String(now));
  const error = await errorOf(client.range("/a", { revision: old }));
  expect(error).toMatchObject({ kind: "compacted", isAway: false });
  expect(error.message).toBe(`etcd at ${client.endpoint}: required revision has been compacted`);
});

etcdTest("listAll() has 5,000 keys, as they were at one revision", async () => {
  const keys = Array.from({ length: 5_000 }, (_, index) => `/many/${String(index).padStart(4, "0")}`);
  for (let at = 0; at < keys.length; at += 100) {
    await client.txn({ compare: [], success: keys.slice(at, at + 100).map((key) => putOp(key, key)) });
  }
  const listing = client.listAll("/many/");
  await client.put("/many/9999", "late");
  const { kvs, revision } = await listing;
  const late = kvs.filter(({ modRevision }) => modRevision > revision);
  expect(late).toEqual([]);
  expect(kvs.slice(0, 5_000).map(({ key }) => key)).toEqual(keys);
  const before = await client.listAll("/many/", { revision: revision - 1n, keysOnly: true });
  expect(before.kvs.length).toBeLessThanOrEqual(5_001);
  expect(before.kvs[0]?.value).toBe("");
});

etcdTest("listAll() goes on after a key that is not UTF-8", async () => {
  const raw = (last: number) => new Uint8Array([...new TextEncoder().encode("/raw/"), 0xff, last]).toBase64();
  for (let last = 0; last < 2; last++) {
    for (let first = 0; first < 256; first++) {
      const key = new Uint8Array([...Uint8Array.fromBase64(raw(first)), last]).toBase64();
      await fetch(`${etcd.endpoints[0]}/v3/kv/put`, { method: "POST", body: JSON.stringify({ key }) });
    }
  }
  for (let at = 0; at < 600; at += 100) {
    const puts = Array.from({ length: 100 }, (_, index) => putOp(`/raw/a${at + index}`, ""));
    await client.txn({ compare: [], success: puts });
  }
  expect((await client.listAll("/raw/")).kvs.length).toBe(600 + 512); // two pages
});

etcdTest("put() and deleteKeys() change what etcdctl reads", async () => {
  const first = await client.put("/a/1", "x");
  expect(await client.put("/a/2", "")).toBe(first + 1n);
  expect(stored("/a/")).toEqual(["/a/1", "x", "/a/2", ""]);
  expect(await client.deleteKeys("/a/2")).toBe(1);
  expect(await client.deleteKeys("/a/2")).toBe(0);
  expect(stored("/a/")).toEqual(["/a/1", "x"]);
  expect(await client.deleteKeys("/a", { prefix: true })).toBe(1);
  expect(stored("/")).toEqual([]);
});

etcdTest("txn() does what belongs to success, or to failure, and answers for each operation", async () => {
  const claim = {
    compare: [absent("/a")],
    success: [putOp("/a", "mine"), putOp("/b", "too")],
    failure: [getOp("/a"), deleteOp("/b"), getOp("/", { prefix: true })],
  };
  const first = await client.txn(claim);
  expect(first).toMatchObject({ succeeded: true, responses: [{ kvs: [] }, { kvs: [] }] });
  expect(stored("/")).toEqual(["/a", "mine", "/b", "too"]);
  expect(await client.txn(claim)).toMatchObject({
    succeeded: false,
    revision: first.revision + 1n,
    responses: [{ kvs: [{ value: "mine" }] }, { deleted: 1 }, { kvs: [{ key: "/a" }] }],
  });
  expect(stored("/")).toEqual(["/a", "mine"]);
});

etcdTest("txn() compares: absent, exists, revision, an empty prefix", async () => {
  const holds = async (...compare: Parameters<typeof client.txn>[0]["compare"][number][]) =>
    (await client.txn({ compare, success: [] })).succeeded;
  const revision = await client.put("/a/1", "x");

  expect(await holds(absent("/a/1"))).toBe(false);
  expect(await holds(absent("/a/2"))).toBe(true);
  expect(await holds(exists("/a/1"))).toBe(true);
  expect(await holds(exists("/a/2"))).toBe(false);
  expect(await holds(modRevisionIs("/a/1", revision))).toBe(true);
  expect(await holds(modRevisionIs("/a/1", revision - 1n))).toBe(false);
  expect(await holds(modRevisionIs("/a/2", 0n))).toBe(true);
  expect(await holds(emptyPrefix("/a/"))).toBe(false);
  expect(await holds(emptyPrefix("/a/1"))).toBe(false);
  expect(await holds(emptyPrefix("/b/"))).toBe(true);
  expect(await holds(exists("/a/1"), emptyPrefix("/a/"))).toBe(false);
});

etcdTest("a transaction that etcd refuses has its reason, and nothing was done", async () => {
  const error = await errorOf(client.txn({ compare: [], success: [putOp("/a", "1"), putOp("/a", "2")] }));
  expect(error).toMatchObject({ kind: "refused", isOutcomeUnknown: false });
  expect(error.words).toBe("duplicate key given in txn request");
  const large = await errorOf(client.put("/a", "x".repeat(3_000_000)));
  expect(large.kind).toBe("refused");
  expect(large.message).toContain("larger than max");
  expect(stored("/")).toEqual([]);
});

etcdTest("a lease keeps its keys alive, until it is gone", async () => {
  const lease = await client.grantLease(60);
  await client.put("/leased", "x", { lease });
  await client.txn({ compare: [], success: [putOp("/leased2", "x", { lease })] });
  expect((await client.range("/leased", { prefix: true })).kvs).toMatchObject([{ lease }, { lease }]);
  expect(await client.keepAlive(lease)).toBe(60);
  await client.revokeLease(lease);
  expect(stored("/leased")).toEqual([]);
  expect(await client.keepAlive(lease)).toBe(0);
  await client.revokeLease(lease); // gone is gone
  expect(await errorOf(client.put("/leased", "x", { lease }))).toMatchObject({ kind: "lease-gone" });
});

etcdTest("nothing is asked of a client that was disposed of, and what is under way ends", async () => {
  const brief = new EtcdClient(etcd.settings());
  await brief.range("/a");
  await etcd.members[0]?.pause();
  const under = errorOf(brief.range("/a"));
  await Bun.sleep(20);
  brief[Symbol.dispose]();
  expect(await under).toMatchObject({ kind: "unavailable", words: "the client was closed" });
  etcd.members[0]?.resume();
  expect(await errorOf(brief.range("/a"))).toMatchObject({ words: "the client was closed" });
});
