/** Watches of a real etcd, which is compacted, stopped and cut off under them. */
import { expect } from "bun:test";
import { etcdTest, TestEtcd } from "../testing/etcd.ts";
import { EtcdClient } from "./client.ts";
import { putOp } from "./transaction.ts";
import type { WatchUpdate } from "./watch.ts";

/** A watch whose updates are waited for one by one. */
class Watching implements AsyncDisposable {
  readonly #stop = new AbortController();
  readonly #updates: AsyncIterator<WatchUpdate>;

  constructor(client: EtcdClient, prefix: string, fromRevision: bigint) {
    this.#updates = client.watch(prefix, fromRevision, this.#stop.signal)[Symbol.asyncIterator]();
  }

  async next(): Promise<WatchUpdate> {
    const { value, done } = await this.#updates.next();
    if (done) throw new Error("the watch ended without a reason");
    return value;
  }

  /** As many events, over the updates they come in. */
  async events(count: number): Promise<string[]> {
    const found: string[] = [];
    while (found.length < count) {
      found.push(...(await this.next()).events.map(({ type, kv }) => `${type} ${kv.key} ${kv.value}`.trim()));
    }
    return found;
  }

  async end(): Promise<IteratorResult<WatchUpdate>> {
    this.#stop.abort();
    return this.#updates.next();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#updates.return?.();
  }
}

etcdTest("watch() tells what happened since a revision, and what happens", async () => {
  await using etcd = await TestEtcd.start();
  using client = new EtcdClient(etcd.settings());
  const revision = await client.put("/a/1", "x");
  await client.put("/other", "x");
  await client.put("/a/1", "y");
  await using watching = new Watching(client, "/a/", revision);

  expect(await watching.next()).toEqual({ events: [], revision: revision - 1n }); // it stands
  const update = await watching.next();
  expect(update.events.map(({ kv }) => kv.value)).toEqual(["x", "y"]);
  expect(update.revision).toBe(revision + 2n);
  etcd.ctl("put", "/a/2", "z");
  expect(await watching.events(1)).toEqual(["put /a/2 z"]);
  etcd.ctl("del", "--prefix", "/a/");
  expect(await watching.events(2)).toEqual(["delete /a/1", "delete /a/2"]);
});

etcdTest("watch() is done when its signal is aborted, before and after it began", async () => {
  await using etcd = await TestEtcd.start();
  using client = new EtcdClient(etcd.settings());
  const watching = new Watching(client, "/a/", 1n);
  await watching.next();
  expect(await watching.end()).toEqual({ value: undefined, done: true });
  expect(await new Watching(client, "/a/", 1n).end()).toEqual({ value: undefined, done: true });
});

etcdTest("watch() that begins far back can go on from every update", async () => {
  await using etcd = await TestEtcd.start();
  using client = new EtcdClient(etcd.settings());
  const first = await client.put("/a/0", "0");
  for (let number = 1; number < 3_000; number++) await client.put(`/a/${number}`, String(number));

  let after = first - 1n;
  const seen: string[] = [];
  while (seen.length < 3_000) {
    await using watching = new Watching(client, "/a/", after + 1n);
    await watching.next();
    const { events, revision } = await watching.next(); // one of several: etcd sends 1,000 revisions at once
    seen.push(...events.map(({ kv }) => kv.value));
    after = revision;
  }
  expect(seen).toEqual(Array.from({ length: 3_000 }, (_, number) => String(number)));
});

etcdTest("watch() keeps the events of one transaction together", async () => {
  await using etcd = await TestEtcd.start();
  using client = new EtcdClient(etcd.settings());
  await using watching = new Watching(client, "/a/", 1n);
  await watching.next();
  const puts = Array.from({ length: 128 }, (_, index) => putOp(`/a/${index}`, "x".repeat(5_000)));
  const { revision } = await client.txn({ compare: [], success: puts });
  const update = await watching.next();
  expect(update.events.length).toBe(128);
  expect(update.revision).toBe(revision);
});

etcdTest("watch() of a revision that is gone says so: the caller lists again", async () => {
  await using etcd = await TestEtcd.start();
  using client = new EtcdClient(etcd.settings());
  await client.put("/a/1", "x");
  const revision = await client.put("/a/1", "y");
  etcd.ctl("compact", String(revision));
  await using watching = new Watching(client, "/a/", 2n);
  await watching.next();
  expect(watching.next()).rejects.toMatchObject({
    kind: "compacted",
    words: `compacted up to revision ${revision}`,
  });
});

etcdTest("watch() tells of progress while nothing happens", async () => {
  const flags = ["--experimental-watch-progress-notify-interval=100ms"];
  await using etcd = await TestEtcd.start({ flags });
  using client = new EtcdClient(etcd.settings());
  await using watching = new Watching(client, "/a/", 1n);
  await watching.next();
  const revision = await client.put("/other", "x");
  for (;;) {
    const update = await watching.next();
    expect(update.events).toEqual([]);
    if (update.revision === revision) break;
  }
});

etcdTest("watch() sees a lease expire", async () => {
  await using etcd = await TestEtcd.start();
  using client = new EtcdClient(etcd.settings());
  await using watching = new Watching(client, "/leased/", 1n);
  const lease = await client.grantLease(1);
  await client.put("/leased/1", "x", { lease });
  expect(await watching.events(2)).toEqual(["put /leased/1 x", "delete /leased/1"]);
  expect(await client.keepAlive(lease)).toBe(0);
});

etcdTest("watch() is lost when etcd ends, and another goes on where it was", async () => {
  await using etcd = await TestEtcd.start();
  using client = new EtcdClient(etcd.settings());
  const lost = new Watching(client, "/a/", 1n);
  const revision = await client.put("/a/1", "x");
  expect(await lost.events(1)).toEqual(["put /a/1 x"]);
  await etcd.members[0]?.kill();
  expect(await lost.next().catch((error) => error)).toMatchObject({ kind: "lost", isAway: true });
  const away = new Watching(client, "/a/", revision + 1n);
  expect(await away.next().catch((error) => error)).toMatchObject({ kind: "unavailable" });

  etcd.members[0]?.start();
  await etcd.members[0]?.ready();
  etcd.ctl("put", "/a/2", "y");
  await using again = new Watching(client, "/a/", revision + 1n);
  expect(await again.events(1)).toEqual(["put /a/2 y"]);
});

etcdTest(
  "watch() of an endpoint that answers nothing any more is lost by another call's failure",
  async () => {
    await using etcd = await TestEtcd.start();
    using client = new EtcdClient(etcd.settings(), { attemptTimeoutMs: 200, timeoutMs: 300 });
    const lease = await client.grantLease(60);
    await using watching = new Watching(client, "/a/", 1n);
    await watching.next();
    const next = watching.next().catch((error) => error);
    await etcd.members[0]?.pause();
    expect(await client.keepAlive(lease).catch((error) => error)).toMatchObject({ kind: "timeout" });
    expect(await next).toMatchObject({ kind: "lost" });
    etcd.members[0]?.resume();
  },
);
