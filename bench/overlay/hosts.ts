/**
 * Hosts on one switch, with etcd beside them: those of the conformance tests, whose processes go with them. A
 * plugin, or weft's agent, is a program that is started there.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Etcd, makeEtcd } from "../../conformance/fixtures/etcd.ts";
import { type Fabric, type FabricHost, makeFabric } from "../../conformance/fixtures/fabric.ts";
import type { Container, Teardown } from "../../conformance/fixtures/host.ts";
import type { CniResult } from "../../conformance/fixtures/plugin-call.ts";
import type { Running } from "../../conformance/fixtures/running.ts";

const AGENT_TIMEOUT_MS = 60_000;
const AGENT_STEP_MS = 20;
const PID_FILE = "/run/agent.pid";

/** Of a plugin, but for its version. */
export interface Config {
  readonly name: string;
  readonly type: string;
  readonly [key: string]: unknown;
}

/** Hosts, and the folder of the executables that run on them. */
export class Site implements AsyncDisposable {
  readonly fabric: Fabric;
  readonly dir: string;
  readonly #endings: Endings;

  private constructor(fabric: Fabric, dir: string, endings: Endings) {
    this.fabric = fabric;
    this.dir = dir;
    this.#endings = endings;
  }

  static async open(hosts: number, dir: string): Promise<Site> {
    const endings = new Endings();
    return new Site(await makeFabric(endings, { hosts }), dir, endings);
  }

  /** Starts etcd on the switch, and says on each host where it is. */
  async startStore(): Promise<Etcd> {
    const etcd = await makeEtcd(this.#endings, this.fabric);
    for (const { host, name } of this.fabric.hosts) {
      await host.exec("mkdir", ["-p", "/etc/weft"]);
      const settings = JSON.stringify({ endpoints: etcd.endpoints, host: name });
      writeFileSync(host.view("/etc/weft/etcd.json"), settings);
    }
    return etcd;
  }

  /** ADD of a plugin for a container of that name. @returns the container @throws Error when it fails */
  async add(at: FabricHost, name: string, config: Config): Promise<[Container, CniResult]> {
    const container = await at.host.container(name);
    await container.exec("ip", ["link", "set", "lo", "up"]);
    const call = { command: "ADD", config: { cniVersion: "1.1.0", ...config }, container, dir: this.dir };
    const { result, stdout, stderr } = await at.host.cni(config.type, call);
    if (result === undefined) throw new Error(`ADD of ${config.type} on ${at.name}: ${stdout}${stderr}`);
    return [container, result];
  }

  async startAgents(): Promise<void> {
    await Promise.all(this.fabric.hosts.map((at) => BenchAgent.start(at, this.dir)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#endings.run();
  }
}

/** What ends with a site, the last first. */
class Endings implements Teardown {
  readonly #actions: (() => Promise<void>)[] = [];

  teardown(action: () => Promise<void>): void {
    this.#actions.push(action);
  }

  async run(): Promise<void> {
    for (const action of this.#actions.splice(0).toReversed()) await action();
  }
}

/** An agent whose process is looked at. */
export class BenchAgent {
  readonly #at: FabricHost;
  readonly #weft: string;
  readonly #running: Running;

  private constructor(at: FabricHost, weft: string, running: Running) {
    this.#at = at;
    this.#weft = weft;
    this.#running = running;
  }

  /** Returns when it says that the kernel is as the store has it. */
  static async start(at: FabricHost, dir: string): Promise<BenchAgent> {
    const weft = join(dir, "weft");
    const script = `echo $$ > ${PID_FILE}; exec "$0" agent > /run/agent.log 2>&1`;
    const agent = new BenchAgent(at, weft, at.host.start("sh", ["-c", script, weft]));
    await agent.inStep();
    return agent;
  }

  async inStep(): Promise<void> {
    const deadline = performance.now() + AGENT_TIMEOUT_MS;
    for (;;) {
      const { exitCode, stdout, stderr } = await this.#at.host.exec(this.#weft, ["agent", "--status"], {
        reject: false,
      });
      if (exitCode === 0) return;
      if (performance.now() > deadline) throw new Error(`The agent of ${this.#at.name}: ${stdout}${stderr}`);
      await Bun.sleep(AGENT_STEP_MS);
    }
  }

  /** Seconds on processors since it began (proc_pid_stat(5): ticks of user and system mode, 100 a second). */
  async cpuS(): Promise<number> {
    const stat = await this.#read("stat");
    const [user = 0, system = 0] = stat
      .slice(stat.lastIndexOf(")") + 2)
      .split(" ")
      .slice(11, 13)
      .map(Number);
    return (user + system) / 100;
  }

  /** In KiB. */
  async memory(): Promise<{ peakResident: number; resident: number }> {
    const status = await this.#read("status");
    const kib = (key: string) => Number(new RegExp(`^${key}:\\s*(\\d+) kB`, "m").exec(status)?.[1]);
    return { peakResident: kib("VmHWM"), resident: kib("VmRSS") };
  }

  stop(): Promise<void> {
    return this.#running.stop();
  }

  async #read(file: string): Promise<string> {
    return (await this.#at.host.exec("sh", ["-c", `cat /proc/$(cat ${PID_FILE})/${file}`])).stdout;
  }
}
