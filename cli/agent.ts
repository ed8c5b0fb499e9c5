/**
 * weft agent: runs the agent of the overlay networks, says what it does, and forgets a host that is gone.
 */
import { existsSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { runAgent } from "../agent/agent.ts";
import { LOG_LEVELS, Log, type LogLevel } from "../agent/log.ts";
import { type AgentStatus, formatStatus } from "../agent/status.ts";
import { toCniError } from "../lib/cni/error.ts";
import { EtcdClient } from "../lib/etcd/client.ts";
import { HOST_RULE, isHostName, readEtcdSettings, SETTINGS_FILE } from "../lib/etcd/settings.ts";
import { isLoopback, parseAddress } from "../lib/netaddr/address.ts";
import { listAllRecords } from "../lib/state/record.ts";
import { askAgent } from "../lib/store/ask.ts";
import { machineId } from "../lib/store/machine.ts";
import { forgetHost } from "../lib/store/overlay-sweep.ts";
import { isStoreAway, outputOf, type StoreAnswer } from "../lib/store/protocol.ts";
import { storeOf } from "../lib/store/store.ts";
import { acquireLock, LockTimeoutError } from "../lib/sys/lock.ts";
import { EXIT_FAILED, Failure } from "./failure.ts";

const LOCK = "/run/weft/agent.lock";
/** For an agent that is just ending. */
const LOCK_TIMEOUT_MS = 2_000;
const STATUS_TIMEOUT_MS = 5_000;
const FORGET_TIMEOUT_MS = 30_000;
/** What is under way may take as long to end. */
const STOP_TIMEOUT_MS = 2_000;
const GRACE_MIN_S = 5;
const GRACE_MAX_S = 86_400;

interface Options {
  readonly etcd: string;
  readonly grace: number;
  readonly metrics?: { readonly hostname: string; readonly port: number };
  readonly metricsAnywhere?: true;
  readonly logLevel: LogLevel;
  readonly status?: true;
  readonly json?: true;
  readonly forget?: string;
  readonly force?: true;
}

export function command(): Command {
  const description = "keep the kernel of this host as the store of the overlay networks says";
  return new Command("agent")
    .summary(description)
    .description(
      `${description}

Without --status or --forget it runs until it is told to stop (SIGTERM), one on
each host. What the kernel has stays when it stops, and traffic goes on.

  weft agent                      # as by packaging/weft-agent.service
  weft agent --status             # is this host in step with the store?
  weft agent --forget host7       # host7 will not come back: free its addresses`,
    )
    .option("--etcd <file>", 'where etcd is: the keys of "etcd" of a network, as JSON', SETTINGS_FILE)
    .option("--grace <seconds>", "how long after its end a host is forgotten", parseGrace, 300)
    .option("--metrics <host:port>", "serve metrics for Prometheus at http://host:port/metrics", parseListen)
    .option("--metrics-anywhere", "let that be an address that is not loopback's: anybody may read it")
    .addOption(new Option("--log-level <level>", "log what is at least").choices(LOG_LEVELS).default("info"))
    .option("--status", "say what the agent of this host does")
    .option("--json", "with --status: as JSON")
    .option("--forget <host>", "remove all that a dead host has in the store", parseHost)
    .option("--force", "with --forget: even while its agent is registered, or it is this host")
    .addHelpText(
      "after",
      `
Exit status: 0 done, 1 not begun. Of --status: 0 in step with the store, 2 not,
1 no agent answers. Log: one line of JSON for each change, on stderr.`,
    )
    .action(agent);
}

async function agent(options: Options): Promise<void> {
  if (options.status) return status(options);
  if (options.forget !== undefined) return forget(options.forget, options);
  await run(options);
}

async function run({ etcd, grace, metrics, metricsAnywhere, logLevel }: Options): Promise<void> {
  if (metrics && !metricsAnywhere && !isLoopback(parseAddress(metrics.hostname))) {
    const remedy = "use 127.0.0.1, or add --metrics-anywhere";
    throw new Failure(1, `--metrics: ${metrics.hostname} is not an address of loopback: ${remedy}`);
  }
  const settings = settingsOf(etcd);
  orNotBegun(machineId);
  using _lock = lockHost();
  const stop = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      stop.abort();
      // what is under way may wait for a store that is away
      setTimeout(() => process.exit(0), STOP_TIMEOUT_MS).unref();
    });
  }
  await runAgent({ settings, graceS: grace, metrics, log: new Log(logLevel) }, stop.signal);
  process.exit(0);
}

/** One agent on each host. The kernel releases the lock with the process. */
function lockHost(): Disposable {
  mkdirSync(dirname(LOCK), { recursive: true });
  try {
    return acquireLock(LOCK, { timeoutMs: LOCK_TIMEOUT_MS });
  } catch (error) {
    if (!(error instanceof LockTimeoutError)) throw error;
    throw new Failure(1, `another agent runs on this host: it holds ${LOCK}`, { cause: error });
  }
}

function status({ json }: Options): void {
  let answer: StoreAnswer;
  try {
    const deadline = performance.now() + STATUS_TIMEOUT_MS;
    answer = askAgent({ operation: "status", input: null }, deadline);
  } catch (error) {
    if (!isStoreAway(error)) throw error;
    throw new Failure(1, wordsOf(error), { cause: error });
  }
  if ("serves" in answer) throw new Failure(1, "the agent is of another version: restart it");
  const found = outputOf(answer) as AgentStatus; // that is what the operation answers
  console.log(json ? JSON.stringify(found, null, 2) : formatStatus(found));
  process.exitCode = found.isInStep ? 0 : EXIT_FAILED;
}

async function forget(host: string, { etcd, force }: Options): Promise<void> {
  const settings = settingsOf(etcd);
  if (host === settings.host && !force && listAllRecords().length > 0) {
    throw new Failure(EXIT_FAILED, `${host} is this host, and has containers: DEL releases what they have`);
  }
  using client = new EtcdClient(settings);
  try {
    const store = storeOf(client, settings, performance.now() + FORGET_TIMEOUT_MS);
    const { addresses, keys, networks } = await forgetHost(store, { host, force: force === true });
    if (addresses + keys === 0) {
      console.log(`the store has nothing of a host "${host}"`);
      return;
    }
    const where = networks.length > 0 ? ` in ${networks.join(", ")}` : "";
    console.log(`forgot ${host}: ${addresses} addresses, ${keys} other keys${where}`);
  } catch (error) {
    throw new Failure(EXIT_FAILED, wordsOf(error), { cause: error });
  }
}

function settingsOf(file: string) {
  if (!existsSync(file)) {
    throw new Failure(1, `${file} is not there: it says where etcd is, as by { "endpoints": ["https://…"] }`);
  }
  return orNotBegun(() => readEtcdSettings({}, "etcd", file));
}

function orNotBegun<T>(find: () => T): T {
  try {
    return find();
  } catch (error) {
    throw new Failure(1, wordsOf(error), { cause: error });
  }
}

function wordsOf(error: unknown): string {
  const { msg, details } = toCniError(error);
  return details === "" ? msg : `${msg}\n  ${details}`;
}

function parseHost(text: string): string {
  if (isHostName(text)) return text;
  throw new InvalidArgumentError(`A host's name ${HOST_RULE}.`);
}

function parseGrace(text: string): number {
  const seconds = Number(text);
  if (Number.isInteger(seconds) && seconds >= GRACE_MIN_S && seconds <= GRACE_MAX_S) return seconds;
  throw new InvalidArgumentError(`Give whole seconds from ${GRACE_MIN_S} to ${GRACE_MAX_S}.`);
}

/** "127.0.0.1:9475", "[::1]:9475" */
function parseListen(text: string): NonNullable<Options["metrics"]> {
  const { hostname = "", port = "" } = /^\[?(?<hostname>[^\]]+)\]?:(?<port>\d+)$/.exec(text)?.groups ?? {};
  try {
    parseAddress(hostname);
  } catch {
    throw new InvalidArgumentError("Give an address and a port, as 127.0.0.1:9475 or [::1]:9475.");
  }
  if (Number(port) > 65_535) throw new InvalidArgumentError("A port is below 65536.");
  return { hostname, port: Number(port) };
}
