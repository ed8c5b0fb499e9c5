/** The style that a program can check: every rule over every file, less the exceptions. */
import { importComplaints } from "./imports.ts";
import { shapeComplaints } from "./shape.ts";
import { readTree } from "./tree.ts";
import { wordComplaints } from "./words.ts";

/** A rule that one file may break, and why. */
export interface Exception {
  readonly path: string;
  readonly rule: string;
  readonly because: string;
}

/** What is wrong under `root`, as "file:line: error: X is banned, use Y". So is an unused exception. */
export async function tidy(root: string, exceptions: readonly Exception[]): Promise<string[]> {
  const sources = await readTree(root);
  const used = new Set<Exception>();
  const isExcused = (path: string, rule: string): boolean => {
    const found = exceptions.find((each) => each.path === path && each.rule === rule);
    if (found) used.add(found);
    return found !== undefined;
  };
  const complaints = [
    ...importComplaints(sources),
    ...sources.flatMap((source) => [...shapeComplaints(source), ...wordComplaints(source)]),
  ].filter(({ path, rule }) => !isExcused(path, rule));
  const unused = exceptions.filter((exception) => !used.has(exception));
  return [
    ...complaints.map(({ path, line, text }) => `${path}:${line}: error: ${text}`),
    ...unused.map(
      ({ path, rule }) => `${path}:1: error: an exception from ${rule} unused is banned, use none`,
    ),
  ].sort();
}
