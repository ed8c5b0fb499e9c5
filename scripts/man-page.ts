/**
 * Manual pages of the tool, from its commands' own help.
 *
 *   packaging/man/weft.1          the tool: its commands, files and variables
 *   packaging/man/weft-VERB.1     each verb, its own commands as sections
 *
 * Reference: man-pages(7), groff_man(7).
 */
import type { EventEmitter } from "node:events";
import type { Command, Help } from "commander";
import { loadProgram } from "../cli/main.ts";
import { JSON_KEYS } from "./man-json.ts";

const FILES = {
  "/etc/cni/net.d": "networks: *.conflist; those of weft network create are weft-NAME.conflist",
  "/opt/cni/bin": "plugins, where a runtime looks for them",
  "/run/weft": "records of what the plugins made; gone with the next boot, as what they made",
  "/var/lib/cni/networks": "leases of host-local",
  "/var/lib/cni/results": "results of ADD, which the runtime keeps",
  "/etc/weft/etcd.json": "where etcd is, for overlays",
};

const VARIABLES = {
  NETCONFPATH: "directory of the networks, /etc/cni/net.d unless set",
  CNI_PATH: "directories of plugins; weft's own and /opt/cni/bin unless set",
  COLUMNS: "columns of tables, where standard output is no terminal; 80 unless set",
  NO_COLOR: "no colours on a terminal, when set to anything",
};

const EXIT = {
  0: "done; it passes; nothing was found",
  1: "not begun: arguments, configuration, permission",
  2: "a plugin failed; a packet would be dropped; faults were found",
};

/** The text of each page, by its name: "weft-ls.1". */
export async function manPages(): Promise<ReadonlyMap<string, string>> {
  const program = await loadProgram();
  const verbs = program.createHelp().visibleCommands(program).filter(isOwn);
  return new Map([
    ["weft.1", overview(program, verbs)],
    ...verbs.map((verb): [string, string] => [`weft-${verb.name()}.1`, verbPage(program, verb)]),
  ]);
}

function overview(program: Command, verbs: readonly Command[]): string {
  const entries = verbs.map((verb) => [`weft-${verb.name()}(1)`, verb.summary()] as const);
  return page(program, "weft", [
    section("NAME", [text(`weft - ${program.description()}`)]),
    section("SYNOPSIS", [".B weft", text("COMMAND [OPTION]... [ARGUMENT]...")]),
    section("COMMANDS", definitions(entries)),
    section("FILES", definitions(Object.entries(FILES))),
    section("ENVIRONMENT", definitions(Object.entries(VARIABLES))),
    section("EXIT STATUS", [
      ...definitions(Object.entries(EXIT)),
      ".PP",
      text("weft run has that of the program."),
    ]),
  ]);
}

function verbPage(program: Command, verb: Command): string {
  const help = verb.createHelp();
  const commands = help.visibleCommands(verb).filter(isOwn);
  const [summary, body] = described(verb);
  const keys = JSON_KEYS[verb.name()];
  return page(program, `weft-${verb.name()}`, [
    section("NAME", [text(`weft-${verb.name()} - ${summary}`)]),
    section("SYNOPSIS", [text(usage(help, verb))]),
    section("DESCRIPTION", body),
    ...parts(help, verb).map(([title, lines]) => section(title, lines)),
    ...commands.map((each) => commandSection(each)),
    ...(keys ? [section("JSON", [text(keys.of), ...definitions(Object.entries(keys.keys))])] : []),
    section("SEE ALSO", [text("weft(1)")]),
  ]);
}

/** "weft network create", with what a page of its own would have. */
function commandSection(command: Command): string {
  const help = command.createHelp();
  const [summary, body] = described(command);
  const path = help.commandUsage(command).replace(/ [<[].*$/, "");
  return section(path.toUpperCase(), [
    text(`${summary}.`),
    ".PP",
    text(usage(help, command)),
    ".PP",
    ...body,
    ...parts(help, command).flatMap(([title, lines]) => [`.SS ${title}`, ...lines]),
  ]);
}

function parts(help: Help, command: Command): [string, string[]][] {
  const options = help
    .visibleOptions(command)
    .map((option) => [help.optionTerm(option), help.optionDescription(option)] as const);
  const operands = help
    .visibleArguments(command)
    .map((argument) => [help.argumentTerm(argument), help.argumentDescription(argument)] as const);
  const [notes = "", exit = ""] = textAfter(command).split(/(?:^|\n)Exit status: /);
  const all: [string, string[]][] = [
    ["ARGUMENTS", definitions(operands)],
    ["OPTIONS", definitions(options)],
    ["NOTES", paragraphs(notes.trim())],
    ["EXIT STATUS", paragraphs(exit)],
  ];
  return all.filter(([, lines]) => lines.length > 0);
}

/** The first line, and the paragraphs after it. */
function described(command: Command): [string, string[]] {
  const [first = "", ...others] = command.description().split("\n\n");
  return [first, paragraphs(others.join("\n\n"))];
}

function usage(help: Help, command: Command): string {
  return help.commandUsage(command);
}

/** What addHelpText() has put behind the help. */
function textAfter(command: Command): string {
  let after = "";
  const write = (words: string) => {
    after += words;
  };
  const emitter = command as Command & EventEmitter; // as commander has it, whose declarations do not say so
  emitter.emit("afterHelp", { error: false, command, write });
  return after.trim();
}

/** Paragraphs are filled; lines that are indented are kept as they are. */
function paragraphs(words: string): string[] {
  if (words === "") return [];
  return words.split("\n\n").flatMap((paragraph, i) => {
    const lines = paragraph.split("\n").filter((line) => line !== "");
    const isListing = lines.some((line) => line.startsWith("  "));
    const shown = isListing ? [".nf", ...lines.map(text), ".fi"] : lines.map(text);
    return i === 0 ? shown : [".PP", ...shown];
  });
}

function definitions(entries: readonly (readonly [string, string])[]): string[] {
  return entries.flatMap(([term, meaning]) => [
    ".TP",
    `.B ${text(term)}`,
    ...meaning.split("\n").map((line) => text(line.trim())),
  ]);
}

function section(title: string, lines: readonly string[]): string {
  return [`.SH ${text(title)}`, ...lines].join("\n");
}

function page(program: Command, name: string, sections: readonly string[]): string {
  const version = program.version() ?? "";
  const header = `.TH ${name.toUpperCase()} 1 "" "weft ${version}" "User Commands"`;
  return `.\\" Made by scripts/generate.ts from the command's help.\n${[header, ...sections].join("\n")}\n`;
}

/** Nothing in it is a request of groff's, and all of it is ASCII. */
function text(words: string): string {
  return words
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replace(/^([.'])/, "\\&$1")
    .replace(/[^\n-~]/g, (each) => `\\[u${each.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}]`);
}

function isOwn(command: Command): boolean {
  return command.name() !== "help";
}
