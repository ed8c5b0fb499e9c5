/** What may come next on a command line, worked out from the commands themselves. */
import type { Argument, Command, Option } from "commander";

export interface Candidate {
  readonly word: string;
  /** For shells that show it. */
  readonly description: string;
}

/** What names a word stands for: "network", "container", … by the name of the argument or of its option. */
export type NamesOf = (kind: string) => readonly string[] | Promise<readonly string[]>;

/**
 * @param program with all its commands
 * @param words what stands after the program's name, the last being the word that is typed, perhaps ""
 */
export async function candidatesFor(
  program: Command,
  words: readonly string[],
  namesOf: NamesOf,
): Promise<readonly Candidate[]> {
  const typed = words.at(-1) ?? "";
  const { command, option, position, isProgram } = placeOf(program, words.slice(0, -1));
  if (isProgram) return []; // another program's words: a shell's own completion knows more
  const all = option
    ? await valuesOf(option.argChoices, kindOfOption(option), namesOf)
    : typed.startsWith("-")
      ? optionsOf(command)
      : await operandsOf(command, position, namesOf);
  return all.filter(({ word }) => word.startsWith(typed));
}

interface Place {
  readonly command: Command;
  /** The option whose value is typed. */
  readonly option: Option | undefined;
  /** How many operands stand before. */
  readonly position: number;
  /** Whether what is typed belongs to the program of `weft run`. */
  readonly isProgram: boolean;
}

function placeOf(program: Command, before: readonly string[]): Place {
  let command = program;
  let option: Option | undefined;
  let position = 0;
  for (const [i, word] of before.entries()) {
    if (word === "--") return { command, option: undefined, position, isProgram: i > 0 };
    if (option) option = undefined;
    else if (word.startsWith("-")) option = valueOption(command, word);
    else {
      const next = findCommand(command, word);
      if (next) command = next;
      else position++;
    }
  }
  return { command, option, position, isProgram: false };
}

/** undefined where it takes no value, or has it behind "=". */
function valueOption(command: Command, word: string): Option | undefined {
  return command.options.find(
    (option) => (option.required || option.optional) && (option.long === word || option.short === word),
  );
}

function findCommand({ commands }: Command, word: string): Command | undefined {
  return commands.find((each) => each.name() === word || each.aliases().includes(word));
}

function optionsOf(command: Command): Candidate[] {
  return command
    .createHelp()
    .visibleOptions(command)
    .flatMap(({ long, short, description }) =>
      [long, short].flatMap((word) => (word ? [{ word, description }] : [])),
    );
}

async function operandsOf(command: Command, position: number, namesOf: NamesOf): Promise<Candidate[]> {
  const commands = command.createHelp().visibleCommands(command);
  if (commands.length > 0) {
    if (position > 0) return []; // behind a word that is none of them
    return commands.map((each) => ({ word: each.name(), description: each.summary() || each.description() }));
  }
  const argument = argumentAt(command.registeredArguments, position);
  return argument ? await valuesOf(argument.argChoices, argument.name(), namesOf) : [];
}

function argumentAt(all: readonly Argument[], position: number): Argument | undefined {
  const last = all.at(-1);
  return all[position] ?? (last?.variadic ? last : undefined);
}

async function valuesOf(
  choices: readonly string[] | undefined,
  kind: string,
  namesOf: NamesOf,
): Promise<Candidate[]> {
  const words = choices ?? (await namesOf(kind));
  return words.map((word) => ({ word, description: "" }));
}

/** "network" of "--network <name>", "file" of "--svg <file>". */
function kindOfOption(option: Option): string {
  const value = /[<[]([^\].>]+)/.exec(option.flags)?.[1] ?? "";
  return value === "name" ? option.name() : value;
}
