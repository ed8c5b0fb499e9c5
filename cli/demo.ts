/** weft demo: builds topologies of Docker's on a private host, shows and proves them, and takes them down. */
import { Command, Option } from "commander";
import { Narrator } from "./demo/narrator.ts";
import { enterPrivateHost, runPrivately, unshareCommand } from "./demo/private-host.ts";
import { Stage } from "./demo/stage.ts";
import { TOPOLOGIES } from "./demo/topologies.ts";
import type { Topology } from "./demo/topology.ts";
import { EXIT_FAILED, Failure } from "./failure.ts";

/** Programs that are run, and Debian's packages of them. */
const PROGRAMS = {
  unshare: "util-linux",
  mount: "mount",
  ip: "iproute2",
  bridge: "iproute2",
  sysctl: "procps",
  ping: "iputils-ping",
  nft: "nftables",
};

const MODEL = `Docker's three words for a network, and what they are:
  sandbox    a network namespace: a container's own interfaces and routes
  endpoint   one interface in it: eth0, at the end of a cable to the host
  network    a list of plugins in /etc/cni/net.d that make and remove endpoints
What follows happens in namespaces of its own: the real host is not touched.`;

const NO_NAMES = `T12 is not in this suite: it has no plugin for names (DNS)
chain another such as dnsname to bridge`;

const AFTER_HELP = `
What the kernel has no module for is not shown, and said.
Exit status: 0 all proven, 1 not begun or not ended, 2 a proof failed.`;

export function command(): Command {
  const summary = "show networks being made, proven by packets, and removed";
  return new Command("demo")
    .summary(summary)
    .description(
      `${summary}

Runs in namespaces of its own, also without root where the kernel lets a user
make them: the host is not touched, and Ctrl-C leaves nothing. All topologies in
turn, or those named:

${listed().join("\n")}

  weft demo T1`,
    )
    .argument("[topology...]", "T1, T3, …")
    .addOption(new Option("--role <role>", "a process of the demonstration").hideHelp())
    .addHelpText("after", AFTER_HELP)
    .action((names: string[], { role = "audience" }: { role?: string }) => play(role, names));
}

/** The topologies of the documents, also the one that is not shown. */
function listed(): string[] {
  const names = { name: "T12", title: "names of containers: not shown, the suite has no plugin for DNS" };
  const number = ({ name }: Pick<Topology, "name">) => Number(name.slice(1));
  return [...TOPOLOGIES, names]
    .sort((a, b) => number(a) - number(b))
    .map(({ name, title }) => `  ${name.padEnd(4)} ${title}`);
}

async function play(role: string, names: readonly string[]): Promise<void> {
  process.env["PATH"] += ":/usr/sbin:/sbin"; // where users do not look for bridge and sysctl
  if (role === "host") return await show(names);
  const echo = await import("./demo/echo.ts");
  if (role === "server") return echo.runServer(names);
  if (role === "client") return await echo.runClient(names);
  const peer = await import("./demo/peer.ts");
  if (role === "app") return peer.runApp();
  if (role === "sidecar") return peer.runSidecar();
  await demonstrate(findTopologies(names));
}

/** Each on a host of its own. */
async function demonstrate(topologies: readonly Topology[]): Promise<void> {
  if (!import.meta.path.startsWith("/$bunfs/")) {
    throw new Error("Cannot run the demonstration from source: run ./build.sh demo");
  }
  requirePrograms();
  const unshare = unshareCommand();
  console.log(MODEL);
  for (const [i, { name }] of topologies.entries()) {
    const position = topologies.length > 1 ? [`${i + 1} of ${topologies.length}`] : [];
    const role = ["demo", "--role", "host", name, ...position];
    const status = await runPrivately(unshare, [process.execPath, ...role]);
    if (status !== 0) process.exitCode = status;
  }
}

/** @param words its name, and its position where there are others: what demonstrate() gives */
async function show([name = "", position = ""]: readonly string[]): Promise<void> {
  enterPrivateHost();
  const topology = findTopologies([name])[0] as Topology; // or it has thrown
  const narrator = new Narrator();
  narrator.title(topology.name, topology.title, position);
  narrator.say(topology.story);
  await using stage = new Stage(narrator);
  await topology.show(stage);
  narrator.step("Taken down again");
  await stage.teardown();
  const { failures } = narrator;
  if (failures > 0) throw new Failure(EXIT_FAILED, `${topology.name}: ${failures} proofs failed`);
}

function findTopologies(names: readonly string[]): readonly Topology[] {
  if (names.length === 0) return TOPOLOGIES;
  return names.map((name) => {
    const found = TOPOLOGIES.find((topology) => topology.name === name.toUpperCase());
    if (found) return found;
    if (name.toUpperCase() === "T12") throw new Error(NO_NAMES);
    throw new Error(
      `no topology "${name}": there are ${TOPOLOGIES.map((topology) => topology.name).join(", ")}`,
    );
  });
}

function requirePrograms(): void {
  const missing = Object.entries(PROGRAMS).filter(([program]) => Bun.which(program) === null);
  if (missing.length === 0) return;
  const [programs, packages] = [
    missing.map(([program]) => program),
    new Set(missing.map(([, name]) => name)),
  ];
  throw new Error(`${programs.join(", ")} missing: apt-get install ${[...packages].join(" ")}`);
}
