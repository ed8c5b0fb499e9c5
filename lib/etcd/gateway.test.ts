/** Who asks, and who answers: users with passwords, certificates, proxies that are not on our way. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { contentOf, etcdTest, TestEtcd, type TlsFiles } from "../testing/etcd.ts";
import { EtcdClient } from "./client.ts";
import type { EtcdError } from "./error.ts";

const PASSWORD = "päss word";

/** Makes root, and a user who may touch /weft/ alone, and lets nobody else in. */
function enableAuth(etcd: TestEtcd): void {
  etcd.ctl("user", "add", "root:root");
  etcd.ctl("user", "add", `weft:${PASSWORD}`);
  etcd.ctl("role", "add", "weft");
  etcd.ctl("role", "grant-permission", "weft", "readwrite", "/weft/", "--prefix");
  etcd.ctl("user", "grant-role", "weft", "weft");
  etcd.ctl("user", "grant-role", "root", "root");
  etcd.ctl("auth", "enable");
}

async function failureOf(call: Promise<unknown>): Promise<EtcdError> {
  return call.then(
    () => expect.unreachable(),
    (error) => error,
  );
}

etcdTest("a user gets what the password is for, and no more", async () => {
  await using etcd = await TestEtcd.start();
  enableAuth(etcd);
  using client = new EtcdClient(etcd.settings({ user: "weft", password: PASSWORD }));
  await client.put("/weft/a", "x");
  const watching = client.watch("/weft/", 1n, new AbortController().signal)[Symbol.asyncIterator]();
  await watching.next();
  expect((await watching.next()).value?.events.length).toBe(1);
  await watching.return?.();
  expect(await failureOf(client.put("/other", "x"))).toMatchObject({
    kind: "denied",
    words: "permission denied",
  });
  const other = client.watch("/other/", 1n, new AbortController().signal)[Symbol.asyncIterator]();
  expect(await failureOf(other.next().then(() => other.next()))).toMatchObject({ kind: "denied" });
});

etcdTest("a wrong password, an unknown user and no user at all are told, without a second try", async () => {
  await using etcd = await TestEtcd.start();
  enableAuth(etcd);
  const wrong = "authentication failed, invalid user ID or password";
  for (const [user, words] of [
    [{ user: "weft", password: "wrong" }, wrong],
    [{ user: "nobody", password: PASSWORD }, wrong],
    [{}, "user name is empty"],
  ] as const) {
    using client = new EtcdClient(etcd.settings(user));
    expect(await failureOf(client.range("/weft/a"))).toMatchObject({ kind: "unauthenticated", words });
  }
});

etcdTest("a token that etcd has forgotten is replaced by another", async () => {
  await using etcd = await TestEtcd.start({ flags: ["--auth-token-ttl=1"] });
  enableAuth(etcd);
  using client = new EtcdClient(etcd.settings({ user: "weft", password: PASSWORD }));
  const lease = await client.grantLease(60);
  await client.put("/weft/a", "x", { lease });
  await Bun.sleep(2_500); // there is no event for it
  expect((await client.range("/weft/a")).kvs.length).toBe(1);

  await etcd.members[0]?.kill(); // tokens are kept in memory
  etcd.members[0]?.start();
  await etcd.members[0]?.ready();
  expect(await client.keepAlive(lease)).toBe(60);
});

etcdTest("a user is not asked for where authentication is off, and found when it is turned on", async () => {
  await using etcd = await TestEtcd.start();
  using client = new EtcdClient(etcd.settings({ user: "weft", password: PASSWORD }));
  await client.put("/weft/a", "x");
  enableAuth(etcd);
  await client.put("/weft/a", "y");
});

const directory = mkdtempSync(join(tmpdir(), "weft-certificates-"));
afterAll(() => rmSync(directory, { recursive: true }));

const noOpenssl = Bun.which("openssl") ? undefined : "needs openssl";

/** An authority, and a certificate of its for members and clients at 127.0.0.1. */
function makeCertificates(name: string): TlsFiles {
  const path = (file: string) => join(directory, `${name}-${file}`);
  const openssl = (...args: string[]) => {
    const { exitCode, stderr } = Bun.spawnSync(["openssl", ...args], { cwd: directory });
    if (exitCode !== 0) throw new Error(`openssl ${args.join(" ")}: ${stderr}`);
  };
  const key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  const [caFile, certFile, keyFile] = [path("ca.pem"), path("cert.pem"), path("key.pem")];
  const ca = ["-subj", `/CN=${name} authority`, "-keyout", path("ca-key.pem"), "-out", caFile];
  openssl("req", "-x509", ...key, "-days", "2", ...ca);
  openssl("req", "-new", ...key, "-subj", `/CN=${name}`, "-keyout", keyFile, "-out", path("request"));
  writeFileSync(path("extensions"), "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n");
  const by = ["-CA", caFile, "-CAkey", path("ca-key.pem"), "-CAcreateserial", "-days", "2"];
  openssl("x509", "-req", "-in", path("request"), ...by, "-extfile", path("extensions"), "-out", certFile);
  return { caFile, certFile, keyFile };
}

let ours: TlsFiles;
let others: TlsFiles;
beforeAll(() => {
  if (noOpenssl !== undefined) return;
  ours = makeCertificates("ours");
  others = makeCertificates("others");
});

etcdTest(
  "TLS with a certificate on both sides; who has none, or another's, gets nothing",
  async () => {
    await using etcd = await TestEtcd.start({ tls: ours });
    const { ca, cert, key } = contentOf(ours);
    using client = new EtcdClient(etcd.settings({ tls: { ca, cert, key } }));
    await client.put("/a", "x");
    expect(etcd.ctl("get", "/a")).toBe("/a\nx\n");

    const another = contentOf(others);
    const refused = async (tls: { ca?: string; cert?: string; key?: string }) => {
      using stranger = new EtcdClient(etcd.settings({ tls }), { timeoutMs: 1_000 });
      return await failureOf(stranger.range("/a"));
    };
    expect(await refused({ cert, key })).toMatchObject({ kind: "unavailable", isOutcomeUnknown: false });
    expect((await refused({ cert, key })).words).toMatch(/certificate/);
    expect(await refused({ ca, cert: another.cert, key: another.key })).toMatchObject({
      kind: "unavailable",
    });
    expect(await refused({ ca })).toMatchObject({ kind: "unavailable" });
    const [made, words] = ["unauthenticated", /is it the certificate's key/];
    expect(await refused({ ca, cert, key: another.key })).toMatchObject({ kind: made });
    expect((await refused({ ca, cert, key: another.key })).words).toMatch(words);
    enableAuth(etcd);
    const user = { user: "weft", password: PASSWORD };
    using named = new EtcdClient(etcd.settings({ tls: { ca, cert, key }, ...user }));
    expect(await failureOf(named.range("/weft/a"))).toMatchObject({
      kind: "unauthenticated",
      words: expect.stringContaining("must have no CN"),
    });
  },
  noOpenssl,
);

test("a proxy in the environment is not asked", async () => {
  const proxied: string[] = [];
  const proxy = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: (request) => note(request, proxied) });
  const direct: string[] = [];
  const etcd = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: (request) => note(request, direct) });
  const program = `
    import { EtcdClient } from "${join(import.meta.dir, "client.ts")}";
    const client = new EtcdClient({ endpoints: ["${etcd.url.origin}"], prefix: "/weft", host: "h1" });
    await client.range("/a");`;
  const child = Bun.spawn([process.execPath, "-e", program], {
    env: { ...process.env, HTTP_PROXY: proxy.url.origin, http_proxy: proxy.url.origin, NO_PROXY: "" },
  });
  expect(await child.exited).toBe(0);
  expect([direct.length, proxied.length]).toEqual([1, 0]);
  await Promise.all([proxy.stop(true), etcd.stop(true)]);
});

function note(request: Request, into: string[]): Response {
  into.push(request.url);
  return Response.json({});
}

test("an answer that is none of etcd's is told with its beginning", async () => {
  const other = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: () => new Response("hello", { status: 404 }),
  });
  using client = new EtcdClient({ endpoints: [other.url.origin], prefix: "/weft", host: "h1" });
  expect(await failureOf(client.range("/a"))).toMatchObject({
    kind: "refused",
    words: "HTTP 404, and no answer of etcd v3: hello",
  });
  await other.stop(true);
});
