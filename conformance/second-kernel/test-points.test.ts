import t from "tap";
import { TestPoints } from "./test-points.ts";

function merge(streams: Record<string, string>): { points: TestPoints; lines: string[] } {
  const points = new TestPoints();
  const lines = Object.entries(streams).flatMap(([file, text]) =>
    text.split("\n").flatMap((line) => points.take(line, file)),
  );
  return { points, lines };
}

await t.test("take() numbers the tests of two files through, and leaves subtests as they are", async (t) => {
  const stream = [
    "TAP version 14",
    "# Subtest: adds",
    "    ok 1 - an address",
    "    1..1",
    "ok 1 - adds # time=5ms",
    "not ok 2 - deletes",
    "  ---",
    "  at: line 5",
    "  ...",
    "ok 3 - later # SKIP no reason",
    "1..3",
    "# { total: 3 }",
    "# time=9ms",
  ].join("\n");
  const { points, lines } = merge({ "a.test.ts": stream, "b.test.ts": "ok 1 - only\n1..1" });
  t.same(lines, [
    "# Subtest: a.test.ts: adds",
    "    ok 1 - an address",
    "    1..1",
    "ok 1 - a.test.ts: adds # time=5ms",
    "not ok 2 - a.test.ts: deletes",
    "  ---",
    "  at: line 5",
    "  ...",
    "ok 3 - a.test.ts: later # SKIP no reason",
    "ok 4 - b.test.ts: only",
  ]);
  t.match(points, { count: 4, failed: 1 });
});

await t.test("take() makes one skipped test of a file that skips itself", async (t) => {
  const { points, lines } = merge({ "a.test.ts": "1..0 # SKIP this kernel has no vrf" });
  t.same(lines, ["ok 1 - a.test.ts # SKIP this kernel has no vrf"]);
  t.match(points, { count: 1, failed: 0 });
});

await t.test("take() does not count a failure that is to do", async (t) => {
  t.equal(merge({ "a.test.ts": "not ok 1 - some day # TODO" }).points.failed, 0);
});
