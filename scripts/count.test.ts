import { expect, test } from "bun:test";
import {
  countJunit,
  countTap,
  failedFilesInTap,
  failedInTap,
  skippedInJunit,
  skippedInTap,
} from "./count.ts";

// $ bun test --reporter=junit, of two files with four tests
const JUNIT = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="bun test" tests="4" assertions="1" failures="1" skipped="2" time="0.03">
  <testsuite name="a.test.ts" tests="3" failures="0" skipped="1">
    <testcase name="a() does &quot;this&quot;" time="0" file="lib/a.test.ts" />
    <testcase name="a() is &lt; b [skipped: no b]" time="0" file="lib/a.test.ts">
      <skipped />
    </testcase>
  </testsuite>
</testsuites>`;

// $ tap run --reporter=tap: a file with all kinds of tests, a skipped one, a killed one, one without tests
const TAP = `TAP version 14
1..4
# Subtest: a.test.ts
    # Subtest: one
        ok 1 - should be equal
        1..1
    ok 1 - one # time=2.954ms

    ok 2 - two # SKIP no kernel
    # Subtest: three
        ok 1 - inner reason # SKIP
        1..1
    ok 3 - three # time=0.973ms

    # Subtest: four
        # Subtest: nested
            not ok 1 - should be equal
              ---
              diff: |
                --- expected
                +++ actual
                ok 7 - not a test
              ...

            1..1
        not ok 1 - nested # time=21ms
        1..1
    not ok 4 - four # time=27.952ms

    1..4
not ok 1 - a.test.ts # time=53.692ms
  ---
  exitCode: 1
  ...

# Subtest: b.test.ts
    1..0 # not root
ok 2 - b.test.ts # SKIP not root

# Subtest: c.test.ts
    # Subtest: one
    ok 1 - one # time=2.798ms

    # test count(1) != plan(null)
not ok 3 - c.test.ts # time=589.725ms
  ---
  signal: SIGKILL
  ...

# Subtest: d.test.ts
    1..0 # no tests found
not ok 4 - d.test.ts # time=284.991ms
`;

test("countJunit() takes the sums of all files", () => {
  expect(countJunit(JUNIT)).toEqual({ passed: 1, failed: 1, skipped: 2 });
});

test("countJunit() refuses a file without sums", () => {
  expect(() => countJunit("<testsuites>")).toThrow("Cannot count: no tests in the JUnit file");
});

test("skippedInJunit() names what was skipped, and where", () => {
  expect(skippedInJunit(JUNIT)).toEqual(["lib/a.test.ts > a() is < b [skipped: no b]"]);
});

test("countTap() counts the tests of each file, a file that died, and one without tests", () => {
  expect(countTap(TAP)).toEqual({ passed: 2, failed: 3, skipped: 3 });
});

test("countTap() refuses a stream that broke off before the first file ended", () => {
  expect(() => countTap("TAP version 14\n# Subtest: a.test.ts\n    ok 1 - one\n")).toThrow("no test");
});

test("skippedInTap() names what was skipped, and why", () => {
  expect(skippedInTap(TAP)).toEqual([
    "a.test.ts > two # SKIP no kernel",
    "a.test.ts > three > inner reason # SKIP",
    "b.test.ts # SKIP not root",
  ]);
});

// $ tap run --reporter=tap: a file that runs others, and one of these again
const OTHERS = `TAP version 14
# Subtest: machine.test.ts
    ok 1 - a.test.ts: one # time=5ms
    not ok 2 - b.test.ts: one
    ok 3 - b.test.ts: two
    ok 4 - c.test.ts # SKIP no kernel
    1..4
not ok 1 - machine.test.ts # time=9ms
`;
const AGAIN = `TAP version 14
# Subtest: machine.test.ts
    ok 1 - b.test.ts: one # time=5ms
    ok 2 - b.test.ts: two
    1..2
ok 1 - machine.test.ts # time=9ms
`;

test("failedFilesInTap() names files, and those that a file runs", () => {
  expect(failedFilesInTap(TAP)).toEqual(["a.test.ts", "c.test.ts", "d.test.ts"]);
  expect(failedFilesInTap(OTHERS)).toEqual(["machine.test.ts > b.test.ts"]);
});

test("a later stream counts instead of what an earlier one had of the same file", () => {
  expect(countTap(OTHERS)).toEqual({ passed: 2, failed: 1, skipped: 1 });
  expect(countTap(OTHERS, AGAIN)).toEqual({ passed: 3, failed: 0, skipped: 1 });
  expect(countTap(OTHERS, OTHERS)).toEqual({ passed: 2, failed: 1, skipped: 1 });
  expect(failedInTap(OTHERS)).toEqual(["machine.test.ts > b.test.ts > one"]);
  expect(failedInTap(OTHERS, AGAIN)).toEqual([]);
});

test("a file that runs others and broke off counts as a failure, whatever they did", () => {
  const broken = AGAIN.replace("ok 1 - machine", "not ok 1 - machine");
  expect(countTap(broken)).toEqual({ passed: 2, failed: 1, skipped: 0 });
  expect(failedFilesInTap(broken)).toEqual(["machine.test.ts"]);
});

test("what tap adds about a file that timed out is not a file", () => {
  const timedOut = `${OTHERS}not ok 2 - timeout!\n`;
  expect(failedFilesInTap(timedOut)).toEqual(["machine.test.ts > b.test.ts"]);
  expect(countTap(timedOut, AGAIN)).toEqual({ passed: 3, failed: 0, skipped: 1 });
  expect(countTap(`${AGAIN}not ok 2 - timeout!\n`).failed).toBe(1);
});
