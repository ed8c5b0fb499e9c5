import { expect, test } from "bun:test";
import { loadProgram } from "./main.ts";

test("loadProgram() has help that fits a terminal of 80 columns, with every command under a heading", async () => {
  const program = await loadProgram();
  const { commands } = program;
  const networks = commands.find((each) => each.name() === "network")?.commands ?? [];
  for (const command of [program, ...commands, ...networks]) {
    command.configureHelp({ ...command.configureHelp(), helpWidth: 80 });
    const wide = command
      .helpInformation()
      .split("\n")
      .filter((line) => line.length > 80);
    expect([command.name(), wide]).toEqual([command.name(), []]);
  }
  expect(program.helpInformation()).not.toContain("\nCommands:");
});
