import { expect, test } from "bun:test";
import type { Command } from "commander";
import { loadProgram } from "./main.ts";

/** With what is behind the options: variables and the exit status. */
function shownHelp(command: Command): string {
  let help = "";
  command.configureHelp({ ...command.configureHelp(), helpWidth: 80 });
  command.configureOutput({
    writeOut: (text) => {
      help += text;
    },
  });
  command.outputHelp();
  return help;
}

test("loadProgram() has help that fits a terminal of 80 columns, with every command under a heading", async () => {
  const program = await loadProgram();
  const { commands } = program;
  const networks = commands.find((each) => each.name() === "network")?.commands ?? [];
  for (const command of [program, ...commands, ...networks]) {
    const wide = shownHelp(command)
      .split("\n")
      .filter((line) => line.length > 80);
    expect([command.name(), wide]).toEqual([command.name(), []]);
    // a longer line would be wrapped, and leave a word or two on a line of their own
    const long = command
      .description()
      .split("\n")
      .filter((line) => line.length > 80);
    expect([command.name(), long]).toEqual([command.name(), []]);
  }
  expect(program.helpInformation()).not.toContain("\nCommands:");
});
