/** weft run: a process in a network, with no container runtime at all. */
import { randomBytes } from "node:crypto";
import { mkdirSync, rmSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import { Command } from "commander";
import { isObject, type JsonObject } from "../lib/cni/json.ts";
import { linkByName, setLink } from "../lib/rtnetlink/link.ts";
import { openRouteSocket } from "../lib/rtnetlink/route-socket.ts";
import { overwriteFile } from "../lib/sys/file.ts";
import { warnOfAbsentAddresses } from "./absent-addresses.ts";
import { collect } from "./collect-option.ts";
import { type Container, HOST } from "./containers/container.ts";
import { findContainer, named } from "./containers/find.ts";
import { PassedSignals } from "./containers/passed-signals.ts";
import { faultOfProgram } from "./containers/program.ts";
import { runHere, SandboxedProcess } from "./containers/sandboxed-process.ts";
import { Failure } from "./failure.ts";
import { attachContainer, attachmentFor } from "./networks/attach.ts";
import type { AttachmentWords } from "./networks/attachment-request.ts";
import { addNamedNamespace, deleteNamedNamespace } from "./networks/named-namespace.ts";
import { delNetwork } from "./runtime/network.ts";
import { findNetwork, type NetworkFile } from "./runtime/network-list.ts";
import { networksDirectory, runtimeOf } from "./runtime-command.ts";
import { warnOfShadowedListeners } from "./shadowed-listeners.ts";

const RESOLV_CONF_DIR = "/run/weft/resolv.conf";
const ID_BYTES = 6;

interface Options extends AttachmentWords {
  readonly network?: readonly string[];
  readonly name?: string;
}

export function command(): Command {
  const description = "run a program in a network, without a container runtime";
  return new Command("run")
    .summary(description)
    .description(
      `${description}

The program gets a network namespace of its own, which goes with it, and its
interfaces; of the file system and the processes it sees what is there.

  weft run --network blue --publish 8080:80 -- python3 -m http.server 80
  weft run --network none -- ip address             # loopback alone
  weft run --network host -- ip address             # the host's own
  weft run --network container:web -- curl 127.0.0.1

--network is the name of a network, and may be given several times: eth0, eth1 …`,
    )
    .argument("<command...>", "program and arguments, after --")
    .option("--network <network|none|host>", "one of those, or container:CONTAINER", collect)
    .option("--name <name>", "a name for the namespace, as of ip netns add")
    .option("--ip <address>", "address in the first network, one of each family", collect)
    .option("--mac <address>", "MAC in the first network")
    .option("-p, --publish <ports>", "[address:]port:port[/udp] of host and program", collect)
    .passThroughOptions()
    .addHelpText(
      "after",
      `
Exit status: that of the program (127 there is none such, 128 and the signal's
number); before it begins 1 arguments or permission, 2 a plugin failed. When it
has ended, DEL is run. Signals go to it; SIGKILL ends weft and it, and weft gc
takes back what they leave.`,
    )
    .action(run);
}

async function run(words: readonly string[], options: Options): Promise<void> {
  const asked = options.network ?? [];
  const only = asked.find(isAlone) ?? asked[0];
  if (only === undefined)
    throw new SyntaxError("which network? --network NAME, none, host or container:CONTAINER");
  const joined = /^container:(.+)$/.exec(only)?.[1];
  if (isAlone(only) && (asked.length > 1 || hasWishes(options))) {
    throw new SyntaxError(`--network ${only} goes with no other --network, --ip, --mac or --publish`);
  }
  if (options.name !== undefined && (only === "host" || joined !== undefined)) {
    throw new SyntaxError(`--network ${only} has a namespace that is there: leave out --name`);
  }
  const fault = faultOfProgram(words[0] ?? "", process.env["PATH"] ?? "");
  if (fault) throw new Failure(fault.exitCode, fault.message);
  using signals = new PassedSignals();
  const container = joined === undefined ? (only === "host" ? HOST : undefined) : findContainer(joined);
  if (container === HOST) process.exitCode = await runHere(words, signals);
  else if (container) process.exitCode = await runJoined(words, container, signals);
  else process.exitCode = await runApart(words, only === "none" ? [] : networksOf(options), options, signals);
}

/** Not the name of a network. */
function isAlone(network: string): boolean {
  return network === "host" || network === "none" || network.startsWith("container:");
}

function hasWishes({ ip, mac, publish }: AttachmentWords): boolean {
  return ip !== undefined || mac !== undefined || publish !== undefined;
}

function networksOf({ network = [] }: Options): NetworkFile[] {
  const directory = networksDirectory(process.env);
  return network.map((name) => findNetwork(directory, name));
}

async function runJoined(
  words: readonly string[],
  { netnsPath }: Container,
  signals: PassedSignals,
): Promise<number> {
  using started = await SandboxedProcess.start(words, { path: netnsPath, signals });
  return await started.run();
}

/** In a namespace of its own, connected to each of the networks. */
async function runApart(
  words: readonly string[],
  networks: readonly NetworkFile[],
  { name, ...wishes }: Options,
  signals: PassedSignals,
): Promise<number> {
  using end = new DisposableStack();
  if (name !== undefined) {
    addNamedNamespace(name);
    end.defer(() => deleteNamedNamespace(name));
  }
  const path = name === undefined ? undefined : named(name).netnsPath;
  const started = end.use(await SandboxedProcess.start(words, { path, signals }));
  using socket = openRouteSocket(started.netns);
  setLink(socket, linkByName(socket, "lo"), { up: true });
  const sandbox = sandboxOf(started, name);
  const results = networks.map((network, i) => {
    const asked = i === 0 ? wishes : {};
    return connect(sandbox, network, { ifname: `eth${i}`, words: asked, end });
  });
  await setImmediate(); // a signal that came meanwhile is told now
  return await started.run(resolvConfOf(results, end));
}

/** What the plugins are told of the namespace. */
interface Sandbox {
  readonly container: Container;
  /** undefined where the namespace has a name, of which cnitool's is made. */
  readonly containerId: string | undefined;
  /** For DEL: the program may have ended. */
  readonly lastingPath: string;
}

function sandboxOf({ netnsPath, lastingPath, pid }: SandboxedProcess, name: string | undefined): Sandbox {
  if (name !== undefined) return { container: named(name), containerId: undefined, lastingPath };
  const containerId = `run-${randomBytes(ID_BYTES).toString("hex")}`;
  const container: Container = { name: containerId, id: netnsPath, netnsPath, pid, runtime: "pid" };
  return { container, containerId, lastingPath };
}

function connect(
  { container, containerId, lastingPath }: Sandbox,
  network: NetworkFile,
  { ifname, words, end }: { ifname: string; words: AttachmentWords; end: DisposableStack },
): JsonObject {
  const runtime = runtimeOf(process.env);
  const told = attachmentFor(container, ifname, process.env);
  const { attachment, result } = attachContainer(container, network, {
    attachment: { ...told, containerId: containerId ?? told.containerId },
    words,
    runtime,
  });
  end.defer(() => delNetwork(runtime, network, { ...attachment, netns: lastingPath }));
  warnOfShadowedListeners(network, attachment.capabilityArgs, result);
  warnOfAbsentAddresses(network, attachment.capabilityArgs);
  return result;
}

/** The path of a file with the name servers of the first network that has any; "" where none has. */
function resolvConfOf(results: readonly JsonObject[], end: DisposableStack): string {
  const found = results
    .map(({ dns }) => dns)
    .find((dns) => isObject(dns) && listOf(dns, "nameservers").length > 0);
  if (!isObject(found)) return "";
  const search = [
    ...listOf(found, "search"),
    ...(typeof found["domain"] === "string" ? [found["domain"]] : []),
  ];
  const options = listOf(found, "options");
  const lines = [
    ...listOf(found, "nameservers").map((server) => `nameserver ${server}`),
    ...(search.length > 0 ? [`search ${search.join(" ")}`] : []),
    ...(options.length > 0 ? [`options ${options.join(" ")}`] : []),
  ];
  const path = `${RESOLV_CONF_DIR}/${process.pid}`;
  mkdirSync(RESOLV_CONF_DIR, { recursive: true });
  end.defer(() => rmSync(path, { force: true }));
  overwriteFile(path, `${lines.join("\n")}\n`, 0o644);
  return path;
}

function listOf(dns: JsonObject, key: string): string[] {
  const value = dns[key];
  return Array.isArray(value) ? value.map(String) : [];
}
