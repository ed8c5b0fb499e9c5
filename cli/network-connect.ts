/** weft network connect, weft network disconnect: the networks of a container that runs. */
import { Command } from "commander";
import { isObject } from "../lib/cni/json.ts";
import { warnOfAbsentAddresses } from "./absent-addresses.ts";
import { collect } from "./collect-option.ts";
import { namespaceInode } from "./containers/container.ts";
import { findContainer } from "./containers/find.ts";
import { HostView } from "./inventory/host-view.ts";
import {
  type Attached,
  attachContainer,
  attachmentFor,
  detachContainer,
  nextInterface,
  refuseSecond,
} from "./networks/attach.ts";
import { findAttached, findRecorded, findUnkept } from "./networks/find-attached.ts";
import { lockInTool } from "./networks/network-lock.ts";
import { describeUsers, usersOf } from "./networks/usage.ts";
import { delNetwork } from "./runtime/network.ts";
import { findNetwork } from "./runtime/network-list.ts";
import { CONTAINER_WORDS, networksDirectory, runtimeOf } from "./runtime-command.ts";
import { warnOfShadowedListeners } from "./shadowed-listeners.ts";

const ENDING = `
Exit status: 0 done, 1 not begun, 2 a plugin failed: its words are on stderr.`;

interface ConnectOptions {
  readonly ifname?: string;
  readonly ip?: string[];
  readonly mac?: string;
  readonly publish?: string[];
  readonly json?: true;
}

export function connectCommand(): Command {
  const description = "connect a container that runs to a network";
  return new Command("connect")
    .summary(description)
    .description(
      `${description}

It gets a further interface, the first of eth0, eth1 … that it has not. Its
default route stays where it is.

  weft network connect blue web --ip 10.224.0.9`,
    )
    .argument("<network>", "name of a network")
    .argument("<container>", CONTAINER_WORDS)
    .option("-i, --ifname <name>", "name of the interface")
    .option("--ip <address>", "address to have, one of each family", collect)
    .option("--mac <address>", "MAC to have")
    .option("-p, --publish <ports>", "[address:]port:port[/udp] of host and container", collect)
    .option("--json", "print the result of CNI")
    .addHelpText("after", ENDING)
    .action(connect);
}

export function disconnectCommand(): Command {
  const description = "take a container off a network";
  return new Command("disconnect")
    .summary(description)
    .description(
      `${description}

Takes away that interface, its addresses, ports and rules, and nothing else. A
container that is gone is named by its id.

  weft network disconnect blue web`,
    )
    .argument("<network>", "name of a network")
    .argument("<container>", CONTAINER_WORDS)
    .option("-i, --ifname <name>", "which, of several on that network")
    .addHelpText("after", ENDING)
    .action(disconnect);
}

function connect(networkName: string, name: string, { ifname, json, ...words }: ConnectOptions): void {
  const runtime = runtimeOf(process.env);
  const network = findNetwork(networksDirectory(process.env), networkName);
  const container = findContainer(name);
  // Two that connect one container at the same time take different names.
  using _alone = lockInTool(`connect:${namespaceInode(container.netnsPath) ?? ""}`);
  if (ifname === undefined) refuseSecond(network.name, container, runtime);
  const attachment = attachmentFor(container, ifname ?? nextInterface(container), process.env);
  const attached = attachContainer(container, network, { attachment, words, runtime });
  console.log(json ? JSON.stringify(attached.result, null, 4) : describe(container.name, attached));
  warnOfShadowedListeners(network, attached.attachment.capabilityArgs, attached.result);
  warnOfAbsentAddresses(network, attached.attachment.capabilityArgs);
}

/** "web: eth1 10.9.0.2/24" */
function describe(container: string, { attachment: { ifname }, result }: Attached): string {
  const ips = Array.isArray(result["ips"]) ? result["ips"].filter(isObject) : [];
  return `${container}: ${[ifname, ...ips.map(({ address }) => String(address))].join(" ")}`;
}

function disconnect(networkName: string, name: string, options: { ifname?: string }): void {
  const runtime = runtimeOf(process.env);
  const kept = chosen(findAttached(networkName, name, runtime), options);
  const unkept = chosen(findUnkept(networkName, name, runtime), options);
  if (kept.length === 1 && kept[0] && unkept.length === 0) {
    detachContainer(kept[0], runtime);
    return;
  }
  const network = findNetwork(networksDirectory(process.env), networkName);
  using view = HostView.open(networksDirectory(process.env));
  const known = [...kept, ...unkept];
  const all = known.length > 0 ? known : chosen(findRecorded(view, networkName, name), options);
  const [first, ...others] = all;
  if (!first) {
    const as = options.ifname === undefined ? "" : ` as ${options.ifname}`;
    throw new Error(`"${name}" is not on network "${networkName}"${as}${whoIs(view, networkName)}`);
  }
  if (others.length > 0) {
    const names = all.map(({ ifname }) => ifname).join(", ");
    throw new Error(`"${name}" is on network "${networkName}" as ${names}: say which, with --ifname`);
  }
  delNetwork(runtime, network, first);
}

function chosen<T extends { ifname: string }>(all: readonly T[], { ifname }: { ifname?: string }): T[] {
  return all.filter((each) => ifname === undefined || ifname === each.ifname);
}

function whoIs(view: HostView, network: string): string {
  const users = usersOf(view, network);
  return users.length > 0 ? `; on it: ${describeUsers(users)}` : "; nobody is";
}
