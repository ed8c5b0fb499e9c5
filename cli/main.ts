/** weft: the operator's tool. Its verbs are one file each, and only the one that is called is loaded. */
import { Command } from "commander";
import { version } from "../package.json" with { type: "json" };

type Load = () => Promise<{ readonly command: () => Command }>;

const verbs: ReadonlyMap<string, Load> = new Map<string, Load>([
  ["ls", () => import("./ls.ts")],
  ["inspect", () => import("./inspect.ts")],
  ["ports", () => import("./ports.ts")],
  ["fdb", () => import("./fdb.ts")],
  ["topology", () => import("./topology.ts")],
  ["rules", () => import("./rules.ts")],
  ["trace", () => import("./trace.ts")],
  ["add", () => import("./add.ts")],
  ["del", () => import("./del.ts")],
  ["check", () => import("./check.ts")],
  ["network", () => import("./network.ts")],
  ["run", () => import("./run.ts")],
  ["gc", () => import("./gc.ts")],
  ["status", () => import("./status.ts")],
  ["doctor", () => import("./doctor.ts")],
  ["agent", () => import("./agent.ts")],
  ["restore", () => import("./restore.ts")],
  ["demo", () => import("./demo.ts")],
  ["install", () => import("./install.ts")],
]);

/** Reads the command line and runs the verb. Sets the exit code; an error is told on stderr. */
export async function run(): Promise<void> {
  const program = new Command("weft")
    .description("CNI plugins, and the tool to see and mend container networks")
    .version(version)
    .addHelpText("after", "\nweft <command> --help says more and gives an example.")
    .enablePositionalOptions() // what stands behind the program of weft run is the program's
    .showHelpAfterError("(--help says more)");
  const called = verbs.get(process.argv[2] ?? "");
  for (const load of called ? [called] : verbs.values()) {
    program.addCommand((await load()).command().copyInheritedSettings(program));
  }
  try {
    await program.parseAsync();
  } catch (error) {
    console.error(`weft: ${withRemedy(error instanceof Error ? error.message : String(error))}`);
    process.exitCode = error instanceof Error && "exitCode" in error ? Number(error.exitCode) : 1;
  }
}

function withRemedy(message: string): string {
  const isRefused = /\b(EPERM|EACCES)\b/.test(message) && !message.includes("run as root");
  return isRefused && process.getuid?.() !== 0 ? `${message}\nrun as root` : message;
}
