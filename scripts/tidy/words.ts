/** Words that have no place in the tree, and what to use instead. */
import { type Complaint, isTest, type Source } from "./tree.ts";

interface Ban {
  readonly word: RegExp;
  /** The files it is about. */
  readonly where: (path: string) => boolean;
  readonly text: string;
  /** It is about comments; else it is about all but them, which may speak of anything. */
  readonly inComments?: boolean;
}

const inCode = (path: string) => /\.(ts|mjs|sh)$/.test(path);
/** What is compiled into a plugin. */
const inPlugins = (path: string) =>
  path.endsWith(".ts") && !isTest(path) && !/^(cli|agent|scripts|bench)\//.test(path);

const BANS: readonly Ban[] = [
  {
    word: /\bconsole\.(log|info|debug)\b/,
    where: inPlugins,
    text: "is banned, use writeFd(1, …): stdout is the result",
  },
  {
    word: /\bprocess\.stdout\b/,
    where: (path) => inPlugins(path) || path.startsWith("cli/"),
    text: "is banned, use writeFd(1, …): it takes 9 ms to load",
  },
  { word: /\bprocess\.stdin\b/, where: inPlugins, text: "is banned, use readFd(0)" },
  {
    word: /\bBuffer\.|\brequire\(/,
    where: inPlugins,
    text: "is banned, use Uint8Array, TextEncoder, import",
  },
  {
    word: /\bnew Function\b|\beval\(/,
    where: inCode,
    text: "is banned, use code: the executable forbids it",
  },
  {
    word: /\b(?:FIX|TO)(?:ME|DO)\b|\bXX[X]\b/,
    where: inCode,
    text: "is banned, use an issue, or do it",
    inComments: true,
  },
  {
    word: /@ts-(?:ignore|nocheck)/,
    where: inCode,
    text: "is banned, use @ts-expect-error with its reason",
    inComments: true,
  },
];

export function wordComplaints({ path, text }: Source): Complaint[] {
  const bans = BANS.filter(({ where }) => where(path));
  return text.split("\n").flatMap((line, index) => {
    const [comment = ""] = /(^|\s)\/\/ .*|\/\*.*|^\s*[*#].*/.exec(line) ?? [];
    const code = line.slice(0, line.length - comment.length);
    return bans.flatMap(({ word, text: cure, inComments }) => {
      const found = word.exec(inComments ? comment : code)?.[0];
      return found ? [{ path, line: index + 1, rule: "word", text: `${found} ${cure}` }] : [];
    });
  });
}
