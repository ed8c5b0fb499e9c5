/** weft completion: what a shell is told, so that it completes weft's commands, options and names. */
import { Argument, Command } from "commander";
import { candidatesFor } from "./completion/candidates.ts";
import { namesOf } from "./completion/names.ts";
import { SHELLS } from "./completion/shells.ts";
import { networksDirectory } from "./runtime-command.ts";

type Shell = keyof typeof SHELLS;
const NAMES = Object.keys(SHELLS) as Shell[]; // its keys

export function command(): Command {
  const description = "print what makes a shell complete weft's commands, options and names";
  const completion = new Command("completion")
    .summary(description)
    .description(
      `${description}

The shell asks weft itself for what may come next: commands, options, and the
names of networks and containers that there are.

${NAMES.map((shell) => `  ${SHELLS[shell].install}`).join("\n")}`,
    )
    .addArgument(new Argument("<shell>", "whose").choices(NAMES))
    .addHelpText("after", "\nExit status: 0 printed, 1 not begun.")
    .action((shell: Shell) => console.log(SHELLS[shell].script));
  const words = new Command("words")
    .argument("[words...]", "typed so far, after --")
    .action((typed: readonly string[]) => printCandidates(completion.parent, typed));
  return completion.addCommand(words, { hidden: true }).helpCommand(false);
}

/** @param program with all its commands: what completion.parent is when main.ts has loaded them */
async function printCandidates(program: Command | null, typed: readonly string[]): Promise<void> {
  if (!program) return;
  const directory = networksDirectory(process.env);
  const candidates = await candidatesFor(program, typed, (kind) => namesOf(kind, directory));
  for (const { word, description } of candidates) {
    console.log(`${word}\t${description}`);
  }
}
