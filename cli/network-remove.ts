/** weft network rm, weft network prune: take networks away. */
import { createInterface } from "node:readline/promises";
import { Command } from "commander";
import { EXIT_FAILED, Failure } from "./failure.ts";
import { HostView } from "./inventory/host-view.ts";
import { makingOf } from "./networks/network-file.ts";
import { lockNetwork } from "./networks/network-lock.ts";
import { refuseForeign, removeNetwork } from "./networks/remove.ts";
import { describeUsers, networkNamed, usersOf } from "./networks/usage.ts";
import type { NetworkFile } from "./runtime/network-list.ts";
import { networksDirectory, runtimeOf } from "./runtime-command.ts";

const ENDING = `
Exit status: 0 removed, 1 not begun: who uses it is named, 2 a plugin failed.`;

export function rmCommand(): Command {
  const description = "remove networks that nobody uses";
  return new Command("rm")
    .alias("remove")
    .summary(description)
    .description(
      `${description}

A network with containers is refused, and they are named. With the file goes
what the network has on the host: its bridge, its leases. Files that others
wrote stay.

  weft network rm blue`,
    )
    .argument("<network...>", "names of networks")
    .addHelpText("after", ENDING)
    .action(rm);
}

export function pruneCommand(): Command {
  const description = "remove every network that nobody uses";
  return new Command("prune")
    .summary(description)
    .description(
      `${description}

Of those that weft network create has made. Asks before it does.

  weft network prune --yes`,
    )
    .option("-y, --yes", "do not ask")
    .alias("clean")
    .addHelpText("after", ENDING)
    .action(prune);
}

/** All are tried; what is said of those that stay is said at the end. */
function rm(names: readonly string[]): void {
  const directory = networksDirectory(process.env);
  using view = HostView.open(directory);
  const failures = new Set(names).values().flatMap((name) => {
    try {
      remove(networkNamed(view, name, directory), directory);
      return [];
    } catch (error) {
      return [error];
    }
  });
  const all = [...failures];
  if (all.length === 0) return;
  const isPlugins = all.some((error) => error instanceof Failure);
  throw new Failure(isPlugins ? EXIT_FAILED : 1, all.map(messageOf).join("\n"));
}

function remove(network: NetworkFile, directory: string): void {
  refuseForeign(network);
  using _alone = lockNetwork(network, { shared: false });
  using view = HostView.open(directory); // as it is now that nobody can be attached
  const users = usersOf(view, network.name);
  if (users.length > 0) {
    throw new Error(
      `network "${network.name}" is in use by ${describeUsers(users)}
weft network disconnect ${network.name} CONTAINER takes one off it`,
    );
  }
  removeNetwork(network, runtimeOf(process.env));
  console.log(network.name);
}

async function prune(options: { yes?: true }): Promise<void> {
  const directory = networksDirectory(process.env);
  using view = HostView.open(directory);
  const unused = view.networks.filter(
    (network) => makingOf(network) !== undefined && usersOf(view, network.name).length === 0,
  );
  if (unused.length === 0) {
    console.log("every network that weft network create has made is in use");
    return;
  }
  const names = unused.map(({ name }) => name).join(", ");
  if (!options.yes && !(await agrees(`Remove ${names}?`))) return;
  for (const network of unused) remove(network, directory);
}

async function agrees(question: string): Promise<boolean> {
  if (!process.stdin.isTTY) throw new Error(`${question} There is no terminal to ask on: say --yes`);
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^y(es)?$/i.test((await terminal.question(`${question} [y/N] `)).trim());
  } finally {
    terminal.close();
  }
}

function messageOf(said: unknown): string {
  return said instanceof Error ? said.message : String(said);
}
