/** weft: the operator's tool. Its verbs are one file each, and only the one that is called is loaded. */
import { Command } from "commander";
import { version } from "../package.json" with { type: "json" };
import { reportOutput, watchOutput, writeHelp } from "./terminal/output.ts";
import { terminalColumns } from "./terminal/width.ts";

type Load = () => Promise<{ readonly command: () => Command }>;

/** Under the headings of the help. */
const GROUPS: Readonly<Record<string, Readonly<Record<string, Load>>>> = {
  "Networks:": {
    network: () => import("./network.ts"),
    run: () => import("./run.ts"),
  },
  "Seeing:": {
    ls: () => import("./ls.ts"),
    inspect: () => import("./inspect.ts"),
    topology: () => import("./topology.ts"),
    ports: () => import("./ports.ts"),
    rules: () => import("./rules.ts"),
    fdb: () => import("./fdb.ts"),
    trace: () => import("./trace.ts"),
  },
  "Mending:": {
    doctor: () => import("./doctor.ts"),
    gc: () => import("./gc.ts"),
    restore: () => import("./restore.ts"),
    migrate: () => import("./migrate.ts"),
  },
  "As a runtime does:": {
    add: () => import("./add.ts"),
    del: () => import("./del.ts"),
    check: () => import("./check.ts"),
    status: () => import("./status.ts"),
  },
  "Other:": {
    agent: () => import("./agent.ts"),
    demo: () => import("./demo.ts"),
    install: () => import("./install.ts"),
    completion: () => import("./completion.ts"),
  },
};

/** It looks at all the others. */
const COMPLETION = "completion";

/** Reads the command line and runs the verb. Sets the exit code; an error is told on stderr. */
export async function run(): Promise<void> {
  const [, , verb = ""] = process.argv;
  const program = await loadProgram(verb === COMPLETION ? "" : verb);
  watchOutput();
  try {
    await program.parseAsync();
  } catch (error) {
    console.error(`weft: ${withRemedy(error instanceof Error ? error.message : String(error))}`);
    process.exitCode = error instanceof Error && "exitCode" in error ? Number(error.exitCode) : 1;
  }
  reportOutput();
}

/** The program with the command of that name alone, or with all where it is none's. */
export async function loadProgram(verb = ""): Promise<Command> {
  const program = new Command("weft")
    .description("CNI plugins, and the tool to see and mend container networks")
    .version(version)
    .configureOutput({ writeOut: writeHelp })
    .configureHelp({
      helpWidth: terminalColumns(),
      minWidthToWrap: 30,
      subcommandTerm: (verb) => verb.name(),
    })
    .commandsGroup("Other:") // of help, which is commander's own
    .helpCommand(true)
    .addHelpText("after", "\nweft <command> --help says more and gives an example.")
    .enablePositionalOptions() // what stands behind the program of weft run is the program's
    .showHelpAfterError("(--help says more)");
  await addVerbs(program, verb);
  return program;
}

/** The verb that is called; where there is none of that name all, for the help or for what was meant. */
async function addVerbs(program: Command, called: string): Promise<void> {
  const all = Object.entries(GROUPS).flatMap(([group, verbs]) =>
    Object.entries(verbs).map(([name, load]) => ({ group, name, load })),
  );
  const wanted = all.filter(({ name }) => name === called);
  for (const { group, load } of wanted.length > 0 ? wanted : all) {
    const { command } = await load();
    const added = command().copyInheritedSettings(program).helpGroup(group);
    for (const each of added.commands) each.copyInheritedSettings(program);
    program.addCommand(added);
  }
}

function withRemedy(message: string): string {
  const isRefused = /\b(EPERM|EACCES)\b/.test(message) && !message.includes("run as root");
  return isRefused && process.getuid?.() !== 0 ? `${message}\nrun as root` : message;
}
