/** Going on to another endpoint: three members of which some are dead, silent or alone. */
import { afterEach, expect, test } from "bun:test";
import { etcdTest, TestEtcd } from "../testing/etcd.ts";
import { EtcdClient } from "./client.ts";
import { Endpoints } from "./endpoints.ts";
import { EtcdError } from "./error.ts";
import { absent, putOp } from "./transaction.ts";

/** What answers on the ports of `endpoints`, until the test is over. */
const listeners: { stop(force: boolean): void }[] = [];
afterEach(() => {
  for (const listener of listeners.splice(0)) listener.stop(true);
});

/** A server in front of which `answer` decides; what it was asked. */
function standIn(answer: (request: Request) => Response | Promise<Response>) {
  const asked: string[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch(request) {
      asked.push(new URL(request.url).pathname);
      return answer(request);
    },
  });
  listeners.push(server);
  return { endpoint: server.url.origin, asked };
}

/** Nobody listens there. */
function deadEndpoint(): string {
  const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  listener.stop();
  return `http://127.0.0.1:${listener.port}`;
}

function refusing(code: number, message: string, status = 503): Response {
  return Response.json({ error: message, message, code }, { status });
}

/** A client that asks them in this order. */
function clientOf(
  endpoints: string[],
  options: ConstructorParameters<typeof EtcdClient>[1] = {},
): EtcdClient {
  const first = Bun.hash.crc32("h1") % endpoints.length;
  const inOrder = endpoints.map((_, index) => endpoints.at(index - first) ?? "");
  return new EtcdClient({ endpoints: inOrder, prefix: "/weft", host: "h1" }, options);
}

async function failureOf(call: Promise<unknown>): Promise<EtcdError> {
  const error = await call.then(
    () => "no error",
    (reason) => reason,
  );
  if (error instanceof EtcdError) return error;
  throw error;
}

const OK = () => Response.json({ header: { revision: "7" } });
const HANG = () => new Promise<Response>(() => {});

test("a call goes on to the next endpoint where the connection is refused, and stays there", async () => {
  const good = standIn(OK);
  using client = clientOf([deadEndpoint(), good.endpoint]);
  expect((await client.range("/a")).revision).toBe(7n);
  expect(client.endpoint).toBe(good.endpoint);
  await client.range("/a");
  expect(good.asked.length).toBe(2);
});

test("a call goes on where there is no answer in time, no leader, or no etcd behind a balancer", async () => {
  const silent = standIn(HANG);
  const alone = standIn(() => refusing(14, "etcdserver: no leader"));
  const balancer = standIn(() => new Response("<html>Bad Gateway</html>", { status: 502 }));
  const good = standIn(OK);
  const endpoints = [silent, alone, balancer, good].map(({ endpoint }) => endpoint);
  using client = clientOf(endpoints, { attemptTimeoutMs: 50 });
  await client.range("/a");
  expect([silent, alone, balancer, good].map(({ asked }) => asked.length)).toEqual([1, 1, 1, 1]);
});

test("a call does not go on where etcd refuses what is asked", async () => {
  const strict = standIn(() => refusing(3, "etcdserver: key is not provided", 400));
  const good = standIn(OK);
  using client = clientOf([strict.endpoint, good.endpoint]);
  expect(await failureOf(client.range(""))).toMatchObject({ kind: "refused", words: "key is not provided" });
  expect(good.asked).toEqual([]);
});

test("a call ends after two rounds where nobody listens, and says so of everyone", async () => {
  const [first, second] = [deadEndpoint(), deadEndpoint()];
  using client = clientOf([first, second]);
  const start = performance.now();
  const failure = await failureOf(client.range("/a"));
  expect(performance.now() - start).toBeLessThan(1_000);
  expect(failure).toMatchObject({ kind: "unavailable", isOutcomeUnknown: false });
  expect(failure.message).toBe(`etcd at ${second}: connection refused; ${first}: connection refused`);
});

test("a call waits for a leader until its deadline, not longer", async () => {
  const alone = standIn(() => refusing(14, "etcdserver: no leader"));
  using client = clientOf([alone.endpoint], { timeoutMs: 500 });
  const start = performance.now();
  expect(await failureOf(client.range("/a"))).toMatchObject({ kind: "unavailable", words: "no leader" });
  expect(performance.now() - start).toBeWithin(290, 600);
  expect(alone.asked.length).toBe(3);
});

test("a deadline of the call, and one of all calls, come before the time-out", async () => {
  const silent = standIn(HANG);
  using patient = clientOf([silent.endpoint]);
  const start = performance.now();
  expect(await failureOf(patient.range("/a", { deadline: start + 100 }))).toMatchObject({ kind: "timeout" });
  using hasty = clientOf([silent.endpoint], { deadline: start + 200 });
  expect(await failureOf(hasty.range("/a", { deadline: start + 10_000 }))).toMatchObject({ kind: "timeout" });
  expect(performance.now() - start).toBeWithin(190, 1_000);
});

test("a call whose deadline has passed is not made", async () => {
  const good = standIn(OK);
  using client = clientOf([good.endpoint]);
  const late = client.range("/a", { deadline: performance.now() });
  expect(await failureOf(late)).toMatchObject({ kind: "timeout" });
  expect(good.asked).toEqual([]);
});

test("a transaction is asked again where its answer was lost, if it compares something", async () => {
  const silent = standIn(HANG);
  const good = standIn(OK);
  const endpoints = [silent.endpoint, good.endpoint];
  using client = clientOf(endpoints, { attemptTimeoutMs: 50 });
  await client.txn({ compare: [absent("/a")], success: [putOp("/a", "x")] });
  expect(good.asked).toEqual(["/v3/kv/txn"]);

  using other = clientOf(endpoints, { attemptTimeoutMs: 50 });
  const failure = await failureOf(other.txn({ compare: [], success: [putOp("/a", "x")] }));
  expect(failure).toMatchObject({ kind: "timeout", isOutcomeUnknown: true, endpoint: silent.endpoint });
  expect(good.asked.length).toBe(1);

  using third = clientOf([deadEndpoint(), good.endpoint]);
  await third.txn({ compare: [], success: [putOp("/a", "x")] }); // nobody had heard of it
});

test("calls that fail together go on to the same endpoint", async () => {
  const silent = standIn(HANG);
  const [good, spare] = [standIn(OK), standIn(OK)];
  using client = clientOf([silent.endpoint, good.endpoint, spare.endpoint], { attemptTimeoutMs: 50 });
  await Promise.all(Array.from({ length: 10 }, () => client.range("/a")));
  expect([good.asked.length, spare.asked.length]).toEqual([10, 0]);
});

test("hosts begin with different endpoints", () => {
  const all = ["http://a", "http://b", "http://c"];
  const first = Array.from({ length: 300 }, (_, n) => new Endpoints(all, `host-${n}`).current);
  for (const endpoint of all) expect(first.filter((each) => each === endpoint).length).toBeWithin(60, 140);
});

etcdTest("a claim whose answer was lost is told apart by its own value", async () => {
  await using etcd = await TestEtcd.start();
  const [real = ""] = etcd.endpoints;
  const deaf = standIn(async (request) => {
    await fetch(real + new URL(request.url).pathname, { method: "POST", body: await request.text() });
    return HANG(); // it was carried out, and nobody knows
  });
  using client = clientOf([deaf.endpoint, real], { attemptTimeoutMs: 300 });
  const answer = await client.txn({
    compare: [absent("/claim")],
    success: [putOp("/claim", "attempt 1")],
  });
  expect(answer.succeeded).toBe(false);
  expect((await client.range("/claim")).kvs[0]?.value).toBe("attempt 1");
});

etcdTest("three members: a call outlives one that is killed, and one that is paused", async () => {
  await using etcd = await TestEtcd.start({ members: 3 });
  using client = new EtcdClient(etcd.settings(), { attemptTimeoutMs: 500 });
  await client.put("/a", "1");

  const killed = etcd.memberAt(client.endpoint);
  await killed.kill();
  await client.put("/a", "2");
  expect(client.endpoint).not.toBe(killed.endpoint);
  killed.start();
  await killed.ready();

  const paused = etcd.memberAt(client.endpoint);
  await paused.pause();
  const start = performance.now();
  await client.put("/a", "3");
  expect(performance.now() - start).toBeLessThan(3_000);
  expect(client.endpoint).not.toBe(paused.endpoint);
  expect((await client.range("/a")).kvs[0]?.value).toBe("3");
  paused.resume();
});

etcdTest("three members: a watch of one that is paused moves by way of another call", async () => {
  await using etcd = await TestEtcd.start({ members: 3 });
  using client = new EtcdClient(etcd.settings(), { attemptTimeoutMs: 500 });
  const lease = await client.grantLease(60);
  const stop = new AbortController();
  const watch = () => client.watch("/a/", 1n, stop.signal)[Symbol.asyncIterator]();
  const first = watch();
  await first.next();
  const next = first.next().catch((error) => error);
  const silent = etcd.memberAt(client.endpoint);
  await silent.pause();
  expect(await client.keepAlive(lease)).toBe(60); // by another member
  expect(await next).toMatchObject({
    kind: "lost",
    endpoint: silent.endpoint,
    words: "it failed another call",
  });

  const second = watch();
  await second.next();
  await client.put("/a/1", "x");
  expect((await second.next()).value?.events.length).toBe(1);
  silent.resume();
  stop.abort();
});

etcdTest("three members: one that has lost the others ends its watches, and is left", async () => {
  await using etcd = await TestEtcd.start({ members: 3 });
  using client = new EtcdClient(etcd.settings(), { timeoutMs: 1_000, attemptTimeoutMs: 300 });
  const alone = etcd.memberAt(client.endpoint);
  const watching = client.watch("/a/", 1n, new AbortController().signal)[Symbol.asyncIterator]();
  await watching.next();
  const others = etcd.members.filter((member) => member !== alone);
  await Promise.all(others.map((member) => member.kill()));
  expect(await watching.next().catch((error) => error)).toMatchObject({ kind: "lost", words: "no leader" });
  const failure = await failureOf(client.range("/a"));
  expect(failure).toMatchObject({ kind: "unavailable" });
  expect(failure.message).toContain(`${alone.endpoint}: no leader`);

  for (const member of others) member.start();
  await Promise.all(others.map((member) => member.ready()));
  using patient = new EtcdClient(etcd.settings());
  await patient.range("/a");
});
