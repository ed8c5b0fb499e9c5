/** Sizes and shapes: of files, functions, lines and names. */
import { basename } from "node:path";
import { type Node, SyntaxKind } from "typescript/unstable/ast";
import {
  isArrowFunction,
  isAsExpression,
  isExportAssignment,
  isFunctionDeclaration,
  isFunctionExpression,
  isMethodDeclaration,
  isParameterDeclaration,
  isVariableDeclaration,
} from "typescript/unstable/ast/is";
import { type Complaint, isTest, lineAt, lineOf, nodesOf, type Source } from "./tree.ts";

const FILE_LINES = 400;
const FUNCTION_LINES = 70;
const COLUMNS = 110;
const BESIDE_A_TEXT = 40;
const EMPTY_NAMES = new Set(["index", "utils", "helpers", "types", "common", "misc"]);
/** The order in which a plugin is read. */
const VERBS = ["add", "del", "check", "gc", "status"];

export function shapeComplaints(source: Source): Complaint[] {
  return [
    ...fileComplaints(source),
    ...lineComplaints(source),
    ...(source.syntax ? syntaxComplaints(source, source.syntax) : []),
  ];
}

function fileComplaints({ path, text }: Source): Complaint[] {
  const complain = (rule: string, line: number, words: string) => ({ path, line, rule, text: words });
  const complaints: Complaint[] = [];
  if (path.endsWith(".md")) return complaints;
  const name = basename(path).replace(/(\.fuzz|\.golden|\.test)*\.\w+$/, "");
  if (EMPTY_NAMES.has(name))
    complaints.push(complain("name", 1, `the name ${name} is banned, use what it is for`));
  if (!/^[a-z0-9]+(-[a-z0-9]+)*$/.test(name)) {
    complaints.push(complain("name", 1, `the name ${name} is banned, use kebab-case`));
  }
  const lines = text.split("\n").length - 1;
  if (lines > FILE_LINES) {
    complaints.push(
      complain("file-lines", FILE_LINES, `${lines} lines are banned, use files of up to ${FILE_LINES}`),
    );
  }
  if (path.endsWith(".ts") && !isTest(path) && !/^(#!.*\n)?\/\*\*/.test(text)) {
    complaints.push(
      complain("header", 1, "a file without a header is banned, use one sentence that says what it is"),
    );
  }
  return complaints;
}

function lineComplaints({ path, text }: Source): Complaint[] {
  const complaints: Complaint[] = [];
  text.split("\n").forEach((line, index) => {
    const complain = (rule: string, words: string) =>
      complaints.push({ path, line: index + 1, rule, text: words });
    if (/[ \t\r]$/.test(line)) complain("space", "trailing space is banned, use none");
    if (line.includes("\t")) complain("space", "a tab is banned, use spaces, or \\t in a string");
    if (line.length > COLUMNS && !path.endsWith(".md") && !isOneText(line)) {
      complain("columns", `${line.length} columns are banned, use up to ${COLUMNS}`);
    }
  });
  if (!text.endsWith("\n")) {
    const line = text.split("\n").length;
    complaints.push({
      path,
      line,
      rule: "space",
      text: "a last line without an end is banned, use a newline",
    });
  }
  return complaints;
}

/** A line that is a text and little else: an error or a test's name, which is found best in one piece. */
function isOneText(line: string): boolean {
  const texts = line.match(/"[^"]*"|'[^']*'|`[^`]*`/g) ?? [];
  return /^\s*[^\s/*#]/.test(line) && texts.some((text) => line.trim().length - text.length < BESIDE_A_TEXT);
}

function syntaxComplaints(source: Source, syntax: Node): Complaint[] {
  const { path } = source;
  const complaints: Complaint[] = [];
  const complain = (node: Node, rule: string, text: string) =>
    complaints.push({ path, line: lineOf(source, node), rule, text });

  for (const node of nodesOf(syntax)) {
    const lines = functionLines(source, node);
    if (lines > FUNCTION_LINES) {
      complain(node, "function-lines", `a function of ${lines} lines is banned, use up to ${FUNCTION_LINES}`);
    }
    if (isDefaultExport(node) && !/^plugins\/[^/]+\/main\.ts$/.test(path)) {
      complain(node, "default", "a default export is banned, use a name");
    }
    if (isTest(path)) continue;
    if (isAsExpression(node) && !isConst(node) && !hasReason(source, node)) {
      complain(node, "as", "a cast without its reason beside it is banned, use a check, or a comment");
    }
    if (isParameterDeclaration(node) && isLaterBoolean(node)) {
      complain(node, "boolean", `the boolean argument ${node.getText()} is banned, use an options object`);
    }
  }
  return /^plugins\/[^/]+\/main\.ts$/.test(path)
    ? [...complaints, ...orderComplaints(source, syntax)]
    : complaints;
}

/** 0 for what is no function, and for the function that is a test's body: that is a sequence, not a unit. */
function functionLines(source: Source, node: Node): number {
  const isNamed =
    isFunctionDeclaration(node) ||
    isMethodDeclaration(node) ||
    ((isArrowFunction(node) || isFunctionExpression(node)) && isVariableDeclaration(node.parent));
  return isNamed ? lineAt(source, node.end) - lineOf(source, node) + 1 : 0;
}

function isDefaultExport(node: Node): boolean {
  return (
    isExportAssignment(node) || (isFunctionDeclaration(node) && /^export\s+default\b/.test(node.getText()))
  );
}

function isConst(node: Node): boolean {
  return /\bas const$/.test(node.getText());
}

/** A comment on the line of the cast, or as the line before it. */
function hasReason(source: Source, node: Node): boolean {
  const lines = source.text.split("\n");
  const first = lineOf(source, node);
  const last = lineAt(source, node.end);
  return (
    lines.slice(first - 1, last).some((line) => /\/\/|\/\*/.test(line)) ||
    /^\s*(\/\/|\*\/|\/\*)/.test(lines[first - 2] ?? "")
  );
}

function isLaterBoolean(node: Node): boolean {
  if (!isParameterDeclaration(node) || node.type?.kind !== SyntaxKind.BooleanKeyword) return false;
  const { parent } = node;
  return "parameters" in parent && Array.isArray(parent.parameters) && parent.parameters[0] !== node;
}

function orderComplaints(source: Source, syntax: Node): Complaint[] {
  const found: { readonly verb: string; readonly line: number }[] = [];
  for (const node of nodesOf(syntax)) {
    const verb = isFunctionDeclaration(node) ? (node.name?.getText() ?? "") : "";
    if (VERBS.includes(verb)) found.push({ verb, line: lineOf(source, node) });
  }
  const order = (verb: string) => VERBS.indexOf(verb);
  return found.flatMap(({ verb, line }, index) => {
    const before = found[index - 1]?.verb ?? "";
    if (order(before) <= order(verb)) return [];
    const text = `${verb}() after ${before}() is banned, use the order ${VERBS.join(", ")}`;
    return [{ path: source.path, line, rule: "order", text }];
  });
}
