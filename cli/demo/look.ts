/** Commands that the demonstration runs: words without blanks in them, `weft` being this executable. */
import { spawnSync } from "node:child_process";
import { dirname } from "node:path";

/** Where the networks of the demonstration are: what NETCONFPATH is for. */
export const NETWORKS_DIR = "/run/weft-demo/net.d";
/** Where those plugins are that are not weft's. */
export const FOREIGN_PLUGINS_DIR = "/run/weft-demo/bin";

export interface Run {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What weft's listings may take, so that they fit 80 when they are indented. */
const LISTING_COLUMNS = "76";

/** No command of the demonstration takes as long. */
const TIMEOUT_MS = 60_000;

type Variables = Readonly<Record<string, string>>;

/** The command's words, with weft's own path where it is what runs, here, in a namespace or by weft run. */
export function wordsOf(command: string): string[] {
  return command
    .replace(/(?<=^|^ip netns exec \S+ |^weft run .* -- )weft /g, `${process.execPath} `)
    .split(" ");
}

/** Runs a command, with variables beside those it inherits. Given as words, they may have blanks in them. */
export function look(command: string | readonly string[], variables: Variables = {}): Run {
  const [program = "", ...args] = typeof command === "string" ? wordsOf(command) : command;
  const { CNI_IFNAME: _ifname, CNI_ARGS: _args, CAP_ARGS: _capabilities, ...inherited } = process.env;
  const own = {
    COLUMNS: LISTING_COLUMNS,
    NETCONFPATH: NETWORKS_DIR,
    CNI_PATH: `${dirname(process.execPath)}:${FOREIGN_PLUGINS_DIR}`,
  };
  const env = { ...inherited, ...own, ...variables };
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    encoding: "utf8",
    env,
    timeout: TIMEOUT_MS,
    killSignal: "SIGKILL",
  });
  if (error) throw new Error(`"${program} ${args.join(" ")}" failed: ${error.message}`, { cause: error });
  return { status: status ?? -1, stdout, stderr };
}

export function lookJson<T>(command: string): T[] {
  return JSON.parse(look(command).stdout || "[]") as T[]; // the caller knows what the command prints
}
