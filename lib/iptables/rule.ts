/**
 * Rules as iptables-save prints them and iptables-restore reads them: words, some of them in quotes.
 *
 * Reference: iptables' xshared.c, add_param_to_argv() and xtables_save_string().
 */

export type TableName = "raw" | "nat" | "filter";

export interface Rule {
  readonly table: TableName;
  readonly chain: string;
  /** What follows "-A chain". */
  readonly text: string;
  /** Before what is there; after it otherwise. */
  readonly isFirst?: boolean;
}

/** A word as iptables-restore reads it back. @throws RangeError for what no line of it can hold */
export function quoteWord(word: string): string {
  if (word.includes("\n") || word.includes("\0")) {
    throw new RangeError(`Cannot write ${JSON.stringify(word)} into a rule of iptables: it is not one line`);
  }
  if (isPlain(word)) return word;
  return `"${word.replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}

/** Whether a word needs no quotes: letters, digits, and "-+._,:/!=@%". */
function isPlain(word: string): boolean {
  for (let at = 0; at < word.length; at++) {
    const code = word.charCodeAt(at);
    const isAlphanumeric =
      (code >= 48 && code <= 57) || (code >= 65 && code <= 90) || (code >= 97 && code <= 122);
    if (!isAlphanumeric && !"-+._,:/!=@%".includes(word.charAt(at))) return false;
  }
  return word !== "";
}

/** The words of a line, without their quotes. */
export function splitWords(text: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let isQuoted = false;
  for (let at = 0; at < text.length; at++) {
    const char = text.charAt(at);
    if (isQuoted && char === "\\") word += text.charAt(++at);
    else if (char === '"') {
      isQuoted = !isQuoted;
      word ??= "";
    } else if (isQuoted || (char !== " " && char !== "\t")) word = (word ?? "") + char;
    else if (word !== undefined) {
      words.push(word);
      word = undefined;
    }
  }
  if (word !== undefined) words.push(word);
  return words;
}

/** The word after an option: the target after "-j", the comment after "--comment". */
export function optionOf(text: string, option: string): string | undefined {
  if (!text.includes(option)) return undefined;
  const words = splitWords(text);
  const at = words.indexOf(option);
  return at < 0 ? undefined : words[at + 1];
}

/**
 * The same for two rules that say the same: options in any order, with or without the "-m" that loads a
 * match, as versions of iptables differ in both.
 * @param options.without options that do not count
 */
export function ruleKey(text: string, options: { without?: string } = {}): string {
  const parts: string[][] = [];
  let negation = "";
  for (const word of splitWords(text)) {
    if (word === "!") negation = "! ";
    else if (word.startsWith("-") && word.length > 1) {
      parts.push([negation + word]);
      negation = "";
    } else parts.at(-1)?.push(word);
  }
  return parts
    .filter(([option]) => option !== "-m" && option !== options.without)
    .map((part) => part.join(" "))
    .sort()
    .join("\n");
}
