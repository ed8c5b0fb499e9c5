/**
 * What goes through a published port: iperf3 from a client that the host routes for, to a container behind
 * the rules of a chain. The suites take turns.
 */

import type { Suite } from "./cases.ts";
import {
  type ChainPlugin,
  type ChainSuite,
  chainConfig,
  chainProgram,
  chainSuites,
  linkNftAlone,
} from "./chain-cases.ts";
import { makeNetns } from "./host.ts";
import { run, simulateHost } from "./simulated-host.ts";

const ROUNDS = 9;
const SECONDS = 1;
const HOST_PORT = 5_201;
const HOST_ADDRESS = "192.0.2.1";
/** Where containers listen, as chainConfig() has it. */
const CONTAINER_PORT = 80;
const START_TIMEOUT_MS = 5_000;
const START_PAUSE_MS = 50;

/** Gigabits a second, a round each, by suite; none where iperf3 is missing. */
export type Throughput = ReadonlyMap<string, readonly number[]>;

export function measureThroughput(suites: readonly Suite[]): Throughput {
  const rates = new Map<string, number[]>();
  if (!Bun.which("iperf3")) return rates;
  const paths = chainSuites(suites).map((suite) => ({ suite, path: preparePath(suite) }));
  try {
    for (let round = 0; round < ROUNDS; round++) {
      for (const { suite, path } of paths) {
        const rate = measureRate(path.client);
        rates.set(suite.name, [...(rates.get(suite.name) ?? []), rate]);
      }
    }
  } finally {
    for (const { path } of paths) path.server.kill();
  }
  return rates;
}

interface Path {
  readonly client: string;
  readonly server: { kill(): void };
}

/** A client, a host, and a container on it that listens. */
function preparePath(suite: ChainSuite): Path {
  linkNftAlone();
  const names = {
    host: `flow-${suite.index}`,
    client: `flow-${suite.index}-c`,
    own: `flow-${suite.index}-own`,
  };
  const host = simulateHost(names.host);
  makeNetns(names.client);
  const netns = makeNetns(names.own);
  host.on(() =>
    run("ip", "link", "add", "up0", "type", "veth", "peer", "name", "eth0", "netns", names.client),
  );
  host.on(() => run("ip", "addr", "add", `${HOST_ADDRESS}/24`, "dev", "up0"));
  host.on(() => run("ip", "link", "set", "up0", "up"));
  run("ip", "-n", names.client, "addr", "add", "192.0.2.2/24", "dev", "eth0");
  run("ip", "-n", names.client, "link", "set", "eth0", "up");
  let answer = "";
  for (const plugin of ["bridge", "portmap", "firewall"] satisfies ChainPlugin[]) {
    const config = chainConfig({ ...suite, index: 30 + suite.index }, plugin, { hostPort: HOST_PORT });
    const program = chainProgram(suite, plugin, "ADD", { index: 0, netns });
    const text = JSON.stringify({ ...config, ...(answer && { prevResult: JSON.parse(answer) }) });
    const { status, stdout } = host.on(() => program.run(text));
    if (status !== 0) throw new Error(`${program.file}: ${stdout}`);
    answer = stdout;
  }
  const listen = ["ip", "netns", "exec", names.own, "iperf3", "--server", "--port", String(CONTAINER_PORT)];
  const server = Bun.spawn(listen, { stdout: "ignore", stderr: "ignore" });
  awaitListener(names.own);
  return { client: names.client, server };
}

function awaitListener(netns: string): void {
  const deadline = performance.now() + START_TIMEOUT_MS;
  while (run("ip", "netns", "exec", netns, "ss", "-Hltn", `sport = ${CONTAINER_PORT}`) === "") {
    if (performance.now() > deadline) throw new Error("iperf3 does not listen");
    Bun.sleepSync(START_PAUSE_MS);
  }
}

function measureRate(client: string): number {
  const flow = ["iperf3", "--client", HOST_ADDRESS, "--port", String(HOST_PORT), "--time", String(SECONDS)];
  const report = JSON.parse(run("ip", "netns", "exec", client, ...flow, "--json"));
  return report.end.sum_received.bits_per_second / 1e9;
}
