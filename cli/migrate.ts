/** weft migrate: a running node from the reference plugins to weft's and back, with no connection cut. */
import { Command } from "commander";
import { type Attached, examine, type Host, nameOf } from "./doctor/host.ts";
import { loadOwnPlugins, type OwnPlugins } from "./doctor/own-plugins.ts";
import { EXIT_FAILED } from "./failure.ts";
import { HostView } from "./inventory/host-view.ts";
import {
  handBack,
  type Migration,
  obstacleOf,
  plannedHandBack,
  plannedTakeOver,
  takeOver,
} from "./migrate/attachments.ts";
import {
  findKeptDirectory,
  findReferenceDirectory,
  keptPlugins,
  referencePlugins,
  replaceReference,
  restoreReference,
} from "./migrate/executables.ts";
import { type Exchange, missingPlugins, unexchanged } from "./migrate/plugin-files.ts";
import { networksDirectory, runtimeOf, runtimePath } from "./runtime-command.ts";
import { jsonText } from "./terminal/json.ts";

interface Options {
  readonly back?: true;
  readonly dryRun?: true;
  readonly json?: true;
  readonly executables: boolean;
}

/** Whether attachments go to weft or from it, and how each does. */
interface Direction {
  readonly planned: (attached: Attached) => readonly { readonly type: string }[];
  readonly change: typeof takeOver;
  /** Whose executables the runtime is to find afterwards. */
  readonly maker: "weft" | "another";
  /** In the past, and as what would be done. */
  readonly words: { readonly done: string; readonly planned: string };
}

/** Attachments changed hands, and the executables that the runtime runs for them did not. */
const EXIT_UNEXCHANGED = 3;

const FORTH: Direction = {
  planned: plannedTakeOver,
  change: takeOver,
  maker: "weft",
  words: { done: "took over", planned: "would take over" },
};
const BACK: Direction = {
  planned: plannedHandBack,
  change: handBack,
  maker: "another",
  words: { done: "handed back", planned: "would hand back" },
};

export function command(): Command {
  const description = "take over a running node from the reference plugins, or hand it back";
  return new Command("migrate")
    .summary(description)
    .description(
      `${description}

Puts weft's plugins in place of the reference's where the runtime looks for them
(CNI_PATH, else /opt/cni/bin), and keeps those beside, in .reference. Then takes
over each container that has a result in /var/lib/cni: its interface gets a
record and an alias, its masquerading, published ports and firewall rules go
from iptables into weft's table, or stay where the network's file says iptables.
The leases are the same files. Containers keep running, and connections stay; a
container may come or go meanwhile. Plugins that weft has not (bandwidth, tuning
…) stay as they are. Where what a container's network asks for is not in
CNI_PATH, nothing is changed.

With --no-executables the rules alone change hands. Whoever installs the plugins
has to exchange them then (weft install --to), before the runtime takes a
container away: DEL by the reference fails where the rules are weft's.

With --back, the other way: every rule becomes the reference's, by iptables, and
its executables take their place again. What a network's file asks for and the
reference has not (icc, vxlan …) is in the way, and said before anything is
changed.

  weft migrate --dry-run
  weft migrate
  weft migrate --back`,
    )
    .option("--back", "to the reference plugins")
    .option("--no-executables", "leave the executables as they are")
    .option("--dry-run", "say what would be done")
    .option("--json", "as JSON: { executables, attachments }")
    .addHelpText(
      "after",
      `
Exit status: 0 done, also when there is nothing to do; 1 not begun; 2 not all
could be; ${EXIT_UNEXCHANGED} done, and the executables are still to be exchanged.`,
    )
    .action(migrate);
}

async function migrate({ back, dryRun, json, executables }: Options): Promise<void> {
  const direction = back ? BACK : FORTH;
  const path = runtimePath(process.env);
  if (executables) refuseMissing(direction, path);
  const directory = executables ? (back ? findKeptDirectory : findReferenceDirectory)(path) : undefined;
  if (back) refuseObstacles();
  if (dryRun) {
    report(
      { executables: directory ? planOf(directory, { back }) : [], attachments: plan(direction) },
      direction,
      {
        json,
        dryRun,
      },
    );
    return;
  }
  const planned = plannedTypes(direction);
  const replaced = directory !== undefined && !back ? replaceReference(directory) : [];
  const attachments = await changeAll(direction);
  const restored = directory !== undefined && back ? restoreReference(directory) : [];
  // What came while the executables were exchanged.
  if (back) attachments.push(...(await changeAll(direction)));
  const changed = [...replaced, ...restored].map((name) => `${directory}/${name}`);
  report({ executables: changed, attachments }, direction, { json });
  const left = unexchanged(planned, path, direction.maker);
  if (left.types.length > 0) {
    console.error(`weft: ${unexchangedText(left, direction, path)}`);
    process.exitCode = EXIT_UNEXCHANGED;
  }
  if (attachments.some(({ failure }) => failure !== undefined)) process.exitCode = EXIT_FAILED;
}

/** @throws Error that names what a runtime would not find: it looks elsewhere, and would go on as before */
function refuseMissing({ planned }: Direction, path: readonly string[]): void {
  using view = HostView.open(networksDirectory(process.env));
  const missing = missingPlugins({ planned: typesIn(view, planned), networks: view.networks }, path);
  if (missing.length === 0) return;
  const cure =
    "set CNI_PATH to the directory from which the runtime takes its plugins (bin_dir of containerd)";
  throw new Error(`nothing was changed: ${missing.join(", ")} not found in ${path.join(":")}\n${cure}`);
}

/** Types of the plugins that change hands, each once. */
function plannedTypes({ planned }: Direction): string[] {
  using view = HostView.open(networksDirectory(process.env));
  return typesIn(view, planned);
}

function typesIn(view: HostView, planned: Direction["planned"]): string[] {
  const { attachments } = examine(view, runtimeOf(process.env));
  return [...new Set(attachments.flatMap((attached) => planned(attached).map(({ type }) => type)))];
}

/** Who has to exchange them. */
function unexchangedText(
  { types, directory }: Exchange,
  { maker }: Direction,
  path: readonly string[],
): string {
  const names = types.join(", ");
  const place = directory ?? "DIRECTORY (from which the runtime takes its plugins)";
  const state =
    directory === undefined
      ? `${names}: not found in ${path.join(":")}`
      : `the runtime still runs ${maker === "weft" ? "the reference's" : "weft's"} ${names} in ${directory}`;
  const cure =
    maker === "weft"
      ? `exchange them before a container goes, whose DEL would fail: weft install --to ${place}`
      : `put the reference's plugins into ${place}`;
  return `${state}, and weft migrate has not exchanged them\n${cure}`;
}

/** @throws Error that names every attachment which the reference could not go on with */
function refuseObstacles(): void {
  using view = HostView.open(networksDirectory(process.env));
  const { attachments } = examine(view, runtimeOf(process.env));
  const obstacles = attachments.flatMap((attached) => obstacleOf(attached) ?? []);
  if (obstacles.length === 0) return;
  const cure = "detach those (weft del), change the network's file, and attach them again";
  throw new Error(["nothing was changed, because not all can be handed back", ...obstacles, cure].join("\n"));
}

function planOf(directory: string, { back = false }: { back?: boolean | undefined }): string[] {
  const names = back ? keptPlugins(directory) : referencePlugins(directory);
  return names.map((name) => `${directory}/${name}`);
}

function plan({ planned }: Direction): Migration[] {
  using view = HostView.open(networksDirectory(process.env));
  return examine(view, runtimeOf(process.env)).attachments.flatMap((attached) => {
    const plugins = planned(attached).map(({ type }) => type);
    return plugins.length > 0 ? [{ name: nameOf(attached), plugins }] : [];
  });
}

async function changeAll({ planned, change }: Direction): Promise<Migration[]> {
  using view = HostView.open(networksDirectory(process.env));
  const host: Host = examine(view, runtimeOf(process.env));
  const lists = host.attachments.flatMap(({ list }) => list ?? []);
  const own: OwnPlugins = await loadOwnPlugins([...view.networks, ...lists]);
  return host.attachments
    .filter((attached) => planned(attached).length > 0)
    .map((attached) => change({ runtime: host.runtime, own }, attached));
}

interface Report {
  readonly executables: readonly string[];
  readonly attachments: readonly Migration[];
}

function report(
  { executables, attachments }: Report,
  { words }: Direction,
  { json, dryRun }: { json?: true | undefined; dryRun?: true },
): void {
  if (json) {
    const all = attachments.map(({ name, plugins, failure }) => ({ name, plugins, failure }));
    console.log(jsonText({ executables, attachments: all }));
    return;
  }
  const verb = dryRun ? words.planned : words.done;
  for (const file of executables) console.log(`${dryRun ? "would exchange" : "exchanged"} ${file}`);
  for (const { name, plugins, failure } of attachments) {
    if (plugins.length > 0) console.log(`${verb} ${name}: ${plugins.join(", ")}`);
    if (failure !== undefined) console.error(`weft: ${name}: ${failure}`);
  }
  if (executables.length === 0 && attachments.length === 0) console.log("nothing to do");
}
