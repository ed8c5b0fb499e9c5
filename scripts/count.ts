/** How many tests passed, failed and were skipped, from what the two test runners write for machines. */

export interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

/** A line `ok` or `not ok` of TAP. */
interface Point {
  readonly ok: boolean;
  readonly name: string;
  readonly skipped: boolean;
  readonly children: readonly Point[];
  /** What is said of it between "---" and "...". */
  readonly diagnostics: string[];
}

/** Lines of a failure's diagnostics that are worth a log. */
const DIAGNOSTICS_MAX = 40;

/** Of bun's JUnit file: the sums in its first element. @throws SyntaxError when there are none */
export function countJunit(xml: string): Counts {
  const head = /<testsuites\b[^>]*>/.exec(xml)?.[0] ?? "";
  const [tests, failed, skipped] = ["tests", "failures", "skipped"].map((name) => {
    const value = new RegExp(`\\b${name}="(\\d+)"`).exec(head)?.[1];
    if (value === undefined) throw new SyntaxError(`Cannot count: no ${name} in the JUnit file`);
    return Number(value);
  }) as [number, number, number]; // one for each of the three names
  return { passed: tests - failed - skipped, failed, skipped };
}

/** The names of what was skipped, with their files; bun's tests carry the reason in their names. */
export function skippedInJunit(xml: string): string[] {
  return [...xml.matchAll(/<testcase ([^>]*)>\s*<skipped\b/g)].map(([, attributes = ""]) => {
    const [name, file] = ["name", "file"].map(
      (key) => new RegExp(`\\b${key}="([^"]*)"`).exec(attributes)?.[1] ?? "",
    );
    return unescapeXml(`${file} > ${name}`);
  });
}

function unescapeXml(text: string): string {
  const entities: Readonly<Record<string, string>> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };
  return text.replace(/&(lt|gt|quot|apos|amp);/g, (all, name) => entities[name] ?? all);
}

/**
 * Of TAP version 14 streams whose first level is the test files, the second their tests: the tests. A file
 * without tests counts itself, and a file that failed though its tests passed (it died, or timed out) counts
 * as a failure. What a later stream has of a file counts instead of what was before.
 * @throws SyntaxError when there is no file at all
 */
export function countTap(...streams: readonly string[]): Counts {
  const files = filesIn(streams);
  if (files.length === 0) throw new SyntaxError("Cannot count: no test in the TAP stream");
  const counts: Counts = { passed: 0, failed: 0, skipped: 0 };
  for (const file of files) {
    const tests = file.children.length > 0 ? file.children : [file];
    for (const test of tests) counts[outcome(test)]++;
    if (!file.ok && tests.every((test) => test.ok)) counts.failed++;
  }
  return counts;
}

/** The names of what was skipped, from the file down, with the reasons. */
export function skippedInTap(...streams: readonly string[]): string[] {
  const walk = (point: Point, path: string): string[] => {
    const name = path + nameOf(point);
    return point.skipped ? [name] : point.children.flatMap((child) => walk(child, `${name} > `));
  };
  return filesIn(streams).flatMap((file) => walk(file, ""));
}

/** What failed, from the file down to the assertion, each with what was said of it. */
export function failedInTap(...streams: readonly string[]): string[] {
  const walk = (point: Point, path: string): string[] => {
    if (point.ok) return [];
    const name = path + nameOf(point);
    const inner = point.children.flatMap((child) => walk(child, `${name} > `));
    return inner.length > 0 ? inner : [[name, ...point.diagnostics.slice(0, DIAGNOSTICS_MAX)].join("\n")];
  };
  return filesIn(streams).flatMap((file) => walk(file, ""));
}

/** The names of the files that failed; of one that runs others, "file > other". */
export function failedFilesInTap(...streams: readonly string[]): string[] {
  return filesIn(streams).flatMap(({ ok, name }) => (ok ? [] : nameOf({ name })));
}

/** The name without what tap says of the time it took. */
function nameOf({ name }: Pick<Point, "name">): string {
  return name.replace(/ # time=\S+$/, "");
}

/** Files by name, the last of each; tests called "other.test.ts: test" are of a file that the file runs. */
function filesIn(streams: readonly string[]): readonly Point[] {
  const files = new Map<string, Point>();
  for (const file of streams.flatMap(filePoints)) {
    const children: Point[] = [];
    const others = new Map<string, Point[]>();
    for (const child of file.children) {
      const [, other, test] = /^(\S+\.test\.ts)(?:: (.*)| #.*)$/.exec(child.name) ?? [];
      if (other === undefined) children.push(child);
      else others.set(other, [...(others.get(other) ?? []), { ...child, name: test ?? child.name }]);
    }
    const failedItself = !file.ok && file.children.every(({ ok }) => ok);
    if (others.size === 0 || children.length > 0 || failedItself)
      files.set(nameOf(file), { ...file, children });
    for (const [other, tests] of others) {
      const name = `${nameOf(file)} > ${other}`;
      files.set(name, { ...file, name, ok: tests.every(({ ok }) => ok), children: tests, diagnostics: [] });
    }
  }
  return [...files.values()];
}

/** Without what tap adds about a file that failed: "timeout!". */
function filePoints(stream: string): readonly Point[] {
  const points = parseTap(stream);
  const files = points.filter(({ name }) => /\.test\.ts( #|$)/.test(name));
  return files.some(({ ok }) => !ok) ? files : points;
}

/** A test all of whose parts were skipped was skipped. */
function outcome(point: Point): keyof Counts {
  if (!point.ok) return "failed";
  const { children } = point;
  return point.skipped || (children.length > 0 && children.every((child) => outcome(child) === "skipped"))
    ? "skipped"
    : "passed";
}

/** A subtest stands indented by four, before the line that sums it up. */
function parseTap(text: string): readonly Point[] {
  const levels: Point[][] = [[]];
  let diagnosticIndent: string | undefined;
  let last: Point | undefined;
  for (const line of text.split("\n")) {
    const fence = /^( +)(---|\.\.\.)$/.exec(line);
    if (fence && fence[2] === "---") diagnosticIndent ??= fence[1];
    else if (fence && fence[1] === diagnosticIndent) diagnosticIndent = undefined;
    if (diagnosticIndent !== undefined) last?.diagnostics.push(line);
    const match = diagnosticIndent === undefined && /^((?: {4})*)(not )?ok \d+(?: - )?(.*)$/.exec(line);
    if (!match) continue;
    const [, indent = "", not, name = ""] = match;
    const depth = indent.length / 4;
    const children = levels.splice(depth + 1)[0] ?? [];
    while (levels.length <= depth) levels.push([]);
    last = { ok: not === undefined, name, skipped: / # SKIP\b/i.test(name), children, diagnostics: [] };
    levels[depth]?.push(last);
  }
  return levels[0] ?? [];
}
