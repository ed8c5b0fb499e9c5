/** weft: the operator's tool. Its verbs are one file each; this one knows only their names. */
import { Command } from "commander";
import { version } from "../package.json" with { type: "json" };
import { installCommand } from "./install.ts";

/** Reads the command line and runs the verb. Sets the exit code; an error is one line on stderr. */
export async function run(): Promise<void> {
  const program = new Command("weft")
    .description("CNI plugins, and the tool to see and mend container networks")
    .version(version)
    .addCommand(installCommand());
  try {
    await program.parseAsync();
  } catch (error) {
    console.error(`weft: ${error instanceof Error ? error.message : error}`);
    process.exitCode = 1;
  }
}
