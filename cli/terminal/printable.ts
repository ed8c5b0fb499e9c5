/** Names that others have chosen, as a terminal may have them: any user may name a process "\x1b[2J". */

/** With "?" for each control character, line ends among them. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, "?");
}

/** As above for a whole text, whose lines, tabs and colours stay: a container names its interfaces. */
export function printableText(text: string): string {
  return text.replace(/\x1b\[\d*m|[^\P{Cc}\n\t]/gu, (found) => (found.length > 1 ? found : "?"));
}
