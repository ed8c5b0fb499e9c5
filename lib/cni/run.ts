/** One process of a plugin: variables and stdin in, stdout and exit status out. */
import { version } from "../../package.json" with { type: "json" };
import { decodeConfig } from "./config.ts";
import { parseEnvironment } from "./environment.ts";
import { isObject } from "./json.ts";
import { callPlugin, type Plugin } from "./plugin.ts";
import { runVersion } from "./run-version.ts";
import { exitWith, print, readStdin } from "./stdio.ts";
import { replyVersion } from "./version.ts";

/** Finds a plugin in this executable, so that delegation to it needs no other process. */
type LoadOwn = (type: string) => Promise<Plugin | undefined>;

/** Answers the command of the environment and exits. */
export async function runPlugin(plugin: Plugin, options: { loadOwn: LoadOwn }): Promise<never> {
  const environment = process.env;
  const command = environment["CNI_COMMAND"];
  if (!command) {
    const versions = plugin.versions.join(", ");
    print(2, `CNI ${plugin.name} plugin v${version}\nCNI protocol versions supported: ${versions}\n`);
    process.exit(0);
  }
  if (command === "VERSION") runVersion(plugin.versions);
  let stdin = "";
  try {
    parseEnvironment(environment); // before stdin, which a caller with the wrong variables may never close
    stdin = readStdin({ optional: false });
    const own = await loadDelegates(plugin, stdin, options.loadOwn);
    callPlugin(plugin, { environment, stdin, own, deliver: (answer) => print(1, answer) });
  } catch (error) {
    exitWith(error, replyVersion(stdin, plugin.versions));
  }
  process.exit(0);
}

/** The plugin this one calls for its addresses, where it is one of ours. */
async function loadDelegates(plugin: Plugin, stdin: string, load: LoadOwn): Promise<Map<string, Plugin>> {
  const ipam = decodeConfig(stdin, plugin.schema)["ipam"];
  const type = isObject(ipam) ? ipam["type"] : undefined;
  if (typeof type !== "string" || type === plugin.name) return new Map();
  const delegate = await load(type);
  return new Map(delegate && [[type, delegate]]);
}
