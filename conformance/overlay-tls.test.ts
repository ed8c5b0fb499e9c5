/**
 * An etcd that asks for certificates and a password: containers of an overlay reach each other, also after
 * its restart, which forgets all tokens. Who has another password, or no certificate, is refused, and told
 * why.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { execa } from "execa";
import t, { type Test } from "tap";
import { startAgent, writeSettings } from "./fixtures/agent.ts";
import { etcdLacks, makeEtcd } from "./fixtures/etcd.ts";
import { makeFabric } from "./fixtures/fabric.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { allReachAll, attachNew, BLUE, etcdNetwork } from "./fixtures/overlay-network.ts";
import { agree } from "./fixtures/overlay-truth.ts";
import { refused, silent } from "./fixtures/refusal.ts";

const TIMEOUT_MS = 120_000;
t.setTimeout(2 * TIMEOUT_MS);
const lacks = (await missing("vxlan", "bridge")) ?? (await etcdLacks());
const USER = "weft";
const PASSWORD = "correct horse";

// No CN: where there are users, the gateway refuses a client that has one.
const CERTIFICATES = `
set -e
key() { openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key" 2> /dev/null ||
  openssl ecparam -name prime256v1 -genkey -noout -out "$1.key"; }
key ca; key etcd; key other
openssl req -x509 -new -key ca.key -subj "/O=weft" -days 2 -out ca.crt
openssl req -x509 -new -key other.key -subj "/O=other" -days 2 -out other.crt
openssl req -new -key etcd.key -subj "/O=weft" -out etcd.csr
openssl x509 -req -in etcd.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out etcd.crt
`;
const EXTENSIONS = `subjectAltName=IP:127.0.0.1,IP:192.0.2.101
extendedKeyUsage=serverAuth,clientAuth
`;

/** Files that the hosts see as well: their /tmp is this machine's. */
async function makeCertificates(t: Test) {
  const dir = mkdtempSync(join(tmpdir(), "weft-tls-"));
  t.teardown(() => rmSync(dir, { recursive: true }));
  writeFileSync(join(dir, "ext"), EXTENSIONS);
  writeFileSync(join(dir, "password"), `${PASSWORD}\n`, { mode: 0o600 });
  await execa("sh", ["-c", CERTIFICATES], { cwd: dir });
  const tls = {
    caFile: join(dir, "ca.crt"),
    certFile: join(dir, "etcd.crt"),
    keyFile: join(dir, "etcd.key"),
  };
  return { dir, tls };
}

await t.test("etcd with TLS and a password", { timeout: TIMEOUT_MS }, async (t) => {
  if (lacks) return skip(t, lacks);
  const { dir, tls } = await makeCertificates(t);
  const fabric = await makeFabric(t, { hosts: 2 });
  const etcd = await makeEtcd(t, fabric, { tls });
  await etcd.askForPassword({ user: USER, password: PASSWORD, prefix: "/weft/" });
  const settings = { ...tls, user: USER, passwordFile: join(dir, "password") };
  await Promise.all(fabric.hosts.map((at) => startAgent(at, etcd.endpoints, { settings })));
  const config = etcdNetwork(BLUE);
  const all = await Promise.all(fabric.hosts.map((at) => attachNew(at, "c1", config)));
  await allReachAll(t, all, "all reach all");
  await agree(t, etcd, fabric.hosts, "the kernels hold what the store says");
  await etcd.stop();
  await etcd.start();
  await agree(t, etcd, fabric.hosts, "also after a restart", { timeoutMs: 30_000 });
  const { host } = fabric.at(0);
  const alone = { cniVersion: "1.1.0", name: "net", type: "bridge", ipam: { ...Object(config["ipam"]) } };
  const container = await host.container("c2");
  const later = await attachNew(fabric.at(1), "c2", config);
  await agree(t, etcd, fabric.hosts, "of which changes come as before");
  silent(t, await later.del(), "DEL");

  const add = () => host.cni("etcd-ipam", { command: "ADD", container, config: alone });
  const wrong: [what: string, keys: object, code: number, says: RegExp][] = [
    ["another password", { ...settings, passwordFile: undefined, password: "wrong" }, 7, /password|user/i],
    ["another user", { ...settings, user: "nobody" }, 7, /password|user|nobody/i],
    ["no password", tls, 7, /user|password/i],
    [
      "no certificate",
      { caFile: tls.caFile, user: USER, password: PASSWORD },
      11,
      /certificate|tls|192\.0\.2\.101/i,
    ],
    ["another authority", { ...settings, caFile: join(dir, "other.crt") }, 11, /certificate|tls/i],
    ["no authority", { ...settings, caFile: undefined }, 11, /certificate|tls/i],
    ["what is no certificate", { ...settings, caFile: join(dir, "password") }, 7, /caFile.*PEM/],
    ["the key of another", { ...settings, keyFile: join(dir, "other.key") }, 7, /key.*certFile/s],
    ["a missing file", { ...settings, passwordFile: "/nowhere" }, 7, /nowhere/],
  ];
  for (const [what, keys, code, says] of wrong) {
    // no agent serves a host of that name
    await writeSettings({ ...fabric.at(0), name: "h9" }, etcd.endpoints, { ...keys });
    const outcome = await add();
    refused(t, outcome, { code, msg: /./, details: /|./ }, `${what} is refused`);
    t.match(`${outcome.error?.msg} ${outcome.error?.details ?? ""}`, says, "and says why");
    t.notMatch(outcome.stdout, PASSWORD, "and tells no password");
  }
});
