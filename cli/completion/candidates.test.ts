import { expect, test } from "bun:test";
import { loadProgram } from "../main.ts";
import { candidatesFor } from "./candidates.ts";

const NAMES: Readonly<Record<string, readonly string[]>> = {
  network: ["net", "blue"],
  "network|none|host": ["blue", "none"],
  container: ["web", "db"],
  "container|network": ["web", "blue"],
  topology: ["T1", "T2"],
  src: ["web", "host"],
};

async function words(...typed: string[]): Promise<string[]> {
  const candidates = await candidatesFor(await loadProgram(), typed, (kind) => NAMES[kind] ?? []);
  return candidates.map(({ word }) => word);
}

test("candidatesFor() completes verbs, and their own commands", async () => {
  expect(await words("tr")).toEqual(["trace"]);
  expect(await words("")).toContain("network");
  expect(await words("network", "c")).toEqual(["create", "connect"]);
  expect(await words("completion", "")).not.toContain("words");
});

test("candidatesFor() completes options, long and short", async () => {
  expect(await words("network", "create", "--ip")).toEqual(["--ip-range", "--ipv6"]);
  expect(await words("doctor", "-")).toContain("-y");
});

test("candidatesFor() completes names, by what the argument is called", async () => {
  expect(await words("network", "connect", "")).toEqual(["net", "blue"]);
  expect(await words("network", "connect", "blue", "")).toEqual(["web", "db"]);
  expect(await words("trace", "")).toEqual(["web", "host"]);
  expect(await words("ports", "")).toEqual(["web", "blue"]);
  expect(await words("demo", "T1", "")).toEqual(["T1", "T2"]);
});

test("candidatesFor() offers no name where a new one is asked for", async () => {
  expect(await words("network", "create", "")).toEqual([]);
});

test("candidatesFor() completes the value of an option", async () => {
  expect(await words("run", "--network", "b")).toEqual(["blue"]);
  expect(await words("inspect", "--type", "")).toEqual(["container", "network"]);
});

test("candidatesFor() knows nothing behind a word that is no command", async () => {
  expect(await words("nothing", "")).toEqual([]);
});

test("candidatesFor() leaves the program of weft run to the shell", async () => {
  expect(await words("run", "--network", "blue", "--", "")).toEqual([]);
});
