/**
 * A real etcd for tests: Debian's, unpacked beside the system, its members on free ports of loopback. What it
 * was asked to keep is gone with the test, and the kernel kills it when the test is killed.
 */
import { test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { UnavailableError, unpackedPackage } from "../../conformance/fixtures/debian-package.ts";
import type { EtcdSettings } from "../etcd/settings.ts";

const START_TIMEOUT_MS = 30_000;
/** A member answers over and over until it has a leader. */
const POLL_MS = 10;
/** Tests with an etcd of their own start it, and wait for elections. */
const TEST_TIMEOUT_MS = 60_000;
/** Milliseconds, a tenth of what they are otherwise: a leader is there, or found lost, the sooner. */
const TIMING = ["--heartbeat-interval=20", "--election-timeout=200"];

const programs = await findPrograms();

/** Why there is no etcd to be had here; undefined where there is. */
export const noEtcdReason: string | undefined = typeof programs === "string" ? programs : undefined;

async function findPrograms(): Promise<{ server: string; client: string } | string> {
  if (!Bun.which("setpriv")) return "needs setpriv (util-linux)";
  try {
    const [server, client] = [await unpackedPackage("etcd-server"), await unpackedPackage("etcd-client")];
    return { server: join(server.root, "usr/bin/etcd"), client: join(client.root, "usr/bin/etcdctl") };
  } catch (error) {
    if (error instanceof UnavailableError) return error.message;
    throw error;
  }
}

/** A test that needs an etcd; without one it is skipped, and its name says why. */
export function etcdTest(name: string, body: () => Promise<void>, lacking?: string): void {
  const reason = noEtcdReason ?? lacking;
  if (reason === undefined) test(name, body, TEST_TIMEOUT_MS);
  else test.skip(`${name} [skipped: ${reason}]`, body);
}

export interface TestEtcdOptions {
  readonly members?: 1 | 3;
  /** Clients have to show a certificate of the same authority. */
  readonly tls?: TlsFiles;
  /** Further flags of etcd. */
  readonly flags?: readonly string[];
}

/** PEM. The certificate is a member's and a client's at once. */
export interface TlsFiles {
  readonly caFile: string;
  readonly certFile: string;
  readonly keyFile: string;
}

/** A member: a process that can be killed, started again with its data, and made to answer nothing. */
export class TestMember {
  readonly endpoint: string;
  readonly #command: readonly string[];
  readonly #tls: EtcdSettings["tls"];
  #process: Bun.Subprocess | undefined;

  constructor(endpoint: string, command: readonly string[], tls: EtcdSettings["tls"]) {
    this.endpoint = endpoint;
    this.#tls = tls;
    this.#command = command;
  }

  start(): void {
    this.#process = Bun.spawn([...this.#command], { stdin: "ignore", stdout: "ignore", stderr: "ignore" });
  }

  /** Waits until it serves, and has a leader. */
  async ready(): Promise<void> {
    const deadline = performance.now() + START_TIMEOUT_MS;
    while (!(await this.#isHealthy())) {
      const { exitCode } = this.#process ?? { exitCode: 0 };
      if (exitCode !== null) throw new Error(`etcd ended with ${exitCode}: ${this.#command.join(" ")}`);
      if (performance.now() > deadline) throw new Error(`etcd does not serve: ${this.#command.join(" ")}`);
      await Bun.sleep(POLL_MS);
    }
  }

  async #isHealthy(): Promise<boolean> {
    try {
      const init = { proxy: false, signal: AbortSignal.timeout(1_000), ...(this.#tls && { tls: this.#tls }) };
      return (await fetch(`${this.endpoint}/health`, init)).ok;
    } catch {
      return false;
    }
  }

  /** As a crash does. */
  async kill(): Promise<void> {
    this.#process?.kill("SIGKILL");
    await this.#process?.exited;
  }

  /** It keeps its connections, accepts others, and answers nothing, from when this returns. */
  async pause(): Promise<void> {
    const { pid = 0 } = this.#process ?? {};
    process.kill(pid, "SIGSTOP");
    while (!/^State:\s+T/m.test(readFileSync(`/proc/${pid}/status`, "utf8"))) await Bun.sleep(1);
  }

  resume(): void {
    this.#process?.kill("SIGCONT");
  }
}

export class TestEtcd implements AsyncDisposable {
  readonly members: readonly TestMember[];
  readonly #directory: string;
  readonly #clientFlags: readonly string[];

  private constructor(members: readonly TestMember[], directory: string, clientFlags: readonly string[]) {
    this.members = members;
    this.#directory = directory;
    this.#clientFlags = clientFlags;
  }

  static async start(options: TestEtcdOptions = {}): Promise<TestEtcd> {
    const { members: count = 1, tls, flags = [] } = options;
    const directory = mkdtempSync(join(tmpdir(), "weft-etcd-"));
    const scheme = tls ? "https" : "http";
    const ports = freePorts(2 * count);
    const places = ports.slice(0, count).map((port, index) => ({
      name: `m${index}`,
      endpoint: `${scheme}://127.0.0.1:${port}`,
      peer: `http://127.0.0.1:${ports[count + index]}`,
    }));
    const cluster = places.map(({ name, peer }) => `${name}=${peer}`).join(",");
    const members = places.map(({ name, endpoint, peer }) => {
      const command = [
        ...["setpriv", "--pdeathsig=KILL", ofEtcd("server")],
        ...[`--name=${name}`, `--data-dir=${join(directory, name)}`, `--initial-cluster=${cluster}`],
        ...[`--listen-client-urls=${endpoint}`, `--advertise-client-urls=${endpoint}`],
        ...[`--listen-peer-urls=${peer}`, `--initial-advertise-peer-urls=${peer}`],
        ...(tls ? [`--cert-file=${tls.certFile}`, `--key-file=${tls.keyFile}`] : []),
        ...(tls ? [`--trusted-ca-file=${tls.caFile}`, "--client-cert-auth"] : []),
        ...[...TIMING, ...flags],
      ];
      return new TestMember(endpoint, command, tls && contentOf(tls));
    });
    const clientFlags = tls
      ? [`--cacert=${tls.caFile}`, `--cert=${tls.certFile}`, `--key=${tls.keyFile}`]
      : [];
    const etcd = new TestEtcd(members, directory, clientFlags);
    for (const member of members) member.start();
    await Promise.all(members.map((member) => member.ready()));
    return etcd;
  }

  get endpoints(): string[] {
    return this.members.map(({ endpoint }) => endpoint);
  }

  /** What a client needs. */
  settings(other: Partial<EtcdSettings> = {}): EtcdSettings {
    return { endpoints: this.endpoints, prefix: "/weft", host: "h1", ...other };
  }

  /** The member an endpoint belongs to. */
  memberAt(endpoint: string): TestMember {
    const found = this.members.find((member) => member.endpoint === endpoint);
    if (!found) throw new RangeError(`no member has ${endpoint}`);
    return found;
  }

  /** What `etcdctl <args>` prints: the oracle of what the store holds. @throws Error with what it wrote */
  ctl(...args: string[]): string {
    const flags = [`--endpoints=${this.endpoints.join(",")}`, ...this.#clientFlags];
    const command = [ofEtcd("client"), ...flags, ...args];
    const { exitCode, stdout, stderr } = Bun.spawnSync(command, { env: { ETCDCTL_API: "3" } });
    if (exitCode !== 0) throw new Error(`etcdctl ${args.join(" ")}: ${stderr}`);
    return stdout.toString();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.members.map((member) => member.kill()));
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

function ofEtcd(part: "server" | "client"): string {
  if (typeof programs === "string") throw new Error(programs);
  return programs[part];
}

/** As settings have it. */
export function contentOf({ caFile, certFile, keyFile }: TlsFiles): {
  ca: string;
  cert: string;
  key: string;
} {
  const read = (path: string) => readFileSync(path, "utf8");
  return { ca: read(caFile), cert: read(certFile), key: read(keyFile) };
}

/** Ports that nobody has now. Held together, so that none is given twice. */
function freePorts(count: number): number[] {
  const listeners = Array.from({ length: count }, () =>
    Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } }),
  );
  const ports = listeners.map(({ port }) => port);
  for (const listener of listeners) listener.stop();
  return ports;
}
