/** The files that the style rules are about, TypeScript with its syntax. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Node, SourceFile } from "typescript/unstable/ast";
import { API } from "typescript/unstable/async"; // "unstable": package.json pins the version

export interface Source {
  /** From the root of the tree: "lib/sys/file.ts". */
  readonly path: string;
  readonly text: string;
  /** Of TypeScript only. */
  readonly syntax: SourceFile | undefined;
}

/** What is wrong, and where. Its rule is the word by which an exception names it. */
export interface Complaint {
  readonly path: string;
  readonly line: number;
  readonly rule: string;
  readonly text: string;
}

const FOLDERS_OF_OTHERS = new Set(["node_modules", "dist", "generated", "schemas"]);

/** Reads every file of ours under `root`, which has a tsconfig.json. */
export async function readTree(root: string): Promise<Source[]> {
  const api = new API({ cwd: root });
  try {
    const snapshot = await api.updateSnapshot({ openProject: join(root, "tsconfig.json") });
    const program = snapshot.getProjects()[0]?.program;
    const sources = pathsUnder(root, "")
      .sort()
      .map(async (path) => ({
        path,
        text: readFileSync(join(root, path), "utf8"),
        syntax: path.endsWith(".ts") ? await program?.getSourceFile(join(root, path)) : undefined,
      }));
    return await Promise.all(sources);
  } finally {
    await api.close();
  }
}

function pathsUnder(root: string, folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = folder + entry.name;
    if (entry.isFile()) return /\.(ts|mjs|sh|md)$/.test(path) ? [path] : [];
    const isOurs =
      !FOLDERS_OF_OTHERS.has(entry.name) && !entry.name.startsWith(".") && !/^dist-/.test(entry.name);
    return entry.isDirectory() && isOurs ? pathsUnder(root, `${path}/`) : [];
  });
}

export function isTest(path: string): boolean {
  return (
    /\.(test|golden)\.ts$/.test(path) || path.startsWith("conformance/") || path.startsWith("lib/testing/")
  );
}

/** Every node of a file, parents first. */
export function* nodesOf(node: Node): Generator<Node> {
  yield node;
  const children: Node[] = [];
  node.forEachChild((child) => void children.push(child));
  for (const child of children) yield* nodesOf(child);
}

/** The line a node begins on, without the comment before it. Counted from one. */
export function lineOf(source: Source, node: Node): number {
  return lineAt(source, node.getStart());
}

export function lineAt(source: Source, position: number): number {
  return source.text.slice(0, position).split("\n").length;
}
