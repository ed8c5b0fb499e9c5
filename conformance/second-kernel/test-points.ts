/**
 * Several TAP streams as one: their top-level tests numbered through, and named after the file they come
 * from.
 */
export class TestPoints {
  count = 0;
  /** Those that are neither skipped nor to do. */
  failed = 0;

  /**
   * Takes one line of a file's stream. Returns the lines of ours, without the plan, which is `1..<count>`.
   */
  take(line: string, file: string): string[] {
    const subtest = /^# Subtest: (.*)$/.exec(line);
    if (subtest) return [`# Subtest: ${file}: ${subtest[1]}`];
    const skippedFile = /^1\.\.0(?: *# *(?:SKIP *)?(.*))?$/.exec(line);
    if (skippedFile) return [`ok ${++this.count} - ${file} # SKIP ${skippedFile[1] ?? "no tests"}`];
    // version, plan and sums are the stream's own
    if (/^TAP version|^1\.\.|^# (\{|time=|timeout=)/.test(line)) return [];
    const point = /^(not )?ok \d+(?: - )?(.*)$/.exec(line);
    if (!point) return [line];
    const [, not = "", name = ""] = point;
    if (not !== "" && !/ # (SKIP|TODO)\b/i.test(name)) this.failed++;
    return [`${not}ok ${++this.count} - ${file}: ${name}`];
  }
}
