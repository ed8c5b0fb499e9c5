/**
 * Commands for a POSIX shell, which people copy and `weft doctor --fix` runs. Names in them are others'
 * choice: the kernel takes an interface called ";id;#", and a container names its own.
 */

declare const isCommand: unique symbol;

/** Made by shell() alone, so that no name is in it but as a word. */
export type ShellCommand = string & { readonly [isCommand]: true };

/**
 * shell`ip link set ${name} up`: each value is one word, or a part of one; a list is as many words, and none
 * takes the space before it along.
 */
export function shell(
  texts: TemplateStringsArray,
  ...values: readonly (string | number | readonly string[])[]
): ShellCommand {
  const command = texts.reduce((text, literal, at) => {
    const value = values[at - 1] ?? [];
    if (typeof value !== "object") return `${text}${shellWord(String(value))}${literal}`;
    return `${value.length === 0 ? text.trimEnd() : text}${value.map(shellWord).join(" ")}${literal}`;
  });
  return command as ShellCommand; // nothing of it is unquoted
}

/** Each where those before it have succeeded. */
export function allOf(...commands: readonly ShellCommand[]): ShellCommand {
  return commands.join(" && ") as ShellCommand; // as each of them is one
}

interface Place {
  readonly path: string;
  readonly isHost?: boolean;
}

/** `nsenter --net=PATH COMMAND` but for the host's own, of one command that is not a list of several. */
export function inNamespace({ path, isHost }: Place, command: ShellCommand): ShellCommand {
  if (isHost) return command;
  return `${shell`nsenter --net=${path}`} ${command}` as ShellCommand; // as both of them are one
}

/** A word as the shell takes it. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
