/** Who may import whom: imports point down, in no cycle, and the costly or the dangerous has one importer. */
import { posix } from "node:path";
import { type Node, SyntaxKind } from "typescript/unstable/ast";
import {
  isCallExpression,
  isExportDeclaration,
  isImportDeclaration,
  isStringLiteral,
} from "typescript/unstable/ast/is";
import { type Complaint, isTest, lineOf, nodesOf, type Source } from "./tree.ts";

interface Import {
  /** The path of a file of ours, or the name of a package. */
  readonly target: string;
  readonly isOurs: boolean;
  readonly isType: boolean;
  readonly line: number;
}

/**
 * The storeys of the house, from the ground up; each entry is the beginning of a path. A file may import what
 * lies on a lower storey or in its own room. Tests are guests: they may go anywhere.
 */
const STOREYS: readonly (readonly string[])[] = [
  ["package.json", "generated/", "lib/sys/"],
  ["lib/netaddr/", "lib/netns/"],
  ["lib/netlink/", "lib/dbus/"],
  ["lib/netfilter/"],
  ["lib/nftables/"],
  ["lib/rtnetlink/", "lib/iptables/", "lib/conntrack/", "lib/cni/", "lib/state/"],
  ["lib/ipam/", "lib/weft-table/", "lib/etcd/"],
  ["lib/"],
  ["lib/store/"],
  ["lib/masquerade/", "lib/publish/", "lib/isolate/", "lib/host-device/", "lib/overlay/"],
  ["lib/bridged/"],
  ["plugins/", "agent/"],
  ["plugins.ts"],
  ["cli/failure.ts", "cli/terminal/"],
  ["cli/runtime/"],
  ["cli/containers/", "cli/executables/", "cli/host-listeners.ts", "cli/restore-rules.ts"],
  ["cli/inventory/", "cli/shadowed-listeners.ts"],
  ["cli/networks/", "cli/trace/", "cli/picture/"],
  ["cli/doctor/", "cli/demo/"],
  ["cli/completion/", "cli/migrate/"],
  ["cli/"],
  ["main.ts"],
  ["scripts/", "conformance/"],
  ["bench/"],
];

interface Ban {
  readonly what: RegExp;
  /** Who may all the same. */
  readonly except: RegExp;
  readonly cure: string;
}

const BANS: readonly Ban[] = [
  { what: /^bun:ffi$/, except: /^(lib\/sys\/libc|bench\/process)\.ts$/, cure: "use lib/sys/libc.ts" },
  { what: /^lib\/sys\/libc\.ts$/, except: /^lib\//, cure: "use a verb of lib/" },
  { what: /^lib\/netlink\//, except: /^(lib|bench)\//, cure: "use lib/rtnetlink or a verb of lib/" },
  {
    what: /^(node:|fs$|path$|os$)/,
    except: /^(cli|agent|scripts|bench)\//,
    cure: "use lib/sys: it costs 1 ms at start",
  },
  { what: /^commander$/, except: /^cli\//, cure: "leave the command line to cli/" },
  { what: /^execa$/, except: /^(scripts|bench)\//, cure: "use Bun.spawnSync" },
  { what: /^(ajv|typescript)(\/|$)/, except: /^scripts\//, cure: "do it at build time, in scripts/" },
  { what: /^lib\/testing\//, except: /^$/, cure: "leave it to tests" },
];

export function importComplaints(sources: readonly Source[]): Complaint[] {
  const graph = new Map(sources.map((source) => [source.path, importsOf(source)]));
  const perFile = [...graph].flatMap(([path, imports]) =>
    isTest(path)
      ? []
      : imports.flatMap((each) => [...storeyComplaints(path, each), ...banComplaints(path, each)]),
  );
  return [...perFile, ...cycleComplaints(graph)];
}

function importsOf(source: Source): Import[] {
  const imports: Import[] = [];
  if (!source.syntax) return imports;
  for (const node of nodesOf(source.syntax)) {
    const from = specifierOf(node);
    if (!from || !isStringLiteral(from)) continue;
    const isOurs = from.text.startsWith(".");
    const target = isOurs ? posix.join(posix.dirname(source.path), from.text) : from.text;
    imports.push({ target, isOurs, isType: isTypeOnly(node), line: lineOf(source, node) });
  }
  return imports;
}

function specifierOf(node: Node): Node | undefined {
  if (isImportDeclaration(node) || isExportDeclaration(node)) return node.moduleSpecifier;
  const isImportCall = isCallExpression(node) && node.expression.kind === SyntaxKind.ImportKeyword;
  return isImportCall ? node.arguments[0] : undefined;
}

/** `import type`, or each name of it a type: nothing is left of it when the types are gone. */
function isTypeOnly(node: Node): boolean {
  if (isExportDeclaration(node)) return node.isTypeOnly;
  if (!isImportDeclaration(node)) return false;
  return /^import\s+type\b|^import\s*\{(\s*type\s+[^,}]+,?)+\s*\}/.test(node.getText());
}

function storeyComplaints(path: string, { target, isOurs, line }: Import): Complaint[] {
  if (!isOurs || room(path) === room(target)) return [];
  const from = storey(path);
  const to = storey(target);
  if (from !== undefined && to !== undefined && to < from) return [];
  const cure =
    path.startsWith("plugins/") && target.startsWith("plugins/") ? "a verb of lib/" : "what lies below";
  return [{ path, line, rule: "storey", text: `import of ${target} is banned, use ${cure}` }];
}

function banComplaints(path: string, { target, isType, line }: Import): Complaint[] {
  if (isType) return [];
  return BANS.filter(({ what, except }) => what.test(target) && !except.test(path)).map(({ cure }) => ({
    path,
    line,
    rule: "import",
    text: `import of ${target} is banned, ${cure}`,
  }));
}

/** A folder of lib/ is a room, of cli/, and each plugin; else what stands in one folder of the root. */
function room(path: string): string {
  return /^(lib|plugins|cli)\/[^/]+\/|^[^/]+\/|^/.exec(path)?.[0] ?? "";
}

function storey(path: string): number | undefined {
  const matching = STOREYS.flatMap((prefixes, index) =>
    prefixes.filter((prefix) => path.startsWith(prefix)).map((prefix) => ({ index, length: prefix.length })),
  );
  return matching.sort((a, b) => b.length - a.length)[0]?.index; // "lib/sys/" counts before "lib/"
}

/**
 * Bun 1.4.5 miscompiles a cycle when it splits (oven-sh/bun#42632); types do not count, they are gone by
 * then.
 */
function cycleComplaints(graph: ReadonlyMap<string, readonly Import[]>): Complaint[] {
  const complaints: Complaint[] = [];
  const finished = new Set<string>();
  const visit = (path: string, trail: readonly string[]): void => {
    for (const { target, isType, line } of graph.get(path) ?? []) {
      if (isType || finished.has(target)) continue;
      const start = trail.indexOf(target);
      if (start < 0) visit(target, [...trail, target]);
      else {
        const circle = [...trail.slice(start), target]
          .map((each) => posix.relative(posix.dirname(path), each))
          .join(" → ");
        complaints.push({
          path,
          line,
          rule: "cycle",
          text: `import cycle is banned, use a third file: ${circle}`,
        });
      }
    }
    finished.add(path);
  };
  // Each file once: a second way into a circle is not another circle.
  for (const path of graph.keys()) if (!finished.has(path)) visit(path, [path]);
  return complaints;
}
