/**
 * What add, del, check, gc and status share: the variables of cnitool, and the help that tells of them.
 *
 * Reference: https://www.cni.dev/docs/cnitool/
 */
import { dirname } from "node:path";
import { Command } from "commander";
import type { Variables } from "../lib/cni/environment.ts";
import { NETWORKS_DIR } from "./runtime/network-list.ts";
import type { Runtime } from "./runtime/plugin-request.ts";
import { CACHE_DIR } from "./runtime/result-cache.ts";

const PLUGINS_DIR = "/opt/cni/bin";

export function networksDirectory(variables: Variables): string {
  return variables["NETCONFPATH"] || NETWORKS_DIR;
}

/** Plugins are looked for beside this executable first, unless CNI_PATH says where. */
export function runtimeOf(variables: Variables): Runtime {
  const path = variables["CNI_PATH"] || `${dirname(process.execPath)}:${PLUGINS_DIR}`;
  return { path: path.split(":").filter(Boolean), environment: variables, cacheDirectory: CACHE_DIR };
}

/** Where a runtime looks for plugins: not beside this executable. */
export function runtimePath(variables: Variables): string[] {
  return (variables["CNI_PATH"] || PLUGINS_DIR).split(":").filter(Boolean);
}

/** Of a variable's name in the help. */
const NAME_COLUMNS = 13;

const VARIABLES = {
  NETCONFPATH: `directory of the networks (default ${NETWORKS_DIR})`,
  CNI_PATH: `directories of plugins (default: weft's own, ${PLUGINS_DIR})`,
};

const ATTACHMENT_VARIABLES = {
  CNI_IFNAME: "name of the interface (default eth0)",
  CNI_ARGS: "arguments for the plugins: KEY=value;KEY2=value2",
  CAP_ARGS: `capability arguments as JSON: {"mac":"02:00:00:00:00:01"}
{"portMappings":[{"hostPort":8080,"containerPort":80,
                  "protocol":"tcp"}]}`,
};

const ENDING = `
Exit status: 0 done, 1 not begun (arguments, variables, configuration),
2 a plugin failed: its words are on stderr.`;

interface Words {
  readonly name: string;
  readonly description: string;
  /** What comes after the description: details and an example. */
  readonly more: string;
}

/** For the help of whatever takes a container. */
export const CONTAINER_WORDS =
  "name of ip netns, path of a namespace, process, container of containerd or podman";

interface NetworkWords extends Words {
  /** "[network]" where it may be left out. */
  readonly network?: string;
}

/** A verb for one interface of one container. */
export function attachmentCommand({ name, description, more }: Words): Command {
  return new Command(name)
    .description(`${description}\n\n${more}`)
    .summary(description)
    .argument("<network>", "name of a network")
    .argument("<container>", CONTAINER_WORDS)
    .option("-i, --ifname <name>", "name of the interface, rather than CNI_IFNAME")
    .addHelpText("after", variablesHelp({ ...VARIABLES, ...ATTACHMENT_VARIABLES }));
}

/** A verb for a network, or for all. cnitool wants a namespace here too, which nothing looks at. */
export function networkCommand({ name, description, more, network = "<network>" }: NetworkWords): Command {
  return new Command(name)
    .description(`${description}\n\n${more}`)
    .summary(description)
    .argument(network, "name of a network")
    .argument("[netns]", "not used; cnitool asks for it")
    .addHelpText("after", variablesHelp(VARIABLES));
}

function variablesHelp(variables: Readonly<Record<string, string>>): string {
  const lines = Object.entries(variables).map(([name, text]) =>
    `  ${name.padEnd(NAME_COLUMNS)}${text}`.replaceAll("\n", `\n${" ".repeat(NAME_COLUMNS + 2)}`),
  );
  return `\nVariables:\n${lines.join("\n")}\n${ENDING}`;
}
