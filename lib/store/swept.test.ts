import { test as bunTest, expect } from "bun:test";
import { readdirSync, utimesSync } from "node:fs";
import { noOwnRunReason } from "../testing/own-run.ts";
import { beginSweep, forgetSwept, isSweepDue } from "./swept.ts";

const reason = noOwnRunReason ? ` [skipped: ${noOwnRunReason}]` : "";
const test = (name: string, body: () => void) => bunTest.skipIf(reason !== "")(name + reason, body);

let count = 0;
function newStore() {
  return { endpoints: ["http://10.0.0.1:2379", "http://10.0.0.2:2379"], prefix: `/${++count}`, host: "a/b" };
}

function files(): string[] {
  return readdirSync("/run/weft/stores", { recursive: true, encoding: "utf8" });
}

test("isSweepDue() until one was done, and for each store by itself", () => {
  const store = newStore();
  expect(isSweepDue(store)).toBe(true);
  {
    using sweep = beginSweep(store);
    expect(isSweepDue(store)).toBe(true);
    sweep.done();
  }
  expect(isSweepDue(store)).toBe(false);
  expect(isSweepDue({ ...store, endpoints: store.endpoints.toReversed() })).toBe(false);
  expect(isSweepDue({ ...store, host: "c" })).toBe(true);
  expect(isSweepDue({ ...store, prefix: "/other" })).toBe(true);
});

test("isSweepDue() after one that failed, which leaves nothing", () => {
  const store = newStore();
  const before = files().length;
  {
    using _sweep = beginSweep(store);
  }
  expect(isSweepDue(store)).toBe(true);
  expect(files().length).toBe(before + 1); // the store's directory
});

test("beginSweep() removes what one left that was killed", () => {
  const store = newStore();
  const before = new Set(files());
  beginSweep(store);
  const left = files().filter((file) => !before.has(file) && file.includes("swept."));
  const since = Date.now() / 1000 - 700;
  utimesSync(`/run/weft/stores/${left[0]}`, since, since);
  {
    using _sweep = beginSweep(store);
  }
  expect(files().filter((file) => left.includes(file))).toEqual([]);
});

test("isSweepDue() again when something was left behind, also while a sweep is under way", () => {
  const store = newStore();
  for (const isDone of [true, false]) {
    using sweep = beginSweep(store);
    if (isDone) sweep.done();
    forgetSwept(store);
    if (!isDone) sweep.done();
    expect(isSweepDue(store)).toBe(true);
  }
});

test("isSweepDue() again after a time, and when the clock was set back", () => {
  const store = newStore();
  using sweep = beginSweep(store);
  const before = new Set(files());
  sweep.done();
  const path = `/run/weft/stores/${files().find((file) => !before.has(file))}`;
  for (const [ageS, isDue] of [
    [500, false],
    [700, true],
    [-100, true],
  ] as const) {
    const time = Date.now() / 1000 - ageS;
    utimesSync(path, time, time);
    expect(isSweepDue(store)).toBe(isDue);
  }
});
